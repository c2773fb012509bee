"""
Labelled runs for the rules about the cache and the database as servers: keys thrown out, slow commands, large and hot
keys, locks, pools, replicas. As in rule_cases.py, the labels say what is so, from what each rule is for, and were
written before the rules were run on them; nobody mended a rule by what it said of `HELD_OUT`.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from rule_cases import COLUMNS, HITS, NAME, SCAN, Cases, read

from headway.model import (
    Blocking,
    CacheCommand,
    CacheKeys,
    CacheKeyUse,
    CacheSlow,
    CacheUse,
    Column,
    Connections,
    Database,
    Evidence,
    Machine,
    Plan,
    PoolUse,
    ProcessSecond,
    ReplicaLag,
    Statement,
    Table,
    Wait,
)
from made.judged import made_evidence, made_hits

if TYPE_CHECKING:
    from collections.abc import Callable

CASES, HELD_OUT = Cases(), Cases()
wrong, well = CASES.wrong, CASES.well

# -- the cache that is there ---------------------------------------------------------------------------------

USE = CacheUse(
    phase=NAME, hits=5_400, misses=600, evicted=0, expired=0, commands=7_000, used_memory_bytes=1 << 26,
    maxmemory_bytes=1 << 26, restarted=False, policy="allkeys-lru", cpu_ratio=0.1, lasted_s=60.0,
    keys_by_database={"db0": 300}, keys_mean=300.0,
)  # fmt: skip


def cache(hits: int = 5_400, misses: int = 600, evicted: int = 0, *, parts: Any = None, **more: Any) -> Evidence:
    """A run beside a cache that counted these; `parts`: other evidence of it."""
    use = replace(USE, hits=hits, misses=misses, evicted=evicted, commands=hits + 2 * misses)
    return made_evidence(HITS, caches=(replace(use, **more),), **(parts or {}))


def asked_of(pick: Callable[[np.random.Generator], Any], room: int) -> dict[str, Any]:
    """Evidence and keys of a route whose reads all go through an LRU cache with room for so many keys."""
    keys = read(pick)
    held: OrderedDict[int, None] = OrderedDict()
    hits = evicted = 0
    for key in np.asarray(pick(np.random.default_rng(5)), dtype=np.int64).tolist():
        hits += key in held
        held[key] = None
        held.move_to_end(key)
        if len(held) > room:
            held.popitem(last=False)
            evicted += 1
    known = {"keys_by_database": {"db0": len(held)}, "keys_mean": float(len(held))}
    return {"evidence": cache(hits, 6_000 - hits, evicted, **known), "keys": keys}


def popular(keys: int) -> Callable[[np.random.Generator], Any]:
    """6,000 reads of so many keys, the first far more often."""
    odds = np.arange(1, keys + 1) ** -1.1
    return lambda dice: dice.choice(keys, size=6_000, p=odds / odds.sum())


def passing(dice: np.random.Generator) -> Any:
    """Every second read is of one of 200 keys, the others of keys that nobody asks for again."""
    chosen = np.arange(1_000, 7_000)
    chosen[::2] = dice.integers(0, 200, 3_000)
    return chosen


EVICTIONS = "cache-evictions"
wrong(EVICTIONS, "room for a few", cache(2_000, 4_000, 3_900))
wrong(EVICTIONS, "one in ten misses, all for want of room", cache(5_400, 600, 580))
wrong(EVICTIONS, "some expire, as many are thrown out", cache(3_000, 3_000, 1_500, expired=1_400))
wrong(EVICTIONS, "keys that would be asked for again", **asked_of(popular(3_000), 200))
wrong(EVICTIONS, "others pass through, and too little is held", **asked_of(passing, 60))
well(EVICTIONS, "thrown out, and it hits all the same", cache(5_900, 100, 95))
well(EVICTIONS, "they expire, and a few are thrown out", cache(4_000, 2_000, 60, expired=1_800))
well(EVICTIONS, "restarted meanwhile", cache(1_000, 5_000, 4_900, restarted=True))
well(EVICTIONS, "room for all, still cold", cache(3_000, 3_000, 0, maxmemory_bytes=1 << 30))
well(EVICTIONS, "nobody asks for a key twice", **asked_of(lambda _: np.arange(6_000), 300))
well(EVICTIONS, "ten look-ups in a minute", cache(4, 6, 5))
HELD_OUT.wrong(EVICTIONS, "another policy", cache(4_000, 2_000, 1_700, policy="volatile-ttl"))
HELD_OUT.wrong(EVICTIONS, "a list of many pages", **asked_of(lambda dice: dice.integers(0, 900, 6_000), 300))
HELD_OUT.well(EVICTIONS, "what is asked again is held, others pass through", **asked_of(passing, 1_200))
HELD_OUT.well(EVICTIONS, "a job fills it, the service's keys stay", cache(5_800, 200, 9_000))
HELD_OUT.well(EVICTIONS, "no limit of memory", cache(2_000, 4_000, 0, maxmemory_bytes=0, expired=3_500))


def command(name: str, calls: int, each_ms: float, **more: Any) -> CacheCommand:
    made = CacheCommand(phase=NAME, name=name, calls=calls, total_ns=calls * each_ms * 1e6, mean_ns=each_ms * 1e6,
                        rejected=0, failed=0)  # fmt: skip
    return replace(made, **more)


def logged(name: str, key: str, count: int, each_ms: float, **more: Any) -> CacheSlow:
    made = CacheSlow(phase=NAME, command=name, key=key, count=count, total_ns=count * each_ms * 1e6,
                     maximum_ns=1.5 * each_ms * 1e6)  # fmt: skip
    return replace(made, **more)


def running(*commands: CacheCommand, slow: tuple[CacheSlow, ...] = (), **more: Any) -> Evidence:
    """A cache that hits, and the commands it ran in a minute."""
    return cache(parts={"cache_commands": commands, "cache_slow": slow}, **more)


MISSES = "cache"


def missing(misses: int, *commands: CacheCommand, keys: int, **more: Any) -> Evidence:
    """6,000 look-ups, these commands, and so many keys at the end."""
    return cache(
        6_000 - misses, misses, parts={"cache_commands": commands}, keys_by_database={"db0": keys}, keys_mean=keys / 2,
        **more,
    )  # fmt: skip


LOOKED = command("get", 6_000, 0.004)
wrong(MISSES, "deleted as soon as it is stored", missing(
    5_500, LOOKED, command("setex", 5_500, 0.005), command("del", 5_400, 0.003), keys=100))  # fmt: skip
wrong(MISSES, "looked up and never stored", missing(5_900, LOOKED, command("set", 3, 0.005), keys=103))
well(MISSES, "each key for the first time, and stored", missing(
    5_900, LOOKED, command("set", 5_900, 0.005), keys=6_000))  # fmt: skip
well(MISSES, "cold, and warm by the end", missing(
    3_400, LOOKED, command("setex", 3_400, 0.005), command("del", 120, 0.003), keys=3_300))  # fmt: skip
well(MISSES, "stored by the hundred", missing(5_900, LOOKED, command("mset", 59, 0.2), keys=5_950))
HELD_OUT.wrong(MISSES, "hashes that nobody fills", missing(
    5_800, command("hget", 6_000, 0.004), command("incr", 6_000, 0.003), keys=40))  # fmt: skip
HELD_OUT.wrong(MISSES, "unlinked after every write of many", missing(
    4_000, LOOKED, command("set", 4_000, 0.005), command("unlink", 3_900, 0.003), keys=150))  # fmt: skip
HELD_OUT.wrong(MISSES, "some expire, some are deleted", missing(
    4_000, LOOKED, command("set", 4_000, 0.005), command("del", 1_500, 0.003), keys=400, expired=2_100))  # fmt: skip
HELD_OUT.well(MISSES, "filled by a script", missing(
    5_000, LOOKED, command("evalsha", 5_000, 0.02), command("set", 5_000, 0.005), keys=5_100))  # fmt: skip
HELD_OUT.well(MISSES, "locks come and go, keys are new", missing(
    5_000, LOOKED, command("set", 10_000, 0.005), command("del", 5_000, 0.003), keys=5_000))  # fmt: skip

SLOW = "slow-cache-command"
GETS = command("get", 6_000, 0.004)
wrong(SLOW, "all keys listed", running(GETS, command("keys", 100, 20)), "KEYS")
wrong(SLOW, "whole sets", running(GETS, command("smembers", 6_000, 1.5)), "SMEMBERS")
wrong(SLOW, "few large hashes among many small", running(
    GETS, command("hgetall", 60_000, 0.04), slow=(logged("HGETALL", "cart:{}", 60, 20),)), "cart:{}")  # fmt: skip
wrong(SLOW, "counted and logged", running(
    GETS, command("keys", 100, 20), slow=(logged("KEYS", "", 100, 20),)), "KEYS")  # fmt: skip
wrong(SLOW, "two of them", running(GETS, command("sort", 300, 9), command("keys", 60, 30)), "SORT", "KEYS")
well(SLOW, "a million quick ones", running(command("get", 1_000_000, 0.002)))
well(SLOW, "somebody looks once", running(GETS, command("keys", 1, 25), slow=(logged("KEYS", "", 1, 25),)))
well(SLOW, "a log that keeps every command", running(GETS, slow=(logged("GET", "user:{}", 6_000, 0.004),)))
well(SLOW, "before the load", running(GETS, command("keys", 500, 20, phase="warm-up")))
well(SLOW, "now and then a script", running(GETS, command("evalsha", 300, 1.2)))
HELD_OUT.wrong(SLOW, "a script", running(GETS, command("evalsha", 600, 5)), "EVALSHA")
HELD_OUT.wrong(SLOW, "flushed each five seconds", running(GETS, command("flushall", 12, 300)), "FLUSHALL")
HELD_OUT.wrong(SLOW, "a server that counts no commands", running(
    slow=(logged("ZRANGE", "board:{}", 40, 25),)), "board:{}")  # fmt: skip
HELD_OUT.well(SLOW, "looked at by monitoring", running(GETS, command("info", 60, 0.9)))
HELD_OUT.well(SLOW, "scripts loaded at a deploy", running(GETS, command("script|load", 1, 400)))
HELD_OUT.well(SLOW, "two slow ones in a minute", running(GETS, slow=(logged("GET", "page:{}", 2, 14),)))


def large(key: str, kind: str, mib: float, **more: Any) -> CacheKeys:
    """Three keys of a template, the largest of so much, used in the run."""
    size = int(mib * (1 << 20))
    made = CacheKeys(key=key, type=kind, keys=3, bytes=size + 2_000, largest_bytes=size, largest_used=True,
                     without_ttl=3, used=3, frequency_maximum=None, looked_at=300, in_database=300)  # fmt: skip
    return replace(made, **more)


def holding(*keys: CacheKeys, ran: tuple[CacheCommand, ...] = (GETS,)) -> Evidence:
    """A cache that holds these keys."""
    return cache(parts={"cache_keys": keys, "cache_commands": ran})


BIG = "big-cache-key"
wrong(BIG, "a feed that is read whole", holding(
    large("feed:{}", "list", 4), ran=(GETS, command("lrange", 600, 0.8))), "feed:{}")  # fmt: skip
wrong(BIG, "a page of everything", holding(large("page:{}", "string", 12)), "page:{}")
wrong(BIG, "nobody knows whether it is used", holding(large("page:{}", "string", 2, largest_used=None)), "page:{}")
wrong(BIG, "beside small ones", holding(
    large("user:{}", "string", 0.01), large("stock", "hash", 3), ran=(GETS, command("hgetall", 90, 0.9))),
    "stock")  # fmt: skip
wrong(BIG, "a long queue that somebody lists", holding(
    large("jobs", "list", 8), ran=(GETS, command("lpush", 6_000, 0.003), command("lrange", 12, 0.9))),
    "jobs")  # fmt: skip
well(BIG, "some hundred kB", holding(large("page:{}", "string", 0.2)))
well(BIG, "many small ones, together large", holding(large("user:{}", "string", 0.01, keys=300_000, bytes=3 << 30)))
well(BIG, "left over from last year", holding(large("report:{}", "string", 40, largest_used=False, used=0)))
well(BIG, "only its small sisters are used", holding(large("feed:{}", "list", 8, largest_used=False, used=2)))
well(BIG, "a long queue, pushed and popped", holding(
    large("jobs", "list", 8), ran=(GETS, command("lpush", 6_000, 0.003), command("rpop", 6_000, 0.003))))  # fmt: skip
HELD_OUT.wrong(BIG, "two", holding(
    large("tags", "set", 2), large("page:{}", "string", 5), ran=(GETS, command("smembers", 50, 0.9))),
    "tags", "page:{}")  # fmt: skip
HELD_OUT.wrong(BIG, "a board of all players", holding(
    large("board", "zset", 1.5), ran=(GETS, command("zrange", 400, 0.7))), "board")  # fmt: skip
HELD_OUT.well(BIG, "bits that are asked one by one", holding(
    large("seen", "string", 16), ran=(command("getbit", 6_000, 0.002), command("setbit", 900, 0.002))))  # fmt: skip
HELD_OUT.well(BIG, "a million bytes at most", holding(large("page:{}", "string", 0.95)))
HELD_OUT.well(BIG, "an old log, nobody reads it", holding(large("events", "stream", 64, largest_used=False, used=0)))


def used(key: str, hottest: int, **more: Any) -> CacheKeyUse:
    """What was done with a template in bursts that saw 2,000 commands."""
    made = CacheKeyUse(phase=NAME, key=key, reads=hottest, hits=hottest, misses=0, unknown=0, writes=0, hottest=hottest,
                       commands=2_000, watched_s=2.0, lookups_counted=1_900, misses_counted=100)  # fmt: skip
    return replace(made, **more)


def watched(cpu: float | None, *uses: CacheKeyUse, ran: tuple[CacheCommand, ...] = (),
            slow: tuple[CacheSlow, ...] = ()) -> Evidence:  # fmt: skip
    """A cache whose thread was so busy."""
    return cache(cpu_ratio=cpu, parts={"cache_key_uses": uses, "cache_commands": ran, "cache_slow": slow})


HOT = "hot-cache-key"
wrong(HOT, "settings that each request reads", watched(0.8, used("settings", 900)), "settings")
wrong(HOT, "a quarter of a half busy thread", watched(0.55, used("config:{}", 500), used("user:{}", 20)), "config:{}")
wrong(HOT, "a counter of everything", watched(0.95, used("visits", 1_900, reads=0, hits=0, writes=1_900)), "visits")
wrong(HOT, "the post of the day", watched(0.7, used("post:{}", 600, reads=1_800)), "post:{}")
wrong(HOT, "a set that all read, and slowly", watched(
    0.8, used("tags", 900), ran=(command("smembers", 6_000, 5),), slow=(logged("SMEMBERS", "tags", 6_000, 5),)),
    "tags")  # fmt: skip
well(HOT, "of a cache that idles", watched(0.1, used("settings", 900)))
well(HOT, "busy, and nothing stands out", watched(0.9, used("user:{}", 80, reads=1_900)))
well(HOT, "nobody watched", watched(0.9))
well(HOT, "another phase's", watched(0.9, used("settings", 900, phase="warm-up")))
well(HOT, "busy with something else", watched(
    0.75, used("settings", 900), ran=(command("keys", 600, 70), command("get", 24_000, 0.003))))  # fmt: skip
HELD_OUT.wrong(HOT, "two that share the load", watched(0.9, used("flags", 800), used("limit:{}", 700)), "flags",
               "limit:{}")  # fmt: skip
HELD_OUT.wrong(HOT, "a lock that all try to take", watched(0.65, used("lock:{}", 1_100, writes=1_100)), "lock:{}")
HELD_OUT.well(HOT, "nobody knows how busy", watched(None, used("settings", 900)))
HELD_OUT.well(HOT, "five of twelve commands seen", watched(0.6, used("settings", 5, commands=12)))
HELD_OUT.well(HOT, "a tenth", watched(0.9, used("settings", 200)))

# -- sessions, locks, pools ----------------------------------------------------------------------------------

LOOKS = 600
TAKE = "UPDATE accounts SET balance = balance - $1 WHERE id = $2"


def at_work(sessions: float, kind: str | None = None, event: str | None = None, **more: Any) -> Wait:
    """So many sessions on average in a minute of looks, ten a second; `kind` None: they ran."""
    made = Wait(phase=NAME, client="shop", statement_id="7", text=TAKE, state="active", event_type=kind, event=event,
                seen=round(sessions * LOOKS), looks=LOOKS, longest_ns=400_000_000)  # fmt: skip
    return replace(made, **more)


def held_up(sessions: float, text: str = TAKE, **more: Any) -> Blocking:
    """So many sessions on average waited for one that ran this text last; looked at five times a second."""
    made = Blocking(
        phase=NAME, waiting_id="8", waiting_text="SELECT balance FROM accounts WHERE id = $1 FOR UPDATE",
        holding_id="7", holding_text=text, holding_state="idle in transaction", table="accounts", lock="transactionid",
        mode="ShareLock", seen=round(sessions * LOOKS / 2), looks=LOOKS // 2, most=5, longest_ns=400_000_000,
    )  # fmt: skip
    return replace(made, **more)


def sessions(*waits: Wait, blockings: tuple[Blocking, ...] = ()) -> Evidence:
    """What the sessions did."""
    return made_evidence(HITS, waits=waits, blockings=blockings)


LOCKS = "lock-contention"
ROW, RUN = ("Lock", "transactionid"), at_work(0.5)
ALTER, JOB = "ALTER TABLE posts ADD COLUMN seen integer", "SELECT pg_advisory_lock($1)"
FULL = {"holding_state": "active", "table": "posts", "lock": "relation", "mode": "AccessExclusiveLock"}
wrong(LOCKS, "all pay from one account", sessions(at_work(1.5, *ROW), RUN, blockings=(held_up(1.5),)), TAKE)
wrong(LOCKS, "a table altered under load", sessions(
    at_work(2.0, "Lock", "relation"), RUN, blockings=(held_up(2.0, ALTER, **FULL),)), ALTER)  # fmt: skip
wrong(LOCKS, "one job at a time, many want one", sessions(
    at_work(0.8, "Lock", "advisory"), RUN,
    blockings=(held_up(0.8, JOB, lock="advisory", table=None, waiting_text=JOB, mode="ExclusiveLock"),)),
    JOB)  # fmt: skip
wrong(LOCKS, "two hold up, each its own", sessions(
    at_work(1.0, *ROW), RUN, blockings=(held_up(0.6), held_up(0.4, "DELETE FROM carts WHERE id = $1", table="carts"))),
    TAKE, "DELETE FROM carts WHERE id = $1")  # fmt: skip
wrong(LOCKS, "a standby, and a convoy beside it", sessions(
    at_work(1.0, "Lock", "advisory", client="scheduler", text=JOB, longest_ns=3_600_000_000_000),
    at_work(1.5, *ROW), RUN,
    blockings=(held_up(1.5), held_up(1.0, "SELECT $1", lock="advisory", table=None, waiting_text=JOB, most=1,
                                     holding_state="idle", longest_ns=3_600_000_000_000))), TAKE)  # fmt: skip
well(LOCKS, "a wait of a moment", sessions(at_work(0.02, *ROW), at_work(1.0), blockings=(held_up(0.02),)))
well(LOCKS, "nine waiters in all", sessions(at_work(9 / LOOKS, *ROW), blockings=(held_up(9 / LOOKS),)))
well(LOCKS, "PostgreSQL's own short locks", sessions(at_work(1.5, "LWLock", "BufferMapping"), RUN))
well(LOCKS, "transactions left open, nobody waits", sessions(
    at_work(3.0, "Client", "ClientRead", state="idle in transaction"), RUN))  # fmt: skip
well(LOCKS, "a standby that waits to become the leader", sessions(
    at_work(1.0, "Lock", "advisory", client="scheduler", text=JOB, longest_ns=3_600_000_000_000), RUN,
    blockings=(held_up(1.0, "SELECT $1", lock="advisory", table=None, waiting_text=JOB, mode="ExclusiveLock", most=1,
                       holding_state="idle", longest_ns=3_600_000_000_000),)))  # fmt: skip
HELD_OUT.wrong(LOCKS, "nobody saw who", sessions(at_work(0.9, *ROW), RUN))
HELD_OUT.wrong(LOCKS, "two that hold up much and one that does little", sessions(
    at_work(1.0, *ROW), RUN, blockings=(held_up(0.6), held_up(0.35, "DELETE FROM carts"), held_up(0.05, "SELECT 1"))),
    TAKE, "DELETE FROM carts")  # fmt: skip
HELD_OUT.wrong(LOCKS, "a tenth of the time", sessions(at_work(0.1, *ROW), at_work(0.9), blockings=(held_up(0.1),)),
               TAKE)  # fmt: skip
HELD_OUT.well(LOCKS, "waits for the disk", sessions(at_work(3.0, "IO", "DataFileRead"), RUN))
HELD_OUT.well(LOCKS, "before the load", sessions(
    at_work(2.0, *ROW, phase="warm-up"), RUN, blockings=(held_up(2.0, phase="warm-up"),)))  # fmt: skip
HELD_OUT.well(LOCKS, "two standbys", sessions(
    at_work(2.0, "Lock", "advisory", client="worker", text=JOB, longest_ns=90_000_000_000), at_work(1.5),
    blockings=(held_up(2.0, JOB, lock="advisory", table=None, waiting_text=JOB, mode="ExclusiveLock", most=2,
                       holding_state="idle", longest_ns=90_000_000_000),)))  # fmt: skip


def open_by(client: str, most: int, busy: float, *, free: float, busy_most: int | None = None) -> Connections:
    """A client's connections; `free`: of the looks at which one at least was."""
    return Connections(
        phase=NAME, client=client, looks=LOOKS, open_mean=float(most), open_most=most, busy_mean=busy,
        busy_most=round(busy) if busy_most is None else busy_most, spare_looks=round(free * LOOKS),
    )  # fmt: skip


