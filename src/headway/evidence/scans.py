"""Sequential scans in a plan as EXPLAIN (FORMAT JSON, VERBOSE) writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headway.evidence.tables import qualified
from headway.model import TableScan

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

READS_EVERYTHING = frozenset(
    {"Sort", "Incremental Sort", "Hash", "WindowAgg", "ModifyTable", "SetOp", "Recursive Union"}
)
"""Nodes that ask their child for all its rows (or may) before or while they give their first."""


def scans(plan: Mapping[str, Any], rows_of: Mapping[str, float]) -> tuple[TableScan, ...]:
    """
    The sequential scans of one plan, parallel ones too; each partition is a table of its own.

    Args:
        plan: the value of "Plan".
        rows_of: table -> rows; a table not in it has the plan's own estimate.
    """
    return tuple(_walk(plan, rows_of, limited=False))


def slim(node: object) -> object:
    """A plan without its lists of output columns, which are most of its length and say nothing about time."""
    if isinstance(node, dict):
        return {name: slim(value) for name, value in node.items() if name != "Output"}
    return [slim(each) for each in node] if isinstance(node, list) else node


def _walk(node: Mapping[str, Any], rows_of: Mapping[str, float], *, limited: bool) -> Iterator[TableScan]:
    kind = node.get("Node Type", "")
    if kind == "Seq Scan":
        name = qualified(node.get("Schema", "public"), node["Relation Name"])
        rows = rows_of.get(name, float(node.get("Plan Rows", 0)))
        yield TableScan(table=name, rows=rows, filter=node.get("Filter"), stops_early=limited)
    for child in node.get("Plans", ()):
        yield from _walk(child, rows_of, limited=_still_limited(node, child, limited))


def _still_limited(node: Mapping[str, Any], child: Mapping[str, Any], limited: bool) -> bool:
    """Whether the child may be left before its end: a Limit is above, and nothing between reads everything."""
    kind = node.get("Node Type", "")
    relation = child.get("Parent Relationship", "Outer")
    if relation in {"InitPlan", "SubPlan"}:
        return False  # its own run, once or once a row
    if kind == "Limit":
        return True
    if kind in READS_EVERYTHING:
        return False
    if kind == "Aggregate":  # Plain and Hashed read all; Sorted gives a group as soon as it has it
        return limited and node.get("Strategy") == "Sorted"
    if kind == "Nested Loop" and relation == "Inner":
        return False  # read again for every outer row
    return limited
