"""
A sample of the keys, with all their accesses: what is true of it at distance d is true of all at distance d / rate.

Fixed rate: a key is in when its hash is below a threshold. Fixed size: the threshold that keeps so many keys; the whole
stream is at hand, so the threshold that the online algorithm ends with holds from the start, and no count needs to be
rescaled. Whether the few hottest keys are in makes too many or too few accesses; the difference to the expected number
is put to the shortest distance, where such keys are (SHARDS-adj).

Source: Waldspurger, Park, Garthwaite, Ahmad 2015, "Efficient MRC Construction with SHARDS", USENIX FAST, 3.1 to 3.4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from headway.diagnose.hit_rates.stream import KeyStream

    IntArray = NDArray[np.int64]
    HashArray = NDArray[np.uint64]


SMALLEST_KEYS = 50
"""A cache that holds fewer keys of the sample than this is not told apart from its neighbours: with 6 of them hit rates
were up to 0.07 off, with 50 below 0.02 (tests/unit/test_hit_rates.py)."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """
    Some keys of a stream with all their accesses.

    `rate_ratio` is the share of keys that are in, by their hashes. `missing` is how many reads fewer (below 0: more)
    are in it than expected.
    """

    stream: KeyStream
    rate_ratio: float
    missing: float

    @property
    def smallest_size(self) -> float:
        """Entries of the smallest cache that the sample says something of."""
        return 0.0 if self.rate_ratio == 1 else SMALLEST_KEYS / self.rate_ratio


def hashed(key: IntArray, seed: int = 0) -> HashArray:
    """
    (n,) evenly spread 64-bit hashes: SplitMix64's finaliser.

    Source: Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators".
    """
    with np.errstate(over="ignore"):
        z = key.astype(np.uint64) + np.uint64((0x9E3779B97F4A7C15 * (seed + 1)) % 2**64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(z ^ (z >> np.uint64(31)))


def fixed_rate(stream: KeyStream, rate_ratio: float, *, seed: int = 0) -> Sample:
    """
    So large a share of the keys.

    Raises:
        ValueError: the share is not in (0, 1].
    """
    if not 0 < rate_ratio <= 1:
        raise ValueError("a sampling rate lies in (0, 1]")
    if rate_ratio == 1:
        return Sample(stream=stream, rate_ratio=1.0, missing=0.0)
    return _below(stream, hashed(np.arange(stream.distinct), seed), rate_ratio)


def fixed_size(stream: KeyStream, keys: int, *, seed: int = 0) -> Sample:
    """
    At most so many keys; all when there are no more.

    Raises:
        ValueError: fewer than one.
    """
    if keys < 1:
        raise ValueError("a sample has a key")
    if stream.distinct <= keys:
        return Sample(stream=stream, rate_ratio=1.0, missing=0.0)
    hashes = hashed(np.arange(stream.distinct), seed)
    # The first key that is left out: its hash is the threshold.
    return _below(stream, hashes, float(np.partition(hashes, keys)[keys]) / 2.0**64)


def _below(stream: KeyStream, hashes: HashArray, rate_ratio: float) -> Sample:
    taken = hashes.astype(np.float64) / 2.0**64 < rate_ratio
    sampled = stream.only(taken[stream.key])
    return Sample(stream=sampled, rate_ratio=rate_ratio, missing=stream.reads * rate_ratio - sampled.reads)
