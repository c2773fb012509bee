"""Index rules: what statements ask of columns, what goes and what stays, reasons for silence, and hostile text."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.diagnose.accesses import accesses
from headway.diagnose.comparing import How
from headway.diagnose.index_keys import keys
from headway.diagnose.rules import duplicate_index, missing_index, slow_statement, unused_index
from headway.diagnose.written import writes
from headway.model import (
    Column,
    Confidence,
    Database,
    Evidence,
    Index,
    LivePlan,
    LoggedPlan,
    Plan,
    RemedyKind,
    Statement,
    Table,
    TableScan,
)
from made.judged import made_evidence, made_hits

HITS = made_hits([[1.0] * 100] * 10)
COLUMNS = {"posts": frozenset({"id", "user_id", "title", "at"}), "users": frozenset({"id", "email"})}
WORDS = ["SELECT", "FROM", "posts", "WHERE", "user_id", "=", "$1", "(", ")", ",", "'", '"', "OR", "ORDER BY", "JOIN",
         "\x1b[31m", "--", "/*", "LIKE", "'%x%'", "CAST", "::", "date $2", "LIMIT", "OFFSET", "\x00", "é"]  # fmt: skip


def column(name: str, **known: Any) -> Column:
    """An analysed column of posts."""
    made = Column(
        table="posts", name=name, type="integer", not_null=True, null_ratio=0.0, distinct=-1.0, average_bytes=8
    )
    return replace(made, **known)


def index(name: str, *columns: str, tail: str = "", **known: Any) -> Index:
    """A btree of posts, 20 MiB."""
    made = Index(
        table="posts", name=name, columns=columns, method="btree", unique=False, primary=False, constraint=False,
        definition=f"CREATE INDEX {name} ON public.posts USING btree ({', '.join(columns)}){tail}", valid=True,
        size_bytes=20 << 20, scans=0, counted_since="2025-11-01T00:00:00+00:00",
    )  # fmt: skip
    return replace(made, **known)


def run(text: str = "SELECT 1", *indexes: Index, **known: Any) -> Evidence:
    """A run whose one statement is this, on posts of a million rows."""
    values: dict[str, Any] = {"calls": 1000, "rows": 1000, "total_ns": 5e9, "mean_ns": 5e6, "share_ratio": 0.9}
    statement = Statement(phase=HITS.phase.name, id="s", text=text, stddev_ns=0.0, **values | known)
    table = Table(phase=HITS.phase.name, name="posts", rows=1e6, size_bytes=1 << 28, indexes=1, sequential_scans=1,
                  sequential_rows=1, index_scans=0)  # fmt: skip
    columns = (column("id"), column("user_id", distinct=20_000.0), column("at", type="timestamp with time zone"),
               column("title", type="text", average_bytes=40),
               column("body", type="text", average_bytes=3000))  # fmt: skip
    return made_evidence(HITS, statements=(statement,), tables=(table,), columns=columns, indexes=indexes)


SCANNED = Plan(statement_id="s", json=[], scans=(TableScan(table="posts", rows=1e6, filter="x", stops_early=False),))


def test_an_access_is_told_by_table_column_and_comparison() -> None:
    """Equalities, joins, ranges and order, each at the table it is of, by alias or by who has such a column."""
    found = accesses(
        "SELECT p.title FROM posts p JOIN users u ON u.id = p.user_id WHERE email = $1 AND p.at > $2"
        " ORDER BY at DESC LIMIT $3", COLUMNS,
    )  # fmt: skip
    assert found is not None
    asked = {each.table: {(one.column, one.how) for one in each.predicates} for each in found}
    assert asked == {
        "posts": {("user_id", How.JOIN), ("at", How.RANGE)},
        "users": {("id", How.JOIN), ("email", How.EQUAL)},
    }
    assert [(each.column, each.descending) for each in found[0].order] == [("at", True)]


def test_a_plan_that_was_logged_with_real_values_counts_before_one_without() -> None:
    """The generic plan reads the table whole; with the values that were sent it read six rows: no index is advised."""
    whole = {"Node Type": "Seq Scan", "Relation Name": "posts", "Schema": "public", "Alias": "posts",
             "Filter": "(user_id = $1)", "Plan Rows": 50}  # fmt: skip
    few = {"Node Type": "Index Scan", "Relation Name": "posts", "Alias": "posts", "Index Name": "i",
           "Index Cond": "(user_id = ?)", "Plan Rows": 6}  # fmt: skip
    generic = Plan(statement_id="s", json=[{"Plan": whole}], scans=SCANNED.scans)
    text = "SELECT title FROM posts WHERE user_id = $1"
    assert len(list(missing_index.find(run(text, plan=generic)))) == 1
    logged = LoggedPlan(statement_id="s", seen=9, slowest_ns=1e6, plan=few)
    assert list(missing_index.find(run(text, plan=generic, logged=logged))) == []
    elsewhere = replace(logged, plan={**few, "Relation Name": "users"})
    assert len(list(missing_index.find(run(text, plan=generic, logged=elsewhere)))) == 1


@given(st.lists(st.sampled_from(WORDS), max_size=25).map(" ".join) | st.text(max_size=200))
def test_no_text_makes_a_rule_fail(text: str) -> None:
    """Whatever stands in pg_stat_statements: a finding or a reason, never an exception, and lines without escapes."""
    found = run(text, plan=SCANNED, temp_blocks_written=10**6)
    accesses(text, COLUMNS)
    writes(text)
    for rule in (missing_index, slow_statement):
        assert all(each.line.isprintable() for each in rule.find(found))
        rule.why_not(found, "s")


def test_a_missing_index_is_advised_and_one_that_is_there_is_named_as_the_reason_for_silence() -> None:
    """The same statement with and without its index."""
    text = "SELECT id FROM posts WHERE user_id = $1"
    (found,) = missing_index.find(run(text))
    assert found.remedies[0].act == "CREATE INDEX CONCURRENTLY ON posts (user_id)"
    assert found.remedies[0].kind is RemedyKind.INDEX
    assert missing_index.why_not(run(text), "s") is None
    served = run(text, index("by_user", "user_id"))
    assert list(missing_index.find(served)) == []
    assert missing_index.why_not(served, "s") == "the index by_user serves it"


@pytest.mark.parametrize(
    ("condition", "index"),
    [
        ("title ILIKE $1", "USING gin (title gin_trgm_ops)"),
        ("title ~ $1", "USING gin (title gin_trgm_ops)"),
        ("title LIKE $1", "USING gin (title gin_trgm_ops)"),  # how it begins isn't known
        ("title LIKE $1 || $2", "(title text_pattern_ops)"),  # the service's own parameter comes first
        ("title LIKE $2 || $1", "USING gin (title gin_trgm_ops)"),  # the constant does
        ("title LIKE $2 || $1 || $3", "USING gin (title gin_trgm_ops)"),
        ("upper(title::text) LIKE upper($1)", "USING gin (upper(title) gin_trgm_ops)"),
        ("md5(title) = $1", "(md5(title))"),
        ("length(title) = $1", "(length(title))"),
        ("title = $1 ORDER BY lower(body) LIMIT $2", "(title, lower(body))"),
        ("date_trunc($1, at) = $2", None),
        ("coalesce(title, $1) = $2", None),
    ],
)
def test_patterns_and_expressions_get_the_index_that_can_serve_them(condition: str, index: str | None) -> None:
    """Trigrams where a B-tree can't; functions of a column alone; none where what is compared isn't known whole."""
    found = [each.remedies[0].act for each in missing_index.find(run(f"SELECT id FROM posts WHERE {condition}"))]
    assert [each.partition(" ON posts ")[2] for each in found] == ([index] if index else [])


@pytest.mark.parametrize(
    ("condition", "parts", "keys"),
    [
        ("title ->> $1 = $2", ("title ->> 'token'",), "((title ->> 'token'))"),
        ("coalesce(title, $1) = $2", ("coalesce(title, '')",), "((coalesce(title, '')))"),
        ("title ->> $1 = $2 AND title ->> $3 = $4", ("title ->> 'a'",), None),  # which of the two it was isn't known
        ("title ->> $1 = $2", ("title ->> 'a'", "title ->> 'b'"), None),
        ("title ->> $1 = $2", ("title ->> 'a') ; DROP TABLE posts; --'",), None),
        ("title ->> $1 = $2", ("title ->> 'a'') ; DROP TABLE x; --'",), "((title ->> 'a'') ; DROP TABLE x; --'))"),
        ("coalesce(title, body) = $1", (), None),
    ],
)
def test_a_constant_that_was_always_the_same_makes_an_expression_known(
    condition: str, parts: tuple[str, ...], keys: str | None
) -> None:
    """What was logged, or read as it ran, tells `doc ->> $1` from another; what is ambiguous, or no constant, not."""
    logged = LoggedPlan(statement_id="s", seen=9, slowest_ns=1e6, plan=None, fixed=parts)
    live = LivePlan(statement_id="s", seen=9, plan=None, fixed=parts)
    text = f"SELECT id FROM posts WHERE {condition}"
    for known in (
        run(text, logged=logged),
        run(text, live=live),
        run(text, logged=replace(logged, fixed=()), live=live),
    ):
        found = [each.remedies[0].act.partition(" ON posts ")[2] for each in missing_index.find(known)]
        assert found == ([keys] if keys else [])


def test_an_index_of_an_expression_that_is_there_is_seen() -> None:
    """PostgreSQL writes a constant with its type: the index is the same."""
    logged = LoggedPlan(statement_id="s", seen=9, slowest_ns=1e6, plan=None, fixed=("title ->> 'it''s'",))
    there = index("tokens", "(title ->> 'it''s'::text)")
    found = run("SELECT id FROM posts WHERE title ->> $1 = $2", there, logged=logged)
    assert list(missing_index.find(found)) == []
    assert missing_index.why_not(found, "s") == "the index tokens serves it"


@pytest.mark.parametrize(("planned", "advised"), [(500, True), (400_000, False), (None, False)])
def test_how_much_a_range_leaves_for_an_aggregate_is_told_by_a_plan_with_its_values(
    planned: int | None, *, advised: bool
) -> None:
    """The planner had the real values: few rows of many want an index, many none; without a plan nothing is said."""
    scan = {"Node Type": "Seq Scan", "Relation Name": "posts", "Plan Rows": planned, "Filter": "(at > ?)"}
    plan = {"Node Type": "Gather", "Workers Planned": 2, "Plans": [scan]} if planned else None
    logged = LoggedPlan(statement_id="s", seen=9, slowest_ns=1e6, plan=plan)
    text = "SELECT count(*) FROM posts WHERE at > $1"
    live = LivePlan(statement_id="s", seen=9, plan=plan)
    for known in (run(text, logged=logged), run(text, live=live)):
        found = [each.remedies[0].parameters["columns"] for each in missing_index.find(known)]
        assert found == ([["at"]] if advised else [])


def test_a_pattern_that_is_not_known_needs_no_second_index() -> None:
    """One that patterns on the column can use is there: whether it is the right one the text doesn't tell."""
    text = "SELECT id FROM posts WHERE title LIKE $1"
    there = index("begins", "title", definition="CREATE INDEX begins ON posts USING btree (title text_pattern_ops)")
    assert list(missing_index.find(run(text, there))) == []
    assert list(missing_index.find(run(text, index("plain", "title"))))


