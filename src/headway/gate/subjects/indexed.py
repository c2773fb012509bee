"""
"Indexed": no busy statement reads a large table sequentially.

Busy is more than INDEXED_MIN_CALLS calls in the run, large more than INDEXED_MIN_TABLE_ROWS rows. Plans say what a
statement does, the tables' counters what was done; when they disagree, neither is believed alone.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from headway.gate.case import Answer, Case, inconclusive
from headway.gate.subjects.statements import short
from headway.model import Presence, State
from headway.thresholds import INDEXED_MIN_CALLS, INDEXED_MIN_TABLE_ROWS, SINGLE_PLAN_ROWS_PER_SCAN

if TYPE_CHECKING:
    from headway.model import Evidence, Statement

SOURCE = "plans (EXPLAIN GENERIC_PLAN) and pg_stat_user_tables"


def judge(case: Case) -> Answer:
    """Over the whole run."""
    for name in ("statements", "plans"):
        unseen = case.source(name)
        if unseen:
            return unseen
    busy = _busy(case.evidence)
    if not busy:
        return inconclusive(f"no statement was called more than {INDEXED_MIN_CALLS} times in the run", source=SOURCE)
    scanned = _scanned(case.evidence)
    offenders = [
        (statement, scan.table, scan.rows)
        for statement in busy
        if statement.plan
        for scan in statement.plan.scans
        if scan.rows > INDEXED_MIN_TABLE_ROWS and not scan.stops_early
    ]
    seen = scanned is None
    confirmed = [each for each in offenders if seen or each[1] in (scanned or {})]
    if confirmed:
        return Answer(
            state=State.BROKEN, source=SOURCE, samples=len(busy), measured=None,
            reason="; ".join(f"{rows:,.0f} rows of {table} read sequentially by {short(each)}"
                             for each, table, rows in confirmed[:3]),
        )  # fmt: skip
    unplanned = [each for each in busy if each.plan is None]
    if unplanned:
        return inconclusive(
            f"{len(unplanned)} of {len(busy)} busy statements have no plan: {short(unplanned[0])}"
            f" ({unplanned[0].plan_error or 'no reason given'})",
            source=SOURCE,
        )
    return _unexplained(offenders, scanned or {}, busy, counters=scanned is not None)


def _unexplained(
    offenders: list[tuple[Statement, str, float]], scanned: dict[str, int], busy: list[Statement], *, counters: bool
) -> Answer:
    """No scan both planned and counted: kept, unless one of the two says there is one."""
    if offenders:
        statement, table, _ = offenders[0]
        return inconclusive(
            f"the plan of {short(statement)} reads {table} sequentially, and the table's counters saw no such scans",
            source=SOURCE,
        )
    if scanned:
        table, scans = max(scanned.items(), key=lambda each: each[1])
        return inconclusive(
            f"{table} was read sequentially {scans:,} times, and no busy statement's plan says so; another client's,"
            " or a plan that changes with its parameters",
            source=SOURCE,
        )
    beside = "" if counters else "; the tables' counters could not be read beside the plans"
    return Answer(
        state=State.KEPT, source=SOURCE, samples=len(busy),
        reason=f"none of {len(busy)} statements with over {INDEXED_MIN_CALLS} calls reads a table of over"
               f" {INDEXED_MIN_TABLE_ROWS:,} rows sequentially{beside}",
    )  # fmt: skip


def _busy(evidence: Evidence) -> list[Statement]:
    """The run's busy statements, one row each, the busiest first."""
    calls: Counter[str] = Counter()
    by_id: dict[str, Statement] = {}
    for each in evidence.statements:
        if not each.is_utility:
            calls[each.id] += each.calls
            if each.id not in by_id or by_id[each.id].plan is None:
                by_id[each.id] = each
    return [by_id[name] for name, n in calls.most_common() if n > INDEXED_MIN_CALLS]


def _scanned(evidence: Evidence) -> dict[str, int] | None:
    """Large table -> how often it was read from end to end, when that was often; None when nobody counted."""
    state = evidence.sources.get("tables")
    if state is None or state.presence is not Presence.PRESENT:
        return None
    scans: Counter[str] = Counter()
    rows: Counter[str] = Counter()
    large = set()
    for table in evidence.tables:
        scans[table.name] += table.sequential_scans
        rows[table.name] += table.sequential_rows
        if table.rows > INDEXED_MIN_TABLE_ROWS:
            large.add(table.name)
    return {
        name: n
        for name, n in scans.items()
        if name in large and n > INDEXED_MIN_CALLS and rows[name] / n > SINGLE_PLAN_ROWS_PER_SCAN
    }
