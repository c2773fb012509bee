"""One side of a comparison: a run's phase, or the same phase of several rounds, and its figures when redrawn."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from headway.compare.sample import FAILED
from headway.load import histogram

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from headway.compare.sample import Sample

    IntArray = NDArray[np.int64]
    FloatArray = NDArray[np.float64]

AT_ONCE = 4_000_000
"""Numbers of a redrawn histogram that are held at once: 32 MB."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """
    What is redrawn: stretches of one run, or whole rounds.

    count: (units, columns) requests of each stretch or round in each bucket of `buckets`; good: (units,) good answers
    within the measured time; due: (units,) what they are held against: requests planned, or seconds in a closed model;
    due_per_s: of all of it; failed, total: (s,) by stretch whatever is redrawn.
    """

    buckets: IntArray
    count: FloatArray
    good: FloatArray
    unit_s: float
    due: FloatArray
    due_per_s: float
    failed: FloatArray
    total: FloatArray

    @property
    def requests(self) -> int:
        """All of them, failed ones included."""
        return int(self.count.sum())

    @cached_property
    def values_ns(self) -> FloatArray:
        """(columns,) what each bucket's requests took at most, as everywhere in Headway; inf: failed."""
        values: FloatArray = histogram.highest_ns(np.minimum(self.buckets, FAILED - 1)).astype(np.float64)
        values[self.buckets == FAILED] = math.inf
        return values

    def quantile_ns(self, q: float) -> float:
        """The quantile, ns; inf where it falls among the failed."""
        return float(self._quantiles(self.count.sum(axis=0, keepdims=True), (q,))[0, 0])

    def above(self, q: float) -> FloatArray:
        """(units,) requests slower than the quantile, less the share that would be there on average."""
        total = self.count.sum(axis=1)
        slower: FloatArray = self.count[:, self.values_ns > self.quantile_ns(q)].sum(axis=1)
        expected: FloatArray = total * (slower.sum() / max(total.sum(), 1))
        return slower - expected

    def throughput_per_s(self) -> float:
        """Good answers each second."""
        return float(self.good.sum() / self.due.sum()) * self.due_per_s if self.due.sum() else math.nan

    def in_time(self) -> FloatArray:
        """(units,) good answers less those due at the mean rate: chance arrivals are not the service's."""
        expected: FloatArray = self.due * (self.good.sum() / max(self.due.sum(), 1e-9))
        return self.good - expected

    def redrawn(self, weights: FloatArray, quantiles: Sequence[float]) -> tuple[FloatArray, FloatArray]:
        """
        The figures of each redrawn side.

        Args:
            weights: (times, units) how often each stretch or round is drawn.
            quantiles: ratios.

        Returns:
            (times, quantiles) ns, and (times,) good answers each second.
        """
        step = max(1, AT_ONCE // max(1, self.count.shape[1]))
        parts = [
            self._quantiles(weights[at : at + step] @ self.count, quantiles) for at in range(0, len(weights), step)
        ]
        with np.errstate(invalid="ignore", divide="ignore"):
            rates = weights @ self.good / (weights @ self.due) * self.due_per_s
        return np.concatenate(parts), rates

    def _quantiles(self, counts: FloatArray, quantiles: Sequence[float]) -> FloatArray:
        reached = np.cumsum(counts, axis=1)
        found = np.empty((len(counts), len(quantiles)))
        for column, q in enumerate(quantiles):
            rank = np.maximum(1, np.ceil(q * reached[:, -1:] - 1e-6))
            found[:, column] = self.values_ns[(reached < rank).sum(axis=1).clip(max=len(self.buckets) - 1)]
        return found


def of_run(sample: Sample, route: int | None) -> Side:
    """One run's phase, by stretch."""
    return _side([sample], route, by_round=False)


def of_rounds(samples: Sequence[Sample], route: int | None) -> Side:
    """The same phase of several rounds, by round."""
    return _side(samples, route, by_round=True)


def _side(samples: Sequence[Sample], route: int | None, *, by_round: bool) -> Side:
    chosen = [np.ones(len(each.unit), dtype=bool) if route is None else each.route == route for each in samples]
    found = [each.bucket[own] for each, own in zip(samples, chosen, strict=True)]
    buckets = np.unique(np.concatenate(found)) if sum(map(len, found)) else np.zeros(1, dtype=np.int64)
    rows = []
    for sample, own in zip(samples, chosen, strict=True):
        unit = np.zeros(int(own.sum()), dtype=np.int64) if by_round else sample.unit[own]
        height = 1 if by_round else max(sample.units, 1)
        place = unit * len(buckets) + np.searchsorted(buckets, sample.bucket[own])
        cells = np.bincount(place, weights=sample.count[own], minlength=height * len(buckets))
        rows.append(cells.reshape(height, len(buckets)))
    shares = [each.failed_and_all(route) for each in samples]
    good = [each.good.sum(keepdims=True) if by_round else each.good for each in samples]
    count = np.concatenate(rows)
    seconds = sum(each.seconds for each in samples)
    due = [_due(each, by_round=by_round) for each in samples]
    return Side(
        buckets=buckets,
        count=count.astype(np.float64),
        good=np.concatenate(good).astype(np.float64),
        unit_s=seconds / max(1, len(count)),
        due=np.concatenate(due),
        due_per_s=float(sum(each.sum() for each in due)) / max(1, seconds),
        failed=np.concatenate([failed for failed, _ in shares]),
        total=np.concatenate([total for _, total in shares]),
    )


def _due(sample: Sample, *, by_round: bool) -> FloatArray:
    found = np.full(sample.units, sample.seconds / max(1, sample.units)) if sample.planned is None else sample.planned
    return (found.sum(keepdims=True) if by_round else found).astype(np.float64)
