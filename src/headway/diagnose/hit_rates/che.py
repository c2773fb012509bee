"""
Hit rates from the keys' popularities alone, as if each request were drawn anew (independent reference model).

Where this and the stack distances differ, the requests are not independent of each other: popularity moves, or
something reads all keys one after another.

Source: Che, Tung, Wang 2002, "Hierarchical Web caching systems", 3; Fagin 1977; Fricker, Robert, Roberts 2012, "A
versatile and accurate approximation for LRU cache performance". TTL: Jung, Berger, Balakrishnan 2003, "Modeling
TTL-based Internet caches".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]


def lru(counts: FloatArray, sizes: Sequence[float]) -> FloatArray:
    """
    Hit rates of LRU caches of so many entries that begin empty.

    A key asked n times hits at most n - 1 times, each with probability 1 - exp(-n t): t is the characteristic time, in
    streams, after which a key that nobody asks for has left the cache; the sum of 1 - exp(-n t) over all keys is the
    size.

    Args:
        counts: (k,) how often each key was asked for, at least once.
        sizes: entries.

    Returns:
        (len(sizes),); NaN without keys.
    """
    return np.array([_lru(counts, size) for size in sizes], dtype=np.float64)


def _lru(counts: FloatArray, size: float) -> float:
    if not len(counts):
        return float("nan")
    again = (counts - 1.0).sum() / counts.sum()
    if size <= 0:
        return 0.0
    if size >= len(counts):
        return float(again)

    def kept(log_t: float) -> float:
        return float(-np.expm1(-counts * np.exp(log_t)).sum() - size)

    low, high = -60.0, 60.0
    t = float(np.exp(optimize.brentq(kept, low, high)))
    return float(((counts - 1.0) * -np.expm1(-counts * t)).sum() / counts.sum())


def ttl(counts: FloatArray, lasts_s: float, ttls_s: Sequence[float]) -> FloatArray:
    """
    Hit rates of caches of any size that forget a value so long after it was stored, and that begin empty.

    Of a key asked for at random moments with rate r there is a fill in every TTL + 1 / r seconds; a stream that lasts L
    has one at its first request and one in every such time after.

    Args:
        counts: (k,) how often each key was asked for.
        lasts_s: how long the stream lasts.
        ttls_s: TTLs.

    Returns:
        (len(ttls_s),); NaN without keys or without time.
    """
    if not len(counts) or lasts_s <= 0:
        return np.full(len(ttls_s), np.nan)
    return np.array([_ttl(counts, lasts_s, each) for each in ttls_s], dtype=np.float64)


def _ttl(counts: FloatArray, lasts_s: float, ttl_s: float) -> float:
    rate = counts / lasts_s
    left = np.maximum(lasts_s - 1.0 / rate, 0.0)  # after the first request, on average
    # Renewals of (ttl + exponential gap) in `left`, the mean rate; no more than requests that are left.
    fills = 1.0 + np.minimum(left / (ttl_s + 1.0 / rate), counts - 1.0)
    fills = np.where(ttl_s >= lasts_s, 1.0, fills)
    return float(1.0 - fills.sum() / counts.sum())
