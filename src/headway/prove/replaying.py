"""A stream of reads and writes, sent to a real Valkey at its own moments, and what became of each read."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import redis

    from headway.diagnose.hit_rates.stream import KeyStream

READ = """
local kept = redis.call('GET', KEYS[1])
if kept then
    if string.match(kept, '^%d+') == ARGV[3] then return 1 end
    return 2
end
redis.call('SET', KEYS[1], ARGV[3] .. '|' .. string.rep('x', tonumber(ARGV[2])), 'PX', ARGV[1])
return 0
"""
"""One read of a service with a cache beside it: 1 a hit, 2 a hit that a write has made stale, 0 a miss, now stored."""
SHORTEST_TTL_MS = 200
"""Valkey looks for what has expired ten times a second: a shorter TTL would be another cache."""
MOST_PER_S = 15_000
LOT = 32
"""Commands sent at once: few, as the server counts their buffers to its memory."""
SETTLING, SETTLINGS, SETTLE_S = 1_000, 5, 0.2
"""Keys written, and how often, while maxmemory is moved to where as many stay as should."""
EMPTIED_BYTES = 2_000
"""Size of a value from which what the setting-up left in the cache is dropped again."""
BINS = 30
LOOK_UPS = 300


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """
    What Valkey did with a stream.

    hits, reads: (BINS,) by the reads' place in the stream's time; `look_up_ns` (LOOK_UPS,) round trips of one GET.
    `entries`: how many it held at the end. `late_s`: by so much the latest command came too late. `clock_began_s`: a
    moment of the stream at which the server's clock of whole seconds ticked.
    """

    hits: np.ndarray[tuple[int], np.dtype[np.float64]]
    reads: np.ndarray[tuple[int], np.dtype[np.float64]]
    stale: int
    memory_bytes: int
    evicted: int
    look_up_ns: np.ndarray[tuple[int], np.dtype[np.float64]]
    entries: int
    late_s: float
    speed: float
    clock_began_s: float
    version: str
    limited: bool


def replay(
    client: redis.Redis, stream: KeyStream, *, ttl_s: float, entries: int, value_bytes: int, forget_on_write: bool,
    budget_s: float,
) -> Replayed:  # fmt: skip
    """
    Ask an empty Valkey for a stream's keys at their moments.

    Args:
        client: of a server that may be emptied and set up.
        stream: reads and writes.
        ttl_s: as chosen; shortened when the stream is replayed faster.
        entries: as chosen; fewer than there are keys make a maxmemory with allkeys-lru, which evicts the oldest of a
            sample of keys: it is not exactly LRU.
        value_bytes: of each value.
        forget_on_write: a write deletes the key.
        budget_s: the replay may take so long.
    """
    client.flushall()
    distinct = len(np.unique(stream.read_only().key))
    limited = entries < distinct
    if limited:
        _limit(client, entries, value_bytes)
    else:
        client.config_set("maxmemory", 0)
    speed = _speed(stream, ttl_s, budget_s)
    evicted = int(client.info("stats")["evicted_keys"])
    lot = _Lot(client, ttl_ms=max(1, round(ttl_s * 1000 / speed)), value_bytes=value_bytes, forget=forget_on_write)
    began_s = float(stream.at_ns[0]) / 1e9 - (time.time() % 1.0) * speed
    outcomes, late_s = _paced(stream, speed, lot)
    info: dict[str, Any] = client.info()
    place = np.minimum((np.arange(len(outcomes)) * BINS) // max(1, len(outcomes)), BINS - 1)
    return Replayed(
        hits=np.bincount(place, weights=outcomes > 0, minlength=BINS).astype(np.float64),
        reads=np.bincount(place, minlength=BINS).astype(np.float64),
        stale=int((outcomes == 2).sum()),
        memory_bytes=lot.entries_peak * _entry_bytes(client, value_bytes),
        evicted=int(info["evicted_keys"]) - evicted,
        entries=lot.entries,
        late_s=late_s,
        look_up_ns=_look_ups(client),
        speed=speed,
        clock_began_s=began_s,
        version=str(info.get("valkey_version", info["redis_version"])),
        limited=limited,
    )


class _Lot:
    """Commands sent together; the server runs them in order, so that each read sees what those before it stored."""

    def __init__(self, client: redis.Redis, *, ttl_ms: int, value_bytes: int, forget: bool) -> None:
        self._client = client
        self._script: Any = client.script_load(READ)
        self._ttl_ms, self._value_bytes, self._forget = ttl_ms, value_bytes, forget
        self._written: dict[int, int] = {}
        self.entries = self.entries_peak = 0

    def send(self, keys: list[int], writes: list[bool]) -> list[int]:
        """What became of the reads, in order."""
        pipe = self._client.pipeline(transaction=False)
        reads: list[int] = []
        for place, (key, write) in enumerate(zip(keys, writes, strict=True)):
            if write:
                self._written[key] = self._written.get(key, 0) + 1
                pipe.delete(f"k{key}") if self._forget else pipe.echo("")
            else:
                reads.append(place)
                pipe.evalsha(
                    self._script, 1, f"k{key}", str(self._ttl_ms), str(self._value_bytes),
                    str(self._written.get(key, 0)),
                )  # fmt: skip
        pipe.dbsize()
        answers = pipe.execute()
        self.entries = int(answers[-1])
        self.entries_peak = max(self.entries_peak, self.entries)
        return [int(answers[place]) for place in reads]


def _paced(stream: KeyStream, speed: float, lot: _Lot) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], float]:
    """(reads,) what became of each: 0 a miss, 1 a hit, 2 a stale hit; and by how many seconds the latest was late."""
    due_s = (stream.at_ns - stream.at_ns[0]) / 1e9 / speed
    began = time.monotonic()
    found: list[int] = []
    at, n, late_s = 0, len(stream.key), 0.0
    while at < n:
        now = time.monotonic() - began
        until = min(int(np.searchsorted(due_s, now, side="right")), at + LOT)
        if until <= at:
            time.sleep(min(0.002, max(0.0, float(due_s[at]) - now)))
            continue
        late_s = max(late_s, now - float(due_s[at]))
        found += lot.send(stream.key[at:until].tolist(), stream.write[at:until].tolist())
        at = until
    return np.array(found, dtype=np.int64), late_s


def _speed(stream: KeyStream, ttl_s: float, budget_s: float) -> float:
    """How much faster than it was: within the budget, no more than Valkey can do, no TTL too short for it."""
    wanted = stream.lasts_s / max(budget_s, 1.0)
    by_rate = MOST_PER_S * max(stream.lasts_s, 1e-9) / max(1, len(stream.key))
    by_ttl = ttl_s * 1000 / SHORTEST_TTL_MS
    return max(1.0, min(max(wanted, 1.0), by_rate, by_ttl))


def _entry_bytes(client: redis.Redis, value_bytes: int) -> int:
    client.set("k0", "0|" + "x" * value_bytes, px=60_000)
    usage: Any = client.memory_usage("k0")
    return int(usage or 0)


def _limit(client: redis.Redis, entries: int, value_bytes: int) -> None:
    """
    Set maxmemory so that so many entries are held.

    The server counts tables and buffers as well, so it is filled, and the limit moved until as many stay as should.
    Then large ones are dropped: the estimate is of a cache that begins empty. Small ones stay, as tables and buffers
    take another share of the memory afterwards (6% fewer entries of 300 bytes were held); nobody asks for them, so that
    they mostly go first.
    """
    client.config_set("maxmemory", 0)
    client.config_set("maxmemory-policy", "allkeys-lru")
    lot = _Lot(client, ttl_ms=3_600_000, value_bytes=value_bytes, forget=False)
    before, number = _used(client), 0
    for target in (entries, *[entries + SETTLING * each for each in range(1, SETTLINGS + 1)]):
        while number < target:
            keys = [-1 - each for each in range(number, min(number + LOT, target))]
            lot.send(keys, [False] * len(keys))
            number += len(keys)
        if target == entries:
            each_bytes = max(1.0, (_used(client) - before) / entries)
            limit = float(_used(client))
        else:
            limit += (entries - lot.entries) * each_bytes
        client.config_set("maxmemory", int(limit))
        time.sleep(SETTLE_S)  # the server shrinks tables and buffers a moment later
    for begins in range(0, number if value_bytes >= EMPTIED_BYTES else 0, LOT):
        client.delete(*(f"k{-1 - each}" for each in range(begins, min(begins + LOT, number))))


def _used(client: redis.Redis) -> int:
    return int(client.info("memory")["used_memory"])


def _look_ups(client: redis.Redis) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    client.set("k0", "x")
    found = []
    for _ in range(LOOK_UPS):
        began = time.perf_counter_ns()
        client.get("k0")
        found.append(time.perf_counter_ns() - began)
    return np.array(found, dtype=np.float64)
