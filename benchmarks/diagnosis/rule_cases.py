"""
Labelled runs for the rules that have no corpus of their own: what is wrong in each, or that nothing is.

Each is evidence as a run leaves it, made by hand: the smallest that says the thing, and beside it what looks like it
and isn't. Who wrote the labels knew the rules and their limits: precision and recall say that a rule does what was
meant, near its limits and at their edges, not that the limits are right for your service. Labels were written before
the rules were run on them. `expected` is what must be said: "" where the rule has one thing to say, else what
its finding names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from headway.diagnose.hit_rates.stream import made as made_stream
from headway.diagnose.route_keys import RouteKeys
from headway.evidence.stacks import Profile
from headway.model import (
    Answer,
    CacheUse,
    Column,
    Database,
    Evidence,
    FailureCells,
    FailureKind,
    HostSecond,
    Index,
    LoadModel,
    Machine,
    Plan,
    ProcessSecond,
    Statement,
    Table,
    TableScan,
)
from made.judged import PHASE, ROUTES, made_evidence, made_hits

HITS = made_hits([[50.0] * 100] * 60)
NAME = HITS.phase.name
SCAN = (TableScan(table="posts", rows=1e6, filter="x", stops_early=False),)


@dataclass(frozen=True, kw_only=True)
class Case:
    """`keys`: what the load read and wrote, for rules about caches; `profile`: for those about code."""

    rule: str
    name: str
    evidence: Evidence
    expected: tuple[str, ...] = ()
    keys: Mapping[str, RouteKeys] = field(default_factory=dict)
    profile: Profile | None = None


class Cases(list[Case]):
    """Cases in the order they are written."""

    def wrong(self, rule: str, name: str, evidence: Evidence, *expected: str, **more: Any) -> None:
        """A run in which this rule must speak."""
        self.append(Case(rule=rule, name=name, evidence=evidence, expected=expected or ("",), **more))

    def well(self, rule: str, name: str, evidence: Evidence, **more: Any) -> None:
        """A run in which this rule must be silent."""
        self.append(Case(rule=rule, name=name, evidence=evidence, **more))


CASES = Cases()
wrong, well = CASES.wrong, CASES.well


# -- failures, bursts, backlog -------------------------------------------------------------------------------


def failing(per_second: list[int], kind: FailureKind = FailureKind.STATUS) -> Evidence:
    """A minute of 100 requests a second, of which so many failed."""
    counts = np.array(per_second, dtype=np.int64)
    at = np.flatnonzero(counts)
    cells = FailureCells(
        second=at, route=np.zeros(len(at), dtype=np.int64),
        kind=np.full(len(at), list(FailureKind).index(kind)), count=counts[at],
    )  # fmt: skip
    return made_evidence(replace(HITS, failures=cells))


DICE = np.random.default_rng(7)
wrong("failures", "one in a hundred", failing([1] * 60))
wrong("failures", "most of a second", failing([0] * 30 + [90] + [0] * 29, FailureKind.RESET))
well("failures", "none", made_evidence(HITS))
well("failures", "three in six thousand", failing([0] * 20 + [1] + [0] * 20 + [2] + [0] * 18))
wrong("error-bursts", "a restart", failing([0] * 30 + [80, 95, 60] + [0] * 27, FailureKind.RESET))
wrong("error-bursts", "each ten seconds", failing(([0] * 9 + [15]) * 6))
wrong("error-bursts", "two deploys", failing([0] * 10 + [40, 40] + [0] * 30 + [50] + [0] * 17, FailureKind.RESET))
wrong("error-bursts", "over a steady trickle", failing([1] * 20 + [70, 70] + [1] * 38))
well("error-bursts", "steady", failing([5] * 60))
well("error-bursts", "by chance", failing(DICE.poisson(1.0, 60).tolist()))
well("error-bursts", "more and more", failing([number // 3 for number in range(60)]))
well("error-bursts", "a handful at once", failing([0] * 40 + [6] + [0] * 19))
well("error-bursts", "the run's own end", failing([0] * 59 + [90], FailureKind.TIMEOUT))
well("error-bursts", "the generator's ports", failing([0] * 30 + [90] + [0] * 29, FailureKind.EXHAUSTED))
well("error-bursts", "half of the time", failing([20] * 30 + [0] * 30))


def waiting(response_ms: float, service_ms: float, backlog: int, model: LoadModel = LoadModel.OPEN) -> Evidence:
    """Response and service times apart by what was waited for a connection."""
    phase = PHASE if model is LoadModel.OPEN else replace(PHASE, model=model, rate_per_s=None, users=9)
    hits = made_hits([[response_ms] * 100] * 60, service=[[service_ms] * 100] * 60, phase=phase)
    return made_evidence(replace(hits, health=replace(hits.health, backlog_peak=backlog)))


wrong("backlog", "overloaded", waiting(4_000, 300, 900))
wrong("backlog", "past the knee", waiting(700, 300, 60))
well("backlog", "slow, and nobody waits", waiting(900, 900, 0))
well("backlog", "one moment of waiting", waiting(320, 300, 12))
well("backlog", "users that wait for themselves", waiting(700, 300, 60, LoadModel.CLOSED))

# -- the machine and its processes ---------------------------------------------------------------------------


def machine(cores: int = 8, *processes: tuple[str, float], **used: float | None) -> Evidence:
    """A minute of a machine, quiet but for what is said; processes by name and cores used."""
    quiet: dict[str, Any] = dict.fromkeys(("cpu_ratio", "iowait_ratio", "steal_ratio", "memory_used_ratio"), 0.2)
    nothing = ("disk_read_bytes", "disk_write_bytes", "network_sent_bytes", "network_received_bytes")
    quiet |= dict.fromkeys(nothing, 0)
    host = tuple(HostSecond(at_s=1000.0 + second, **(quiet | used)) for second in range(60))
    rows = tuple(
        ProcessSecond(at_s=1000.0 + second, name=name, cpu_cores=each, resident_bytes=1 << 27, open_files=9, threads=4)
        for second in range(60) for name, each in processes
    )  # fmt: skip
    known = Machine(cpu_model="x", cores=cores, memory_bytes=1 << 33, kernel="Linux")
    return replace(made_evidence(HITS, host=host, processes=rows), machine=known)


wrong("saturated-host", "processors", machine(cpu_ratio=0.98), "CPU")
wrong("saturated-host", "processors, nearly", machine(cpu_ratio=0.93), "CPU")
wrong("saturated-host", "memory", machine(memory_used_ratio=0.98), "memory")
wrong("saturated-host", "waits for memory", machine(memory_used_ratio=0.8, memory_pressure_ratio=0.4), "memory")
wrong("saturated-host", "a disk that is waited for", machine(disk_busy_ratio=0.99, io_pressure_ratio=0.6), "disk")
wrong("saturated-host", "a full link", machine(network_used_ratio=0.95, network_dropped=7), "network")
wrong(
    "saturated-host",
    "processors and disk",
    machine(cpu_ratio=0.97, disk_busy_ratio=0.97, iowait_ratio=0.3),
    "CPU",
    "disk",
)
well("saturated-host", "half busy", machine(cpu_ratio=0.6))
well("saturated-host", "a disk that serves many at once", machine(disk_busy_ratio=0.99, io_pressure_ratio=0.01))
well("saturated-host", "much memory in use", machine(memory_used_ratio=0.85))
well("saturated-host", "link half used", machine(network_used_ratio=0.5))
wrong("one-process", "at one core of eight", machine(8, ("shop", 0.99), cpu_ratio=0.2), "shop")
wrong("one-process", "two services, one at its core", machine(8, ("shop", 0.98), ("mail", 0.3)), "shop")
well("one-process", "uses three", machine(8, ("shop", 3.1), cpu_ratio=0.5))
well("one-process", "half a core", machine(8, ("shop", 0.5)))
well("one-process", "no core left", machine(2, ("shop", 0.98), cpu_ratio=0.97))
well("one-process", "one thread by design", machine(8, ("valkey", 0.99)))
well("one-process", "database", machine(8, ("postgres", 0.99)))

# -- connections, caches, answers ----------------------------------------------------------------------------


def opened(sessions: int) -> Evidence:
    """So many sessions for 6,000 requests."""
    used = Database(phase=NAME, commits=6_000, rollbacks=0, blocks_hit=1, blocks_read=0, temp_bytes=0, deadlocks=0,
                    sessions=sessions, connections=12, max_connections=100, statements_reset=False)  # fmt: skip
    return made_evidence(HITS, databases=(used,))


wrong("connection-per-request", "one each", opened(6_010))
wrong("connection-per-request", "two each", opened(12_000))
wrong("connection-per-request", "most of them", opened(4_500))
well("connection-per-request", "a pool that warms up", opened(20))
well("connection-per-request", "a pool that renews itself", opened(600))
well("connection-per-request", "a job beside it", opened(1_200))


def asked(hits: int, misses: int, evicted: int = 0, expired: int = 0, **more: Any) -> Evidence:
    """A cache's counters."""
    use = CacheUse(phase=NAME, hits=hits, misses=misses, evicted=evicted, expired=expired, commands=hits + misses,
                   used_memory_bytes=1 << 20, maxmemory_bytes=1 << 26, restarted=False)  # fmt: skip
    return made_evidence(HITS, caches=(replace(use, **more),))


