"""The gate: nothing is kept without proof, nothing is broken by the generator's fault, no failure flatters."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from headway.gate.case import weigh
from headway.gate.judge import judge
from headway.gate.plan import ordinary_only, plan
from headway.gate.seconds import answers
from headway.load import histogram, intervals
from headway.model import (
    CacheUse,
    Clause,
    Comparison,
    Criterion,
    Database,
    EdgeUse,
    Evidence,
    ExitCode,
    FailureKind,
    Judgement,
    Monitoring,
    PhaseHits,
    Plan,
    Promise,
    Side,
    State,
    Statement,
    Statistic,
    Subject,
    Table,
    TableScan,
)
from made.judged import (
    HEALTHY,
    MS,
    PHASE,
    SCENARIO,
    clause,
    made_evidence,
    made_hits,
    made_promise,
)

RNG = np.random.default_rng(7)
P95 = clause(Subject.LATENCY, 100)
ERRORS = clause(Subject.ERROR_RATE, 0.01)
THROUGHPUT = clause(Subject.THROUGHPUT, 100.0, comparison=Comparison.GE)
AT_RATE = replace(PHASE, name="100 req/s", rate_per_s=101, max_connections=300)


def test_under_the_ordinary_load_alone_no_criterion_with_a_load_of_its_own_is_left() -> None:
    """A rate that is promised, or under which something is, is left out; what was not understood stays."""
    unclear = replace(made_promise(P95).criteria[0], id="AC-US1-09", clauses=(), not_understood="why")
    whole = made_promise(P95, THROUGHPUT, replace(P95, at_rate_per_s=50.0))
    left = ordinary_only(replace(whole, criteria=(*whole.criteria, unclear)), SCENARIO)
    assert [each.clauses for each in left.criteria] == [(P95,), ()]
    assert [each.name for each in plan(left, SCENARIO).phases] == ["scenario"]


def steady(ms: float, *, seconds: int = 20, each: int = 100, spread: float = 0.05) -> list[list[float]]:
    """Latencies around `ms`, the same in every second."""
    return [list(ms * (1 + spread * RNG.standard_normal(each)).clip(0.5, 2)) for _ in range(seconds)]


def judged(what: Clause, evidence: Evidence) -> Judgement:
    """The one judgement of one clause."""
    (found,) = judge(made_promise(what), evidence, ()).judgements
    return found


def interval_of(hits: PhaseHits, q: float = 0.95) -> intervals.Interval:
    """The interval of a quantile of the response time."""
    found = answers(hits, hits.response, None)
    measured = histogram.quantile_ns(found.counts, q, found.failures)
    made = intervals.quantile(found.counts, q, found.failures, found.slower_than(measured), found.totals)
    assert made is not None
    return made


@pytest.mark.parametrize("correlated", [False, True])
def test_a_95_percent_interval_covers_the_truth_as_often_as_it_says(correlated: bool) -> None:
    """Of 150 runs at least 92% of the P95 intervals hold the true P95, also when whole seconds are slow together."""
    rng = np.random.default_rng(42)
    deviation = 0.5
    shift = 0.4 if correlated else 0.0
    truth = math.exp(1.6448536 * math.hypot(deviation, shift)) * 10
    covered = 0
    for _ in range(150):
        runs = [10 * np.exp(deviation * rng.standard_normal(60) + shift * rng.standard_normal()) for _ in range(30)]
        found = interval_of(made_hits([list(each) for each in runs]))
        covered += found.low <= truth * MS <= found.high
    assert covered / 150 >= 0.92


def test_an_error_rate_of_zero_is_bounded_by_the_rule_of_three_and_more() -> None:
    """No failure in n requests leaves an upper bound of at least 3.69/n: zero measured is not zero."""
    found = intervals.share(np.zeros(20), np.full(20, 100.0))
    assert found is not None
    assert (found.measured, found.low) == (0.0, 0.0)
    assert 3.69 / 2000 < found.high < 6 / 2000


def test_few_samples_or_few_seconds_leave_a_quantile_open() -> None:
    """Thirty requests don't bound a P95, and nine seconds don't tell how alike they are."""
    assert math.isinf(interval_of(made_hits([[10.0] * 3 for _ in range(10)])).high)
    short = judged(P95, made_evidence(made_hits(steady(10, seconds=9))))
    assert short.state is State.INCONCLUSIVE
    assert "10 s" in short.reason


@pytest.mark.parametrize(
    ("comparison", "at_limit"),
    [
        (Comparison.LT, State.BROKEN),
        (Comparison.LE, State.KEPT),
        (Comparison.GT, State.BROKEN),
        (Comparison.GE, State.KEPT),
    ],
)
def test_strictness_is_kept_at_the_limit(comparison: Comparison, at_limit: State) -> None:
    """`< 100` is broken by 100, `<= 100` is not; an interval over the limit decides nothing."""
    what = clause(Subject.ERROR_RATE, 100.0, comparison=comparison)
    assert weigh(what, 100.0, 100.0) is at_limit
    assert weigh(what, 99.0, 101.0) is State.INCONCLUSIVE


def test_a_latency_is_kept_broken_or_undecided_by_its_interval() -> None:
    """10 ms keeps < 100 ms, 200 ms breaks it, and a P95 on the limit asks for more requests."""
    assert judged(P95, made_evidence(made_hits(steady(10)))).state is State.KEPT
    assert judged(P95, made_evidence(made_hits(steady(200)))).state is State.BROKEN
    near = judged(P95, made_evidence(made_hits(steady(92.5))))
    assert near.state is State.INCONCLUSIVE
    assert (near.requests_to_settle or 0) > 0
    assert near.low is not None
    assert near.high is not None
    assert near.low < 100 * MS < near.high


def test_what_no_run_could_settle_has_no_number_of_requests() -> None:
    """Of 412 requests 97%, 96%, 94.97% within P95's limit: 45 more settle it, 1,413 do, two million are no advice."""
    found = intervals.Interval(measured=503.0, low=350.0, high=808.0, samples=412, effective=412.0)
    further = [intervals.further_samples(found, 0.95, within) for within in (0.97, 0.96, 0.9497, 0.95)]
    assert further == [45, 1413, None, None]


