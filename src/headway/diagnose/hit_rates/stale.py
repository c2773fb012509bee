"""What share of the reads a TTL would answer with what was true before a write."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from headway.diagnose.hit_rates.curves import fills

if TYPE_CHECKING:
    from headway.diagnose.hit_rates.stream import KeyStream


def of_keys(stream: KeyStream, ttl_s: float) -> float:
    """
    Where it is known which keys were written: reads that hit while their key was written since the fill.

    Args:
        stream: reads and writes.
        ttl_s: of the cache, which has room for all and is not told of writes.

    Returns:
        Share of the reads; 0 without reads.
    """
    reads = stream.read_only()
    if not len(reads.key):
        return 0.0
    filled = fills(reads, max(1, round(ttl_s * 1e9)))
    writes = stream.only(stream.write)
    if not len(writes.key):
        return 0.0
    # Writes of the same key in (fill, read]: by place in the writes sorted by key, then time.
    order = np.lexsort((writes.at_ns, writes.key))
    key, at_ns = writes.key[order], writes.at_ns[order]
    begins, ends = np.searchsorted(key, reads.key, "left"), np.searchsorted(key, reads.key, "right")
    hits = np.flatnonzero(filled.hit & (ends > begins))
    return _changed(at_ns, begins[hits], ends[hits], reads.at_ns[hits], filled.age_ns[hits]) / len(reads.key)


def _changed(
    at_ns: np.ndarray[tuple[int], np.dtype[np.int64]],
    begins: np.ndarray[tuple[int], np.dtype[np.int64]],
    ends: np.ndarray[tuple[int], np.dtype[np.int64]],
    read_ns: np.ndarray[tuple[int], np.dtype[np.int64]],
    age_ns: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> int:
    """How many hits have a write between their fill and themselves."""
    low, high = begins.copy(), ends.copy()
    while (low < high).any():  # the first write after the fill
        middle = (low + high) // 2
        look = low < high
        early = np.zeros(len(low), dtype=np.bool_)
        early[look] = at_ns[middle[look]] <= (read_ns - age_ns)[look]
        low, high = np.where(early, middle + 1, low), np.where(look & ~early, middle, high)
    there = low < ends
    return int((at_ns[low[there]] <= read_ns[there]).sum())


def of_rate(stream: KeyStream, ttl_s: float, writes_per_s: float, *, spread: bool) -> float:
    """
    Where it is known only how often something is written that the keys are made from.

    A hit of age a is stale with probability 1 - exp(-rate a): writes are taken to come at random.

    Args:
        stream: reads.
        ttl_s: of the cache.
        writes_per_s: to the tables behind the keys, say.
        spread: each write changes one key, those read more often more often; False: each changes all keys, as where
            every key is a list of the same table. The truth lies between.

    Returns:
        Share of the reads; 0 without reads.
    """
    reads = stream.read_only()
    n = len(reads.key)
    if not n or writes_per_s <= 0:
        return 0.0
    filled = fills(reads, max(1, round(ttl_s * 1e9)))
    rate = np.full(n, writes_per_s)
    if spread:
        rate = writes_per_s * np.bincount(reads.key, minlength=stream.distinct)[reads.key] / n
    return float((-np.expm1(-rate * filled.age_ns / 1e9) * filled.hit).sum() / n)