def bouncer(waited_ms: float, waiting: float, size: int = 4, **more: Any) -> PoolUse:
    """PgBouncer's pool: what a transaction waited on average, and the share of looks at which a client did."""
    made = PoolUse(
        phase=NAME, database="shop", user="app", mode="transaction", size=size, looks=60, clients_active_mean=4.0,
        clients_waiting_mean=6.0 * waiting, clients_waiting_most=12, waiting_looks=round(60 * waiting),
        servers_active_mean=size - 0.1, servers_idle_mean=0.1, servers_most=size, longest_wait_ns=90_000_000,
        transactions=6_000, waited_ns=round(waited_ms * 1e6 * 6_000),
    )  # fmt: skip
    return replace(made, **more)


def pooled(*clients: Connections, ms: float = 50, ran: float = 0.5, cores: int = 2, opened: int = 10, app: float = 0.3,
           waits: tuple[Wait, ...] = (), pools: tuple[PoolUse, ...] = ()) -> Evidence:  # fmt: skip
    """100 requests a second of `ms`; `ran`: sessions on a core; `opened`: new sessions; `app`: cores of the service."""
    counted = Database(
        phase=NAME, commits=6_000, rollbacks=0, blocks_hit=1, blocks_read=0, temp_bytes=0, deadlocks=0, sessions=opened,
        connections=sum(each.open_most for each in clients), max_connections=200, statements_reset=False,
    )  # fmt: skip
    rows = tuple(ProcessSecond(at_s=1000.0 + second, name="app", cpu_cores=app, resident_bytes=1 << 27, open_files=9,
                               threads=4) for second in range(60))  # fmt: skip
    known = Machine(cpu_model="x", cores=cores, memory_bytes=1 << 33, kernel="Linux")
    return made_evidence(
        made_hits([[ms] * 100] * 60), machine=known, databases=(counted,), connections=clients, processes=rows,
        waits=(at_work(ran), *waits), pools=pools,
    )  # fmt: skip


