"""
Throughput: the promised rate is offered, and must be answered.

A rate is handled when as many good answers come back each second, few fail, and the increment's own latency promises
hold at that rate: a queue that grows, or answers that come too late, are not handled requests.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from headway.gate.case import Answer, Case, less_own_error, same_load, weighed
from headway.gate.plan import clauses
from headway.gate.seconds import answers
from headway.gate.subjects import latency
from headway.load import intervals
from headway.model import Comparison, State, Subject
from headway.promises.spoken import clause_text, percent_text
from headway.thresholds import THROUGHPUT_MAX_ERROR_RATIO

if TYPE_CHECKING:
    from headway.gate.seconds import FloatArray
    from headway.model import PhaseHits

SOURCE = "load generator, good answers per second at the offered rate"


def judge(case: Case) -> Answer:
    """The rate of good answers, then the errors, then the latencies, at the promised rate."""
    requested = case.requested()
    if isinstance(requested, Answer):
        return requested
    hits, route = requested
    found = answers(hits, hits.response, route)
    in_time = found.good if route is not None else hits.good.astype(float)
    interval = intervals.rate(in_time)
    if interval is None:
        return Answer(state=State.INCONCLUSIVE, reason="no second was measured; run longer", source=SOURCE)
    answer = weighed(
        case.clause, interval, source=SOURCE, note=f"{hits.planned.sum() / hits.seconds:,.0f} req/s offered"
    )
    if answer.state is State.BROKEN:
        return answer
    for state, reason in (_errors(case, found.failed, found.totals), *_latencies(case, hits)):
        if state is State.BROKEN:
            return replace(answer, state=state, reason=reason, requests_to_settle=None)
        if state is not State.KEPT and answer.state is State.KEPT:
            answer = replace(answer, state=state, reason=reason)
    return answer


def _errors(case: Case, failed: FloatArray, totals: FloatArray) -> tuple[State, str]:
    promised = [
        each.limit
        for each in clauses(case.promise)
        if each.subject is Subject.ERROR_RATE and each.limit is not None and each.comparison is not None
    ]
    allowed = min([*promised, THROUGHPUT_MAX_ERROR_RATIO])
    interval = intervals.share(failed, totals)
    if interval is None:
        return State.INCONCLUSIVE, "no request was measured"
    said = f"{percent_text(interval.measured)} of the requests failed at this rate, {percent_text(allowed)} allowed"
    if interval.low > allowed:
        return State.BROKEN, said
    return (State.KEPT if interval.high <= allowed else State.INCONCLUSIVE), said


def _latencies(case: Case, hits: PhaseHits) -> list[tuple[State, str]]:
    found = []
    for clause in clauses(case.promise):
        if same_load(clause) and clause.comparison in {Comparison.LT, Comparison.LE}:
            answer = less_own_error(case, clause, latency.of_hits(clause, hits, None))
            found.append(
                (answer.state, f"at this rate '{clause_text(clause)}' is {answer.state.value}: {answer.reason}")
            )
    return found
