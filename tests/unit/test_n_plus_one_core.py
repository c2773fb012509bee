"""N+1: what repeats in a trace, what it is, how one statement asks for all, and how queries grow with rows."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import trace_cases
import trace_cases_held_out
import trace_decoys
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled import Case
from made_traces import Book

from headway.conventions import SPANS_FILE
from headway.diagnose import batching, command_shape, repeats, scaling, scaling_said, statement_shape
from headway.diagnose.repetition import Cause
from headway.diagnose.rules import n_plus_one, n_plus_one_by_counts
from headway.diagnose.statement_shape import Kind
from headway.diagnose.traced_repeats import Window
from headway.errors import BadInput, BundleDamaged
from headway.model import Confidence, Evidence, LatencyCells, Statement
from made.judged import made_evidence, made_hits

POSTS = "SELECT id, title FROM posts WHERE user_id = $1"
PAGE = "SELECT id, name FROM users ORDER BY id LIMIT $1 OFFSET $2"
NUMBERS = st.integers(min_value=-3, max_value=12)


def spans(parent: list[int], kind: list[int], statement: list[int], start: list[int]) -> repeats.TraceSpans:
    """A trace of these; what isn't given is not said."""
    n = len(parent)
    nothing = np.full(n, repeats.NONE, dtype=np.int64)
    return repeats.TraceSpans(
        parent=np.array(parent, dtype=np.int64), kind=np.array(kind, dtype=np.int64),
        start_ns=np.array(start, dtype=np.int64), duration_ns=np.full(n, 10, dtype=np.int64),
        error=np.zeros(n, dtype=bool), service=np.zeros(n, dtype=np.int64), route=nothing,
        statement=np.array(statement, dtype=np.int64), peer=nothing, code=nothing,
        key=np.zeros(n, dtype=np.uint64), has_key=np.zeros(n, dtype=bool), rows=nothing,
    )  # fmt: skip


WORDS = repeats.Words(reads=np.ones(4, dtype=bool), undoes=np.zeros(4, dtype=bool))


@given(
    st.lists(st.tuples(NUMBERS, st.integers(1, 5), st.integers(-1, 3), st.integers(0, 500)), min_size=1, max_size=12)
)
def test_no_shape_of_a_trace_breaks_it(rows: list[tuple[int, int, int, int]]) -> None:
    """Circles, missing parents, spans that are their own parent: every call is counted once at the most."""
    parent = [each[0] if each[0] < len(rows) else repeats.MISSING for each in rows]
    parent = [max(each, repeats.MISSING) for each in parent]
    trace = spans(parent, *(list(column) for column in list(zip(*rows, strict=True))[1:]))
    owner = repeats.entries(trace)
    found = repeats.repeats(trace, WORDS)
    assert sum(each.calls for each in found) <= int((trace.statement >= 0).sum())
    for each in found:
        assert owner[each.entry] == each.entry
        assert 10 <= each.cost_ns <= each.total_ns
        assert each.cost_ns <= int(trace.start_ns.max() - trace.start_ns.min()) + 10


def test_a_hundred_thousand_children_in_one_chain() -> None:
    """Each span the child of the one before: the statement at the end still finds its request."""
    n = 100_000
    trace = spans([-1, *range(n - 1)], [2] + [1] * (n - 1), [-1] * (n - 5) + [0] * 5, list(range(n)))
    (found,) = repeats.repeats(trace, WORDS)
    assert (found.entry, found.calls) == (0, 5)


def test_how_calls_lie_to_one_another() -> None:
    """One after another; at the same time, which costs less than their sum; with others between."""
    kinds, above = [2] + [3] * 8, [-1] + [0] * 8
    apart = repeats.repeats(spans(above, kinds, [-1] + [0] * 8, [0, *range(0, 160, 20)]), WORDS)[0]
    assert (apart.manner, apart.cost_ns) == (repeats.Manner.SEQUENTIAL, 80)
    together = repeats.repeats(spans(above, kinds, [-1] + [0] * 8, [0, *range(8)]), WORDS)[0]
    assert (together.manner, together.cost_ns, together.total_ns) == (repeats.Manner.CONCURRENT, 17, 80)
    mixed = repeats.repeats(spans(above, kinds, [-1] + [0, 1] * 4, [0, *range(0, 160, 20)]), WORDS)
    assert [each.manner for each in mixed] == [repeats.Manner.INTERLEAVED] * 2