def test_what_writes_cost_is_counted_in_rows_and_by_the_columns_they_set() -> None:
    """A row of an INSERT writes every index; an UPDATE those that hold what it sets; a DELETE none."""
    text = "SELECT id FROM posts WHERE user_id = $1"

    def advised(written: str, **known: Any) -> bool:
        found = run(text, total_ns=5e7, mean_ns=5e6, calls=10, rows=10)
        values: dict[str, Any] = {"calls": 20, "rows": 20, "total_ns": 1e6, "mean_ns": 5e4, "share_ratio": 0.1}
        other = Statement(phase=HITS.phase.name, id="w", text=written, stddev_ns=0.0, **values | known)
        return bool(list(missing_index.find(replace(found, statements=(*found.statements, other)))))

    inserted = "INSERT INTO posts SELECT * FROM users"
    assert advised(inserted)
    assert not advised(inserted, rows=100_000)  # in 20 calls
    assert not advised("UPDATE posts SET (user_id, at) = ($1, $2) WHERE id = $3", calls=9_000, rows=9_000)
    assert advised("UPDATE posts SET title = user_id WHERE id = $1", calls=9_000, rows=9_000)
    assert advised("DELETE FROM posts WHERE id = $1", calls=9_000, rows=9_000)


def test_many_rows_of_a_few_narrow_columns_are_covered() -> None:
    """Where they lie on many pages; the same rows side by side, wide ones or few of them are read from the table."""

    def included(text: str, correlation: float = 0.0, **known: Any) -> list[list[str]]:
        found = run(text, **known)
        spread = tuple(replace(each, correlation=correlation) for each in found.columns)
        wished = missing_index.find(replace(found, columns=spread))
        return [each.remedies[0].parameters["include"] for each in wished]

    narrow = "SELECT at FROM posts WHERE user_id = $1"
    assert included(narrow, rows=500_000) == [["at"]]
    assert included(narrow, rows=500_000, correlation=0.98) == [[]]
    assert included(narrow, rows=50_000) == [[]]
    assert included("SELECT body FROM posts WHERE user_id = $1", rows=500_000) == [[]]