wrong("cache", "never asked", asked(0, 0))
well("cache", "too small, for another rule to say", asked(2_000, 4_000, evicted=3_500))
wrong("cache", "kept too short", asked(2_500, 3_500, expired=3_000))
well("cache", "nine of ten hit", asked(5_400, 600, expired=300))
well("cache", "restarted meanwhile", asked(0, 900, restarted=True))
well("cache", "each key for the first time", asked(100, 5_900))


def received(bytes_each: int) -> Evidence:
    """Answers of this size on average."""
    return made_evidence(replace(HITS, received_bytes=6_000 * bytes_each))


wrong("payload", "megabytes", received(2_000_000))
wrong("payload", "a list without pages", received(180_000))
well("payload", "small", received(3_000))
well("payload", "a page", received(60_000))

ANSWER = Answer(
    route=ROUTES[0], target="/users/1", status=200, headers={"content-type": "application/json"},
    encoded_headers={"content-type": "application/json"}, body_bytes=40_000, encoded_bytes=40_000, gzip_bytes=6_000,
    gzip_ns=400_000, whole=True, same_again=True, revalidated=None, credentials=False,
)  # fmt: skip


def answered(answer: Answer = ANSWER, *, received: int = 6_000 * 40_200, **headers: str) -> Evidence:
    """A run whose first route answers so; `_` for `-` in names of headers."""
    said = {name.replace("_", "-"): each for name, each in headers.items()}
    both = replace(answer, headers={**answer.headers, **said}, encoded_headers={**said, **answer.encoded_headers})
    return made_evidence(replace(HITS, received_bytes=received), answers=(both,))


