"""What people write in acceptance criteria, and what it is understood to promise."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib.resources import files

import pytest
from lark import Lark

from headway.model import Clause, Comparison, Side, Statistic, Subject
from headway.promises.criterion import plain_text, read

MS = 1e6
S = 1e9
P95, P99 = Statistic(quantile=0.95), Statistic(quantile=0.99)
AVERAGE, MAXIMUM = Statistic(average=True), Statistic(maximum=True)


def api(
    comparison: str, limit: float, statistic: Statistic = P95, route: str | None = None, at: float | None = None
) -> Clause:
    return Clause(
        subject=Subject.LATENCY,
        side=Side.CLIENT,
        statistic=statistic,
        comparison=Comparison(comparison),
        limit=limit,
        route=route,
        at_rate_per_s=at,
    )


def sql(comparison: str, limit: float, statistic: Statistic = AVERAGE) -> Clause:
    return replace(api(comparison, limit, statistic), side=Side.DATABASE)


def of(
    subject: Subject,
    comparison: str,
    limit: float,
    route: str | None = None,
    at: float | None = None,
    side: Side = Side.CLIENT,
) -> Clause:
    return Clause(
        subject=subject, side=side, comparison=Comparison(comparison), limit=limit, route=route, at_rate_per_s=at
    )


def by_windows(clause: Clause, ratio: float, window_s: int) -> Clause:
    return replace(clause, windows_ratio=ratio, window_s=window_s)


def rate(limit: float, comparison: str = ">=", route: str | None = None) -> Clause:
    return of(Subject.THROUGHPUT, comparison, limit, route)


def hits(comparison: str, limit: float, side: Side = Side.CACHE, at: float | None = None) -> Clause:
    return of(Subject.HIT_RATE, comparison, limit, side=side, at=at)


def errors(comparison: str, limit: float, route: str | None = None, at: float | None = None) -> Clause:
    return of(Subject.ERROR_RATE, comparison, limit, route, at)


def available(comparison: str, limit: float) -> Clause:
    return of(Subject.AVAILABILITY, comparison, limit)


INDEXED = Clause(subject=Subject.INDEXED, side=Side.DATABASE)
MONITORING = Clause(subject=Subject.MONITORING, side=Side.CLIENT)
ALERTS = Clause(subject=Subject.ALERTS, side=Side.CLIENT)
USER = "GET /users/{id}"

UNDERSTOOD: dict[str, tuple[Clause, ...]] = {
    # -- latency, whole API
    "API response time <100ms (P95) (P1)": (api("<", 100 * MS),),
    "API response time < 100 ms": (api("<", 100 * MS),),
    "API latency P99 <= 250ms": (api("<=", 250 * MS, P99),),
    "P95 < 100 ms": (api("<", 100 * MS),),
    "p95 < 100 MS": (api("<", 100 * MS),),
    "(P95) API response time < 100 ms": (api("<", 100 * MS),),
    "P99.9 latency under 1 s": (api("<", S, Statistic(quantile=0.999)),),
    "P99.99 latency under 1.5 seconds": (api("<", 1.5 * S, Statistic(quantile=0.9999)),),
    "p50 latency at most 20 milliseconds": (api("<=", 20 * MS, Statistic(quantile=0.5)),),
    "Response time (median) <= 20 ms": (api("<=", 20 * MS, Statistic(quantile=0.5)),),
    "95th percentile response time below 100 ms": (api("<", 100 * MS),),
    "99th-percentile latency less than 250 ms": (api("<", 250 * MS, P99),),
    "Average response time within 50 ms": (api("<=", 50 * MS, AVERAGE),),
    "Mean latency of the API must be under 50ms": (api("<", 50 * MS, AVERAGE),),
    "avg latency < 500 µs": (api("<", 0.5 * MS, AVERAGE),),
    "avg latency < 500us": (api("<", 0.5 * MS, AVERAGE),),
    "avg latency < 900,000 ns": (api("<", 0.9 * MS, AVERAGE),),
    "Max response time < 2s": (api("<", 2 * S, MAXIMUM),),
    "maximum latency <= 1 minute": (api("<=", 60 * S, MAXIMUM),),
    "response time max 2 s": (api("<=", 2 * S, MAXIMUM),),
    "P95 latency max 2 s": (api("<=", 2 * S),),
    "P95 of 100 ms": (api("<=", 100 * MS),),
    "P95 latency no more than 1,500 ms": (api("<=", 1.5 * S),),
    "P95 latency must not exceed 100 ms": (api("<=", 100 * MS),),
    "P95 latency never exceeds 100 ms": (api("<=", 100 * MS),),
    "P95 ≤ 0.25 s": (api("<=", 250 * MS),),
    "P95 &lt; 100 ms": (api("<", 100 * MS),),
    "P95 &amp;lt; 100 ms": (api("<", 100 * MS),),
    "P95 &le; 100 ms": (api("<=", 100 * MS),),
    "P95 \\< 100 ms": (api("<", 100 * MS),),
    "**API response time** `<100ms` (P95) ✅": (api("<", 100 * MS),),
    "[x] API response time *< 100ms*": (api("<", 100 * MS),),
    "☐ API response time: < 100 ms.": (api("<", 100 * MS),),
    "API responds within 100 ms": (api("<=", 100 * MS),),
    "API should respond in less than 100 ms": (api("<", 100 * MS),),
    "95% of requests complete in under 200 ms": (api("<", 200 * MS),),
    "at least 99% of requests within 250 ms": (api("<=", 250 * MS, P99),),
    "latency < 100 ms for 99% of requests": (api("<", 100 * MS, P99),),
    "All requests < 1 s": (api("<", S, MAXIMUM),),
    "P95 of all requests < 1 s": (api("<", S),),
    "response time of 100 ms or less": (api("<=", 100 * MS),),
    # -- one route
    "GET /users/{id} P99 <= 250 ms": (api("<=", 250 * MS, P99, USER),),
    "GET /users/{id} P99 <= 250 ms at 2K req/sec (P1)": (api("<=", 250 * MS, P99, USER, 2000.0),),
    "`GET /users/{id}` P99 &lt;= 250 ms": (api("<=", 250 * MS, P99, USER),),
    "GET /users/:id P99 <= 250 ms": (api("<=", 250 * MS, P99, USER),),
    "get /users/<int:id> P99 <= 250 ms": (api("<=", 250 * MS, P99, USER),),
    "POST /orders response time under 200ms": (api("<", 200 * MS, P95, "POST /orders"),),
    "POST /orders: response time under 200ms": (api("<", 200 * MS, P95, "POST /orders"),),
    "/users page under 1s": (api("<", S, P95, "GET /users"),),
    "P95 of GET /feed?limit=20 < 100ms": (api("<", 100 * MS, P95, "GET /feed?limit=20"),),
    "response time < 100 ms for GET /users_by-email/{email}": (api("<", 100 * MS, P95, "GET /users_by-email/{email}"),),
    "GET / responds in under 100 ms": (api("<", 100 * MS, P95, "GET /"),),
    # -- under a load
    "P95 < 100 ms @ 500 rps": (api("<", 100 * MS, at=500.0),),
    "P95 < 100 ms under 2K req/s load": (api("<", 100 * MS, at=2000.0),),
    "P95 < 100 ms under 2K req/s": (api("<", 100 * MS, at=2000.0),),
    "P95 < 100 ms under a load of 2,000 req/s": (api("<", 100 * MS, at=2000.0),),
    "P95 < 100 ms at 600 requests per minute": (api("<", 100 * MS, at=10.0),),
    "At 2K req/s, P95 < 100 ms": (api("<", 100 * MS, at=2000.0),),
    # -- for most of the time
    "API response time <100ms (P95) for 95% of the seconds": (by_windows(api("<", 100 * MS), 0.95, 1),),
    "95% of requests < 100 ms in 99% of 10 s windows": (by_windows(api("<", 100 * MS), 0.99, 10),),
    "P95 < 100 ms for 95% of the seconds and P99 < 300 ms": (
        by_windows(api("<", 100 * MS), 0.95, 1),
        api("<", 300 * MS, P99),
    ),
    # -- the database
    "Database queries <50ms (P1)": (sql("<", 50 * MS),),
    "DB query time avg < 50 ms": (sql("<", 50 * MS),),
    "SQL queries run in at most 50 ms": (sql("<=", 50 * MS),),
    "Queries < 50 ms": (sql("<", 50 * MS),),
    "Database query latency P95 < 50 ms": (sql("<", 50 * MS, P95),),
    "every query < 50 ms": (sql("<", 50 * MS, MAXIMUM),),
    "PostgreSQL statements mean < 50 ms": (sql("<", 50 * MS),),
    "database response time < 50 ms": (sql("<", 50 * MS),),
    # -- throughput
    "Handle 10K requests/sec (P2)": (rate(10_000.0),),
    "handles 10,000 requests per second": (rate(10_000.0),),
    "API can handle at least 1.5K req/s": (rate(1500.0),),
    "at least 500 rps": (rate(500.0),),
    ">= 500 RPS": (rate(500.0),),
    "Max throughput > 15K req/s": (rate(15_000.0, ">"),),
    "Max throughput: 15K req/sec": (rate(15_000.0),),
    "Throughput of at least 2M req/min": (rate(2e6 / 60),),
    "sustain 2,000 req/s": (rate(2000.0),),
    "Sustains over 2,000 qps": (rate(2000.0, ">"),),
    "minimum 500 rps": (rate(500.0),),
    "500 rps or more": (rate(500.0),),
    "Handles up to 10K req/s": (rate(10_000.0),),
    "GET /users/{id} handles 500 rps": (rate(500.0, route=USER),),
    # -- caches
    "Cache hit rate >80% (P2)": (hits(">", 0.8),),
    "Redis cache hit ratio ≥ 85.5 %": (hits(">=", 0.855),),
    "hit rate above 80 percent": (hits(">", 0.8),),
    "at least 80% cache hit rate": (hits(">=", 0.8),),
    "CDN cache hit rate > 90%": (hits(">", 0.9, Side.EDGE),),
    "Edge hit rate at least 90% at 500 rps": (hits(">=", 0.9, Side.EDGE, 500.0),),
    # -- errors, availability
    "Error rate < 0.1% (P1)": (errors("<", 0.001),),
    "fewer than 1% errors": (errors("<", 0.01),),
    "less than 1% of requests fail": (errors("<", 0.01),),
    "POST /orders error rate at most 0.5% at 100 rps": (errors("<=", 0.005, "POST /orders", 100.0),),
    "no errors": (errors("<=", 0.0),),
    "Availability >= 99.9%": (available(">=", 0.999),),
    "uptime at least 99.999%": (available(">=", 0.99999),),
    "API available 99.9% of the time": (available(">=", 0.999),),
    # -- what holds or doesn't
    "Database queries indexed (P1)": (INDEXED,),
    "All queries use indexes": (INDEXED,),
    "every database query uses an index": (INDEXED,),
    "No sequential scans": (INDEXED,),
    "no full table scans": (INDEXED,),
    "APM monitoring enabled (P2)": (MONITORING,),
    "APM/monitoring enabled": (MONITORING,),
    "Metrics exposed": (MONITORING,),
    "Alerts configured (P2)": (ALERTS,),
    "Alerting set up": (ALERTS,),
    "Monitoring and alerts configured": (MONITORING, ALERTS),
    # -- several at once
    "P95 < 100 ms and P99 < 300 ms": (api("<", 100 * MS), api("<", 300 * MS, P99)),
    "GET /users/{id} P95 < 100 ms, P99 < 300 ms": (
        api("<", 100 * MS, route=USER),
        api("<", 300 * MS, P99, USER),
    ),
    "Database queries avg < 50 ms and P95 < 80 ms": (sql("<", 50 * MS), sql("<", 80 * MS, P95)),
    "Handle 10K req/s with P95 < 100 ms": (rate(10_000.0), api("<", 100 * MS, at=10_000.0)),
    "P95 < 100 ms while handling 10K req/s": (api("<", 100 * MS, at=10_000.0), rate(10_000.0)),
    "P95 < 100 ms and P99 < 300 ms at 500 rps": (api("<", 100 * MS, at=500.0), api("<", 300 * MS, P99, at=500.0)),
    "Database queries indexed and cache hit rate > 80%": (INDEXED, hits(">", 0.8)),
    "API response time <100ms (P95) and error rate < 1%": (api("<", 100 * MS), errors("<", 0.01)),
}

NOT_UNDERSTOOD = (  # text, what the reason names
    ("P95 < 100ms for logged-in users in Asia", "logged-in users in Asia"),
    ("P95 < 100 ms with 10K concurrent users", "concurrent users"),
    ("P95 < 100 ms under peak load", "without a number"),
    ("P95 < 100 ms (was 500 ms)", "was"),
    ("P95 < 100 ms unless the cache is cold", "unless"),
    ("P95 is not 100 ms", "not"),
    ("the API does not handle 10K req/s", "does not"),
    ("All endpoints P95 < 200 ms", "each one"),
    ("latency > 100ms", "upper bound"),
    ("P95 latency at least 100 ms", "upper bound"),
    ("queries slower than 50 ms", "upper bound"),
    ("hit rate < 80%", "lower bound"),
    ("availability under 99%", "lower bound"),
    ("throughput < 500 rps", "lower bound"),
    ("at most 500 rps", "lower bound"),
    ("error rate > 1%", "upper bound"),
    ("Max 500 req/s", "the least or the most"),
    ("hit rate > 120%", "above 100%"),
    ("availability > 100%", "above 100%"),
    ("hit rate >= 0%", "nothing works"),
    ("error rate < 0%", "below 0%"),
    ("error rate <= 100%", "every request fails"),
    ("throughput >= 0 req/s", "is down"),
    ("latency < -5ms", "below zero"),
    ("latency < 0 ms", "no time"),
    ("P101 < 100 ms", "no percentile 101"),
    ("P999 < 100 ms", "no percentile 999"),
    ("P100 < 100 ms", "maximum"),
    ("P1 latency < 100 ms", "fastest"),
    ("(P1) latency < 100 ms", "fastest"),
    ("P95 < 100 ms at 0 rps", "no load"),
    ("response time < 100", "no unit"),
    ("P95 < 100", "no unit"),
    ("Handle 10K requests", "no unit"),
    ("cache hit ratio > 0.8", "no unit"),
    ("error rate < 1", "no unit"),
    ("P95 < 5m", '"m" may be'),
    ("P95 < 0,5 s", "with a point"),
    ("P95 < 1.234 s", "separator"),
    ("Handle 10.000 req/s", "separator"),
    ("P95 = 100 ms", "equals"),
    ("P95 ~ 100 ms", "~"),
    ("< 100 ms", "what takes that long"),
    ("endpoint P95 < 100 ms", "which endpoint"),
    ("P95 and P99 < 100 ms", "read on"),
    ("P95 P99 latency < 100 ms", "two statistics"),
    ("P95 < 100 ms < 200 ms", "read on"),
    ("GET /users and /orders P95 < 100 ms", "read on"),
    ("GET /users /orders P95 < 100 ms", "two routes"),
    ("GET /api/* P95 < 100 ms", "GET /api/*"),
    ("GET /users database queries < 50 ms", "API and of the database"),
    ("GET /users P95 < 100 ms and error rate < 1%", "unclear"),
    ("Database queries indexed and P95 < 50 ms", "unclear"),
    ("At 500 rps handle 2K req/s with P95 < 100 ms", "one load to hold under"),
    ("GET /users handles 500 rps with P95 < 100 ms", "one route"),
    ("cache miss rate < 20%", "misses"),
    ("success rate > 99%", "success"),
    ("Redis and CDN hit rate > 80%", "read on"),
    ("Redis CDN hit rate > 80%", "two caches"),
    ("P95 < 100 ms and P95 < 100 ms", "twice"),
    ("Database queries indexed at 500 rps", "read on"),
    ("Users can log in", "Users"),
    ("The system is fast", "fast"),
    ("", "empty"),
    ("P95 < 100 ms " * 40, "characters"),
)


@pytest.mark.parametrize(("text", "expected"), UNDERSTOOD.items(), ids=UNDERSTOOD.keys())
def test_a_phrase_promises_just_this(text: str, expected: tuple[Clause, ...]) -> None:
    """What people write is read as what they mean, to the last field; only `assumed` is in words."""
    reading = read(text)
    assert reading.not_understood is None, reading
    assert tuple(replace(clause, assumed=()) for clause in reading.clauses) == expected


@pytest.mark.parametrize(("text", "named"), NOT_UNDERSTOOD, ids=[text[:60] for text, _ in NOT_UNDERSTOOD])
def test_a_phrase_that_cannot_be_tested_is_refused_with_the_reason(text: str, named: str) -> None:
    """Nothing is trimmed or guessed: no clause, a reason that names the part, and a sentence that is understood."""
    reading = read(text)
    assert reading.clauses == ()
    assert reading.not_understood is not None
    assert named in reading.not_understood
    assert reading.instead is not None
    assert read(reading.instead).clauses, reading.instead


@pytest.mark.parametrize("text", UNDERSTOOD, ids=UNDERSTOOD.keys())
def test_no_phrase_has_two_readings(text: str) -> None:
    """The grammar gives each understood phrase one tree, so that no reading is picked by chance."""
    assert not list(_every_reading().parse(plain_text(text)[0]).find_data("_ambig"))


@cache
def _every_reading() -> Lark:
    text = files("headway.promises").joinpath("criterion.lark").read_text(encoding="utf-8")
    return Lark(text, parser="earley", lexer="basic", ambiguity="explicit", maybe_placeholders=False)


@pytest.mark.parametrize(
    ("text", "assumed"),
    [
        ("API response time < 100 ms", "P95, since the text names no statistic"),
        ("Database queries < 50 ms", "the mean of each statement, the slowest decides"),
        ("Handle 10K req/s", ">=, since"),
        ("P95 < 100 ms", "the whole API"),
        ("hit rate > 80%", "Redis or Valkey"),
        ("/users P95 < 1 s", "GET, since"),
        ("all requests < 1 s", "the slowest of them"),
        ("P95 < 100 ms and P99 < 300 ms at 500 rps", "under the 500 req/s"),
        ("GET /users P95 < 1 s at 500 rps", "the load on the whole API"),
    ],
)
def test_what_the_text_leaves_open_is_said(text: str, assumed: str) -> None:
    """A default is never silent: it stands in `assumed`, in words."""
    assert any(assumed in words for clause in read(text).clauses for words in clause.assumed)


@pytest.mark.parametrize(
    ("text", "priority"),
    [
        ("API response time <100ms (P95) (P1)", "P1"),
        ("API response time <100ms (P95)", None),
        ("Error rate < 1% (p0) ✅", "P0"),
        ("Error rate < 1% ✅ [P4]", "P4"),
        ("Error rate < 1%", None),
    ],
)
def test_a_priority_is_no_percentile(text: str, priority: str | None) -> None:
    """P0 to P4 in the last parenthesis rank the criterion; P50 and up measure it."""
    reading = read(text)
    assert reading.clauses
    assert reading.priority == priority