def test_why_there_is_no_advice_is_said() -> None:
    """Text that can't be parsed, a statement too small to matter: each has its reason."""
    assert missing_index.why_not(run("SELECT ((("), "s") == "its text cannot be parsed"
    assert "on average" in str(missing_index.why_not(run("SELECT 1", mean_ns=10.0), "s"))
    assert missing_index.why_not(run(), "nobody's") is None


def test_only_an_index_long_unused_is_called_unused() -> None:
    """A week of counting, no reads, and nothing that keeps a key true; a replica's reads are said not to be known."""

    def names(*given_: Index, **changes: Any) -> list[str]:
        return [
            each.remedies[0].parameters["index"] for each in unused_index.find(replace(run("", *given_), **changes))
        ]

    idle = index("idle", "title")
    assert names(idle) == ["idle"]
    kept = [
        replace(idle, scans=1), replace(idle, unique=True), replace(idle, constraint=True), replace(idle, valid=False),
        replace(idle, primary=True), replace(idle, size_bytes=8192), replace(idle, counted_since=None),
        replace(idle, counted_since="2025-12-31T00:00:00+00:00"),
    ]  # fmt: skip
    assert [names(each) for each in kept] == [[]] * len(kept)
    served = Database(phase=HITS.phase.name, commits=1, rollbacks=0, blocks_hit=0, blocks_read=0, temp_bytes=0,
                      deadlocks=0, sessions=0, connections=1, max_connections=9, statements_reset=False,
                      replicas=2)  # fmt: skip
    (found,) = unused_index.find(replace(run("", idle), databases=(served,)))
    assert found.confidence is Confidence.POSSIBLE
    assert "2 servers stream from this one" in found.reasons_against[0]


