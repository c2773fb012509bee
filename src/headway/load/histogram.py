"""
High-dynamic-range counting of times, in numpy: constant memory, relative error at most 1/1000.

The layout is HdrHistogram's with lowest discernible value 1000 ns (so a unit of 512 ns), three significant digits and a
highest value of one hour. A bucket's index is HdrHistogram's counts-array index, so a line of the interval log is this
array, encoded.

Source: http://hdrhistogram.org; HdrHistogram.java, countsArrayIndex.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from headway.errors import EmptyPhase

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from headway.model import LatencyCells

    IntArray = NDArray[np.int64]

LOWEST_NS = 1_000
HIGHEST_NS = 3_600_000_000_000
SIGNIFICANT_DIGITS = 3
UNIT_BITS = 9  # floor(log2(LOWEST_NS)): values are counted in units of 512 ns
SUB_BITS = 11  # 2048 sub-buckets hold three significant digits
HALF_BITS = SUB_BITS - 1
HALF = 1 << HALF_BITS


def bucket_of(ns: IntArray) -> IntArray:
    """
    The bucket each value falls into.

    Args:
        ns: (n,) int64, nanoseconds; below 0 counts as 0, above an hour as an hour.

    Returns:
        (n,) int64, in [0, BUCKETS).
    """
    units = np.clip(ns, 0, HIGHEST_NS) >> UNIT_BITS
    # frexp gives the exact bit length of whole numbers below 2**53.
    bits = np.frexp((units | ((1 << SUB_BITS) - 1)).astype(np.float64))[1].astype(np.int64)
    power = bits - SUB_BITS
    return (power << HALF_BITS) + (units >> power)


def lowest_ns(bucket: IntArray) -> IntArray:
    """The lowest value of each bucket, ns."""
    power, sub = _split(bucket)
    return sub << (power + UNIT_BITS)


def highest_ns(bucket: IntArray) -> IntArray:
    """The highest value of each bucket, ns."""
    power, sub = _split(bucket)
    return ((sub + 1) << (power + UNIT_BITS)) - 1


def _split(bucket: IntArray) -> tuple[IntArray, IntArray]:
    power = np.maximum((np.asarray(bucket, dtype=np.int64) >> HALF_BITS) - 1, 0)
    return power, bucket - (power << HALF_BITS)


BUCKETS = int(bucket_of(np.array([HIGHEST_NS], dtype=np.int64))[0]) + 1


def fold(cells: LatencyCells, route: int | None = None, seconds: slice | None = None) -> IntArray:
    """
    The histogram of some cells.

    Args:
        cells: one phase's.
        route: only that route; None for all.
        seconds: only these whole seconds; None for all.

    Returns:
        (BUCKETS,) int64 counts.
    """
    chosen = np.ones(len(cells.bucket), dtype=bool)
    if route is not None:
        chosen &= cells.route == route
    if seconds is not None:
        chosen &= cells.second >= (seconds.start or 0)
        if seconds.stop is not None:
            chosen &= cells.second < seconds.stop
    counts = np.zeros(BUCKETS, dtype=np.int64)
    np.add.at(counts, cells.bucket[chosen], cells.count[chosen])
    return counts


def quantile_ns(counts: IntArray, q: float, failures: int = 0) -> float:
    """
    The value at or below which a share `q` of the requests lie: the bucket's highest value, as HdrHistogram reports.

    Args:
        counts: (BUCKETS,) requests by bucket.
        q: ratio in (0, 1].
        failures: requests with no good answer; they count as slower than any finite value.

    Returns:
        ns; inf when the rank falls among the failures.

    Raises:
        EmptyPhase: no requests at all.
    """
    total = int(counts.sum()) + failures
    if total == 0:
        raise EmptyPhase("no requests were measured", next_act="run longer, or lower the warm-up")
    return value_at_rank_ns(counts, max(1, math.ceil(q * total - 1e-9)))


def value_at_rank_ns(counts: IntArray, rank: int) -> float:
    """The value of the rank-th smallest request, counted from 1; inf past the last good one."""
    reached = np.cumsum(counts)
    if rank > reached[-1]:
        return math.inf
    return float(highest_ns(np.array([np.searchsorted(reached, rank)]))[0])


def mean_ns(counts: IntArray) -> float:
    """
    The mean, each value taken as the middle of its bucket.

    Raises:
        EmptyPhase: no requests.
    """
    total = counts.sum()
    if total == 0:
        raise EmptyPhase("no requests were measured", next_act="run longer, or lower the warm-up")
    filled = np.flatnonzero(counts)
    middle = (lowest_ns(filled) + highest_ns(filled)) / 2
    return float((middle * counts[filled]).sum() / total)


def max_ns(counts: IntArray) -> float:
    """
    The largest value, to its bucket's upper edge.

    Raises:
        EmptyPhase: no requests.
    """
    filled = np.flatnonzero(counts)
    if len(filled) == 0:
        raise EmptyPhase("no requests were measured", next_act="run longer, or lower the warm-up")
    return float(highest_ns(filled[-1:])[0])
