"""A PostgreSQL plan (EXPLAIN FORMAT JSON) as indented lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headway.promises.spoken import duration_text
from headway.report.visible import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MOST_NODES = 200
_DETAILS = ("Index Cond", "Recheck Cond", "Hash Cond", "Merge Cond", "Join Filter", "Filter", "Sort Key", "Group Key")
_DETAIL_LENGTH = 300


@dataclass(frozen=True, kw_only=True)
class PlanLine:
    """One line of a plan; `scan` marks a sequential scan."""

    depth: int
    text: str
    scan: bool = False


def lines(plan: object) -> tuple[PlanLine, ...]:
    """
    The tree of `plan`, parents first, at most MOST_NODES nodes; empty when it is no plan.

    Args:
        plan: what EXPLAIN (FORMAT JSON) answered: `[{"Plan": {...}}]`, `{"Plan": {...}}` or a node.
    """
    if isinstance(plan, list) and plan:
        plan = plan[0]
    root = plan.get("Plan", plan) if isinstance(plan, dict) else None
    if not isinstance(root, dict) or "Node Type" not in root:
        return ()
    out: list[PlanLine] = []
    waiting: list[tuple[int, Mapping[str, object]]] = [(0, root)]
    nodes = 0
    while waiting:
        depth, node = waiting.pop()
        nodes += 1
        if nodes > MOST_NODES:
            out.append(PlanLine(depth=depth, text=f"… more than {MOST_NODES} nodes; the rest is in the run's folder"))
            break
        out += _node(depth, node)
        children = node.get("Plans")
        if isinstance(children, list):
            waiting += [(depth + 1, child) for child in reversed(children) if isinstance(child, dict)]
    return tuple(out)


def _node(depth: int, node: Mapping[str, object]) -> Iterator[PlanLine]:
    kind = str(node.get("Node Type"))
    text = kind
    if node.get("Join Type") and "Join" in kind:
        text = f"{node['Join Type']} {text}"
    if node.get("Index Name"):
        text += f" using {node['Index Name']}"
    if node.get("Relation Name"):
        text += f" on {node['Relation Name']}"
        if node.get("Alias") not in (None, node["Relation Name"]):
            text += f" {node['Alias']}"
    yield PlanLine(depth=depth, text=one_line(f"{text}  {_estimate(node)}"), scan=kind == "Seq Scan")
    for name in _DETAILS:
        if node.get(name):
            value = node[name]
            said = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            yield PlanLine(depth=depth + 2, text=one_line(f"{name}: {said}", _DETAIL_LENGTH))


def _estimate(node: Mapping[str, object]) -> str:
    """Planner's numbers, and measured ones where the plan was run."""
    said = []
    rows, cost, took = node.get("Plan Rows"), node.get("Total Cost"), node.get("Actual Total Time")
    if isinstance(rows, int | float):
        said.append(f"~{rows:,.0f} rows")
    if isinstance(cost, int | float):
        said.append(f"cost {cost:,.0f}")
    if isinstance(took, int | float):
        said.append(f"took {duration_text(took * 1e6)}")
    return f"({', '.join(said)})" if said else ""
