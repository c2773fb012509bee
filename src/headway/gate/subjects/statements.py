"""
Database latency, from pg_stat_statements: calls, mean and standard deviation of each statement.

An average must hold for each statement, so that many fast ones cannot hide a slow one. Percentiles are not kept there:
Cantelli's inequality bounds them from mean and deviation, and when the bounds don't decide, nothing does.

Source: Cantelli 1928: P(X >= m + k s) <= 1 / (1 + k^2), so that Q(q) <= m + s sqrt(q / (1 - q)) and
Q(q) >= m - s sqrt((1 - q) / q).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from headway.gate.case import Answer, Case, inconclusive, weigh
from headway.load.intervals import Z
from headway.model import State
from headway.thresholds import DATABASE_MIN_CALLS

if TYPE_CHECKING:
    from headway.model import Clause, Statement

SOURCE = "pg_stat_statements, whole database"
SHOWN = 80


def judge(case: Case) -> Answer:
    """The slowest statement decides."""
    if case.clause.route is not None:
        return inconclusive("pg_stat_statements does not know which route a statement served")
    hits = case.loaded()
    if isinstance(hits, Answer):
        return hits
    unseen = case.source("statements")
    if unseen:
        return unseen
    if any(each.phase == case.phase and each.statements_reset for each in case.evidence.databases):
        return inconclusive("the statement counters were reset during the phase; run again", source=SOURCE)
    own = [
        each
        for each in case.evidence.statements
        if each.phase == case.phase and not each.is_utility and not each.nested
    ]
    often = [each for each in own if each.calls >= DATABASE_MIN_CALLS]
    if not often:
        return inconclusive(
            f"no statement was called {DATABASE_MIN_CALLS} times; does the service use this database?", source=SOURCE
        )
    bounds = {each.id: _bounds(case.clause, each) for each in often}
    states = [weigh(case.clause, *bounds[each.id]) for each in often]
    slowest = max(often, key=lambda each: bounds[each.id])
    low, high = bounds[slowest.id]
    state = _worst(states)
    reason = f"slowest of {len(often)} statements: {short(slowest)}"
    rare = _slow_rare(case.clause, own)
    if state is State.KEPT and rare is not None:
        state = State.INCONCLUSIVE
        reason = f"{short(rare)} was slower than the limit, in only {rare.calls} calls; run longer"
    elif state is State.INCONCLUSIVE:
        reason += "; the interval straddles the limit" if _is_average(case.clause) else f"; {NO_PERCENTILES}"
    return Answer(
        state=state, reason=reason, source=SOURCE, low=low, high=high, samples=slowest.calls,
        measured=slowest.mean_ns if _is_average(case.clause) else None,
    )  # fmt: skip


def _is_average(clause: Clause) -> bool:
    return clause.statistic is None or clause.statistic.average


def _bounds(clause: Clause, statement: Statement) -> tuple[float, float]:
    """Ends between which the statement's statistic lies, ns."""
    mean, deviation = statement.mean_ns, statement.stddev_ns
    if _is_average(clause):
        half = Z * deviation / math.sqrt(statement.calls)
        return mean - half, mean + half
    largest = math.inf if statement.maximum_ns is None else statement.maximum_ns
    if clause.statistic is not None and clause.statistic.maximum:
        return (mean if statement.maximum_ns is None else largest), largest
    q = (clause.statistic.quantile if clause.statistic else None) or 0.95
    low = max(0.0, statement.minimum_ns or 0.0, mean - deviation * math.sqrt((1 - q) / q))
    return low, min(largest, mean + deviation * math.sqrt(q / (1 - q)))


def _worst(states: list[State]) -> State:
    return next(state for state in (State.BROKEN, State.INCONCLUSIVE, State.KEPT) if state in states)


def _slow_rare(clause: Clause, statements: list[Statement]) -> Statement | None:
    """A statement called too seldom to judge, and slow: it may not be passed over."""
    rare = [each for each in statements if each.calls < DATABASE_MIN_CALLS]
    return next((each for each in rare if weigh(clause, each.mean_ns, each.mean_ns) is State.BROKEN), None)


NO_PERCENTILES = (
    "pg_stat_statements keeps no percentiles, and the bounds from mean and deviation do not decide; promise an average"
)


def short(statement: Statement) -> str:
    """The statement's text on one short line, without characters a terminal would obey."""
    text = " ".join("".join(each if each.isprintable() else " " for each in statement.text).split())
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