POOL = "pool-size"
ONE = open_by("shop", 1, 1.0, free=0)
wrong(POOL, "a pool of one", pooled(ONE, ms=80), "too small")
wrong(POOL, "five for forty", pooled(open_by("shop", 5, 4.97, free=0.01), ms=400, cores=8, ran=3.0), "too small")
wrong(POOL, "a queue at PgBouncer", pooled(pools=(bouncer(30, 0.8),)), "too small")
wrong(POOL, "nine at work on two cores", pooled(open_by("shop", 40, 10, free=0.5, busy_most=30), ran=9.0), "too large")
wrong(POOL, "eighty, of which six are ever busy", pooled(open_by("shop", 80, 1.0, free=1, busy_most=6)), "too large")
well(POOL, "a large one on a large machine", pooled(open_by("shop", 40, 21, free=1, busy_most=34), cores=32, ran=20.0))
well(POOL, "one that is often free", pooled(open_by("shop", 1, 0.8, free=0.2), ms=80))
well(POOL, "one, and few requests at a time", pooled(ONE, ms=6))
well(POOL, "all lent out, the database full", pooled(open_by("shop", 2, 2.0, free=0), ms=80, ran=2.0))
well(POOL, "all lent out, no pool at all", pooled(open_by("shop", 4, 4.0, free=0), ms=80, opened=6_000))
well(POOL, "ten, mostly idle", pooled(open_by("shop", 10, 0.2, free=1, busy_most=1)))
HELD_OUT.wrong(POOL, "two for twelve", pooled(open_by("shop", 2, 2.0, free=0), ms=120, cores=4, ran=1.2), "too small")
HELD_OUT.wrong(POOL, "PgBouncer that lends for whole sessions", pooled(
    pools=(bouncer(200, 1.0, size=2, mode="session"),)), "too small")  # fmt: skip
