"""
What can be said of a run that another tool made: its times are from the actual send time, never corrected.

A request's corrected time is at least its uncorrected one. So an uncorrected latency beyond the limit breaks a promise,
and one within it keeps none, unless the person who imported it said that uncorrected is good enough; then every
sentence says so. Percentiles without samples have no interval, and decide nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from headway.gate.case import RUN_WIDE, Answer, inconclusive, weighed
from headway.gate.plan import clauses, phase_of
from headway.load import intervals
from headway.model import Side, State, Subject
from headway.promises.spoken import value_text
from headway.thresholds import DELIVERED_MIN_RATIO

if TYPE_CHECKING:
    from collections.abc import Callable

    from headway.gate.case import Case
    from headway.model import Clause, Evidence, Imported, Judgement, PhaseHits, Promise, Told

ACCEPTED = "accepted as such with --accept-uncorrected"


def lifted(evidence: Evidence, promise: Promise) -> Evidence:
    """
    The evidence with its uncorrected times where judges look for the corrected ones, and its load under each promised
    rate that it reached. For `answer` alone, which says so in every sentence.
    """
    if evidence.imported is None:
        return evidence
    phases = [replace(each, response=each.service) for each in evidence.phases]
    for hits in tuple(phases):
        reached = hits.sent.sum() / max(hits.seconds, 1)
        named = {phase_of(clause, evidence.scenario) for clause in clauses(promise)}
        phases += [
            replace(hits, phase=replace(hits.phase, name=name))
            for name, rate in sorted(named, key=str)
            if rate is not None and name != hits.phase.name and reached >= DELIVERED_MIN_RATIO * rate
        ]
    return replace(evidence, phases=tuple(phases))


def invalid_phases(evidence: Evidence) -> dict[str, str]:
    """Phase -> why its load says nothing: the tool itself says that it did not make what it had planned."""
    origin = evidence.imported
    if origin is None:
        return {}
    return {
        hits.phase.name: f"{origin.tool} sent {hits.sent.sum():,} and dropped {dropped:,} that it had planned: the load"
        " promised was not the load made; give it more VUs, or another machine"
        for hits in evidence.phases
        if (dropped := int(hits.planned.sum() - hits.sent.sum())) > (1 - DELIVERED_MIN_RATIO) * hits.planned.sum()
    }


def answer(case: Case, judge: Callable[[Case], Answer]) -> Answer:
    """
    The answer to a client-side clause of an imported run.

    Args:
        case: with `lifted` evidence.
        judge: the subject's own.
    """
    origin, clause = case.evidence.imported, case.clause
    if origin is None or clause.side is not Side.CLIENT or clause.subject in RUN_WIDE:
        return judge(case)
    source = f"{origin.tool}, {origin.timing}"
    if not origin.samples:
        return replace(_without_samples(case, origin), source=source)
    found = judge(case)
    said = f"uncorrected, from {origin.tool}"
    if clause.subject not in {Subject.LATENCY, Subject.THROUGHPUT}:
        return replace(found, source=source)
    if found.state is State.KEPT and not origin.accepted:
        return replace(
            found, state=State.INCONCLUSIVE, source=source,
            reason=f"{found.reason}, but {said}: what a request waited before it was sent is not in it;"
                   " load the service with headway, or import again with --accept-uncorrected",
        )  # fmt: skip
    if found.state is State.KEPT:
        said += f", {ACCEPTED}"
    elif found.state is State.BROKEN:
        said += "; the corrected time is no shorter"
    return replace(found, source=source, reason=f"{found.reason}; {said}")


def worded(case: Case, judgement: Judgement) -> Judgement:
    """The judgement; its load in the words of what was seen, as the tool's results don't say what was asked of it."""
    origin, hits = case.evidence.imported, case.hits
    if origin is None or hits is None or not hits.seconds or hits.phase.rate_per_s is None or not judgement.load:
        return judgement
    rate = hits.sent.sum() / hits.seconds
    return replace(judgement, load=f"{rate:,.0f} req/s seen, sent by {origin.tool}")


def _without_samples(case: Case, origin: Imported) -> Answer:
    clause = case.clause
    if clause.subject is Subject.LATENCY:
        return _told_latency(clause, origin)
    hits = case.hits
    if hits is None or not hits.seconds:
        told = _told(clause, origin)
        what = f": {told.failed:,} of {told.requests:,} failed" if told else ""
        return inconclusive(f"{origin.tool} told totals only{what}; without seconds there is no interval")
    if clause.route is not None:
        return inconclusive(f"{origin.tool} told {clause.route} in total only; without seconds there is no interval")
    return _of_seconds(clause, hits, origin)


def _of_seconds(clause: Clause, hits: PhaseHits, origin: Imported) -> Answer:
    """Errors of the whole, counted by second without times; a rate is not handled unless its latency holds."""
    failed = _failed_by_second(hits)
    good = hits.good.astype(float)
    if clause.subject is Subject.THROUGHPUT:
        interval = intervals.rate(good)
        found = None if interval is None else weighed(clause, interval, source="", note=f"from {origin.tool}")
        if found is not None and found.state is State.KEPT:
            return replace(
                found, state=State.INCONCLUSIVE,
                reason=f"{found.reason}, but {origin.tool} shows no times, so whether the latency holds at it is open",
            )  # fmt: skip
    else:
        share = intervals.share(good if clause.subject is Subject.AVAILABILITY else failed, good + failed)
        found = None if share is None else weighed(
            clause, share, source="", note=f"{int(failed.sum()):,} of {int((good + failed).sum()):,} failed"
        )  # fmt: skip
    return found or inconclusive("no second was measured")


def _failed_by_second(hits: PhaseHits) -> intervals.FloatArray:
    return np.bincount(
        np.clip(hits.failures.second, 0, hits.seconds - 1), weights=hits.failures.count,
        minlength=hits.seconds,
    ).astype(float)  # fmt: skip


def _told_latency(clause: Clause, origin: Imported) -> Answer:
    told = _told(clause, origin)
    if told is None:
        named = ", ".join(each.route for each in origin.told if each.route) or "none"
        return inconclusive(f"{origin.file} says nothing of {clause.route}; routes it names: {named}")
    statistic = str(clause.statistic).lower() if clause.statistic else ""
    value = told.statistics_ns.get(statistic)
    if value is None:
        return inconclusive(f"{origin.file} has no {statistic}; it has {', '.join(told.statistics_ns)}")
    return Answer(
        state=State.INCONCLUSIVE, measured=value, samples=told.requests,
        reason=f"{origin.tool} says {value_text(clause, value)}, uncorrected, of {told.requests:,} requests, and shows"
        " none of them: a percentile without samples has no interval; import a file with every request",
    )  # fmt: skip


def _told(clause: Clause, origin: Imported) -> Told | None:
    from headway.gate.routes import index_of

    if clause.route is None:
        return next((each for each in origin.told if each.route is None), None)
    routes = [each for each in origin.told if each.route is not None]
    found = index_of(clause.route, tuple(str(each.route) for each in routes))
    return None if found is None else routes[found]
