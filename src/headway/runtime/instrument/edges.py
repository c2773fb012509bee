"""
Histogram buckets that end exactly at the promises' limits.

`histogram_quantile` guesses within a bucket. Whether 95% of requests took at most 100 ms it need not guess, if a bucket
ends at 0.1 s: it is that bucket's share. Limits are read out of the increment by a small reader of its own, because a
service must not import the rooms that judge it. It takes every duration in a criterion for a limit: one too many is
one bucket too many. A test holds it to `headway.promises`: no limit found there may be missing here.
"""

from __future__ import annotations

import re
from pathlib import Path

LADDER_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
MOST_LIMITS = 20
"""Each bucket is a time series for every route and status."""

_BEGINS = re.compile(r"\s*(?:[-*+]\s|#|\||$)")
"""A line that ends the criterion above it: a list item, a heading, a row, nothing."""
_DURATION = re.compile(
    r"(?i)(\d+(?:[.,]\d+)*)\s*(ns|nanoseconds?|µs|us|microseconds?|ms|msecs?|millis(?:econds?)?|milliseconds?"
    r"|s|secs?|seconds?|min|minutes?)\b"
)
_SCALES = (("mic", 1e-6), ("min", 60.0), ("m", 1e-3), ("n", 1e-9), ("µ", 1e-6), ("u", 1e-6), ("s", 1.0))


def read_limits_s(promises: str | Path) -> tuple[float, ...]:
    """
    Durations named by the criteria of an increment, seconds, ascending.

    Args:
        promises: the increment's folder, its spec.md, or a headway.toml.

    Raises:
        OSError: there is no such file.
        ValueError: it names no duration: buckets could be aligned to nothing.
    """
    path = Path(promises)
    path = path / "spec.md" if path.is_dir() else path
    lines = path.read_text(encoding="utf-8").splitlines()
    kept = lines if path.suffix == ".toml" else _criteria(lines)
    found = {_seconds(number, unit) for line in kept for number, unit in _DURATION.findall(line)}
    found.discard(0.0)
    if not found:
        raise ValueError(f"{path} names no duration in a criterion; name the limits yourself: limits_ms=(100,)")
    return tuple(sorted(found))


def edges_s(limits_s: tuple[float, ...]) -> tuple[float, ...]:
    """
    The ladder of buckets with the limits among them, seconds.

    Raises:
        ValueError: more limits than a histogram should have buckets, or one that is not positive.
    """
    if len(limits_s) > MOST_LIMITS or any(limit <= 0 for limit in limits_s):
        raise ValueError(f"{len(limits_s)} limits: at most {MOST_LIMITS} positive ones; name those that matter")
    return tuple(sorted({*LADDER_S, *limits_s}))


def _criteria(lines: list[str]) -> list[str]:
    """The lines of list items that have a criterion's id, with the lines they go on over."""
    kept, inside = [], False
    for line in lines:
        if _BEGINS.match(line):
            inside = "AC-" in line
        if inside:
            kept.append(line)
    return kept


def _seconds(number: str, unit: str) -> float:
    scale = next(each for beginning, each in _SCALES if unit.lower().startswith(beginning))
    # 1,000 is a thousand; 0,5 is a half. Rounded so that 0.1 is the same float, whichever unit it came in.
    plain = number.replace(",", "") if re.fullmatch(r"\d{1,3}(,\d{3})+(\.\d+)?", number) else number.replace(",", ".")
    return float(f"{float(plain) * scale:.9g}")