GZIPPED = {"content-type": "application/json", "content-encoding": "gzip"}
wrong("compression", "json", answered(), ROUTES[0])
wrong("compression", "html", answered(content_type="text/html; charset=utf-8"), ROUTES[0])
wrong("compression", "svg", answered(content_type="image/svg+xml"), ROUTES[0])
well("compression", "compressed", answered(replace(ANSWER, encoded_headers=GZIPPED)))
well("compression", "a photo", answered(content_type="image/jpeg"))
well("compression", "one packet", answered(replace(ANSWER, body_bytes=900, gzip_bytes=400), received=6_000 * 1_100))
well("compression", "random bytes as text", answered(replace(ANSWER, gzip_bytes=39_000), content_type="text/plain"))
well("compression", "an error page", answered(replace(ANSWER, status=500)))
well("compression", "a drop of what is sent", answered(received=6_000 * 4_000_000))
PUBLIC = "public, max-age=60"
wrong("http-cache-headers", "public with a cookie", answered(cache_control=PUBLIC, set_cookie="sid=1"))
wrong(
    "http-cache-headers", "public with credentials", answered(replace(ANSWER, credentials=True), cache_control=PUBLIC)
)
wrong("http-cache-headers", "vary by anything", answered(cache_control="max-age=60", vary="*"))
wrong("http-cache-headers", "vary by browser", answered(cache_control="max-age=60", vary="User-Agent"))
wrong(
    "http-cache-headers",
    "a tag that is not looked at",
    answered(replace(ANSWER, revalidated=False), etag='"1"', cache_control="no-cache"),
)
wrong(
    "http-cache-headers",
    "compressed for some",
    answered(replace(ANSWER, encoded_headers=GZIPPED), cache_control="max-age=60"),
)
wrong("http-cache-headers", "a static file without a policy", answered(content_type="text/css"))
well("http-cache-headers", "a policy", answered(cache_control=PUBLIC, etag='"1"'))
well("http-cache-headers", "private with a cookie", answered(cache_control="private, max-age=60", set_cookie="sid=1"))
well("http-cache-headers", "not to be kept", answered(cache_control="no-store"))
well("http-cache-headers", "compressed, and says so", answered(
    replace(ANSWER, encoded_headers={**GZIPPED, "vary": "Accept-Encoding"}), cache_control=PUBLIC))  # fmt: skip
