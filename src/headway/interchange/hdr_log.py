"""
HdrHistogram interval logs of other tools, formats 1.0 to 1.3: each tag a route, each interval its histogram.

Read whatever a log's own resolution and range are: each of its buckets is counted at its highest value, as HdrHistogram
reports it. Corrected or not is for whoever wrote the log to know; without their word it counts as not corrected.

Source: HdrHistogram.java, HistogramLogReader.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
from hdrh.histogram import HdrHistogram

from headway.interchange.foreign import Foreign, Intervals, opened, refused

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

TOOL = "HdrHistogram"
NEXT_ACT = "name an HdrHistogram interval log, and its --unit"
UNITS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_LINE = re.compile(r"(?:Tag=([^,]*),)?(-?[\d.]+),([\d.]+),([\d.]+),(\S+)$")
_BASE = re.compile(r"^#\s*\[(StartTime|BaseTime): ([\d.]+)")
EPOCH_S = 1e8
"""A timestamp above this is unix time, one below is relative to the log's own start: HistogramLogReader's own rule."""


def read(file: Path, templates: Sequence[str] = (), *, unit: str = "ns") -> Foreign:
    """
    Read one log.

    Args:
        file: the log.
        templates: not used: tags name the routes.
        unit: of its values: ns, us, ms or s; a log does not say.

    Raises:
        BadInput: a line is not one of an interval log; with its number.
    """
    del templates
    base_s, started_s = 0.0, 0.0
    names: list[str] = []
    found: list[tuple[float, int, NDArray[np.int64], NDArray[np.int64]]] = []
    for number, line in enumerate(opened(file).decode("utf-8", "replace").splitlines(), start=1):
        header = _BASE.match(line)
        if header:
            base_s, started_s = (float(header[2]), started_s) if header[1] == "BaseTime" else (base_s, float(header[2]))
        if not line.strip() or line.startswith(("#", '"')):
            continue
        parsed = _LINE.match(line)
        try:
            tag, start, code = parsed.group(1, 2, 5)  # type: ignore[union-attr]  # None is caught like the rest
            cells = _cells(code, UNITS[unit])
        except Exception as exc:  # the codec raises many kinds
            raise refused(file, "is not a line of an HdrHistogram interval log", NEXT_ACT, number) from exc
        name = tag or "all requests"
        if name not in names:
            names.append(name)
        at_s = float(start)
        at_s += (base_s or started_s) if at_s < EPOCH_S else 0.0
        found.append((at_s, names.index(name), *cells))
    if not found:
        raise refused(file, "has no interval", NEXT_ACT)
    return Foreign(
        tool=TOOL, file=file, timing=f"as the log's writer timed it, in {unit}", routes=tuple(names),
        intervals=tuple(Intervals(at_s=at, route=route, value_ns=ns, count=count) for at, route, ns, count in found),
    )  # fmt: skip


def _cells(text: str, unit_ns: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(values in ns, counts) of one histogram, whatever its layout."""
    histogram = HdrHistogram.decode(text)
    counts = np.array([histogram.counts[index] for index in range(histogram.counts_len)], dtype=np.int64)
    filled = np.flatnonzero(counts)
    highest = [histogram.get_highest_equivalent_value(histogram.get_value_from_index(int(index))) for index in filled]
    return np.array(highest, dtype=np.int64) * unit_ns, counts[filled]