HELD_OUT.wrong(POOL, "they contend for short locks", pooled(
    open_by("shop", 30, 9, free=0.4, busy_most=24), ran=3.0, waits=(at_work(5.0, "LWLock", "BufferMapping"),)),
    "too large")  # fmt: skip
HELD_OUT.well(POOL, "PgBouncer, a client waits now and then", pooled(pools=(bouncer(0.3, 0.05),)))
HELD_OUT.well(POOL, "all lent out, one holds up the others", pooled(
    open_by("shop", 5, 5.0, free=0), ms=400, ran=0.3, waits=(at_work(4.0, *ROW),)))  # fmt: skip
HELD_OUT.well(POOL, "one, and the service at the end of its core", pooled(ONE, ms=80, app=0.99))
HELD_OUT.well(POOL, "many that wait for the disk", pooled(
    open_by("shop", 30, 9, free=0.3, busy_most=24), ran=0.8, waits=(at_work(8.0, "IO", "DataFileRead"),)))  # fmt: skip
HELD_OUT.well(POOL, "eight services of five each", pooled(
    *(open_by(f"service-{each}", 5, 0.3, free=1, busy_most=1) for each in range(8))))  # fmt: skip

# -- replicas ------------------------------------------------------------------------------------------------

BY_USER = "SELECT title FROM posts WHERE user_id = $1"
WRITE = "UPDATE orders SET quantity = $1 WHERE id = $2"