def test_of_two_alike_one_goes_and_what_differs_stays() -> None:
    """Same keys or a prefix go; another operator class, condition or direction, or a key of its own, does not."""

    def gone(*given_: Index) -> list[str]:
        return [each.remedies[0].parameters["index"] for each in duplicate_index.find(run("", *given_))]

    long, short = index("long", "user_id", "at", scans=9), index("short", "user_id", scans=5)
    assert gone(long, short) == ["short"]
    assert gone(short, replace(short, name="again")) == ["again"]
    assert gone(short, replace(short, name="key", unique=True, constraint=True, scans=0)) == ["short"]
    assert gone(long, replace(short, unique=True)) == []
    assert gone(long, replace(short, predicate="at IS NULL")) == []
    assert gone(long, replace(short, definition="CREATE INDEX short ON posts USING btree (user_id DESC)")) == []
    assert gone(long, replace(short, definition="CREATE INDEX short ON posts USING btree (user_id int8_ops)")) == []
    assert gone(long, replace(short, included=("title",))) == []
    assert gone(replace(long, valid=False), short) == []
    hash_ = "CREATE INDEX h ON posts USING hash (user_id)"
    assert gone(long, replace(short, method="hash", definition=hash_)) == []


def test_keys_are_read_past_quotes_and_parentheses() -> None:
    """A table's hostile name and a comma inside an expression are no keys; a text that is none has none."""
    odd = 'CREATE INDEX i ON public."x USING btree (a, b)"'
    odd += ' USING btree (lower((a || \',)\'::text)), "b,""c" DESC) WHERE (a)'
    assert keys(index("i", definition=odd)) == ("lower((a || ',)'::text))", '"b,""c" DESC')
    assert keys(index("i", definition="nonsense")) is None