@pytest.mark.parametrize(
    ("text", "kind", "column"),
    [
        ("SELECT a FROM t WHERE x = %(x)s", Kind.READ, "x"),
        ("SELECT a FROM t WHERE ? = t.x", Kind.READ, "x"),
        ("select a from t where x = :x and y > 3", Kind.READ, "x"),
        ("SELECT a FROM t WHERE x = $1 AND (y = 'it''s $9' OR z = 1) LIM", Kind.READ, "x"),
        ("SELECT a FROM t WHERE x > $1", Kind.READ, None),
        ("WITH gone AS (DELETE FROM t WHERE x = $1 RETURNING a) SELECT a FROM gone", Kind.WRITE, None),
        ("BEGIN", Kind.CONTROL, None),
        ("SELECT 1", Kind.CONTROL, None),
        ("/* route:'/x' */ SELECT a FROM t WHERE x = $1", Kind.READ, "x"),
        ("SELECT typname FROM pg_catalog.pg_type WHERE oid = $1", Kind.CONTROL, None),
    ],
)
def test_what_a_statement_is(text: str, kind: Kind, column: str | None) -> None:
    """Of any driver's placeholders, cut off or whole."""
    found = statement_shape.shape(text)
    assert found.kind is kind
    assert (found.keys[0].column if found.keys else None) == column


@given(st.text(max_size=200))
@settings(max_examples=60)
def test_no_text_breaks_the_reading_of_statements(text: str) -> None:
    """Nothing is raised, whatever stands there; a batched statement comes of a SELECT only."""
    found = statement_shape.shape(text)
    command_shape.shape(text)
    statement_shape.canonical(text)
    key = batching.chosen_key(found, text)
    if key is not None:
        batching.batched(text, key)


def test_two_normal_forms_are_the_same_statement() -> None:
    """As a driver sends it, as pg_stat_statements keeps it, with a list of any length."""
    one = statement_shape.canonical("SELECT a FROM t\nWHERE x = %s AND y IN (%s, %s) LIMIT 5")
    assert one == statement_shape.canonical("select a from t where x=$1 and y in ($2 /*, ... */) limit $3")
    assert one != statement_shape.canonical("SELECT a FROM t WHERE x = %s")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (POSTS, "SELECT user_id, id, title FROM posts WHERE user_id = ANY($1)"),
        ("SELECT user_id, id FROM posts WHERE user_id = $1 ORDER BY id",
         "SELECT user_id, id FROM posts WHERE user_id = ANY($1) ORDER BY user_id, id"),
        ("SELECT id FROM posts WHERE $1::int = posts.user_id",
         "SELECT posts.user_id, id FROM posts WHERE posts.user_id = ANY(CAST($1 AS INT[]))"),
        ("SELECT count(*) FROM posts WHERE user_id = $1",
         "SELECT keys_asked.key AS user_id, one.* FROM unnest($1::uuid[]) AS keys_asked(key) CROSS JOIN LATERAL"
         " (SELECT COUNT(*) FROM posts WHERE user_id = keys_asked.key) AS one"),
    ],
)  # fmt: skip
def test_one_statement_for_all_keys(text: str, expected: str) -> None:
    """= ANY where each key's rows stay what they are; else a lateral join, key by key."""
    key = batching.chosen_key(statement_shape.shape(text), PAGE)
    assert key is not None
    made = batching.batched(text, key, key_type="uuid")
    assert made is not None
    assert made.batched == expected


def test_hostile_names_stay_names() -> None:
    """A column's name is quoted, a type that is more than a type is refused, and so is what would change rows."""
    text = 'SELECT a FROM t WHERE "x"" ; DROP TABLE t; --" = $1 LIMIT 3'
    key = statement_shape.shape(text).keys[0]
    made = batching.batched(text, key, key_type="bigint")
    assert made is not None
    assert 'AS "x"" ; DROP TABLE t; --"' in made.batched
    assert batching.batched(text, key, key_type="int[]); DROP TABLE t; --") is None
    assert batching.batched("SELECT a INTO b FROM t WHERE x = $1", key) is None


