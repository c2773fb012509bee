"""
Eviction as Valkey and Redis do it (allkeys-lru): the longest unused of a few drawn by chance, by a clock of seconds.

Each eviction draws five keys, puts those that are idle long into a pool of sixteen, and takes the pool's oldest. A key
used within the same second as others is as good as they are: a cache that turns over in a second evicts by chance.

Source: Valkey, src/evict.c (evictionPoolPopulate, EVPOOL_SIZE), maxmemory-samples 5, LRU_CLOCK_RESOLUTION 1000 ms.
"""

from __future__ import annotations

from bisect import insort_left
from collections import deque
from random import Random

SAMPLES = 5
POOL = 16

Entry = tuple[int, int, int]


class SampledCache:
    """
    As `simulate`'s own cache, with sampled eviction.

    Args:
        capacity: entries.
        ttl_ns: from the storing; None: for ever. What has expired goes at once.
        clock_ns: the resolution of the clock that says how long a key is unused.
        seed: of the draws.
    """

    def __init__(self, capacity: float, ttl_ns: int | None, *, clock_ns: int, seed: int = 0) -> None:
        self._capacity, self._ttl_ns, self._clock_ns = capacity, ttl_ns, clock_ns
        self._random = Random(seed)  # noqa: S311 - which key is evicted is no secret
        self._kept: dict[int, Entry] = {}
        self._used_at: dict[int, int] = {}  # in ticks of the clock
        self._keys: list[int] = []
        self._place: dict[int, int] = {}
        self._pool: list[tuple[int, int]] = []  # (idle ticks when it was put in, key), the longest idle last
        self._stored: deque[tuple[int, int]] = deque()
        self.evicted = self.expired = self.used_peak = self.entries_peak = 0

    def get(self, key: int, now_ns: int) -> Entry | None:
        """What is kept under the key."""
        if self._ttl_ns is not None:
            self._sweep(now_ns - self._ttl_ns)
        entry = self._kept.get(key)
        if entry is not None:
            self._used_at[key] = now_ns // self._clock_ns
        return entry

    def put(self, key: int, entry: Entry) -> None:
        """Keep it, evicting what must go."""
        if self._capacity < 1:
            return
        tick = entry[0] // self._clock_ns
        while len(self._kept) >= self._capacity:
            self._evict(tick)
        self._kept[key] = entry
        self._used_at[key] = tick
        self._place[key] = len(self._keys)
        self._keys.append(key)
        if self._ttl_ns is not None:
            self._stored.append((entry[0], key))
        self.entries_peak = max(self.entries_peak, len(self._kept))

    def drop(self, key: int) -> None:
        """Forget it."""
        if self._kept.pop(key, None) is None:
            return
        place, last = self._place.pop(key), self._keys.pop()
        if last != key:
            self._keys[place] = last
            self._place[last] = place

    def _evict(self, tick: int) -> None:
        count = len(self._keys)
        drawn = range(count) if count <= SAMPLES else self._random.sample(range(count), SAMPLES)
        pooled = {key for _, key in self._pool}
        for place in drawn:
            key = self._keys[place]
            idle = tick - self._used_at[key]
            if key in pooled or (len(self._pool) >= POOL and idle <= self._pool[0][0]):
                continue
            if len(self._pool) >= POOL:
                del self._pool[0]
            insort_left(self._pool, (idle, key), key=_idle)
        while self._pool:
            _, key = self._pool.pop()
            if key in self._kept:
                self.evicted += 1
                self.drop(key)
                return

    def _sweep(self, due_ns: int) -> None:
        while self._stored and self._stored[0][0] <= due_ns:
            at_ns, key = self._stored.popleft()
            entry = self._kept.get(key)
            if entry is not None and entry[0] == at_ns:
                self.expired += 1
                self.drop(key)


def _idle(pooled: tuple[int, int]) -> int:
    return pooled[0]
