"""Whose time a request's is: every moment of its server span once, however its spans lie."""

from __future__ import annotations

import time
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from headway.diagnose.critical_path import Span, attribute, part_of
from headway.model import BudgetPart

ROOT = Span(id=b"root", parent=None, kind=2, name="GET /", system=None, start_ns=0, end_ns=1_000)
KINDS = (("postgresql", 3), ("redis", 3), (None, 3), (None, 1))


def span(
    number: int, start: int, end: int, *, system: str | None = "postgresql", kind: int = 3, under: bytes = b"root"
) -> Span:
    """A child with a number for its name."""
    return Span(
        id=b"%d" % number, parent=under, kind=kind, name=f"s{number}", system=system, start_ns=start, end_ns=end
    )


@st.composite
def traces(draw: st.DrawFn) -> list[Span]:
    """Spans anywhere, under anything: under each other in circles, under nothing, longer than their parent."""
    count = draw(st.integers(0, 12))
    ids = [b"root", b"nowhere", *(b"%d" % n for n in range(count))]
    found = [ROOT]
    for number in range(count):
        start = draw(st.integers(-300, 1_300))
        system, kind = draw(st.sampled_from(KINDS))
        found.append(
            span(
                number,
                start,
                start + draw(st.integers(0, 900)),
                system=system,
                kind=kind,
                under=draw(st.sampled_from(ids)),
            )
        )
    return found


@settings(max_examples=120, deadline=None)
@given(traces())
def test_the_parts_are_the_server_span_to_the_nanosecond(spans: list[Span]) -> None:
    """Whatever lies where, parts add up to the span's own length, none is below 0, and nothing is counted twice."""
    found = attribute(ROOT, spans)
    assert sum(found.parts.values()) == 1_000
    assert all(ns >= 0 for ns in found.parts.values())
    assert found.overlap_ns >= 0


@settings(max_examples=120, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1_000), st.integers(0, 1_000)), max_size=15))
def test_own_time_is_what_no_call_covers(pairs: list[tuple[int, int]]) -> None:
    """Of calls straight under the server span, own time is the span less the union of their intervals."""
    intervals = [(min(pair), max(pair)) for pair in pairs]
    covered = {moment for low, high in intervals for moment in range(low, high)}
    found = attribute(ROOT, [ROOT, *(span(n, low, high) for n, (low, high) in enumerate(intervals))])
    assert found.parts.get(BudgetPart.OWN, 0) == 1_000 - len(covered)
    assert found.overlap_ns == sum(high - low for low, high in intervals) - len(covered)


def test_of_parallel_calls_the_one_waited_for_counts() -> None:
    """Two queries and a longer cache call at once: the cache call has its time, the rest is said to have run behind."""
    spans = [ROOT, span(1, 100, 300), span(2, 100, 400), span(3, 100, 700, system="redis")]
    found = attribute(ROOT, spans)
    assert found.parts == {BudgetPart.CACHE: 600, BudgetPart.OWN: 400}
    assert found.overlap_ns == 500


def test_a_call_that_ends_last_has_only_what_was_not_waited_for_before() -> None:
    """A query to 500 and a call from 400 to 900: the query has 0 to 400, the call 400 to 900."""
    found = attribute(ROOT, [ROOT, span(1, 0, 500), span(2, 400, 900, system=None)])
    assert found.parts == {BudgetPart.DATABASE: 400, BudgetPart.DOWNSTREAM: 500, BudgetPart.OWN: 100}


def test_calls_inside_the_service_s_own_spans_are_found() -> None:
    """An internal span is the service's own; what it calls is the database's, with what a driver opens below."""
    inner = span(1, 100, 900, system=None, kind=1)
    query, below = span(2, 200, 600, under=b"1"), span(3, 250, 500, under=b"2")
    found = attribute(ROOT, [ROOT, inner, query, below])
    assert found.parts == {BudgetPart.DATABASE: 400, BudgetPart.OWN: 600}


def test_words_of_shops_are_no_pools() -> None:
    """A span is a wait for a connection by its name only when it speaks of a pool or a connection's coming free."""
    pools = ["pool.acquire", "connection pool", "psycopg_pool getconn", "connect", "acquire connection"]
    others = ["checkout", "carpool", "acquire lock", "POST /pools", "spool"]
    named = [replace(span(1, 0, 1, system=None, kind=1), name=name) for name in (*pools, *others)]
    assert [each.name for each in named if part_of(each) is BudgetPart.POOL] == pools


def test_a_hundred_thousand_children_take_a_moment() -> None:
    """Time grows with the number of spans times its logarithm, not with its square; chains of 10,000 don't overflow."""
    wide = [ROOT, *(span(n, n % 1_000, n % 1_000 + 1) for n in range(100_000))]
    deep = [ROOT, span(0, 0, 900, system=None, kind=1)]
    deep += [span(n, 0, 900, system=None, kind=1, under=b"%d" % (n - 1)) for n in range(1, 10_000)]
    began = time.process_time()
    assert sum(attribute(ROOT, wide).parts.values()) == 1_000
    assert sum(attribute(ROOT, deep).parts.values()) == 1_000
    assert time.process_time() - began < 5
