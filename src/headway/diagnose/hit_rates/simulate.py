"""LRU and TTL together, access by access: what the curves cannot say, as what expired makes room for others."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headway.diagnose.hit_rates.sampled_lru import SampledCache

if TYPE_CHECKING:
    from headway.diagnose.hit_rates.stream import KeyStream


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a cache did with a stream. `stale`: hits whose key was written since the value was stored."""

    reads: int
    hits: int
    stale: int
    evicted: int
    expired: int
    entries_peak: int
    bytes_peak: int

    @property
    def hit_ratio(self) -> float:
        """Share of the reads that hit; 0 without reads."""
        return self.hits / self.reads if self.reads else 0.0

    @property
    def stale_ratio(self) -> float:
        """Share of the reads answered with what was true before; 0 without reads."""
        return self.stale / self.reads if self.reads else 0.0


class _Cache:
    """Least recently used first. An entry is (stored at, its size, how often its key had been written)."""

    def __init__(self, capacity: float, ttl_ns: int | None, *, lazy: bool) -> None:
        self._capacity = capacity
        self._ttl_ns = ttl_ns
        self._lazy = lazy
        self._kept: OrderedDict[int, tuple[int, int, int]] = OrderedDict()
        self._stored: deque[tuple[int, int]] = deque()  # (when, key) in order of expiry: one TTL for all
        self.used = self.evicted = self.expired = self.used_peak = self.entries_peak = 0

    def get(self, key: int, now_ns: int) -> tuple[int, int, int] | None:
        if self._ttl_ns is not None and not self._lazy:
            self._sweep(now_ns)
        entry = self._kept.get(key)
        if entry is None:
            return None
        if self._ttl_ns is not None and now_ns - entry[0] >= self._ttl_ns:
            self.expired += 1
            self.drop(key)
            return None
        self._kept.move_to_end(key)
        return entry

    def put(self, key: int, entry: tuple[int, int, int]) -> None:
        if entry[1] > self._capacity:
            return
        while self.used + entry[1] > self._capacity:
            _, (_, freed, _) = self._kept.popitem(last=False)
            self.used -= freed
            self.evicted += 1
        self._kept[key] = entry
        self.used += entry[1]
        if self._ttl_ns is not None and not self._lazy:
            self._stored.append((entry[0], key))
        self.used_peak = max(self.used_peak, self.used)
        self.entries_peak = max(self.entries_peak, len(self._kept))

    def drop(self, key: int) -> None:
        entry = self._kept.pop(key, None)
        if entry is not None:
            self.used -= entry[1]

    def _sweep(self, now_ns: int) -> None:
        due_ns = now_ns - (self._ttl_ns or 0)
        while self._stored and self._stored[0][0] <= due_ns:
            at_ns, key = self._stored.popleft()
            entry = self._kept.get(key)
            if entry is not None and entry[0] == at_ns:  # not one that was evicted, and stored again since
                self.expired += 1
                self.drop(key)


def run(
    stream: KeyStream,
    *,
    capacity: float = float("inf"),
    ttl_s: float | None = None,
    in_bytes: bool = False,
    lazy: bool = False,
    forget_on_write: bool = False,
    sampled_clock_s: float | None = None,
    clock_began_s: float = 0.0,
) -> Outcome:
    """
    A cache beside a service (cache-aside): a read that misses stores the value, with its TTL counted from then.

    Args:
        stream: reads and writes.
        capacity: entries, or bytes of values.
        ttl_s: seconds from the storing; None: for ever.
        in_bytes: the capacity is in bytes; the stream must know its values' sizes.
        lazy: what has expired keeps its room until it is asked for or evicted; else it goes at once, as nearly in
            Valkey, which looks for such keys ten times a second.
        forget_on_write: a write drops the key, so that no hit is stale.
        sampled_clock_s: evict as Valkey does (`sampled_lru`), by a clock of this resolution: 1 s, as its own is; more
            when the stream is replayed faster. By entries alone. None: exactly the least recently used.
        clock_began_s: a moment of the stream at which that clock ticks.

    Raises:
        ValueError: bytes are asked for and not known.
    """
    if in_bytes and stream.size_bytes is None:
        raise ValueError("the sizes of the values are not known")
    sizes = [1] * stream.distinct if stream.size_bytes is None or not in_bytes else stream.size_bytes.tolist()
    ttl_ns = None if ttl_s is None else round(ttl_s * 1e9)
    cache: _Cache | SampledCache
    if sampled_clock_s is None:
        cache = _Cache(capacity, ttl_ns, lazy=lazy)
    else:
        cache = SampledCache(
            capacity, ttl_ns, clock_ns=round(sampled_clock_s * 1e9), clock_began_ns=round(clock_began_s * 1e9)
        )
    written = [0] * stream.distinct
    hits = stale = 0
    for key, now_ns, write in zip(stream.key.tolist(), stream.at_ns.tolist(), stream.write.tolist(), strict=True):
        if write:
            written[key] += 1
            if forget_on_write:
                cache.drop(key)
            continue
        entry = cache.get(key, now_ns)
        if entry is None:
            cache.put(key, (now_ns, sizes[key], written[key]))
        else:
            hits += 1
            stale += entry[2] != written[key]
    return Outcome(
        reads=stream.reads, hits=hits, stale=stale, evicted=cache.evicted, expired=cache.expired,
        entries_peak=cache.entries_peak, bytes_peak=cache.used_peak if in_bytes else 0,
    )  # fmt: skip