def test_an_offset_has_its_statement_with_a_key_instead() -> None:
    """The pages it skips are counted; the changed statement has no OFFSET and goes on after the last row."""
    text = "SELECT id FROM posts ORDER BY at DESC, id DESC LIMIT $1 OFFSET $2"
    (found,) = slow_statement.find(run(text, blocks_hit=900_000, rows=20_000))
    (remedy,) = found.remedies
    assert remedy.kind is RemedyKind.REWRITE
    assert "OFFSET" not in remedy.act
    assert "(posts.at, posts.id) < ($2, $3)" in remedy.act
    assert list(slow_statement.find(run(text, blocks_hit=5000, rows=20_000))) == []


def test_a_spill_a_function_wide_columns_and_a_wrong_estimate_are_told_apart() -> None:
    """Each has its own evidence; without it there is none of them, and that is the reason given."""

    def reason(text: str, **known: Any) -> list[str]:
        return [each.remedies[0].parameters["reason"] for each in slow_statement.find(run(text, **known))]

    plain = "SELECT id, title FROM posts WHERE user_id = $1"
    assert reason(plain) == []
    assert "spills nothing" in str(slow_statement.why_not(run(plain), "s"))
    assert reason(plain, temp_blocks_written=10**6) == ["spill"]
    assert reason("SELECT id FROM posts WHERE at::date = $1", plan=SCANNED) == ["function"]
    assert reason("SELECT * FROM posts WHERE user_id = $1", rows=50_000) == ["wide"]
    assert reason("SELECT * FROM posts WHERE id = $1") == []
    planned = replace(SCANNED, json=[{"Plan": {"Node Type": "Index Scan", "Plan Rows": 5}}], scans=())
    assert reason(plain, plan=planned, rows=5_000_000) == ["estimate"]
    assert reason(plain, plan=planned, rows=50_000) == []


def test_a_day_of_a_moment_becomes_a_range() -> None:
    """`at::date = $1` is `at` from that day to before the next, in the session's time zone both."""
    (found,) = slow_statement.find(run("SELECT id FROM posts WHERE at::date = $1", plan=SCANNED))
    assert "at >= CAST($1 AS DATE) AND at < CAST($1 AS DATE) + 1" in found.remedies[0].act