well(
    "http-cache-headers",
    "a tag that is looked at",
    answered(replace(ANSWER, revalidated=True), etag='"1"', cache_control="no-cache"),
)
well("http-cache-headers", "an error", answered(replace(ANSWER, status=404), set_cookie="sid=1", cache_control=PUBLIC))


def read(pick: Callable[[np.random.Generator], Any], every: int = 0) -> dict[str, RouteKeys]:
    """6,000 reads of the first route in a minute, and a write of a key after so many of them."""
    chosen = np.asarray(pick(np.random.default_rng(5)), dtype=np.int64)
    written = chosen[::every].copy() if every else chosen[:0]
    at = np.linspace(0, 60e9, len(chosen)).astype(np.int64)
    stream = made_stream(
        np.concatenate([chosen, written]), np.concatenate([at, (at[::every] if every else at[:0]) + 1]),
        write=np.repeat([False, True], [len(chosen), len(written)]),
    )  # fmt: skip
    return {ROUTES[0]: RouteKeys(route=ROUTES[0], stream=stream, possible=stream, known_by="a case")}


def zipf(dice: np.random.Generator) -> Any:
    """300 keys, the first far more often."""
    odds = np.arange(1, 301) ** -1.1
    return dice.choice(300, size=6_000, p=odds / odds.sum())


QUICK = made_evidence(made_hits([[0.9] * 100] * 60))
wrong("cacheable-reads", "few keys, often", made_evidence(HITS), ROUTES[0], keys=read(zipf))
wrong("cacheable-reads", "one key", made_evidence(HITS), ROUTES[0], keys=read(lambda _: np.zeros(6_000)))
wrong("cacheable-reads", "few keys, seldom written", made_evidence(HITS), ROUTES[0], keys=read(zipf, every=50))
well("cacheable-reads", "each key once", made_evidence(HITS), keys=read(lambda _: np.arange(6_000)))
well("cacheable-reads", "a million keys alike", made_evidence(HITS), keys=read(lambda d: d.integers(0, 10**6, 6_000)))
well("cacheable-reads", "written after each read", made_evidence(HITS), keys=read(zipf, every=1))
well("cacheable-reads", "as quick as a cache", QUICK, keys=read(zipf))
well("cacheable-reads", "not to be kept", answered(cache_control="no-store"), keys=read(zipf))

# -- statements and indexes ----------------------------------------------------------------------------------

COLUMNS = tuple(
    Column(table=table, name=name, type=kind, not_null=True, null_ratio=0.0, distinct=-1.0, average_bytes=size)
    for table in ("posts", "few")
    for name, kind, size in (("id", "integer", 4), ("user_id", "integer", 4), ("at", "timestamp with time zone", 8),
                             ("title", "text", 40), ("body", "text", 3_000))
)  # fmt: skip


def asking(
    text: str, *, busy: float = 1.0, planned: float | None = None, scanned: bool = False, **known: Any
) -> Evidence:
    """A run of one statement, 1,000 calls of 10 ms each; `busy`: statements at once on average."""
    plan = None
    if scanned or planned is not None:
        node = {"Node Type": "Seq Scan" if scanned else "Index Scan", "Plan Rows": planned or 1}
        plan = Plan(statement_id="s", json=[{"Plan": node}], scans=SCAN if scanned else ())
    values: dict[str, Any] = {
        "calls": 1_000, "rows": 1_000, "total_ns": busy * 60e9, "mean_ns": busy * 60e6, "share_ratio": 0.9,
        "plan": plan,
    }  # fmt: skip
    made = Statement(phase=NAME, id="s", text=text, stddev_ns=0.0, **values | known)
    tables = tuple(
        Table(phase=NAME, name=name, rows=rows, size_bytes=1 << 28, indexes=1, sequential_scans=1, sequential_rows=1,
              index_scans=0)
        for name, rows in (("posts", 1e6), ("few", 500))
    )  # fmt: skip
    return made_evidence(HITS, statements=(made,), tables=tables, columns=COLUMNS)