def test_a_key_that_is_unique_needs_no_limit() -> None:
    """ORMs write LIMIT 21 or LIMIT 1 on a lookup by primary key; the parameters that are left close up."""
    text = "SELECT a FROM t WHERE LENGTH(b) < $1 AND id = $2 LIMIT $3"
    key = statement_shape.shape(text).keys[0]
    made = batching.batched(text, key, unique=True)
    assert made is not None
    assert made.batched == "SELECT id, a FROM t WHERE LENGTH(b) < $1 AND id = ANY($2)"
    assert made.takes == (1, 2)


def run_with(folder: Path, book: Book) -> Evidence:
    """A run of 100 seconds with these spans."""
    pq.write_table(book.table(), folder / SPANS_FILE)
    return made_evidence(made_hits([[50.0] * 10] * 100), folder=folder)


def users_page(book: Book, *, sizes: list[int], code: str | None = None) -> None:
    """Requests that read a page and then each one's posts."""
    for size in sizes:
        request = book.request("GET /users")
        request.sql(PAGE, 2, rows=size)
        for _ in range(size):
            request.sql(POSTS, code=code)
        request.done()


def test_a_finding_has_its_place_cost_and_remedy(tmp_path: Path) -> None:
    """Route, statement, line of code, share of the time, the batched statement; certain, as rows and calls agree."""
    book = Book(1)
    users_page(book, sizes=[5, 10, 20] * 5, code="users.py:41 in page")
    (found,) = n_plus_one.find(run_with(tmp_path, book))
    assert found.location.route == "GET /users"
    assert found.location.code == "users.py:41 in page"
    assert found.confidence is Confidence.CERTAIN
    assert found.cost_ns == pytest.approx(35 / 3 * 1e6, rel=0.2)
    assert 0.5 < found.share_ratio < 1
    (remedy,) = found.remedies
    assert "= ANY($1)" in remedy.act
    assert remedy.parameters["calls"] == 12


def test_why_it_is_none_is_said(tmp_path: Path) -> None:
    """Of a statement that repeats: the cause; of one that is an N+1, or that no span shows: nothing."""
    book = Book(1)
    users_page(book, sizes=[5, 10])
    for _ in range(5):
        request = book.request("GET /me")
        for _ in range(8):
            request.sql("SELECT name FROM users WHERE id = $1", key="one and the same")
        request.done()
    run = run_with(tmp_path, book)
    texts = {"a": POSTS, "b": "SELECT name FROM users WHERE id = $1", "c": "SELECT 2"}
    run = replace(run, statements=tuple(counted(each, text, 10, 10) for each, text in texts.items()))
    assert n_plus_one.why_not(run, "a") is None
    assert Cause.DUPLICATE.value in (n_plus_one.why_not(run, "b") or "")
    assert n_plus_one.why_not(run, "c") is None
    assert n_plus_one.why_not(run, "?") is None


def test_spans_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    """The file, not a traceback; and no spans are no finding."""
    run = made_evidence(made_hits([[50.0]]), folder=tmp_path)
    assert list(n_plus_one.find(run)) == []
    (tmp_path / SPANS_FILE).write_bytes(b"PAR1 and nothing else PAR1")
    with pytest.raises(BundleDamaged, match=r"spans\.parquet"):
        list(n_plus_one.find(run))


SOME = [*trace_cases.CASES, *trace_decoys.CASES, *trace_cases_held_out.CASES][::5]


@pytest.mark.parametrize("case", SOME, ids=lambda each: each.name)
def test_labelled_traces_stay_told_apart(case: Case, tmp_path: Path) -> None:
    """Every fifth of the labelled cases; benchmarks/diagnosis/traces.py has them all."""
    pq.write_table(case.book().table(), tmp_path / SPANS_FILE)
    window = Window(name="all", begin_ns=0, end_ns=2**62)
    said = {
        (each.repeated.route, each.repeated.statement) for each in n_plus_one.told(tmp_path, [window]) if each.speaks
    }
    assert said == case.labels


def counted(identity: str, text: str, calls: int, rows: int) -> Statement:
    """As pg_stat_statements counted it in the made run's phase."""
    return Statement(
        phase="scenario", id=identity, text=text, calls=calls, rows=rows, total_ns=calls * 1e6, mean_ns=1e6,
        stddev_ns=0.0, share_ratio=0.5,
    )  # fmt: skip


def counts(*statements: Statement, answers: tuple[int, int] = (1_000, 100)) -> Evidence:
    """A run with these counts, and so many answers of its two routes."""
    cells = LatencyCells(
        second=np.zeros(2, dtype=np.int64), route=np.array([0, 1]), bucket=np.array([500, 500]), count=np.array(answers)
    )
    return made_evidence(made_hits([[50.0] * 55] * 20, response=cells), statements=statements)


