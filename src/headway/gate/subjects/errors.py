"""Error rate and availability: the share of planned requests that got no good answer, and its complement."""

from __future__ import annotations

from headway.gate.case import Answer, Case, inconclusive, weighed
from headway.gate.seconds import answers
from headway.load import intervals

SOURCE = "load generator, all planned requests"


def judge_errors(case: Case) -> Answer:
    """Failed / planned, requests that could not be sent included."""
    return _share(case, good=False)


def judge_availability(case: Case) -> Answer:
    """Answered well / planned."""
    return _share(case, good=True)


def _share(case: Case, *, good: bool) -> Answer:
    requested = case.requested()
    if isinstance(requested, Answer):
        return requested
    hits, route = requested
    found = answers(hits, hits.response, route)
    interval = intervals.share(found.good if good else found.failed, found.totals)
    if interval is None:
        return inconclusive("no request was measured; run longer", source=SOURCE)
    limit = case.clause.limit or 0.0
    return weighed(
        case.clause, interval, source=SOURCE, note=f"{found.failures:,} of {interval.samples:,} failed",
        settle=intervals.further_samples(interval, limit, interval.measured),
    )  # fmt: skip
