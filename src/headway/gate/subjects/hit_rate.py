"""Hit rates: of Redis or Valkey by its own counters, of the edge by its access log."""

from __future__ import annotations

import numpy as np

from headway.gate.case import Answer, Case, inconclusive, weighed
from headway.load import intervals

CACHE_SOURCE = "INFO keyspace_hits and keyspace_misses"
EDGE_SOURCE = "the edge's access log, cache status"
FROM_CACHE = frozenset({"HIT", "STALE", "UPDATING", "REVALIDATED"})
NEVER_CACHED = frozenset({"-", ""})
"""Requests the edge's cache is never asked for: writes, for one. They are no misses."""


def judge_cache(case: Case) -> Answer:
    """hits / (hits + misses) of the phase."""
    unseen = _unseen(case, "cache")
    if unseen:
        return unseen
    use = next((each for each in case.evidence.caches if each.phase == case.phase), None)
    if use is None or use.restarted:
        return inconclusive("the cache's counters were reset during the phase; run again", source=CACHE_SOURCE)
    if use.hits + use.misses == 0:
        return inconclusive("the cache was never asked: the service does not use it", source=CACHE_SOURCE)
    new = "" if use.evicted or use.expired else "; nothing was evicted and nothing expired"
    return _judged(case, use.per_second, use.hits, use.hits + use.misses, CACHE_SOURCE, new)


def judge_edge(case: Case) -> Answer:
    """Answers served from the edge's cache / requests its cache was asked for."""
    unseen = _unseen(case, "edge")
    if unseen:
        return unseen
    use = next((each for each in case.evidence.edges if each.phase == case.phase), None)
    asked = {} if use is None else {name: n for name, n in use.by_status.items() if name not in NEVER_CACHED}
    if use is None or not asked:
        return inconclusive("the edge's cache was never asked", source=EDGE_SOURCE)
    served = sum(n for name, n in asked.items() if name in FROM_CACHE)
    return _judged(case, use.per_second, served, sum(asked.values()), EDGE_SOURCE)


def _unseen(case: Case, name: str) -> Answer | None:
    hits = case.loaded()
    return hits if isinstance(hits, Answer) else case.source(name)


def _judged(
    case: Case, per_second: tuple[tuple[int, int, int], ...], hits: int, lookups: int, source: str, more: str = ""
) -> Answer:
    """The share of the whole phase, its spread taken from the seconds."""
    table = np.array(per_second, dtype=np.float64).reshape(-1, 3)
    seconds = intervals.share(table[:, 1], table[:, 1] + table[:, 2])
    if seconds is None or seconds.effective == 0:
        return inconclusive("too few seconds with lookups for an interval; run longer", source=source)
    measured = hits / lookups
    shift = measured - seconds.measured
    interval = intervals.Interval(
        measured=measured, low=max(0.0, seconds.low + min(shift, 0.0)), high=min(1.0, seconds.high + max(shift, 0.0)),
        samples=lookups, effective=seconds.effective,
    )  # fmt: skip
    limit = case.clause.limit or 0.0
    return weighed(
        case.clause, interval, source=source, note=f"{hits:,} hits in {lookups:,} lookups{more}",
        settle=intervals.further_samples(interval, limit, measured),
    )  # fmt: skip