def test_fast_failures_do_not_flatter_a_percentile() -> None:
    """A tenth of the requests fails at once and the rest takes 10 ms: P95 lies among the failed."""
    found = judged(P95, made_evidence(made_hits(steady(10), failed=[12] * 20)))
    assert found.state is State.BROKEN
    assert found.measured == math.inf
    assert "slower than any limit" in found.reason


def test_the_corrected_time_decides_and_the_uncorrected_is_said() -> None:
    """1 ms from the actual send time doesn't keep a promise that took 500 ms from the intended one."""
    found = judged(P95, made_evidence(made_hits(steady(500), service=steady(1))))
    assert found.state is State.BROKEN
    assert "from the actual send time" in found.reason


def test_a_route_is_judged_by_its_own_requests_or_not_at_all() -> None:
    """All requests went to route 0; the other has none, and a third doesn't exist."""
    evidence = made_evidence(made_hits(steady(10)))
    assert judged(replace(P95, route="GET /users/{user}"), evidence).state is State.KEPT
    assert judged(replace(P95, route="GET /feed"), evidence).state is State.INCONCLUSIVE
    unknown = judged(replace(P95, route="GET /nothing"), evidence)
    assert unknown.state is State.INCONCLUSIVE
    assert "GET /feed" in unknown.reason


def test_averages_and_maxima_do_not_hide_failures() -> None:
    """An average of the few that got through keeps nothing; a failed request is slower than any maximum."""
    average = replace(P95, statistic=Statistic(average=True))
    largest = replace(P95, statistic=Statistic(maximum=True))
    clean, failing = made_evidence(made_hits(steady(10))), made_evidence(made_hits(steady(10), failed=[5] * 20))
    assert judged(average, clean).state is State.KEPT
    assert judged(average, failing).state is State.INCONCLUSIVE
    assert judged(largest, clean).state is State.KEPT
    assert judged(largest, failing).state is State.BROKEN


def test_no_request_keeps_nothing() -> None:
    """An empty phase is invalid for every subject measured by load."""
    for what in (P95, ERRORS, clause(Subject.AVAILABILITY, 0.99, comparison=Comparison.GE)):
        assert judged(what, made_evidence(made_hits([]))).state is State.INVALID
        assert judged(what, made_evidence()).state is State.INCONCLUSIVE


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"finished": False}, "cut short"),
        ({"health": replace(HEALTHY, workers_lost=1)}, "were lost"),
        ({"health": replace(HEALTHY, cpu_ratio=0.97)}, "--workers"),
        ({"sent": np.full(20, 50)}, "the generator lost the rest"),
    ],
)
def test_a_load_that_was_not_made_says_nothing(changes: dict[str, Any], words: str) -> None:
    """Cut short, a lost worker, a saturated or a lossy generator: invalid with a cure, good or bad as it looks."""
    for ms in (10, 500):
        found = judged(P95, made_evidence(made_hits(steady(ms), **changes)))
        assert found.state is State.INVALID
        assert words in found.reason