def ran(text: str, seconds: float, calls: int = 10_000, **more: Any) -> Statement:
    """A statement, and how long it ran altogether."""
    made = Statement(
        phase=NAME, id=text, text=text, calls=calls, rows=calls, total_ns=seconds * 1e9, mean_ns=seconds * 1e9 / calls,
        stddev_ns=0.0, share_ratio=0.5, is_utility=text in ("BEGIN", "COMMIT"),
    )  # fmt: skip
    return replace(made, **more)


def primary(*statements: Statement, ran_mean: float = 2.0, cores: int = 2, commits: int = 20_000,
            written: int | None = None, waits: tuple[Wait, ...] = (), **more: Any) -> Evidence:  # fmt: skip
    """A minute of a database that ran these, with so many sessions on a core; `written`: transaction ids given out."""
    counted = Database(
        phase=NAME, commits=commits, rollbacks=0, blocks_hit=1, blocks_read=0, temp_bytes=0, deadlocks=0, sessions=8,
        connections=8, max_connections=100, statements_reset=False, replicas=len(more.get("replicas", ())),
        written_transactions=written,
    )  # fmt: skip
    busy = (at_work(ran_mean, text=BY_USER),) if ran_mean else ()
    known = Machine(cpu_model="x", cores=cores, memory_bytes=1 << 33, kernel="Linux")
    return made_evidence(
        HITS, machine=known, statements=statements, databases=(counted,), waits=(*busy, *waits), **more
    )


