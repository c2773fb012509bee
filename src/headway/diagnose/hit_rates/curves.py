"""Hit rate by size (LRU) and by TTL (expire after write), of a cache that begins empty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from headway.diagnose.hit_rates import shards
from headway.diagnose.hit_rates.distances import stack_distances

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from headway.diagnose.hit_rates.shards import Sample
    from headway.diagnose.hit_rates.stream import KeyStream

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

EXACT_READS = 2_000_000
"""Up to so many reads all keys are looked at, which takes some four seconds; above it SAMPLED_KEYS of them."""
SAMPLED_KEYS = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Fills:
    """
    A cache of any size that forgets `ttl_ns` after it was filled, access by access.

    hit: (n,) bool; age_ns: (n,) ns since the value was filled, 0 at a fill. Writes are no accesses of it.
    """

    hit: NDArray[np.bool_]
    age_ns: IntArray


def sampled(stream: KeyStream, *, seed: int = 0) -> Sample:
    """The stream whole where that is cheap, else a sample of fixed size."""
    if stream.reads <= EXACT_READS:
        return shards.fixed_rate(stream, 1.0)
    return shards.fixed_size(stream, SAMPLED_KEYS, seed=seed)


def lru(sample: Sample, sizes: Sequence[float], *, in_bytes: bool = False) -> FloatArray:
    """
    Hit rates of LRU caches.

    Args:
        sample: of the stream's keys; writes are left out.
        sizes: capacities, in entries, or in bytes of values.
        in_bytes: sizes are bytes; the stream must know its values' sizes.

    Returns:
        (len(sizes),) share of the reads that hit, in [0, 1]; NaN without reads, and where the sample is too small for
        the size (`Sample.smallest_size`).

    Raises:
        ValueError: bytes are asked for and not known.
    """
    stream = sample.stream.read_only()
    own: IntArray | None = stream.size_bytes if in_bytes else None
    if in_bytes and own is None:
        raise ValueError("the sizes of the values are not known")
    distances = stack_distances(stream.key, own)
    again = distances >= 0
    needed = distances[again] / sample.rate_ratio + (1 if own is None else own[stream.key[again]])
    needed.sort()
    asked = np.asarray(sizes, dtype=np.float64)
    hits = np.searchsorted(needed, asked, side="right").astype(np.float64)
    smallest = sample.smallest_size * (1.0 if own is None or not len(own) else float(own.mean()))
    return np.where(asked < smallest, np.nan, _corrected(sample, hits, len(stream.key)))


def ttl(sample: Sample, ttls_s: Sequence[float]) -> FloatArray:
    """
    Hit rates of caches of any size whose entries expire so long after they were filled.

    Returns:
        (len(ttls_s),) share of the reads that hit; NaN without reads.
    """
    stream = sample.stream.read_only()
    hits = np.array([fills(stream, round(each * 1e9)).hit.sum() for each in ttls_s], dtype=np.float64)
    return _corrected(sample, hits, len(stream.key))


def compulsory_ratio(stream: KeyStream) -> float:
    """Share of the reads that are the first of their key: no cache that begins empty hits these."""
    reads = stream.read_only()
    return len(np.unique(reads.key)) / len(reads.key) if len(reads.key) else 0.0


def fills(stream: KeyStream, ttl_ns: int) -> Fills:
    """
    Follow every key from fill to fill.

    A read at or after the fill's time plus `ttl_ns` misses, and is the next fill. All keys take one step at a time, so
    there are as many steps as the busiest key has fills: at most the stream's length in TTLs.

    Args:
        stream: reads alone.
        ttl_ns: at least 1.

    Raises:
        ValueError: no TTL.
    """
    if ttl_ns < 1:
        raise ValueError("a TTL is above 0")
    n = len(stream.key)
    order = np.lexsort((stream.at_ns, stream.key))
    key, at_ns = stream.key[order], stream.at_ns[order]
    begins = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]])) if n else np.zeros(0, dtype=np.int64)
    ends = np.concatenate([begins[1:], [n]]) if n else begins
    filled = np.zeros(n, dtype=np.bool_)
    here, until = begins, ends
    while len(here):
        filled[here] = True
        here = _first_at_or_after(at_ns, here, until, at_ns[here] + ttl_ns)
        more = here < until
        here, until = here[more], until[more]
    since = np.maximum.accumulate(np.where(filled, np.arange(n), 0)) if n else np.zeros(0, dtype=np.int64)
    hit, age_ns = np.empty(n, dtype=np.bool_), np.empty(n, dtype=np.int64)
    hit[order], age_ns[order] = ~filled, at_ns - at_ns[since]
    return Fills(hit=hit, age_ns=age_ns)


def _first_at_or_after(at_ns: IntArray, low: IntArray, high: IntArray, wanted_ns: IntArray) -> IntArray:
    """In each stretch [low, high) the first place whose time is at or after the wanted one; `high` when none is."""
    low, high = low.copy(), high.copy()
    while True:
        open_ = low < high
        if not open_.any():
            return low
        middle = (low + high) // 2
        early = np.zeros(len(low), dtype=np.bool_)
        early[open_] = at_ns[middle[open_]] < wanted_ns[open_]
        low = np.where(early, middle + 1, low)
        high = np.where(open_ & ~early, middle, high)


def _corrected(sample: Sample, hits: FloatArray, reads: int) -> FloatArray:
    """Shares of hits, as if the sample had as many reads as were expected: those it lacks are of the hottest keys."""
    expected = reads + sample.missing
    if reads == 0 or expected <= 0:
        return np.full(len(hits), np.nan)
    # A cache of size 0 hits nothing, whatever the sample lacks.
    added = np.where(hits > 0, sample.missing, 0.0)
    return np.asarray(np.clip((hits + added) / expected, 0.0, 1.0))
