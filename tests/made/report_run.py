"""A whole run made by hand, with every source present: what the report's tests print and draw. Nothing is random."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headway.load import histogram
from headway.model import (
    Arrivals,
    CacheCommand,
    CacheKeys,
    CacheKeyUse,
    CacheSlow,
    CacheUse,
    Clause,
    Comparison,
    Database,
    EdgeUse,
    Evidence,
    ExitCode,
    FailureCells,
    FailureKind,
    Finding,
    GeneratorHealth,
    HostSecond,
    Judgement,
    LatencyCells,
    LoadModel,
    Machine,
    Monitoring,
    Phase,
    PhaseHits,
    Plan,
    PoolUse,
    Presence,
    ProcessSecond,
    ReplicaLag,
    Route,
    Scenario,
    Side,
    SourceState,
    State,
    Statement,
    Statistic,
    Subject,
    Table,
    TableScan,
    Verdict,
    Wait,
)

IntArray = NDArray[np.int64]

BEGUN_S = 1_790_000_000.0
ROUTES = ("GET /users/{id}", "GET /users-with-posts", "GET /products", "POST /orders")
SLOW_SQL = (
    "SELECT posts.id, posts.title, posts.body, posts.created_at\nFROM posts\nWHERE posts.user_id = $1\n"
    "ORDER BY posts.created_at DESC"
)
SOURCES = ("load", "statements", "database", "waits", "tables", "plans", "cache", "edge", "host", "metrics", "alerts")
EXPLANATION = (
    "71% of database time is one statement: SELECT … FROM posts WHERE user_id = $1; sequential scan of 1,000,000 rows"
)


def ordinary() -> Phase:
    """200 requests a second for a minute."""
    return Phase(
        name="ordinary", model=LoadModel.OPEN, duration_s=60, warmup_s=5, arrivals=Arrivals.POISSON, rate_per_s=200
    )


def cells(good: IntArray, middle_ms: float, spread: float, *, slow_from: int) -> LatencyCells:
    """Latencies of `good[s]` requests in second s, routes in turn; four times as slow from second `slow_from`."""
    rows = []
    for second, per_second in enumerate(good.tolist()):
        ranks = (np.arange(per_second) + 0.5) / per_second
        shape = np.log(ranks / (1 - ranks)) / 1.7  # logistic: near enough to a normal quantile
        scale = 4.0 if second >= slow_from else 1.0
        wave = 1 + 0.25 * np.sin(second / 4)
        ns = (middle_ms * 1e6 * scale * wave * np.exp(spread * shape)).astype(np.int64)
        route = np.arange(per_second) % len(ROUTES)
        rows.append(np.column_stack((np.full(per_second, second), route, histogram.bucket_of(ns))))
    table = np.concatenate(rows)
    unique, count = np.unique(table, axis=0, return_counts=True)
    return LatencyCells(second=unique[:, 0], route=unique[:, 1], bucket=unique[:, 2], count=count.astype(np.int64))


def failed_cells(*rows: tuple[int, int, FailureKind, int]) -> FailureCells:
    """(second, route, kind, count) rows."""
    kinds = list(FailureKind)
    table = np.array([(s, r, kinds.index(k), n) for s, r, k, n in rows], dtype=np.int64).reshape(-1, 4)
    return FailureCells(second=table[:, 0], route=table[:, 1], kind=table[:, 2], count=table[:, 3])


def healthy() -> GeneratorHealth:
    """A generator with room to spare."""
    return GeneratorHealth(
        lateness_p50_ns=40_000, lateness_p99_ns=610_000, lateness_max_ns=3_100_000, loop_lag_p99_ns=1_300_000,
        loop_lag_max_ns=4_000_000, cpu_ratio=0.31, workers=2, connections_peak=41, backlog_peak=12,
    )  # fmt: skip


def hits(phase: Phase, *, seconds: int, middle_ms: float, slow_from: int = 10**9, fails: bool = False) -> PhaseHits:
    """One phase of `seconds` at the phase's rate."""
    rate = int(phase.rate_per_s or 50)
    failures = [(s, 3, FailureKind.STATUS, 6) for s in range(seconds // 2, seconds // 2 + 6)] if fails else []
    failures += [(seconds - 4, 1, FailureKind.TIMEOUT, 40)] if fails else []
    flat = np.full(seconds, rate, dtype=np.int64)
    good = flat.copy()
    for second, _, _, count in failures:
        good[second] -= count
    return PhaseHits(
        phase=phase, seconds=seconds, planned=flat, sent=flat.copy(), good=good,
        response=cells(good, middle_ms * 1.3, 0.62, slow_from=slow_from),
        service=cells(good, middle_ms, 0.5, slow_from=slow_from),
        failures=failed_cells(*failures), statuses={200: int(good.sum()), 503: 36} if fails else {200: int(good.sum())},
        received_bytes=9_400_000, health=healthy(), started_at_s=BEGUN_S + 6, finished=True,
        error_samples=("POST /orders: 503 Service Unavailable: \x1b[31mtoo many clients\x1b[0m",) if fails else (),
    )  # fmt: skip


def plan() -> Plan:
    """The slow statement's plan."""
    node = {
        "Node Type": "Sort", "Sort Key": ["created_at DESC"], "Plan Rows": 5, "Total Cost": 25834.1,
        "Plans": [
            {"Node Type": "Seq Scan", "Relation Name": "posts", "Alias": "posts", "Plan Rows": 5,
             "Total Cost": 25833.9, "Filter": "(user_id = $1)"}
        ],
    }  # fmt: skip
    scan = TableScan(table="posts", rows=1_000_000, filter="(user_id = $1)", stops_early=False)
    return Plan(statement_id="-42", json=[{"Plan": node}], scans=(scan,))


def statements(phase: str) -> tuple[Statement, ...]:
    """Five statements, the first slow."""
    texts = (
        (SLOW_SQL, 2_960, 52_000_000.0, 0.71),
        ("SELECT * FROM products WHERE category = $1 ORDER BY price LIMIT $2", 3_010, 17_300_000.0, 0.24),
        ("SELECT id, name, email FROM users WHERE id = $1", 5_980, 310_000.0, 0.03),
        (
            "INSERT INTO orders (user_id, product_id, quantity) VALUES ($1, $2, $3) RETURNING id",
            2_961,
            480_000.0,
            0.015,
        ),
        ("BEGIN", 11_950, 4_000.0, 0.005),
    )
    return tuple(
        Statement(
            phase=phase, id=str(index), text=text, calls=calls, rows=calls * 5, total_ns=calls * mean, mean_ns=mean,
            stddev_ns=mean / 3, share_ratio=share, maximum_ns=mean * 4, blocks_hit=90_000, blocks_read=120 * index,
            plan=plan() if index == 0 else None, is_utility=text == "BEGIN",
            plan_error="permission denied for table products" if index == 1 else None,
        )
        for index, (text, calls, mean, share) in enumerate(texts)
    )  # fmt: skip


def waits(phase: str) -> tuple[Wait, ...]:
    """The slow statement ran, and waited for its pages; one transaction sat idle."""
    rows = (("active", None, None, SLOW_SQL, 420), ("active", "IO", "DataFileRead", SLOW_SQL, 90),
            ("active", "Lock", "transactionid", "UPDATE users SET name = $1 WHERE id = $2", 30),
            ("idle in transaction", "Client", "ClientRead", "", 60))  # fmt: skip
    return tuple(
        Wait(
            phase=phase, client="shop", statement_id=str(index), text=text, state=state, event_type=kind, event=event,
            seen=seen, looks=600, longest_ns=52_000_000,
        )
        for index, (state, kind, event, text, seen) in enumerate(rows)
    )  # fmt: skip


def machine_seconds(seconds: int) -> tuple[tuple[HostSecond, ...], tuple[ProcessSecond, ...]]:
    """The machine and three processes, second by second."""
    host = tuple(
        HostSecond(
            at_s=BEGUN_S + s, cpu_ratio=0.55 + 0.3 * abs(np.sin(s / 9)), iowait_ratio=0.04, steal_ratio=0.0,
            memory_used_ratio=0.42 + s / 1000, disk_read_bytes=200_000, disk_write_bytes=1_500_000 + 90_000 * (s % 7),
            network_sent_bytes=4_000_000, network_received_bytes=4_100_000,
        )
        for s in range(seconds)
    )  # fmt: skip
    processes = tuple(
        ProcessSecond(at_s=BEGUN_S + s, name=name, cpu_cores=cores + 0.1 * (s % 3), resident_bytes=90_000_000,
                      open_files=41, threads=8)
        for s in range(seconds)
        for name, cores in (("postgres", 0.9), ("app", 0.5), ("generator", 0.2))
    )  # fmt: skip
    return host, processes


def monitoring() -> Monitoring:
    """Metrics that move, and one alert that asks for a metric nobody exposes."""
    return Monitoring(
        metrics_url="http://127.0.0.1:8000/metrics", metrics_error=None, metric_families=41,
        request_metric="http_requests_total", request_metric_moved_by=12_000, requests_sent=12_000,
        alerts=("HighLatency", "HighErrorRate"), alerts_loaded=False, alerts_error=None,
        unknown_metrics=("http_request_duration_seconds_bucket",),
    )  # fmt: skip


def full(
    *, middle_ms: float = 38.0, fails: bool = True, slow_from: int = 40, run: str = "20260921T130640Z-shop"
) -> Evidence:
    """Everything there is, one phase."""
    phase, seconds = ordinary(), 60
    host, processes = machine_seconds(seconds + 6)
    scenario = Scenario(
        name="shop", file=None, parameters=(), default_phase=phase,
        routes=tuple(Route(name=name, method=name.split()[0], path=name.split()[1]) for name in ROUTES),
    )  # fmt: skip
    return Evidence(
        folder=Path(".headway/runs") / run, id=run, started_at="2026-09-21T13:06:40+00:00",
        finished_at="2026-09-21T13:07:52+00:00", interrupted=False, headway_version="0.1.0",
        versions={"PostgreSQL": "18.6", "Valkey": "9.1.0", "Python": "3.11.2"},
        machine=Machine(cpu_model="Example CPU 2.0 GHz", cores=2, memory_bytes=4 * 2**30, kernel="Linux 6.1"),
        target_url="http://127.0.0.1:8000", scenario=scenario, routes=ROUTES,
        phases=(hits(phase, seconds=seconds, middle_ms=middle_ms, slow_from=slow_from, fails=fails),),
        sources={name: SourceState(name=name, presence=Presence.PRESENT, detail="read") for name in SOURCES},
        statements=statements(phase.name),
        tables=(
            Table(phase=phase.name, name="posts", rows=1_000_000, size_bytes=212_000_000, indexes=1,
                  sequential_scans=2_960, sequential_rows=2_960_000_000, index_scans=0),
            Table(phase=phase.name, name="users", rows=200_000, size_bytes=18_000_000, indexes=1,
                  sequential_scans=0, sequential_rows=0, index_scans=5_980),
        ),
        databases=(
            Database(phase=phase.name, commits=11_950, rollbacks=12, blocks_hit=410_000, blocks_read=6_400,
                     temp_bytes=0, deadlocks=0, sessions=11_900, connections=38,
                     max_connections=100, statements_reset=False),
        ),
        caches=(
            CacheUse(phase=phase.name, hits=7_300, misses=2_900, evicted=0, expired=31, commands=14_000,
                     used_memory_bytes=7_100_000, maxmemory_bytes=0, restarted=False,
                     per_second=tuple((s, 80 + s, 60 - s // 2) for s in range(seconds)), policy="noeviction",
                     cpu_ratio=0.12, lasted_s=float(seconds), connections_opened=2, connections_rejected=0,
                     clients_peak=9, keys_by_database={"db0": 812}, errors={"WRONGTYPE": 3}, pings=seconds,
                     ping_p50_ns=210_000.0, ping_maximum_ns=1_900_000.0),
        ),
        cache_commands=(
            CacheCommand(phase=phase.name, name="get", calls=10_200, total_ns=1.1e7, mean_ns=1_100.0, rejected=0,
                         failed=3, p50_ns=2_000.0, p99_ns=4_000.0, p999_ns=16_000.0),
        ),
        cache_slow=(
            CacheSlow(phase=phase.name, command="SMEMBERS", key="tags:{}", count=2, total_ns=3.1e7, maximum_ns=1.9e7,
                      clients=("worker",)),
        ),
        cache_keys=(
            CacheKeys(key="user:{}", type="string", keys=800, bytes=6_000_000, largest_bytes=9_000, largest_used=True,
                      without_ttl=0, used=640, frequency_maximum=None, looked_at=812, in_database=812),
        ),
        cache_key_uses=(
            CacheKeyUse(phase=phase.name, key="user:{}", reads=400, hits=280, misses=110, unknown=10, writes=115,
                        hottest=60, commands=515, watched_s=1.5, lookups_counted=402, misses_counted=112),
        ),
        edges=(
            EdgeUse(phase=phase.name, by_status={"HIT": 3_100, "MISS": 900, "-": 8_000},
                    per_second=tuple((s, 50, 15) for s in range(seconds))),
        ),
        host=host, processes=processes, monitoring=monitoring(), waits=waits(phase.name),
    )  # fmt: skip


def bare() -> Evidence:
    """Only the load ran: every other source is absent, and nobody was answered."""
    whole = full(fails=False)
    nothing = LatencyCells(**dict.fromkeys(("second", "route", "bucket", "count"), np.zeros(0, dtype=np.int64)))
    zeros = np.zeros(60, dtype=np.int64)
    silent = replace(
        whole.phases[0], planned=zeros, sent=zeros, good=zeros, response=nothing, service=nothing,
        failures=failed_cells(), statuses={}, finished=False,
        health=GeneratorHealth(
            lateness_p50_ns=None, lateness_p99_ns=None, lateness_max_ns=None, loop_lag_p99_ns=None,
            loop_lag_max_ns=None, cpu_ratio=None, workers=1, connections_peak=0, backlog_peak=0, workers_lost=1,
        ),
    )  # fmt: skip
    sources = {
        name: SourceState(
            name=name, presence=Presence.ABSENT, detail=f"no address of {name} was given", next_act=f"name {name}"
        )
        for name in SOURCES[1:]
    }
    sources["cache"] = SourceState(name="cache", presence=Presence.FAILED, detail="connection refused on port 6379")
    return replace(
        whole, phases=(silent,), sources=sources, statements=(), tables=(), databases=(), caches=(), edges=(), host=(),
        processes=(), monitoring=None, waits=(), interrupted=True, finished_at=None, target_url="http://shop.example",
    )  # fmt: skip


def latency_clause(limit_ms: float = 100.0) -> Clause:
    """P95 of the whole API."""
    return Clause(
        subject=Subject.LATENCY, side=Side.CLIENT, statistic=Statistic(quantile=0.95), comparison=Comparison.LT,
        limit=limit_ms * 1e6,
    )  # fmt: skip


def judgement(state: State, criterion: str = "AC-US1-01", **fields: object) -> Judgement:
    """A latency judgement, changed by `fields`."""
    made = Judgement(
        criterion=criterion, text="API response time <100ms (P95)", priority="P1", clause=latency_clause(), state=state,
        reason="the whole interval lies above the limit" if state is State.BROKEN else "as the interval says",
        measured=212e6, low=198e6, high=231e6, samples=11_994, source="load, from the intended send time",
        phase="ordinary", load="200 req/s, Poisson arrivals", file=Path("spec.md"), line=12,
        explanation=EXPLANATION if state is State.BROKEN else None,
    )  # fmt: skip
    return replace(made, **fields)  # type: ignore[arg-type]  # the caller names fields of Judgement


def verdict(*judgements: Judgement, state: State | None = None, **fields: object) -> Verdict:
    """The verdict over `judgements`; by default one of each state."""
    hit_rate = Clause(subject=Subject.HIT_RATE, side=Side.CACHE, comparison=Comparison.GT, limit=0.8)
    indexed = Clause(subject=Subject.INDEXED, side=Side.DATABASE)
    chosen = judgements or (
        judgement(State.BROKEN),
        judgement(State.INCONCLUSIVE, "AC-US1-03", text="Cache hit rate >80%", clause=hit_rate, measured=0.7998,
                  low=0.78, high=0.82, requests_to_settle=4_200, samples=10_200, source="Valkey INFO",
                  reason="the interval lies on both sides of the limit", line=14),
        judgement(State.KEPT, "AC-US1-08", text="APM monitoring enabled", measured=None, low=None, high=None,
                  samples=None, clause=Clause(subject=Subject.MONITORING, side=Side.CLIENT), source="metrics", load=""),
        judgement(State.BROKEN, "AC-US1-07", text="Database queries indexed", measured=None, low=None, high=None,
                  samples=5, clause=indexed, source="plans", reason="1 statement reads a table sequentially"),
        judgement(State.INVALID, "AC-US1-04", text="Handle 10K requests/sec", measured=None, low=None, high=None,
                  samples=None, clause=None, reason="the generator could not make 10,000 req/s", explanation=None),
    )  # fmt: skip
    whole = state or State.BROKEN
    codes = {State.KEPT: 0, State.BROKEN: 3, State.INCONCLUSIVE: 4, State.INVALID: 5}
    made = Verdict(
        promise_id="0050-performance-optimization", promise_title="Performance optimization",
        run_id="20260921T130640Z-shop", state=whole, exit_code=ExitCode(codes[whole]), judgements=chosen,
        invalid_phases={}, notes=("“P95 < 100 ms” was read as the whole API, client side",),
    )  # fmt: skip
    return replace(made, **fields)  # type: ignore[arg-type]  # the caller names fields of Verdict


def findings() -> tuple[Finding, ...]:
    """The slow statement, and one that explains nothing promised."""
    return (
        Finding(rule="sequential-scan", phase="ordinary", line=EXPLANATION, explains=(Subject.LATENCY,),
                share_ratio=0.71, share_of="database time", fingerprint="a1", details=("2,960 calls, mean 52 ms",)),
        Finding(rule="connections", phase="ordinary", line="11,900 connections were opened for 12,000 requests",
                explains=(), share_ratio=0.99, share_of="requests", fingerprint="b2"),
    )  # fmt: skip


NASTY = (
    "<script>alert(1)</script><img src=x onerror=alert(2)> ]]> --> </style> \x1b[31m \x00 \u202e \ud800 | "
    "`@octocat` #12 "
    "'\" &lt; {{ 7*7 }} [a](http://evil.example) www.evil.example \n# heading\n<!--"
)


def hostile() -> tuple[Evidence, Verdict, tuple[Finding, ...]]:
    """The whole run with NASTY in every text that comes from outside."""
    whole = full()
    scan = TableScan(table=NASTY, rows=1, filter=NASTY, stops_early=True)
    node = {"Node Type": NASTY, "Relation Name": NASTY, "Alias": NASTY, "Filter": NASTY, "Sort Key": [NASTY]}
    drawn = Plan(statement_id="1", json=[{"Plan": node}], scans=(scan,))
    watched = whole.monitoring
    evidence = replace(
        whole, id=NASTY, target_url=f"http://{NASTY}", started_at=NASTY, finished_at=NASTY, headway_version=NASTY,
        versions={NASTY: NASTY}, folder=Path(NASTY), routes=tuple(f"{NASTY}{i}" for i in range(len(ROUTES))),
        machine=replace(whole.machine, cpu_model=NASTY, kernel=NASTY), scenario=replace(whole.scenario, name=NASTY),
        phases=tuple(
            replace(hits, phase=replace(hits.phase, name=NASTY), error_samples=(NASTY,)) for hits in whole.phases
        ),
        sources={NASTY: SourceState(name=NASTY, presence=Presence.FAILED, detail=NASTY, next_act=NASTY)},
        statements=(
            replace(whole.statements[0], phase=NASTY, text=NASTY, plan=drawn),
            replace(whole.statements[1], phase=NASTY, text=NASTY, plan_error=NASTY),
        ),
        tables=(replace(whole.tables[0], phase=NASTY, name=NASTY),),
        databases=tuple(replace(each, phase=NASTY) for each in whole.databases),
        caches=tuple(
            replace(each, phase=NASTY, policy=NASTY, errors={NASTY: 1}, keys_by_database={NASTY: 1})
            for each in whole.caches
        ),
        cache_commands=tuple(replace(each, phase=NASTY, name=NASTY) for each in whole.cache_commands),
        cache_slow=tuple(
            replace(each, phase=NASTY, command=NASTY, key=NASTY, clients=(NASTY,)) for each in whole.cache_slow
        ),
        cache_keys=tuple(replace(each, key=NASTY, type=NASTY) for each in whole.cache_keys),
        cache_key_uses=tuple(replace(each, phase=NASTY, key=NASTY) for each in whole.cache_key_uses),
        waits=tuple(
            replace(each, phase=NASTY, text=NASTY, event=NASTY, event_type=each.event_type and NASTY, client=NASTY)
            for each in whole.waits
        ),
        edges=(EdgeUse(phase=NASTY, by_status={NASTY: 1}),),
        pools=(
            PoolUse(phase=NASTY, database=NASTY, user=NASTY, mode=NASTY, size=None, looks=1, clients_active_mean=1.0,
                    clients_waiting_mean=1.0, clients_waiting_most=1, waiting_looks=1, servers_active_mean=1.0,
                    servers_idle_mean=0.0, servers_most=1, longest_wait_ns=1, transactions=None, waited_ns=None),
        ),
        replicas=(
            ReplicaLag(phase=NASTY, name=NASTY, state=NASTY, sync=NASTY, looks=1, write_lag_most_ns=None,
                       flush_lag_most_ns=None, replay_lag_mean_ns=None, replay_lag_most_ns=None,
                       replay_bytes_mean=None, replay_bytes_most=None),
        ),
        processes=tuple(replace(each, name=NASTY) for each in whole.processes),
        monitoring=watched and replace(
            watched, metrics_url=NASTY, request_metric=NASTY, alerts=(NASTY,), unknown_metrics=(NASTY,)
        ),
    )  # fmt: skip
    said = judgement(
        State.BROKEN, NASTY, text=NASTY, priority=NASTY, reason=NASTY, source=NASTY, load=NASTY, explanation=NASTY,
        phase=NASTY, file=Path(NASTY),
    )  # fmt: skip
    answer = verdict(
        said, promise_id=NASTY, promise_title=NASTY, run_id=NASTY, invalid_phases={NASTY: NASTY}, notes=(NASTY,)
    )
    found = replace(findings()[0], line=NASTY, share_of=NASTY, phase=NASTY, details=(NASTY,))
    return evidence, answer, (found,)
