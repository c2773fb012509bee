"""
A cache, tried: the keys that the load read, replayed through a real Valkey at the chosen TTL and size.

The requests are drawn again from the run's seeds, and asked for at their own moments, or faster with the TTL shortened
alike. The hit rate, the stale reads and the memory are Valkey's; what the route's latency would be follows from them
and is said as computed: the service's code would have to change to measure it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from headway.diagnose import route_keys
from headway.errors import HeadwayError
from headway.load import histogram, intervals
from headway.model import Effect, Price, ProofState
from headway.promises.spoken import duration_text
from headway.prove import outcome
from headway.prove.borrowed import own_valkey
from headway.thresholds import CACHE_MIN_HIT_RATIO, CACHE_STALE_MAX_RATIO, COMPARE_MATTERS_NS, COMPARE_MATTERS_RATIO

if TYPE_CHECKING:
    import redis

    from headway.diagnose.hit_rates.stream import KeyStream
    from headway.diagnose.route_keys import RouteKeys
    from headway.model import Evidence, Finding, PhaseHits, Proof, Remedy
    from headway.prove.grounds import Grounds

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
SHARE = 0.6
"""Of the budget that the replay itself may take."""
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
UNKNOWN_BYTES = 512


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


def prove(finding: Finding, remedy: Remedy, grounds: Grounds) -> Proof:
    """
    Replay the route's keys and judge what they hit.

    Raises:
        LabFailed: there is no Valkey to be started.
    """
    wanted = remedy.parameters
    hits = _phase(grounds.evidence, str(wanted["phase"]))
    if hits is None:
        return outcome.unproven(finding, remedy, grounds, f"the run has no phase {wanted['phase']}")
    try:
        keys = route_keys.of_phase(grounds.evidence, hits).get(str(wanted["route"]))
    except HeadwayError as exc:
        return outcome.unproven(finding, remedy, grounds, f"its requests are not known: {exc.what}")
    if keys is None:
        return outcome.unproven(finding, remedy, grounds, f"the run never asked for {wanted['route']}")
    # Where writes may change the keys, what is tried is a service that drops them all.
    cautious = float(wanted.get("stale_possible_ratio", 0.0)) > CACHE_STALE_MAX_RATIO
    forget = cautious or bool(wanted.get("forget_on_write"))
    with own_valkey() as url:
        import redis

        with redis.Redis.from_url(url, socket_timeout=10) as client:
            grounds.say(f"replays {keys.stream.reads:,} reads through Valkey")
            found = replay(
                client, keys.possible if cautious else keys.stream, ttl_s=float(wanted["ttl_s"]),
                entries=int(wanted["entries"]),
                value_bytes=int(wanted.get("value_bytes") or UNKNOWN_BYTES),
                forget_on_write=forget, budget_s=grounds.budget_s * SHARE,
            )  # fmt: skip
    estimate = remedy.estimate.after if remedy.estimate is not None else None
    if cautious:
        estimate = float(wanted["hit_all_forget"]) if "hit_all_forget" in wanted else None
    mean_ns = _mean_ns(grounds.evidence, hits, str(wanted["route"]))
    return _judged(finding, remedy, grounds, found, mean_ns, _told(keys, found, estimate, forget=forget))


def _told(keys: RouteKeys, found: Replayed, estimate: float | None, *, forget: bool) -> tuple[str, ...]:
    """How it was replayed, and how near the estimate was."""
    notes = []
    if estimate is not None and found.reads.sum():
        measured = float(found.hits.sum() / found.reads.sum())
        notes.append(f"estimated {estimate:.1%}, off by {abs(estimate - measured):.3f}")
    writers = (*keys.writers, *keys.possible_writers)
    if forget and writers:
        notes.append(f"each {', '.join(writers)} dropped the keys that it changes or may change")
    if keys.collection_writers:
        notes.append(f"{', '.join(keys.collection_writers)} may change its answers, and dropped none of them")
    notes.append(f"keys: {keys.known_by}")
    return tuple(notes)


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


def _phase(evidence: Evidence, name: str) -> PhaseHits | None:
    return next((each for each in evidence.phases if each.phase.name == name), None)


def _mean_ns(evidence: Evidence, hits: PhaseHits, route: str) -> float:
    return histogram.mean_ns(histogram.fold(hits.service, evidence.routes.index(route)))


def _judged(
    finding: Finding, remedy: Remedy, grounds: Grounds, found: Replayed, mean_ns: float, told: tuple[str, ...]
) -> Proof:
    share = intervals.share(found.hits, found.reads)
    if share is None:
        return outcome.unproven(finding, remedy, grounds, "nothing was read")
    stale = found.stale / share.samples
    look_up_ns = float(np.median(found.look_up_ns))
    saved_low, saved = share.low * mean_ns - look_up_ns, share.measured * mean_ns - look_up_ns
    state, reason = _state(share, stale, saved_low, saved, mean_ns)
    effect = Effect(
        metric="hit rate", unit="ratio", before=0.0, before_low=0.0, before_high=0.0, after=share.measured,
        after_low=share.low, after_high=share.high, samples=share.samples, decides=True,
    )  # fmt: skip
    return outcome.proof(
        finding, remedy, grounds, state, reason, effects=(effect,), prices=_prices(found, stale, look_up_ns),
        notes=(*_notes(found, share, mean_ns, look_up_ns), *told), where=f"a Valkey {found.version} of its own",
    )  # fmt: skip


def _state(
    share: intervals.Interval, stale: float, saved_low: float, saved: float, mean_ns: float
) -> tuple[ProofState, str]:
    said = f"{share.measured:.1%} of {share.samples:,} reads hit (95%: {share.low:.1%} to {share.high:.1%})"
    matters = max(COMPARE_MATTERS_NS, COMPARE_MATTERS_RATIO * mean_ns)
    if stale > CACHE_STALE_MAX_RATIO:
        return ProofState.NOT_WORTH_IT, f"{said}, and {stale:.1%} were stale: more than {CACHE_STALE_MAX_RATIO:.0%}"
    if share.high < CACHE_MIN_HIT_RATIO or saved < 0:
        return ProofState.NOT_WORTH_IT, f"{said}: too few"
    if share.low >= CACHE_MIN_HIT_RATIO and saved_low > matters:
        return ProofState.WORTH_IT, said
    return ProofState.UNPROVEN, f"{said}: more reads would settle it; run longer"


def _prices(found: Replayed, stale: float, look_up_ns: float) -> tuple[Price, ...]:
    return (
        Price(what="memory of the cache", unit="bytes", before=None, after=float(found.memory_bytes)),
        Price(what="a look-up, on each read", unit="ns", before=None, after=look_up_ns),
        Price(what="stale reads", unit="ratio", before=0.0, after=stale),
    )


def _notes(found: Replayed, share: intervals.Interval, mean_ns: float, look_up_ns: float) -> tuple[str, ...]:
    after = (1 - share.measured) * mean_ns + look_up_ns
    notes = [
        f"computed, not measured: the route's mean goes from {duration_text(mean_ns)} to {duration_text(after)}",
    ]
    if found.speed > 1.001:
        notes.append(f"replayed {found.speed:.1f} times as fast, with a TTL as much shorter")
    if found.late_s > 0.1:
        notes.append(f"the machine was busy: commands came up to {found.late_s:.1f} s late, which a TTL counts as age")
    if found.limited:
        notes.append(
            f"maxmemory evicted {found.evicted:,} keys, and {found.entries:,} were held at the end;"
            " allkeys-lru takes the oldest of a few by whole seconds, not of all"
        )
    return tuple(notes)
