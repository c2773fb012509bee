"""
Eviction as Valkey does it (allkeys-lru): the longest unused of a few that lie together, by a clock of seconds.

Each eviction looks at one of the hash table's buckets, of seven places each, takes up to five keys of it into a pool of
sixteen, and evicts the pool's oldest. Three things make it differ from LRU:

- A key used within the same second as others is as good as they are: a cache that turns over in a second evicts by
  chance.
- The pool remembers how long a key was unused when it was put there. One that was used since goes all the same, and one
  that was put there twice goes twice: it is evicted again as soon as it is stored anew.
- A key in a bucket with few others is looked at more often than one in a full bucket.

Source: Valkey 9, src/evict.c (evictionPoolPopulate, EVPOOL_SIZE), src/lrulfu.c (seconds), src/hashtable.c
(hashtableSampleEntries, 64-byte buckets); maxmemory-samples 5. Redis, and Valkey before 8.1, have chains of one key a
bucket and take neighbouring chains until there are five.
"""

from __future__ import annotations

from bisect import insort_left
from collections import deque
from random import Random

SAMPLES = 5
POOL = 16
BUCKET_PLACES = 7

Entry = tuple[int, int, int]


class SampledCache:
    """
    As `simulate`'s own cache, with sampled eviction.

    Args:
        capacity: entries.
        ttl_ns: from the storing; None: for ever. What has expired goes at once.
        clock_ns: the resolution of the clock that says how long a key is unused.
        clock_began_ns: a time at which that clock ticks.
        seed: of the draws.
    """

    def __init__(
        self, capacity: float, ttl_ns: int | None, *, clock_ns: int, clock_began_ns: int = 0, seed: int = 0
    ) -> None:
        self._capacity, self._ttl_ns, self._clock_ns, self._clock_began_ns = capacity, ttl_ns, clock_ns, clock_began_ns
        self._random = Random(seed)  # noqa: S311 - which key is evicted is no secret
        self._kept: dict[int, Entry] = {}
        self._used_at: dict[int, int] = {}  # in ticks of the clock
        self._buckets: list[list[int | None]] = [[]]
        self._pool: list[tuple[int, int]] = []  # (idle ticks when it was put in, key), the longest idle last
        self._stored: deque[tuple[int, int]] = deque()
        self.evicted = self.expired = self.used_peak = self.entries_peak = 0

    def get(self, key: int, now_ns: int) -> Entry | None:
        """What is kept under the key."""
        if self._ttl_ns is not None:
            self._sweep(now_ns - self._ttl_ns)
        entry = self._kept.get(key)
        if entry is not None:
            self._used_at[key] = self._tick(now_ns)
        return entry

    def put(self, key: int, entry: Entry) -> None:
        """Keep it, evicting what must go."""
        if self._capacity < 1:
            return
        tick = self._tick(entry[0])
        while len(self._kept) >= self._capacity:
            self._evict(tick)
        self._kept[key] = entry
        self._used_at[key] = tick
        if len(self._kept) > BUCKET_PLACES * len(self._buckets):
            self._widen()
        else:
            self._place(key)
        if self._ttl_ns is not None:
            self._stored.append((entry[0], key))
        self.entries_peak = max(self.entries_peak, len(self._kept))

    def drop(self, key: int) -> None:
        """Forget it."""
        if self._kept.pop(key, None) is None:
            return
        bucket = self._bucket(key)
        if len(bucket) <= BUCKET_PLACES:
            bucket[bucket.index(key)] = None
        elif (last := bucket.pop()) != key:  # the last place of a chain fills the hole
            bucket[bucket.index(key)] = last

    def _bucket(self, key: int) -> list[int | None]:
        return self._buckets[_spread(key) % len(self._buckets)]

    def _place(self, key: int) -> None:
        """In the bucket's first free place; a full one gets more places behind it."""
        bucket = self._bucket(key)
        if None in bucket:
            bucket[bucket.index(None)] = key
        else:
            bucket.append(key)

    def _tick(self, now_ns: int) -> int:
        return (now_ns - self._clock_began_ns) // self._clock_ns

    def _widen(self) -> None:
        """The table doubles when it is full; it does not shrink while it is nearly so."""
        self._buckets = [[] for _ in range(2 * len(self._buckets))]
        for key in self._kept:
            self._place(key)

    def _evict(self, tick: int) -> None:
        while True:
            for key in self._drawn():
                idle = tick - self._used_at[key]
                if len(self._pool) >= POOL:
                    if idle <= self._pool[0][0]:
                        continue
                    del self._pool[0]
                insort_left(self._pool, (idle, key), key=_idle)
            while self._pool:
                _, key = self._pool.pop()
                if key in self._kept:
                    self.evicted += 1
                    self.drop(key)
                    return

    def _drawn(self) -> list[int]:
        """The keys of buckets drawn by chance until there are enough; of more than enough some, each as likely."""
        wanted = min(SAMPLES, len(self._kept))
        found: list[int] = []
        seen = 0
        while seen < wanted:
            for key in self._buckets[int(self._random.random() * len(self._buckets))]:
                if key is None:
                    continue
                seen += 1
                if len(found) < wanted:
                    found.append(key)
                elif (place := int(self._random.random() * seen)) < wanted:
                    found[place] = key
        return found

    def _sweep(self, due_ns: int) -> None:
        while self._stored and self._stored[0][0] <= due_ns:
            at_ns, key = self._stored.popleft()
            entry = self._kept.get(key)
            if entry is not None and entry[0] == at_ns:
                self.expired += 1
                self.drop(key)


def _idle(pooled: tuple[int, int]) -> int:
    return pooled[0]


def _spread(key: int) -> int:
    """An even hash of a key's number: SplitMix64's finaliser, as in `shards`."""
    z = (key + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return z ^ (z >> 31)