STANDBY = ReplicaLag(
    phase=NAME, name="standby", state="streaming", sync="async", looks=60, write_lag_most_ns=1, flush_lag_most_ns=2,
    replay_lag_mean_ns=4e6, replay_lag_most_ns=37_000_000, replay_bytes_mean=10.0, replay_bytes_most=90,
)  # fmt: skip
SCANNED = Plan(statement_id=BY_USER, json=[{"Plan": {"Node Type": "Seq Scan", "Relation Name": "posts",
               "Plan Rows": 10, "Filter": "(user_id = $1)"}}],
               scans=(replace(SCAN[0], filter="(user_id = $1)"),))  # fmt: skip
POSTS = Table(phase=NAME, name="posts", rows=1e6, size_bytes=1 << 28, indexes=1, sequential_scans=10_000,
              sequential_rows=10**10, index_scans=0)  # fmt: skip
USERS: tuple[Column, ...] = tuple(
    replace(each, distinct=20_000.0) if each.name == "user_id" else each for each in COLUMNS if each.table == "posts"
)

REPLICA = "replica-opportunity"
wrong(REPLICA, "nine tenths are reads", primary(ran(BY_USER, 90), ran(WRITE, 10)))
wrong(REPLICA, "a large machine, three quarters", primary(ran(BY_USER, 500), ran(WRITE, 160), ran_mean=11.0, cores=8))
wrong(REPLICA, "each read in a transaction of its own, few write", primary(
    ran("BEGIN", 0.1), ran(BY_USER, 90, 9_000), ran(WRITE, 10, 1_000), ran("COMMIT", 0.1),
    commits=10_000))  # fmt: skip
