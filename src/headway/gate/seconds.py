"""One phase's hits by second, for a route or the whole API: what the intervals are made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from headway.load import histogram

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from headway.model import LatencyCells, PhaseHits

    IntArray = NDArray[np.int64]
    FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Answers:
    """
    The answers of a phase to one route, or to all.

    counts: (BUCKETS,) good ones by bucket; good, failed: (s,) by second of completion, what came after the measured
    time counted in its last second.
    """

    cells: LatencyCells
    counts: IntArray
    good: FloatArray
    failed: FloatArray
    seconds: int

    @property
    def failures(self) -> int:
        """Requests without a good answer."""
        return int(self.failed.sum())

    @property
    def totals(self) -> FloatArray:
        """(s,) all requests."""
        return self.good + self.failed

    def slower_than(self, ns: float) -> FloatArray:
        """(s,) requests slower than `ns`, failures included."""
        chosen = histogram.lowest_ns(self.cells.bucket) > ns
        return self.failed + _by_second(
            self.cells.second[chosen], self.cells.count[chosen].astype(np.float64), self.seconds
        )

    def sums_ns(self) -> FloatArray:
        """(s,) sum of the latencies of good answers, each taken as the middle of its bucket."""
        middle = (histogram.lowest_ns(self.cells.bucket) + histogram.highest_ns(self.cells.bucket)) / 2
        return _by_second(self.cells.second, middle * self.cells.count, self.seconds)


def answers(hits: PhaseHits, cells: LatencyCells, route: int | None) -> Answers:
    """The answers to `route`, None for all; `cells` is the phase's `response` or `service`."""
    chosen = np.ones(len(cells.bucket), dtype=bool) if route is None else cells.route == route
    own = type(cells)(
        second=cells.second[chosen], route=cells.route[chosen], bucket=cells.bucket[chosen], count=cells.count[chosen]
    )
    failures = hits.failures
    failed = np.ones(len(failures.count), dtype=bool) if route is None else failures.route == route
    return Answers(
        cells=own,
        counts=histogram.fold(own),
        good=_by_second(own.second, own.count.astype(np.float64), hits.seconds),
        failed=_by_second(failures.second[failed], failures.count[failed].astype(np.float64), hits.seconds),
        seconds=hits.seconds,
    )


def _by_second(second: IntArray, weight: FloatArray, seconds: int) -> FloatArray:
    if seconds == 0:
        return np.zeros(0)
    return np.bincount(np.clip(second, 0, seconds - 1), weights=weight, minlength=seconds).astype(np.float64)
