"""What a difference is, and what its interval says: beyond what matters, within it, or neither."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headway.compare.ranks import Superiority


TOO_WIDE = "the interval is wider than what matters"


class Call(StrEnum):
    """What a difference comes to. Not worse: it may be better, and isn't worse by as much as matters."""

    WORSE = "worse"
    BETTER = "better"
    SAME = "no difference that matters"
    NOT_WORSE = "not worse"
    OPEN = "can't tell"


class Measure(StrEnum):
    LATENCY = "latency"  # ns
    THROUGHPUT = "throughput"  # per second
    ERRORS = "error rate"  # ratio


@dataclass(frozen=True, kw_only=True)
class Difference:
    """
    One figure on both sides.

    a, b: in the measure's unit; a latency is inf where its rank falls among failed requests. change, low, high: b / a
    - 1, of error rates b - a; `matters`: from where it matters, in the same unit. more: how many times as much load
    would settle what can't be told, if the estimate stays; None: unknown.
    """

    measure: Measure
    quantile: float | None
    route: str | None
    a: float
    b: float
    change: float
    low: float
    high: float
    matters: float
    call: Call
    reason: str
    more: float | None = None


@dataclass(frozen=True, kw_only=True)
class RouteShift:
    """How often a request of B is slower than one of A, of a route or of all."""

    route: str | None
    superiority: Superiority
    requests: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class PhaseDifferences:
    """
    One phase on both sides.

    basis: in words, what was redrawn; level: of each interval by itself, so that all hold together with 95%.
    left_out: figures that have too few requests, in words.
    """

    phase: str
    basis: str
    level: float
    differences: tuple[Difference, ...]
    shifts: tuple[RouteShift, ...]
    left_out: tuple[str, ...]


def called(
    change: float, low: float, high: float, *, matters: float, harm: int
) -> tuple[Call, str, float | None]:  # fmt: skip
    """
    What an interval says.

    Args:
        change, low, high: relative, or of error rates absolute.
        matters: from where a difference matters, either way.
        harm: 1 where more is worse, -1 where less is.

    Returns:
        The call, why in words where it isn't plain, and how many times the load would settle it.
    """
    if harm < 0:
        change, low, high = -change, -high, -low
    if low > matters:
        return Call.WORSE, "", None
    if high < -matters:
        return Call.BETTER, "", None
    if -matters <= low and high <= matters:
        return Call.SAME, "", None
    if high <= matters:
        why = "better, perhaps not by as much as matters" if high < 0 else "better or much the same"
        return Call.NOT_WORSE, why, None
    why = "worse, perhaps not by as much as matters" if low > 0 else TOO_WIDE
    return Call.OPEN, why, _more(change, low, high, matters)


def _more(change: float, low: float, high: float, matters: float) -> float | None:
    """How many times the load brings the interval off the line: its width falls with the square root."""
    half, room = (high - low) / 2, abs(abs(change) - matters)
    if not (math.isfinite(half) and half > 0 and room > 0):
        return None
    times = half / room
    return max(1.1, times * times) if times < 1e6 else None