wrong(REPLICA, "one streams already, and is not asked", primary(
    ran(BY_USER, 90), ran(WRITE, 10), replicas=(STANDBY,)))  # fmt: skip
wrong(REPLICA, "reads that wait for the disk", primary(
    ran(BY_USER, 110), ran(WRITE, 8), ran_mean=0.8,
    waits=(at_work(1.2, "IO", "DataFileRead", text=BY_USER),)))  # fmt: skip
wrong(REPLICA, "one order in ten requests, its ten rows one by one", primary(
    ran("BEGIN", 0.1), ran(BY_USER, 90, 9_000), ran("INSERT INTO lines (order_id) VALUES ($1)", 10),
    ran("COMMIT", 0.1), commits=10_000, written=1_000))  # fmt: skip
wrong(REPLICA, "savepoints in one of five transactions", primary(
    ran("BEGIN", 0.1), ran(BY_USER, 90), ran(WRITE, 10, 2_000), ran("COMMIT", 0.1), commits=10_000,
    written=6_000))  # fmt: skip
well(REPLICA, "every transaction writes to a table of its own", primary(
    ran("BEGIN", 0.1), ran(BY_USER, 90), *(ran(f"UPDATE t{each} SET n = $1 WHERE id = $2", 2, 2_000) for each in
    range(5)), ran("COMMIT", 0.1), commits=10_000, written=10_000))  # fmt: skip
