"""P95 and its interval, of one phase or of several turns together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from headway.load import histogram, intervals

if TYPE_CHECKING:
    from headway.model import PhaseHits

Q = 0.95


def p95(phases: list[PhaseHits], route: int | None) -> intervals.Interval | None:
    """P95 of good answers over several phases, their seconds one after another; None without an answer. In ns."""
    if not phases:
        return None
    counts = sum((histogram.fold(hits.response, route) for hits in phases), start=np.zeros(1, dtype=np.int64))
    if not counts.sum():
        return None
    limit = histogram.quantile_ns(counts, Q)
    above, totals = [], []
    for hits in phases:
        for second in range(hits.seconds):
            one = histogram.fold(hits.response, route, slice(second, second + 1))
            totals.append(float(one.sum()))
            slow = histogram.highest_ns(np.arange(len(one))) > limit
            above.append(float(one[slow].sum()))
    return intervals.quantile(counts, Q, 0, np.array(above), np.array(totals))