def test_a_late_generator_keeps_nothing_and_breaks_only_with_a_margin() -> None:
    """Its lateness lengthens times: 10 ms is no proof, 500 ms is beyond 100 without it, 120 ms may be its own doing."""
    late = replace(HEALTHY, lateness_p99_ns=8 * MS, lateness_max_ns=30 * MS, loop_lag_max_ns=10 * MS)
    states = [judged(P95, made_evidence(made_hits(steady(ms), health=late))).state for ms in (10, 500, 120)]
    assert states == [State.INVALID, State.BROKEN, State.INVALID]


def test_a_backlog_is_the_services_doing_unless_connections_were_too_few() -> None:
    """With the connections Little's law asks for, unsent requests break the promise; with fewer, the run is invalid."""
    busy = replace(HEALTHY, backlog_peak=500, connections_peak=300)
    for most, expected in ((300, State.BROKEN), (5, State.INVALID)):
        phase = replace(AT_RATE, max_connections=most)
        health = replace(busy, connections_peak=most)
        hits = made_hits(
            steady(50, each=20), failed=[80] * 20, kind=FailureKind.UNSENT, phase=phase, health=health,
            sent=np.full(20, 20),
        )  # fmt: skip
        promise = made_promise(THROUGHPUT, P95)
        assert judge(promise, made_evidence(hits), ()).judgements[0].state is expected


def test_a_rate_is_handled_only_when_the_other_promises_hold_at_it() -> None:
    """101 answers a second keep >= 100, unless they are late, fail, or are fewer."""
    promise = made_promise(THROUGHPUT, P95)

    def state(hits: PhaseHits) -> tuple[State, str]:
        found = judge(promise, made_evidence(hits), ()).judgements[0]
        return found.state, found.reason

    assert state(made_hits(steady(10, each=101), phase=AT_RATE))[0] is State.KEPT
    slow, why = state(made_hits(steady(300, each=101), phase=AT_RATE))
    assert slow is State.BROKEN
    assert "P95 < 100 ms" in why
    assert state(made_hits(steady(10, each=101), failed=[5] * 20, phase=AT_RATE))[0] is State.BROKEN
    assert state(made_hits(steady(10, each=60), phase=AT_RATE))[0] is State.BROKEN


