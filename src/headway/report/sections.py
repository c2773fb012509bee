"""What each part of the HTML report holds, as data that the template only lays out."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from headway import thresholds
from headway.model import Presence, Side, Subject
from headway.promises.spoken import limit_text, percent_text
from headway.report import activity, caches, charts, figures, plans
from headway.report.svg import Limit, draw
from headway.report.words import NOTHING, count_text, load_text, ns_text, seconds_text

if TYPE_CHECKING:
    from markupsafe import Markup

    from headway.model import (
        CacheUse,
        Database,
        EdgeUse,
        Evidence,
        PhaseHits,
        PoolUse,
        ReplicaLag,
        Statement,
        Table,
        Verdict,
    )
    from headway.report.activity import Activity
    from headway.report.caches import CacheParts
    from headway.report.figures import Failure, Figures
    from headway.report.plans import PlanLine
    from headway.report.svg import Chart

MOST_STATEMENTS = 15
MOST_TABLES = 15


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One big number with its name and a remark."""

    name: str
    value: str
    remark: str = ""
    bad: bool = False


@dataclass(frozen=True, kw_only=True)
class Check:
    """One measure of the generator's health beside the limit of `thresholds`. `within` None: not measured."""

    name: str
    value: str
    limit: str
    within: bool | None

    @property
    def word(self) -> str:
        return {True: "✓ within", False: "✗ over", None: "? not measured"}[self.within]


@dataclass(frozen=True, kw_only=True)
class StatementView:
    """A statement with its plan as lines."""

    statement: Statement
    plan: tuple[PlanLine, ...]
    rows_per_call: float | None


@dataclass(frozen=True, kw_only=True)
class PhaseView:
    """All that is said of one phase."""

    anchor: str
    name: str
    load: str
    length: str
    cut_short: bool
    invalid: str | None
    tiles: tuple[Tile, ...]
    latency: Markup | None
    percentile: Markup | None
    rates: Markup | None
    figures: tuple[Figures, ...]
    failures: tuple[Failure, ...]
    statuses: tuple[tuple[int, int], ...]
    errors: tuple[str, ...]
    statements: tuple[StatementView, ...]
    statements_left: tuple[int, float]  # how many more, and their share of database time
    activities: tuple[Activity, ...]
    activity: str | None
    tables: tuple[Table, ...]
    tables_left: int
    database: Database | None
    replicas: tuple[ReplicaLag, ...]
    pools: tuple[PoolUse, ...]
    cache: CacheUse | None
    cache_chart: Markup | None
    cache_parts: CacheParts
    edge: EdgeUse | None
    edge_chart: Markup | None
    checks: tuple[Check, ...]
    peaks: str


def phase_view(evidence: Evidence, hits: PhaseHits, verdict: Verdict, number: int) -> PhaseView:
    """One phase; what a source did not give is None or empty, and the template says so."""
    name = hits.phase.name
    cache = next((each for each in evidence.caches if each.phase == name), None)
    edge = next((each for each in evidence.edges if each.phase == name), None)
    statements = sorted((s for s in evidence.statements if s.phase == name), key=lambda s: -s.share_ratio)
    tables = sorted((t for t in evidence.tables if t.phase == name), key=lambda t: (-t.sequential_rows, t.name))
    rest = statements[MOST_STATEMENTS:]
    whole = figures.figures(hits, evidence.routes)
    return PhaseView(
        anchor=f"phase-{number}",
        name=name,
        load=load_text(hits.phase),
        length=f"{seconds_text(hits.seconds)} measured after {seconds_text(hits.phase.warmup_s)} of warm-up",
        cut_short=not hits.finished,
        invalid=verdict.invalid_phases.get(name),
        tiles=_tiles(hits, whole[0]),
        latency=_drawn(charts.latency_over_time(hits)),
        percentile=_drawn(charts.latency_by_percentile(hits, verdict)),
        rates=_drawn(charts.rates(hits)),
        figures=whole,
        failures=figures.failures(hits),
        statuses=tuple(sorted(hits.statuses.items())),
        errors=hits.error_samples,
        statements=tuple(_statement(each) for each in statements[:MOST_STATEMENTS]),
        statements_left=(len(rest), sum(each.share_ratio for each in rest)),
        activities=activity.by_statement(evidence, name),
        activity=activity.line(evidence, name),
        tables=tuple(tables[:MOST_TABLES]),
        tables_left=max(0, len(tables) - MOST_TABLES),
        database=next((each for each in evidence.databases if each.phase == name), None),
        replicas=tuple(each for each in evidence.replicas if each.phase == name),
        pools=tuple(each for each in evidence.pools if each.phase == name),
        cache=cache,
        cache_chart=None if cache is None else _hit_chart(cache, hits, verdict, Side.CACHE, "Cache hit rate"),
        cache_parts=caches.parts(evidence, name),
        edge=edge,
        edge_chart=None if edge is None else _hit_chart(edge, hits, verdict, Side.EDGE, "Edge cache hit rate"),
        checks=checks(hits),
        peaks=_peaks(hits),
    )


