"""Latency as the client sees it: from the intended send time, failed requests slower than any limit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from headway.gate.case import Answer, Case, inconclusive, weigh, weighed
from headway.gate.seconds import answers
from headway.gate.subjects import windows
from headway.load import histogram, intervals
from headway.model import State
from headway.promises.spoken import value_text
from headway.thresholds import THROUGHPUT_MAX_ERROR_RATIO

if TYPE_CHECKING:
    from headway.gate.seconds import Answers
    from headway.load.intervals import Interval
    from headway.model import Clause, PhaseHits

SOURCE = "load generator, from the intended send time"


def judge(case: Case) -> Answer:
    """A quantile, the average, or the maximum of one route or of the whole API."""
    found = case.requested()
    return found if isinstance(found, Answer) else of_hits(case.clause, *found)


def of_hits(clause: Clause, hits: PhaseHits, route: int | None) -> Answer:
    """
    The clause against one phase's hits.

    Args:
        clause: a latency; its own load is not looked at.
        hits: a phase whose load is valid.
        route: index, None for the whole API.
    """
    statistic, limit = clause.statistic, clause.limit
    if statistic is None or limit is None:
        return inconclusive("the criterion names no statistic or limit")
    found = answers(hits, hits.response, route)
    if found.totals.sum() == 0:
        return inconclusive("no request of this route was measured; run longer, or give the route more weight")
    if clause.windows_ratio is not None:
        return windows.judge(clause, found, hits.planned if route is None else None)
    if statistic.average or statistic.maximum:
        return _average(clause, found) if statistic.average else _maximum(clause, found)
    q = statistic.quantile or 0.95
    measured = histogram.quantile_ns(found.counts, q, found.failures)
    interval = intervals.quantile(found.counts, q, found.failures, found.slower_than(measured), found.totals)
    if interval is None:
        return inconclusive("no request was measured")
    within = 1 - float(found.slower_than(limit).sum()) / interval.samples
    return weighed(
        clause, interval, source=SOURCE, note=_note(clause, hits, route, found, q),
        settle=intervals.further_samples(interval, q, within),
    )  # fmt: skip


def _note(clause: Clause, hits: PhaseHits, route: int | None, found: Answers, q: float) -> str:
    """The uncorrected value beside the corrected one, and what the failures did."""
    parts = []
    service = answers(hits, hits.service, route)
    if service.counts.any():
        parts.append(f"{value_text(clause, histogram.quantile_ns(service.counts, q))} from the actual send time")
    if found.failures:
        parts.append(f"{found.failures:,} failed requests count as slower than any limit")
    return "; ".join(parts)


def _average(clause: Clause, found: Answers) -> Answer:
    interval = intervals.mean(found.sums_ns(), found.good)
    if interval is None:
        return Answer(state=State.BROKEN, reason="every request failed", source=SOURCE, measured=math.inf, low=math.inf)
    note = ""
    if found.failures:
        note = f"{found.failures:,} failed requests have no latency and are not in the average"
        if found.failures > THROUGHPUT_MAX_ERROR_RATIO * found.totals.sum():
            # An average of the few that got through flatters: it may break a promise, and cannot keep one.
            interval = _open_above(interval)
    return weighed(clause, interval, source=SOURCE, note=note)


def _open_above(interval: Interval) -> Interval:
    return intervals.Interval(
        measured=interval.measured, low=interval.low, high=math.inf, samples=interval.samples,
        effective=interval.effective,
    )  # fmt: skip


def _maximum(clause: Clause, found: Answers) -> Answer:
    """The largest seen. It can be refuted; nothing seen can bound what was not."""
    worst = math.inf if found.failures else histogram.max_ns(found.counts)
    n = int(found.totals.sum())
    state = weigh(clause, worst, worst)
    reason = (
        f"{found.failures:,} requests failed, which is slower than any limit"
        if found.failures
        else f"the slowest of {n:,} requests; a maximum has no upper bound, so this is what was seen, not a proof"
    )
    return Answer(state=state, reason=reason, source=SOURCE, measured=worst, low=worst, samples=n)