def cache(hits: int, misses: int, **changes: Any) -> CacheUse:
    """Lookups spread over 20 seconds."""
    fields: dict[str, Any] = {
        "phase": "scenario", "hits": hits, "misses": misses, "evicted": 0, "expired": 0, "commands": 0,
        "used_memory_bytes": 0, "maxmemory_bytes": 0, "restarted": False,
        "per_second": tuple((second, hits // 20, misses // 20) for second in range(20)),
    }  # fmt: skip
    return CacheUse(**{**fields, **changes})


def test_hit_rates_need_lookups() -> None:
    """90% keeps > 80%, 50% breaks it; a cache never asked, absent or restarted decides nothing."""
    what = clause(Subject.HIT_RATE, 0.8, comparison=Comparison.GT, side=Side.CACHE)
    hits = made_hits(steady(10))

    def state(use: CacheUse, *sources: str) -> State:
        return judged(what, made_evidence(hits, sources=sources, caches=(use,))).state

    assert state(cache(9000, 1000), "cache") is State.KEPT
    assert state(cache(5000, 5000), "cache") is State.BROKEN
    assert state(cache(0, 0), "cache") is State.INCONCLUSIVE
    assert state(cache(9000, 1000)) is State.INCONCLUSIVE
    assert state(cache(9000, 1000, restarted=True), "cache") is State.INCONCLUSIVE


def test_the_edge_is_judged_by_what_its_cache_was_asked_for() -> None:
    """Writes have no cache status and are no misses."""
    what = clause(Subject.HIT_RATE, 0.8, comparison=Comparison.GT, side=Side.EDGE)
    use = EdgeUse(
        phase="scenario", by_status={"HIT": 1700, "STALE": 100, "MISS": 200, "-": 5000},
        per_second=tuple((second, 90, 10) for second in range(20)),
    )  # fmt: skip
    found = judged(what, made_evidence(made_hits(steady(10)), sources=("edge",), edges=(use,)))
    assert (found.state, found.measured, found.samples) == (State.KEPT, 0.9, 2000)


def statement(name: str, calls: int, mean_ms: float, **changes: Any) -> Statement:
    """A statement of the scenario's phase with a tenth of its mean as deviation."""
    made = Statement(
        phase="scenario", id=name, text=f"SELECT {name}", calls=calls, rows=calls, total_ns=calls * mean_ms * MS,
        mean_ns=mean_ms * MS, stddev_ns=mean_ms * MS / 10, share_ratio=0.5,
    )  # fmt: skip
    return replace(made, **changes)


def test_the_slowest_statement_decides_and_a_slow_rare_one_is_not_passed_over() -> None:
    """Many fast statements don't hide a slow one; a slow one called seldom leaves the promise open."""
    what = clause(Subject.LATENCY, 50, side=Side.DATABASE, statistic=Statistic(average=True))

    def state(*statements: Statement, what: Clause = what) -> State:
        evidence = made_evidence(made_hits(steady(10)), sources=("statements",), statements=statements)
        return judged(what, evidence).state

    assert state(statement("a", 1000, 1), statement("b", 500, 2)) is State.KEPT
    assert state(statement("a", 100_000, 0.1), statement("b", 50, 90)) is State.BROKEN
    assert state(statement("a", 1000, 1), statement("b", 5, 900)) is State.INCONCLUSIVE
    assert state() is State.INCONCLUSIVE
    p95 = replace(what, statistic=Statistic(quantile=0.95))
    assert state(statement("a", 1000, 10), what=p95) is State.KEPT
    assert state(statement("a", 1000, 90), what=p95) is State.BROKEN
    assert state(statement("a", 1000, 48), what=p95) is State.INCONCLUSIVE


def test_counters_that_were_reset_decide_nothing() -> None:
    """A difference over a reset is a lower bound."""
    database = Database(
        phase="scenario", commits=1, rollbacks=0, blocks_hit=0, blocks_read=0, temp_bytes=0, deadlocks=0, sessions=1,
        connections=1, max_connections=100, statements_reset=True,
    )  # fmt: skip
    what = clause(Subject.LATENCY, 50, side=Side.DATABASE, statistic=Statistic(average=True))
    evidence = made_evidence(
        made_hits(steady(10)), sources=("statements",), statements=(statement("a", 1000, 1),), databases=(database,)
    )
    assert judged(what, evidence).state is State.INCONCLUSIVE


def scanning(rows: float, *, early: bool = False) -> Plan:
    """A plan that reads a table from end to end."""
    scan = TableScan(table="posts", rows=rows, filter="user_id = $1", stops_early=early)
    return Plan(statement_id="a", json={}, scans=(scan,))


def table(scans: int, rows_each: int) -> Table:
    """A table of a million rows and how it was read."""
    return Table(
        phase="scenario", name="posts", rows=1e6, size_bytes=1, indexes=1, sequential_scans=scans,
        sequential_rows=scans * rows_each, index_scans=0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("plan_", "calls", "counted", "expected"),
    [
        (scanning(1e6), 500, table(500, 1_000_000), State.BROKEN),
        (scanning(1e6), 500, table(0, 0), State.INCONCLUSIVE),  # the plan alone
        (Plan(statement_id="a", json={}, scans=()), 500, table(500, 1_000_000), State.INCONCLUSIVE),  # counters alone
        (Plan(statement_id="a", json={}, scans=()), 500, table(0, 0), State.KEPT),
        (scanning(1e6, early=True), 500, table(500, 20), State.KEPT),  # left early
        (scanning(5_000), 500, table(0, 0), State.KEPT),  # a small table
        (None, 500, table(0, 0), State.INCONCLUSIVE),  # no plan
        (scanning(1e6), 100, table(100, 1_000_000), State.INCONCLUSIVE),  # nothing busy
    ],
)
def test_indexed_needs_plan_and_counters_to_agree(
    plan_: Plan | None, calls: int, counted: Table, expected: State
) -> None:
    """A scan that is planned and counted breaks; one without the other decides nothing; neither keeps."""
    evidence = made_evidence(
        made_hits(steady(10)), sources=("statements", "plans", "tables"),
        statements=(statement("a", calls, 1, plan=plan_, plan_error=None if plan_ else "truncated"),),
        tables=(counted,),
    )  # fmt: skip
    assert judged(clause(Subject.INDEXED, side=Side.DATABASE), evidence).state is expected


def monitoring(**changes: Any) -> Monitoring:
    """Metrics that moved and two alerts from files."""
    made = Monitoring(
        metrics_url="http://127.0.0.1:1/metrics", metrics_error=None, metric_families=4,
        request_metric="http_requests_total", request_metric_moved_by=100.0, requests_sent=100, alerts=("A", "B"),
        alerts_loaded=False, alerts_error=None,
    )  # fmt: skip
    return replace(made, **changes)


def test_monitoring_must_move_and_alerts_must_speak_of_what_there_is() -> None:
    """Metrics that stand still monitor nothing; an alert on a metric nobody shows never fires."""
    hits = made_hits(steady(10))

    def states(seen: Monitoring | None) -> tuple[State, State]:
        evidence = made_evidence(hits, monitoring=seen)
        return judged(clause(Subject.MONITORING), evidence).state, judged(clause(Subject.ALERTS), evidence).state

    assert states(monitoring()) == (State.KEPT, State.KEPT)
    assert states(monitoring(request_metric_moved_by=0.0))[0] is State.BROKEN
    assert states(monitoring(metrics_error="404")) == (State.BROKEN, State.INCONCLUSIVE)
    assert states(monitoring(unknown_metrics=("nothing_total",)))[1] is State.BROKEN
    assert states(monitoring(alerts=(), metrics_url=None)) == (State.INCONCLUSIVE, State.INCONCLUSIVE)
    assert states(None) == (State.INCONCLUSIVE, State.INCONCLUSIVE)


def test_what_is_not_understood_is_inconclusive_with_its_line() -> None:
    """It isn't skipped, and it says what could be said instead."""
    criterion = Criterion(
        id="AC-US1-01", text="Users feel happy", file=SPEC, line=12, not_understood="'feel'", instead="P95 < 100 ms"
    )
    promise = Promise(id="0001-x", title="x", folder=None, criteria=(criterion,))
    verdict = judge(promise, made_evidence(made_hits(steady(10))), ())
    assert (verdict.state, verdict.exit_code) == (State.INCONCLUSIVE, ExitCode.INCONCLUSIVE)
    assert "spec.md:12" in verdict.judgements[0].reason
    assert "P95 < 100 ms" in verdict.judgements[0].reason


SPEC = made_promise(P95).criteria[0].file


def test_the_worst_state_is_the_verdicts_and_nothing_promised_is_never_kept() -> None:
    """Broken goes before invalid, inconclusive and kept; an interrupted run is invalid as a whole."""
    evidence = made_evidence(made_hits(steady(10)))
    assert judge(made_promise(P95), evidence, ()).exit_code is ExitCode.KEPT
    assert judge(made_promise(P95, replace(P95, limit=MS)), evidence, ()).exit_code is ExitCode.BROKEN
    assert judge(made_promise(), evidence, ()).exit_code is ExitCode.INCONCLUSIVE
    stopped = judge(made_promise(P95), replace(evidence, interrupted=True), ())
    assert stopped.exit_code is ExitCode.INVALID
    assert {each.state for each in stopped.judgements} == {State.INVALID}


def test_a_promised_rate_is_offered_and_one_percent_more() -> None:
    """One phase a rate, the ordinary first, with the connections that Little's law asks for."""
    promise = made_promise(
        P95, clause(Subject.THROUGHPUT, 10_000.0, comparison=Comparison.GE), replace(P95, at_rate_per_s=10_000.0),
        replace(P95, at_rate_per_s=500.0),
    )  # fmt: skip
    ordinary, low, high = plan(promise, SCENARIO, duration_s=30).phases
    assert (ordinary.name, ordinary.rate_per_s, ordinary.duration_s) == ("scenario", 100, 30)
    assert (low.name, low.rate_per_s) == ("500 req/s", 500)
    assert (high.name, high.rate_per_s) == ("10,000 req/s", 10_100)
    assert high.max_connections >= 10_100 * 0.1


@given(st.integers(1, 200_000), st.floats(0.001, 0.9999), st.sampled_from([0.025, 0.975]))
def test_ranks_are_the_binomial_ones(n: int, q: float, p: float) -> None:
    """The order statistics that bound a quantile are those of the binomial distribution, by scipy's own reckoning."""
    assert intervals._rank(p, n, q) == stats.binom.ppf(p, n, q)