def checks(hits: PhaseHits) -> tuple[Check, ...]:
    """The generator's health against `thresholds`, worst worker."""
    health, planned = hits.health, int(hits.planned.sum())
    delivered = int(hits.sent.sum()) / planned if planned else None
    low = thresholds.DELIVERED_MIN_RATIO
    return (
        _below("sent later than it could be, P99", health.lateness_p99_ns, thresholds.LATENESS_P99_MAX_NS),
        _below("event-loop lag, P99", health.loop_lag_p99_ns, thresholds.LOOP_LAG_P99_MAX_NS),
        Check(
            name="busiest worker, share of its core",
            value=_percent(health.cpu_ratio),
            limit=f"≤ {percent_text(thresholds.GENERATOR_CPU_MAX_RATIO)}",
            within=None if health.cpu_ratio is None else health.cpu_ratio <= thresholds.GENERATOR_CPU_MAX_RATIO,
        ),
        Check(
            name="sent of planned",
            value=_percent(delivered),
            limit=f"≥ {percent_text(low)}",
            within=None if delivered is None else delivered >= low,
        ),
        Check(
            name="workers lost",
            value=f"{health.workers_lost} of {health.workers}",
            limit=f"≤ {health.workers_tolerated}" if health.workers_tolerated else "0",
            within=health.workers_lost <= health.workers_tolerated,
        ),
    )


def absent(evidence: Evidence, source: str) -> str:
    """Why a part has nothing to show: the source's state, its reason and what would mend it."""
    state = evidence.sources.get(source)
    if state is None:
        return f"{source}: not recorded in this run."
    if state.presence is Presence.PRESENT:
        return f"{source}: read, and nothing was counted in this phase."
    said = f"{source}: {state.presence.value}"
    said += f", {state.detail}." if state.detail else "."
    return said + (f" To see it: {state.next_act}." if state.next_act else "")


def shares_the_machine(target_url: str) -> bool:
    """Whether the target is a loopback address: generator and service then compete for the same cores."""
    try:
        host = urlsplit(target_url).hostname or ""
    except ValueError:
        return False
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_charts(evidence: Evidence) -> tuple[Markup, ...]:
    """The machine's charts, drawn."""
    return tuple(draw(chart) for chart in charts.host(evidence))


def _tiles(hits: PhaseHits, whole: Figures) -> tuple[Tile, ...]:
    planned, sent = int(hits.planned.sum()), int(hits.sent.sum())
    names = [f"P{q * 100:g} response" for q in figures.QUANTILES[:3]]
    return (
        Tile(name="planned", value=count_text(planned)),
        Tile(name="sent", value=count_text(sent), remark=f"{_percent(sent / planned)} of planned" if planned else ""),
        Tile(name="good", value=count_text(whole.good)),
        Tile(
            name="failed",
            value=count_text(whole.failed),
            remark=f"{_percent(whole.failed_ratio)} of requests",
            bad=whole.failed > 0,
        ),
        *(
            Tile(name=name, value=ns_text(value), remark="among the failed" if ns_text(value) == "failed" else "")
            for name, value in zip(names, whole.response_ns, strict=False)
        ),
        Tile(name="P95 service", value=ns_text(whole.service_p95_ns)),
    )


def _peaks(hits: PhaseHits) -> str:
    """What has no limit and still tells: the worst single moment, and how much was waiting."""
    health = hits.health
    return (
        f"Worst moments: {ns_text(health.lateness_max_ns)} late, {ns_text(health.loop_lag_max_ns)} of loop lag. "
        f"At most {count_text(health.connections_peak)} of {count_text(hits.phase.max_connections)} connections open; "
        f"at most {count_text(health.backlog_peak)} requests due and waiting for one, which counts as response time."
    )


def _statement(statement: Statement) -> StatementView:
    return StatementView(
        statement=statement,
        plan=() if statement.plan is None else plans.lines(statement.plan.json),
        rows_per_call=statement.rows / statement.calls if statement.calls else None,
    )


def _hit_chart(uses: CacheUse | EdgeUse, hits: PhaseHits, verdict: Verdict, side: Side, title: str) -> Markup | None:
    limit = None
    for judgement in verdict.judgements:
        clause = judgement.clause
        if clause is None or judgement.phase != hits.phase.name or clause.limit is None or clause.route is not None:
            continue
        if clause.subject is Subject.HIT_RATE and clause.side is side:
            limit = Limit(y=clause.limit, label=limit_text(clause))
    return _drawn(charts.hit_rate(uses, hits.seconds, title=title, promise=limit))


def _below(name: str, value: float | None, limit: float) -> Check:
    return Check(
        name=name, value=ns_text(value), limit=f"≤ {ns_text(limit)}", within=None if value is None else value <= limit
    )


def _percent(ratio: float | None) -> str:
    return NOTHING if ratio is None else percent_text(ratio)


def _drawn(chart: Chart | None) -> Markup | None:
    return None if chart is None else draw(chart)