well(REPLICA, "the primary has time", primary(ran(BY_USER, 16), ran(WRITE, 2), ran_mean=0.3))
well(REPLICA, "a large machine, two at work", primary(ran(BY_USER, 110), ran(WRITE, 10), cores=16))
well(REPLICA, "one is there and answers the reads", primary(ran(BY_USER, 12), ran(WRITE, 100), replicas=(STANDBY,)))
well(REPLICA, "reads that lock", primary(ran(f"{BY_USER} FOR UPDATE", 90), ran(WRITE, 20)))
well(REPLICA, "reads that writing transactions make", primary(
    ran("BEGIN", 0.1), ran(BY_USER, 90), ran(WRITE, 10), ran("COMMIT", 0.1), commits=10_000))  # fmt: skip
well(REPLICA, "an index first", primary(
    ran(BY_USER, 90, plan=SCANNED), ran(WRITE, 10), tables=(POSTS,), columns=USERS))  # fmt: skip
HELD_OUT.wrong(REPLICA, "counts, joins and a page", primary(
    ran("SELECT count(*) FROM orders WHERE user_id = $1", 40),
    ran("SELECT u.name, p.title FROM users u JOIN posts p ON p.user_id = u.id WHERE u.id = $1", 30),
    ran("WITH last AS (SELECT id FROM posts ORDER BY id DESC LIMIT $1) SELECT id FROM last", 20),
    ran("INSERT INTO orders (user_id) VALUES ($1)", 12)))  # fmt: skip
HELD_OUT.wrong(REPLICA, "almost three quarters, just busy", primary(ran(BY_USER, 66), ran(WRITE, 24), ran_mean=1.5))
HELD_OUT.wrong(REPLICA, "a job that inserts row by row beside readers", primary(
    ran(BY_USER, 90, 9_950), ran("INSERT INTO lines (order_id) VALUES ($1)", 10, 50_000), commits=10_000,
    written=50))  # fmt: skip
HELD_OUT.well(REPLICA, "each visit is counted in one of three tables", primary(
    ran("BEGIN", 0.1), ran(BY_USER, 90), *(ran(f"INSERT INTO visits_{each} (id) VALUES ($1)", 3, 3_300) for each in
    range(3)), ran("COMMIT", 0.1), commits=10_000, written=9_900))  # fmt: skip
HELD_OUT.well(REPLICA, "rows moved by what looks like a read", primary(
    ran("WITH moved AS (DELETE FROM jobs WHERE id = $1 RETURNING id) SELECT id FROM moved", 90),
    ran(BY_USER, 20)))  # fmt: skip
HELD_OUT.well(REPLICA, "a function that does who knows what", primary(
    ran("SELECT place_order($1, $2)", 90), ran(BY_USER, 10)))  # fmt: skip
HELD_OUT.well(REPLICA, "busy with waiting for locks", primary(
    ran(BY_USER, 90), ran(WRITE, 20), ran_mean=0.2, waits=(at_work(2.0, *ROW),)))  # fmt: skip
HELD_OUT.well(REPLICA, "each order reads what it changes", primary(
    ran("BEGIN", 0.1, 5_000), ran("SELECT stock FROM products WHERE id = $1", 100), ran(WRITE, 15, 5_000),
    ran("COMMIT", 0.1, 5_000), commits=5_000))  # fmt: skip
