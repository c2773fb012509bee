"""What is said of how much a run's traces show: never more than was seen, and never silent about what is missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headway.diagnose import coverage
from headway.model import EdgeUse, Evidence, PoolSeen, Received
from headway.report import advice, html, summary
from headway.report import coverage as coverage_report
from made import report_run as made
from otlp_bodies import CLIENT, SERVER, request, stored

BEGUN_NS = int((made.BEGUN_S + 6) * 1e9)
SHOWN = "SELECT <script>alert(1)</script> \x1b[31m FROM posts"


def server(number: int, route: str, **more: Any) -> dict[str, Any]:
    """A request's span within the phase."""
    at = BEGUN_NS + number * 1_000_000
    said = {"http.method": "GET", "http.route": route}
    return {"kind": SERVER, "start_time_unix_nano": at, "end_time_unix_nano": at + 500_000, "attributes": said, **more}


def call(number: int, text: str | None, **more: Any) -> dict[str, Any]:
    """A statement's span within the phase, of no request that came."""
    said = {"db.system": "postgresql", **({"db.statement": text} if text else {})}
    at = BEGUN_NS + number * 1_000_000
    times = {"start_time_unix_nano": at, "end_time_unix_nano": at + 1}
    return {"kind": CLIENT, **times, "attributes": said, **more}


def run(folder: Path, *spans: dict[str, Any], answered: int, **fields: Any) -> Evidence:
    """A made run of one phase with these spans."""
    stored(folder, [request(*spans).SerializeToString()])
    (hits,) = made.full().phases[:1]
    received = Received(endpoint="http://127.0.0.1:4318", bodies=1, bytes=1, spans=len(spans), stored=len(spans))
    return replace(
        made.full(),
        folder=folder,
        phases=(replace(hits, statuses={200: answered}),),
        received=received,
        edges=(),
        **fields,
    )


def test_low_coverage_is_said_with_the_routes_that_lack_it(tmp_path: Path) -> None:
    """Three of ten requests: 30%, why that may be, and which routes."""
    spans = [server(n, "/users/{user_id}") for n in range(3)]
    evidence = run(tmp_path, *spans, call(1, "SELECT 1 FROM t WHERE a = 1"), call(2, None), answered=10)
    lines = coverage_report.lines(evidence)
    assert lines[0] == (
        "saw traces for 30% of requests (3 of 10 answered), SQL text in 50% of 2 database spans, pool metrics: no"
    )
    assert "sampled away" in lines[1]
    assert any(line.strip().startswith("of GET /products 0 of") for line in lines)
    for shown in (summary.as_text(evidence), advice.as_text((), evidence, (), None)):
        assert " ".join(lines[0].split()) in " ".join(shown.split())
    assert lines[0] in html.page(evidence, made.verdict(), ())


def test_getting_a_connection_is_no_statement_without_its_text(tmp_path: Path) -> None:
    """Node's pg makes a span of it: of two calls of the database one lacks its text, not three of four."""
    connecting = [call(n, None, name=name) for n, name in enumerate(("pg-pool.connect", "pg.connect"), start=3)]
    spans = [server(1, "/a"), call(1, "SELECT 1 FROM t"), call(2, None, name="poolside.find"), *connecting]
    assert "SQL text in 50% of 2 database spans" in coverage_report.lines(run(tmp_path, *spans, answered=1))[0]


def test_more_than_all_is_said_and_never_shown_as_more(tmp_path: Path) -> None:
    """Others ask too: the share stays 100%, and the difference is named; so is what fits no route."""
    spans = [server(n, "/users/{id}") for n in range(4)] + [server(9, "/health")]
    evidence = run(tmp_path, *spans, answered=4)
    whole = coverage.coverages(evidence)[0]
    assert (whole.traced, whole.answered, whole.ratio) == (5, 4, 1.0)
    text = "\n".join(coverage_report.lines(evidence))
    assert "1 more requests were traced than answered" in text
    assert "of no route of the scenario, by their name: 1" in text
    assert "no database spans" in text


def test_lost_parents_caches_in_front_clocks_and_pools_are_said(tmp_path: Path) -> None:
    """What makes coverage less than it looks is in the lines below it."""
    orphan = call(1, "SELECT 1 FROM t WHERE a = %s", parent_span_id=b"nobodys!")
    evidence = run(tmp_path, server(1, "/users/{id}"), orphan, answered=3)
    edge = EdgeUse(phase=evidence.phases[0].phase.name, by_status={"HIT": 2, "MISS": 1})
    told = replace(
        evidence.received or pytest.fail(), ahead_ns=3_000_000_000, dropped={"cannot write: No space left": 7},
        pools=(PoolSeen(name="main", largest={"count used": 4.0}, readings=9),), ended_early="it was (killed)",
    )  # fmt: skip
    text = "\n".join(coverage_report.lines(replace(evidence, edges=(edge,), received=told)))
    for wanted in (
        "pool metrics: main", "2 answers were a cache's", "1 spans name a parent that never came",
        "7 spans were received and not kept: cannot write", "clock is 3.00 s ahead", "it was (killed): later",
    ):  # fmt: skip
        assert wanted in text
    assert "sampled away" not in text, "the cache in front explains what is missing"


def test_hostile_names_reach_neither_markup_nor_terminal(tmp_path: Path) -> None:
    """Routes, statements and reasons of others are shown as text: no tag, no escape sequence."""
    hostile = "<img src=x onerror=alert(1)>\x1b[2J'; DROP TABLE spans; --"
    evidence = run(tmp_path, server(1, hostile, name=hostile), call(2, SHOWN), answered=40)
    evidence = replace(
        evidence, routes=(f"GET /{hostile}", *evidence.routes[1:]),
        received=replace(evidence.received or pytest.fail(), dropped={hostile: 1}),
    )  # fmt: skip
    page = html.page(evidence, made.verdict(), ())
    assert "<img src=x" not in page
    assert "\x1b" not in page + summary.as_text(evidence) + advice.as_text((), evidence, (), None)


def test_a_run_without_spans_says_nothing_of_coverage() -> None:
    """No spans, no sentence: the sources say that traces were absent."""
    assert coverage_report.lines(made.full()) == []
    assert coverage_report.data(made.full()) == []
