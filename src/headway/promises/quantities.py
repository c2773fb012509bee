"""
Quantities as people write them, to base units: "10K req/min" -> 166.67 per second, "0.1 %" -> 0.001, "P99.9" -> 0.999.

Each function takes the text of one token of criterion.lark, so the shape is known and only the value can be wrong.
"""

from __future__ import annotations

import re
from decimal import Decimal

from headway.model import Statistic


class Refused(Exception):
    """The sentence is grammatical but cannot be a promise: why, and what could be said instead (None: unknown)."""

    def __init__(self, why: str, instead: str | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.instead = instead


_NUMBER = re.compile(r"(?P<number>[\d,]+(?:\.\d+)?)\s*(?P<unit>.*)", re.DOTALL)
_NS_BY_START = (  # the first that fits decides
    ("min", 60 * 10**9),
    ("milli", 10**6),
    ("ms", 10**6),
    ("micro", 10**3),
    ("us", 10**3),
    ("µ", 10**3),
    ("μ", 10**3),
    ("n", 1),
    ("s", 10**9),
)
_SHARE = re.compile(r"[\d,]+(?:\.\d+)?\s*(?:%|per\s?cent)", re.IGNORECASE)
_WINDOW = re.compile(r"(\d{1,9})[\s-]*([a-z]+)", re.IGNORECASE)
LONGEST_WINDOW_S = 3_600
LARGEST = Decimal(10) ** 15  # ns: eleven days; req/s: more than there are


def duration_ns(text: str) -> float:
    """ "100 ms" -> 1e8. Raises Refused for "1.234 ms", which half the world reads as a thousand and more."""
    number, unit = _parts(text)
    size = next(ns for start, ns in _NS_BY_START if unit.lower().startswith(start))
    return _bounded(_unmistakable(number) * size, text)


def rate_per_s(text: str) -> float:
    """ "10K requests/sec" -> 10000.0; "600 rpm" -> 10.0."""
    number, unit = _parts(text)
    value = _unmistakable(number)
    if unit[:1] in "kK":
        value, unit = value * 1000, unit[1:].lstrip()
    elif unit[:1] == "M":
        value, unit = value * 1_000_000, unit[1:].lstrip()
    if re.search(r"(?:min(?:ute)?s?|rpm)$", unit, re.IGNORECASE):
        value /= 60
    return _bounded(value, text)


def percent_ratio(text: str) -> float:
    """ "0.1 %" -> 0.001; above 100% too: whether that can be is the subject's affair."""
    return _bounded(_parts(text)[0] / 100, text)


def quantile(text: str) -> Statistic:
    """ "P99.9", "95th percentile" -> a quantile from 0.5 up to, not including, 1."""
    percent = Decimal(re.findall(r"\d+(?:\.\d+)?", text)[0])
    if percent == 100:
        raise Refused("P100 is the maximum, which is written max", "API response time max < 100 ms")
    if percent > 100:
        hint = f"P{str(percent)[:2]}.{str(percent)[2:]}" if str(percent).startswith("99") else "P99"
        raise Refused(f"there is no percentile {percent}", f"API response time {hint} < 100 ms")
    if percent < 50:
        raise Refused(f"P{percent} is of the fastest answers only", "API response time P95 < 100 ms")
    value = float(percent / 100)
    if value >= 1:
        raise Refused(f"P{percent} is too near to the maximum to be told from it", "API response time max < 100 ms")
    return Statistic(quantile=value)


def windows(text: str) -> tuple[float, int]:
    """ "for 95% of the seconds" -> (0.95, 1); "in 99% of 10 s windows" -> (0.99, 10)."""
    share, _, each = re.split(r"(\bof\b)", text, maxsplit=1)
    found = _SHARE.search(share)
    size = _WINDOW.search(each)
    if found is None:
        raise Refused(f'"{text}" is no share of windows')
    ratio = percent_ratio(found[0])
    if ratio >= 1:
        raise Refused(
            "no run can show that every window holds it", "API response time P95 < 100 ms for 99% of the seconds"
        )
    if ratio == 0:
        raise Refused("it holds even when no window does", "API response time P95 < 100 ms for 95% of the seconds")
    if size is None:
        return ratio, 1
    seconds = int(size[1]) * (60 if size[2].lower().startswith("m") else 1)
    if not 1 <= seconds <= LONGEST_WINDOW_S:
        raise Refused(
            f"windows are of 1 s to {LONGEST_WINDOW_S} s", "API response time P95 < 100 ms in 95% of 10 s windows"
        )
    return ratio, seconds


def _parts(text: str) -> tuple[Decimal, str]:
    found = _NUMBER.match(text)
    if found is None:
        raise Refused(f'"{text}" is no quantity')
    return Decimal(found["number"].replace(",", "")), found["unit"]


def _unmistakable(number: Decimal) -> Decimal:
    exponent = number.as_tuple().exponent
    if exponent == -3 and number >= 1:
        either = f"{number} is one thing with a decimal point and a thousand times that with a separator"
        raise Refused(f"{either}; write {number}0 or {str(number).replace('.', '')}")
    return number


def _bounded(value: Decimal, text: str) -> float:
    if value > LARGEST:
        raise Refused(f'"{text}" is more than can be measured')
    as_float = float(value)
    if as_float == 0 and value != 0:
        raise Refused(f'"{text}" is less than can be measured')
    return as_float
