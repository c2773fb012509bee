"""Runs made from raw numbers, for the judges: what the evidence says is known to the last request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from headway.load import histogram
from headway.model import (
    Arrivals,
    Clause,
    Comparison,
    Criterion,
    Evidence,
    FailureCells,
    FailureKind,
    GeneratorHealth,
    LatencyCells,
    LoadModel,
    Machine,
    Phase,
    PhaseHits,
    Presence,
    Promise,
    Route,
    Scenario,
    Side,
    SourceState,
    Statistic,
    Subject,
)

MS = 1_000_000
ROUTES = ("GET /users/{id}", "GET /feed")
PHASE = Phase(
    name="scenario", model=LoadModel.OPEN, arrivals=Arrivals.POISSON, rate_per_s=100, duration_s=20, warmup_s=5
)
SCENARIO = Scenario(
    name="made",
    file=None,
    routes=tuple(Route(name=name, method="GET", path=name.partition(" ")[2].replace("{id}", "1")) for name in ROUTES),
    parameters=(),
    default_phase=PHASE,
)
HEALTHY = GeneratorHealth(
    lateness_p50_ns=50_000, lateness_p99_ns=400_000, lateness_max_ns=2_000_000, loop_lag_p99_ns=1_000_000,
    loop_lag_max_ns=3_000_000, cpu_ratio=0.3, workers=1, connections_peak=20, backlog_peak=0,
)  # fmt: skip


def latencies(per_second: Sequence[Sequence[float]], route: int = 0) -> LatencyCells:
    """Cells of latencies in ms, one list a second."""
    rows = [(index, value) for index, values in enumerate(per_second) for value in values]
    table = np.array(rows, dtype=np.float64).reshape(-1, 2)
    bucket = histogram.bucket_of((table[:, 1] * MS).astype(np.int64))
    n = len(bucket)
    return LatencyCells(
        second=table[:, 0].astype(np.int64), route=np.full(n, route), bucket=bucket, count=np.ones(n, dtype=np.int64)
    )


def made_hits(
    per_second: Sequence[Sequence[float]],
    *,
    failed: Sequence[int] = (),
    kind: FailureKind = FailureKind.STATUS,
    phase: Phase = PHASE,
    service: Sequence[Sequence[float]] | None = None,
    **changes: Any,
) -> PhaseHits:
    """A healthy phase with these latencies (ms) and failures by second, all of route 0."""
    seconds = max(len(per_second), len(failed))
    good = np.array([len(values) for values in per_second] + [0] * (seconds - len(per_second)), dtype=np.int64)
    bad = np.array([*failed, *[0] * (seconds - len(failed))], dtype=np.int64)
    filled = np.flatnonzero(bad)
    cells = latencies(per_second)
    made = PhaseHits(
        phase=phase, seconds=seconds, planned=good + bad, sent=good + bad, good=good, response=cells,
        service=cells if service is None else latencies(service),
        failures=FailureCells(
            second=filled, route=np.zeros(len(filled), dtype=np.int64),
            kind=np.full(len(filled), list(FailureKind).index(kind)), count=bad[filled],
        ),
        statuses={200: int(good.sum())}, received_bytes=0, health=HEALTHY, started_at_s=1000.0, finished=True,
    )  # fmt: skip
    return replace(made, **changes)


def made_evidence(*phases: PhaseHits, sources: Sequence[str] = (), **changes: Any) -> Evidence:
    """A finished run with these phases; `sources` are present, every other is absent."""
    names = ("statements", "database", "tables", "plans", "cache", "edge", "host", "metrics", "alerts")
    made = Evidence(
        folder=Path("/nowhere"), id="made", started_at="2026-01-01T00:00:00+00:00",
        finished_at="2026-01-01T00:01:00+00:00", interrupted=False, headway_version="0", versions={},
        machine=Machine(cpu_model="x", cores=2, memory_bytes=1, kernel="x"), target_url="http://127.0.0.1:1",
        scenario=SCENARIO, routes=ROUTES, phases=phases,
        sources={name: SourceState(
            name=name, presence=Presence.PRESENT if name in sources else Presence.ABSENT, next_act="name it"
        ) for name in names},
    )  # fmt: skip
    return replace(made, **changes)


def clause(subject: Subject, limit: float | None = None, **changes: Any) -> Clause:
    """A clause; latency is P95 < limit ms on the client's side unless said otherwise."""
    latency = subject is Subject.LATENCY
    fields: dict[str, Any] = {
        "subject": subject,
        "side": Side.CLIENT,
        "limit": limit * MS if latency and limit is not None else limit,
        "comparison": None if limit is None else Comparison.LT,
        "statistic": Statistic(quantile=0.95) if latency else None,
    }
    return Clause(**fields | changes)


def made_promise(*clauses: Clause) -> Promise:
    """A promise with one criterion a clause."""
    criteria = tuple(
        Criterion(id=f"AC-US1-{number:02}", text=each.subject.value, file=Path("spec.md"), line=number, clauses=(each,))
        for number, each in enumerate(clauses, start=1)
    )
    return Promise(id="0001-made", title="Made", folder=None, criteria=criteria)
