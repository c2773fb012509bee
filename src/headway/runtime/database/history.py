"""
When the primary had come how far: replica lag in seconds without comparing two machines' clocks.

`now() - pg_last_xact_replay_timestamp()` grows on an idle primary and mixes two clocks. Here the prober's own clock
says when the primary was seen at a position; a replica that has replayed that position is no further behind than that.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Lag:
    """How far a replica is behind, seconds: between `least` and `most`. `most` is infinite when it cannot be said."""

    least: float
    most: float


class History:
    """
    The primary's positions over the last `keep_s` seconds.

    Times are monotonic, in seconds, and must not go back; a position that does (another server answers as primary, on
    a log that was cut off) begins a new history.
    """

    def __init__(self, keep_s: float) -> None:
        self._keep_s = keep_s
        self._times: list[float] = []
        self._positions: list[int] = []

    def add(self, at_s: float, position: int) -> None:
        """The primary stood at `position` at some time after `at_s`, or just then."""
        if self._positions and position < self._positions[-1]:
            self._times, self._positions = [], []
        self._times.append(at_s)
        self._positions.append(position)
        stale = bisect_left(self._times, at_s - self._keep_s)
        if stale > len(self._times) // 2:  # now and then, not each time
            del self._times[:stale], self._positions[:stale]

    @property
    def last(self) -> int | None:
        """The last position known; None before the first."""
        return self._positions[-1] if self._positions else None

    @property
    def last_at_s(self) -> float:
        """When it was seen; minus infinity before the first."""
        return self._times[-1] if self._times else -math.inf

    def lag(self, position: int, at_s: float) -> Lag:
        """
        How far behind who has replayed `position` at `at_s` is.

        While the primary is silent nothing new is known to be missing: the lag is then as of when it was last seen.
        """
        if not self._positions:
            return Lag(least=0.0, most=math.inf)
        at_s = min(at_s, self._times[-1])
        reached = bisect_right(self._positions, position)
        if reached == len(self._positions):
            return Lag(least=0.0, most=0.0)
        least = max(0.0, at_s - self._times[reached])
        return Lag(least=least, most=at_s - self._times[reached - 1] if reached else math.inf)
