"""
How much of a run its traces show: no finding from traces is no problem only as far as requests were traced.

A request is traced when its topmost server span began in the phase, by the service's clock. It is compared in number
with the answers the client got, not joined to them one by one: a header sent with every request would join them, and
would make the service sample every request where it samples some, which is another service than the one that was asked
about.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

from headway.conventions import SPANS_FILE
from headway.diagnose import traced
from headway.diagnose.critical_path import CACHES
from headway.diagnose.profiled_routes import same_route
from headway.diagnose.windows import answered
from headway.load import histogram
from headway.model import FailureKind, TraceCoverage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from headway.model import Evidence, PhaseHits

ANSWERED = (FailureKind.STATUS, FailureKind.CHECK, FailureKind.EXTRACT, FailureKind.TOO_LARGE, FailureKind.REDIRECT)
"""Failures that are answers all the same: the service worked for them."""
FROM_EDGE = ("HIT", "STALE", "UPDATING", "REVALIDATED")


def coverages(evidence: Evidence) -> tuple[TraceCoverage, ...]:
    """Every phase: all requests first, then each of the scenario's routes. Empty without spans."""
    file = evidence.folder / SPANS_FILE
    if not file.exists():
        return ()
    found: list[TraceCoverage] = []
    for hits in evidence.phases:
        low = int(hits.started_at_s * 1e9)
        high = low + int(hits.seconds * 1e9)
        counts, by_route = seen(file, file.stat().st_mtime_ns, low, high)
        whole = TraceCoverage(
            phase=hits.phase.name, route=None, answered=answered(hits), traced=sum(by_route.values()), **counts,
            by_edge=_by_edge(evidence, hits),
        )  # fmt: skip
        found.append(whole)
        found += [_of_route(evidence, hits, index, by_route) for index in range(len(evidence.routes))]
    return tuple(found)


@lru_cache(maxsize=16)
def seen(file: Path, _changed_ns: int, low: int, high: int) -> tuple[dict[str, int], dict[str | None, int]]:
    """Spans, orphans, calls of databases and those with text in a stretch of time, unix ns; and requests by route."""
    with traced.opened(file) as connection:
        values = {"file": str(file), "low": low, "high": high, "caches": sorted(CACHES)}
        row = connection.execute(_queries()["seen"], values).fetchone() or (0, 0, 0, 0)
        by_route = traced.Requests(connection, file, low, high).by_route()
    return dict(zip(("spans", "orphans", "database_spans", "with_text"), row, strict=True)), by_route


def _of_route(evidence: Evidence, hits: PhaseHits, index: int, by_route: Mapping[str | None, int]) -> TraceCoverage:
    name = evidence.routes[index]
    kinds = [list(FailureKind).index(each) for each in ANSWERED]
    failed = hits.failures.count[(hits.failures.route == index) & np.isin(hits.failures.kind, kinds)]
    good = int(histogram.fold(hits.service, index).sum())
    spans = sum(count for route, count in by_route.items() if route is not None and same_route(route, name))
    return TraceCoverage(
        phase=hits.phase.name, route=name, answered=good + int(failed.sum()), traced=spans, spans=spans, orphans=0,
        database_spans=0, with_text=0,
    )  # fmt: skip


def _by_edge(evidence: Evidence, hits: PhaseHits) -> int | None:
    edge = next((each for each in evidence.edges if each.phase == hits.phase.name), None)
    return None if edge is None else sum(edge.by_status.get(each, 0) for each in FROM_EDGE)


@cache
def _queries() -> Mapping[str, str]:
    text = resources.files("headway.diagnose").joinpath("sql", "coverage.sql").read_text("utf-8")
    blocks = (block.partition("\n") for block in re.split(r"^-- name: ", text, flags=re.MULTILINE)[1:])
    return {name.strip(): body for name, _, body in blocks}