PLAIN = "SELECT id, title FROM posts WHERE user_id = $1"
PAGED = "SELECT id FROM posts ORDER BY at DESC, id DESC LIMIT $1 OFFSET $2"
wrong("dominant-statement", "most of a busy database", asking(PLAIN), PLAIN)
wrong("dominant-statement", "a third", asking(PLAIN, share_ratio=0.33), PLAIN)
well("dominant-statement", "a twentieth", asking(PLAIN, share_ratio=0.05))
well("dominant-statement", "most of an idle database", asking(PLAIN, busy=0.01))
well("dominant-statement", "commits", asking("COMMIT", is_utility=True))
well("dominant-statement", "inside a function", asking(PLAIN, nested=True))
wrong("slow-statement", "deep page", asking(PAGED, blocks_hit=900_000, rows=20_000), "offset")
wrong("slow-statement", "spilling sort", asking(PLAIN, temp_blocks_written=2_000_000), "spill")
wrong("slow-statement", "day of a moment", asking("SELECT id FROM posts WHERE at::date = $1", scanned=True), "function")
wrong("slow-statement", "wide rows", asking("SELECT * FROM posts WHERE user_id = $1", rows=50_000), "wide")
wrong("slow-statement", "planned for five, given five thousand", asking(PLAIN, planned=5, rows=5_000_000), "estimate")
well("slow-statement", "first pages", asking(PAGED, blocks_hit=5_000, rows=20_000))
well(
    "slow-statement",
    "a page of a small table",
    asking("SELECT id FROM few ORDER BY at LIMIT $1 OFFSET $2", blocks_hit=20_000, rows=20_000),
)
well("slow-statement", "a block of spill", asking(PLAIN, temp_blocks_written=900))
well("slow-statement", "function on few rows", asking("SELECT id FROM few WHERE at::date = $1"))
well("slow-statement", "one wide row", asking("SELECT * FROM posts WHERE id = $1"))
well("slow-statement", "many narrow rows", asking(PLAIN, rows=50_000))
well("slow-statement", "planned for fifty, given two hundred", asking(PLAIN, planned=50, rows=200_000))
well("slow-statement", "a count planned for one", asking("SELECT count(*) FROM posts WHERE user_id = $1", planned=1))


def index(name: str, keys: str, **known: Any) -> Index:
    """A B-tree of posts, 20 MiB, counted for two months, never used."""
    made = Index(
        table="posts", name=name, columns=tuple(keys.split(", ")), method="btree", unique=False, primary=False,
        constraint=False, definition=f"CREATE INDEX {name} ON public.posts USING btree ({keys})", valid=True,
        size_bytes=20 << 20, scans=0, counted_since="2025-11-01T00:00:00+00:00",
    )  # fmt: skip
    return replace(made, **known)


def having(*indexes: Index) -> Evidence:
    """A run on a table with these indexes."""
    return replace(asking(PLAIN), indexes=indexes)


IDLE, USED = index("idle", "title"), index("used", "user_id, at", scans=900)
wrong("unused-index", "never read", having(IDLE, USED), "idle")
wrong("unused-index", "two never read", having(IDLE, replace(IDLE, name="other", columns=("body",))), "idle", "other")
well("unused-index", "read once", having(replace(IDLE, scans=1)))
well("unused-index", "keeps values unique", having(replace(IDLE, unique=True)))
well("unused-index", "a key", having(replace(IDLE, primary=True, unique=True, constraint=True)))
well("unused-index", "counted for a day", having(replace(IDLE, counted_since="2025-12-31T00:00:00+00:00")))
well("unused-index", "nobody knows since when", having(replace(IDLE, counted_since=None)))
well("unused-index", "being built", having(replace(IDLE, valid=False)))
well("unused-index", "some pages", having(replace(IDLE, size_bytes=16 << 10)))
wrong("duplicate-index", "first keys", having(USED, index("short", "user_id", scans=5)), "short")
wrong("duplicate-index", "made twice", having(USED, replace(USED, name="again", scans=0)), "again")
wrong(
    "duplicate-index",
    "beside the key",
    having(index("key", "id", unique=True, primary=True, constraint=True, scans=5), index("by_id", "id")),
    "by_id",
)
well("duplicate-index", "another order", having(USED, index("other", "at, user_id", scans=5)))
well("duplicate-index", "another direction", having(USED, replace(index("down", "user_id DESC", scans=5))))
well("duplicate-index", "part of the rows", having(USED, index("part", "user_id", predicate="(at IS NULL)", scans=5)))
well("duplicate-index", "keeps values unique", having(USED, index("one", "user_id", unique=True, scans=5)))
well("duplicate-index", "has more with it", having(USED, index("more", "user_id", included=("title",), scans=5)))
well("duplicate-index", "the longer is not valid", having(replace(USED, valid=False), index("s", "user_id", scans=5)))
well("duplicate-index", "operator class", having(USED, index("ops", "user_id int8_ops", scans=5)))
well("duplicate-index", "hash", having(USED, replace(index("h", "user_id", scans=5), method="hash",
     definition="CREATE INDEX h ON public.posts USING hash (user_id)")))  # fmt: skip
