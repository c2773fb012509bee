"""
95% intervals of what a run measured: quantiles, averages, shares, rates.

Answers that follow each other are alike, so n of them say less than n independent ones. By how much is estimated by
batch means over the seconds of the phase (the design effect); intervals are made as from n / design effect samples,
with Student's t for the few batches.

Source: Law, Simulation Modeling and Analysis, ch. 9 (batch means); David and Nagaraja, Order Statistics, 7.1
(binomial ranks); Clopper and Pearson 1934.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from headway.load import histogram
from headway.thresholds import CONFIDENCE_RATIO, MIN_BATCHES, SETTLE_MOST_TIMES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]
    FloatArray = NDArray[np.float64]

MOST_BATCHES = 15
"""More and shorter ones are not independent of each other where a queue is long: with 30 of 2 s, 89% of the intervals
of an M/M/1 queue's P99 at 90% utilisation held the truth, with 15 it was 92% (benchmarks/load/coverage.py)."""
TAIL = (1 - CONFIDENCE_RATIO) / 2
Z = float(special.ndtri(1 - TAIL))


@dataclass(frozen=True, kw_only=True)
class Interval:
    """
    A number and its 95% interval, in the unit of what was measured.

    `samples` is what it rests on; `effective` how many independent ones that is worth.
    """

    measured: float
    low: float
    high: float
    samples: int
    effective: float


def batches(per_second: FloatArray) -> FloatArray | None:
    """
    Sums over consecutive seconds, 10 to 15 of them; None when there are fewer than MIN_BATCHES seconds.

    Args:
        per_second: (s, ...) numbers by second.

    Returns:
        (k, ...) sums.
    """
    if len(per_second) < MIN_BATCHES:
        return None
    parts = np.array_split(per_second, min(len(per_second), MOST_BATCHES))
    return np.array([part.sum(axis=0) for part in parts])


def effective_samples(hits: FloatArray, totals: FloatArray) -> float:
    """
    How many independent samples the seconds are worth for estimating the share hits / totals.

    Args:
        hits: (s,) of `totals`, those that count.
        totals: (s,) samples by second.

    Returns:
        n / design effect, lessened again as Student's t asks for k batches; 0.0 when there are too few seconds.
    """
    both = batches(np.stack([hits, totals], axis=1).astype(np.float64))
    n = float(totals.sum())
    if both is None or n == 0:
        return 0.0
    k = len(both)
    share = float(hits.sum()) / n
    independent = share * (1 - share) * n
    residuals = both[:, 0] - share * both[:, 1]
    seen = float((residuals**2).sum()) * k / (k - 1)
    effect = max(1.0, seen / independent) if independent > 0 else 1.0
    return n / effect * (Z / float(special.stdtrit(k - 1, 1 - TAIL))) ** 2


def share(hits: FloatArray, totals: FloatArray) -> Interval | None:
    """
    A share and its Clopper-Pearson interval on the effective samples; None without samples.

    Args:
        hits, totals: (s,) by second.
    """
    n = int(totals.sum())
    if n == 0:
        return None
    measured = float(hits.sum()) / n
    effective = effective_samples(hits, totals)
    if effective < 1:
        return Interval(measured=measured, low=0.0, high=1.0, samples=n, effective=0.0)
    k = measured * effective
    low = 0.0 if k == 0 else float(special.betaincinv(k, effective - k + 1, TAIL))
    high = 1.0 if k >= effective else float(special.betaincinv(k + 1, effective - k, 1 - TAIL))
    return Interval(measured=measured, low=low, high=high, samples=n, effective=effective)


def _rank(p: float, n: int, q: float) -> int:
    """
    The smallest k that a binomial (n, q) stays at or below with probability p.

    scipy.stats has it by name, and costs every run 50 MiB and a second to import.
    """
    k = math.ceil(float(special.bdtrik(p, n, q)))
    return k - 1 if k > 0 and float(special.bdtr(k - 1, n, q)) >= p else k


def quantile(counts: IntArray, q: float, failures: int, above: FloatArray, totals: FloatArray) -> Interval | None:
    """
    A latency quantile; failed requests rank above every good one. None without samples.

    Args:
        counts: (BUCKETS,) good answers by bucket.
        q: ratio in (0, 1).
        failures: requests without a good answer.
        above: (s,) requests by second slower than the measured quantile, failures included.
        totals: (s,) requests by second, failures included.

    Returns:
        ns; `high` is inf when the samples, or the failures, leave it open.
    """
    n = int(counts.sum()) + failures
    if n == 0:
        return None
    measured = histogram.quantile_ns(counts, q, failures)
    effective = effective_samples(above, totals)
    m = math.floor(effective)
    if m < 1:
        return Interval(measured=measured, low=0.0, high=math.inf, samples=n, effective=0.0)
    low_rank = math.floor(_rank(TAIL, m, q) / m * n)
    high_ratio = (_rank(1 - TAIL, m, q) + 1) / m
    low = 0.0 if low_rank < 1 else _bucket_floor(histogram.value_at_rank_ns(counts, low_rank))
    high = math.inf if high_ratio > 1 else histogram.value_at_rank_ns(counts, math.ceil(high_ratio * n))
    return Interval(measured=measured, low=min(low, measured), high=max(high, measured), samples=n, effective=effective)


def _bucket_floor(ns: float) -> float:
    if math.isinf(ns):
        return ns
    return float(histogram.lowest_ns(histogram.bucket_of(np.array([int(ns)])))[0])


def mean(sums: FloatArray, totals: FloatArray) -> Interval | None:
    """
    A mean and its t interval by batch means; None without samples.

    Args:
        sums, totals: (s,) sum of the values, and how many, by second.
    """
    n = int(totals.sum())
    if n == 0:
        return None
    measured = float(sums.sum()) / n
    both = batches(np.stack([sums, totals], axis=1).astype(np.float64))
    if both is None:
        return Interval(measured=measured, low=-math.inf, high=math.inf, samples=n, effective=0.0)
    k = len(both)
    residuals = both[:, 0] - measured * both[:, 1]
    half = float(special.stdtrit(k - 1, 1 - TAIL)) * math.sqrt(float((residuals**2).sum()) * k / (k - 1)) / n
    return Interval(measured=measured, low=measured - half, high=measured + half, samples=n, effective=float(k))


def rate(per_second: FloatArray) -> Interval | None:
    """Events per second: the mean of the seconds. None without seconds."""
    found = mean(per_second.astype(np.float64), np.ones(len(per_second)))
    if found is None:
        return None
    return Interval(
        measured=found.measured, low=max(0.0, found.low), high=found.high,
        samples=int(per_second.sum()), effective=found.effective,
    )  # fmt: skip


def further_samples(interval: Interval, q: float, share_at_limit: float) -> int | None:
    """
    How many more requests would pull the interval of a quantile or share off its limit, if the estimate stays.

    Args:
        interval: as measured.
        q: the share the clause speaks of.
        share_at_limit: the share measured at the limit.

    Returns:
        None when more than `SETTLE_MOST_TIMES` those there are would be needed, the two being all but equal, or when
        nothing is known of the spread.
    """
    distance = abs(share_at_limit - q)
    if distance == 0 or interval.effective <= 0:
        return None
    spread = max(q * (1 - q), share_at_limit * (1 - share_at_limit))
    needed = Z * Z * spread / distance**2 * (interval.samples / interval.effective)
    if needed > SETTLE_MOST_TIMES * interval.samples:
        return None
    # Where the normal approximation says that there are enough already, it is too rough: as many again.
    return math.ceil(needed - interval.samples) if needed > interval.samples else interval.samples
