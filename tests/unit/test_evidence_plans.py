"""Sequential scans are found in plans of every shape, and statements that have none are told apart."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.evidence.scans import scans, slim
from headway.evidence.statements import is_own, plannable

SCAN: dict[str, Any] = {"Node Type": "Seq Scan", "Relation Name": "posts", "Schema": "public", "Plan Rows": 5}


def under(*nodes: dict[str, Any] | str, leaf: dict[str, Any] = SCAN) -> dict[str, Any]:
    """A chain of nodes above a scan, the topmost first."""
    plan = leaf
    for node in reversed(nodes):
        plan = {**(node if isinstance(node, dict) else {"Node Type": node}), "Plans": [plan]}
    return plan


@pytest.mark.parametrize(
    ("plan", "stops_early"),
    [
        (SCAN, False),
        (under("Limit"), True),
        (under("Limit", "Gather"), True),
        (under("Limit", "LockRows", "Result"), True),
        (under("Limit", "Append"), True),
        (under("Limit", "Sort"), False),
        (under("Limit", "Gather Merge", "Sort"), False),
        (under("Limit", "Incremental Sort"), False),
        (under("Limit", {"Node Type": "Aggregate", "Strategy": "Plain"}), False),
        (under("Limit", {"Node Type": "Aggregate", "Strategy": "Hashed"}), False),
        (under("Limit", {"Node Type": "Aggregate", "Strategy": "Sorted"}), True),
        (under("Limit", "WindowAgg"), False),
        (under("Limit", "Hash Join", "Hash"), False),
        (under("Limit", "Hash Join"), True),
        (under("Sort", "Limit"), True),
        (under("ModifyTable"), False),
        (under("Limit", "Nested Loop", leaf={**SCAN, "Parent Relationship": "Inner"}), False),
        (under("Limit", "Nested Loop", leaf={**SCAN, "Parent Relationship": "Outer"}), True),
        (under("Limit", "Result", leaf={**SCAN, "Parent Relationship": "SubPlan"}), False),
        (under("Limit", "Result", leaf={**SCAN, "Parent Relationship": "InitPlan"}), False),
    ],
)
def test_a_limit_counts_only_when_nothing_between_reads_everything(plan: dict[str, Any], stops_early: bool) -> None:
    """LIMIT 10 over a Sort still reads the whole table; over a filter it may stop early."""
    (found,) = scans(plan, {"posts": 1e6})
    assert (found.table, found.rows, found.stops_early) == ("posts", 1e6, stops_early)


def test_parallel_scans_count_and_bitmap_scans_do_not() -> None:
    """A parallel scan is a sequential one by several workers; a bitmap scan goes by an index."""
    assert len(scans(under("Gather", leaf={**SCAN, "Parallel Aware": True}), {})) == 1
    assert not scans({"Node Type": "Bitmap Heap Scan", "Relation Name": "posts", "Plans": [{"Node Type": "x"}]}, {})


def test_each_partition_and_schema_is_named() -> None:
    """Partitions are tables of their own; a schema is named unless it is public."""
    parts = [{**SCAN, "Relation Name": f"posts_{n}", "Schema": "app", "Filter": "(a = $1)"} for n in (1, 2)]
    found = scans({"Node Type": "Append", "Plans": parts}, {"app.posts_1": 7})
    assert [(each.table, each.rows, each.filter) for each in found] == [
        ("app.posts_1", 7, "(a = $1)"),
        ("app.posts_2", 5, "(a = $1)"),
    ]


def test_a_kept_plan_has_no_output_columns() -> None:
    """Columns are most of a verbose plan's length and say nothing about time."""
    assert slim([{"Plan": {**SCAN, "Output": ["id"], "Plans": [{"Output": []}]}}]) == [
        {"Plan": {**SCAN, "Plans": [{}]}}
    ]


@pytest.mark.parametrize(
    ("text", "planned"),
    [
        ("SELECT 1", "SELECT 1"),
        ("/* trace='1' */ select 1", "/* trace='1' */ select 1"),
        ("-- by the ORM\nUPDATE t SET a = $1", "-- by the ORM\nUPDATE t SET a = $1"),
        ("(SELECT 1) UNION (SELECT 2)", "(SELECT 1) UNION (SELECT 2)"),
        ("WITH x AS (SELECT 1) SELECT * FROM x", "WITH x AS (SELECT 1) SELECT * FROM x"),
        ("PREPARE p (int) AS SELECT $1", "SELECT $1"),
        ('PREPARE "a b" AS DELETE FROM t', "DELETE FROM t"),
        ("BEGIN", None),
        ("COMMIT", None),
        ("SET x = 1", None),
        ("COPY t FROM STDIN", None),
        ("DECLARE c CURSOR FOR SELECT 1", None),
        ("EXPLAIN SELECT 1", None),
        ("selection", None),
        ("", None),
    ],
)
def test_statements_that_have_a_plan_are_told_from_those_that_have_none(text: str, planned: str | None) -> None:
    """By their first word, comments and PREPARE aside."""
    assert plannable(text) == planned


def test_a_statement_the_service_shares_with_headway_is_not_lost() -> None:
    """A tag before the statement may be of whoever ran it first; only one inside is of the evidence's own."""
    assert is_own("/* headway */ SELECT /* headway */ 1")
    assert is_own("SELECT /* headway */ 1")
    assert not is_own("/* headway */ SELECT id FROM users")
    assert not is_own("")


@given(st.text(max_size=200))
def test_any_text_is_taken(text: str) -> None:
    """No text of a statement makes it fail."""
    assert plannable(text) in {None, text.strip()} or "prepare" in text.lower()