def test_counts_alone_give_it_away() -> None:
    """Called as often as the page returned rows, by a key that names its table: likely, with its route."""
    (found,) = n_plus_one_by_counts.find(counts(counted("p", PAGE, 100, 2_000), counted("s", POSTS, 2_003, 9_000)))
    assert "20.0 times for each SELECT id, name FROM users" in found.line
    assert found.location.route == "GET /feed"
    assert found.confidence is Confidence.LIKELY
    assert found.cost_ns == pytest.approx(20.03e6)
    assert found.remedies[0].parameters["calls"] == 20


@pytest.mark.parametrize(
    ("page", "inner", "text"),
    [
        (counted("p", PAGE, 100, 2_000), 1_500, POSTS),  # another number
        (counted("p", PAGE, 100, 2_000), 2_000, "SELECT id FROM posts WHERE topic_id = $1"),  # of another table
        (counted("p", PAGE, 1_900, 2_000), 2_000, POSTS),  # one row a time
        (counted("p", PAGE, 100, 2_000), 2_000, "SELECT id FROM posts WHERE user_id = ANY($1)"),
        (counted("p", PAGE, 100, 2_000), 2_000, "UPDATE posts SET a = 1 WHERE user_id = $1"),
    ],
)
def test_counts_that_are_no_n_plus_one(page: Statement, inner: int, text: str) -> None:
    """And the reason is said when it is asked for."""
    run = counts(page, counted("s", text, inner, 9_000))
    assert list(n_plus_one_by_counts.find(run)) == []
    assert n_plus_one_by_counts.why_not(run, "s") is not None


@given(st.floats(-50, 50), st.floats(-5, 5), st.lists(st.integers(1, 1_000), min_size=3, max_size=20, unique=True))
def test_a_line_is_found_again(fixed: float, each: float, rows: list[int]) -> None:
    """Points on a line give that line, and an interval that holds its slope."""
    found = scaling.fit(rows, [fixed + each * n for n in rows])
    assert found.each == pytest.approx(each, abs=1e-6)
    assert found.fixed == pytest.approx(fixed, abs=1e-4)
    assert found.each_low - 1e-6 <= each <= found.each_high + 1e-6


def test_two_points_make_a_line_without_bounds() -> None:
    """And one number of rows makes none."""
    assert math.isinf(scaling.fit([1, 2], [3, 5]).each_high)
    with pytest.raises(ValueError, match="two different"):
        scaling.fit([5, 5], [1, 2])


def test_what_grows_with_the_page_is_told_from_what_does_not() -> None:
    """One call a row is an N+1; one for each five hundred rows, and writes, are not; others' statements are said."""
    names = {
        "n": ("n", POSTS),
        "b": ("b", "SELECT a FROM t WHERE id = ANY($1)"),
        "w": ("w", "INSERT INTO log VALUES ($1)"),
    }
    seen = [
        (size, {names["n"]: float(size), names["b"]: 1.0 + size // 500, names["w"]: float(size)})
        for size in (10, 50) * 3
    ]
    found = scaling.scaled("GET /users", seen, requests=18, pause=0.4)
    assert [each.statement_id for each in found.n_plus_one] == ["n"]
    assert "40%" in found.notes[0]
    text = scaling_said.as_text(found)
    assert "1 N+1" in text
    assert '"n_plus_one": true' in scaling_said.as_json(found)
    assert scaling.scaled("GET /users", [(10, {}), (50, {})], requests=2).notes


@pytest.mark.parametrize("route", ["POST /users", "users", "GET /users/{id}"])
def test_only_pages_are_asked_for(route: str) -> None:
    """Nothing but GET is sent, and every part of the path is known first."""
    with pytest.raises(BadInput):
        scaling.url_of("http://127.0.0.1:1", route, "limit", 10, {})


def test_an_address_is_put_together_safely() -> None:
    """Values are quoted; a page size that the route has is replaced."""
    made = scaling.url_of("http://h:1/api/", "GET /u/{id}/p?limit=3&q=a", "limit", 10, {"id": "a/b?c"})
    assert made == "http://h:1/api/u/a%2Fb%3Fc/p?q=a&limit=10"
