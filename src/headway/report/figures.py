"""The numbers of one phase: a fold over its histogram cells, whole and by route."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from headway.errors import EmptyPhase
from headway.load import histogram
from headway.model import FailureKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headway.model import PhaseHits
    from headway.model.hits import IntArray

QUANTILES = (0.50, 0.95, 0.99, 0.999)
EVERY_ROUTE = "all routes"


@dataclass(frozen=True, kw_only=True)
class Figures:
    """
    What one route (or all) did in one phase.

    `response_ns` are the quantiles of QUANTILES from the intended send time over good and failed requests together: a
    failed request never answered, so a rank that falls among the failures is inf. `maximum_ns` is of good answers.
    None where there was no request at all.
    """

    route: str
    good: int
    failed: int
    response_ns: tuple[float | None, ...]
    maximum_ns: float | None
    service_p95_ns: float | None

    @property
    def requests(self) -> int:
        return self.good + self.failed

    @property
    def failed_ratio(self) -> float | None:
        return self.failed / self.requests if self.requests else None


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Failed requests of one kind in one phase."""

    kind: FailureKind
    count: int
    share_ratio: float  # of all requests of the phase


def figures(hits: PhaseHits, routes: Sequence[str]) -> tuple[Figures, ...]:
    """All routes first, then each that was asked for, in the scenario's order."""
    each = tuple(_figures(hits, name, index) for index, name in enumerate(routes))
    return (_figures(hits, EVERY_ROUTE, None), *each)


def failures(hits: PhaseHits) -> tuple[Failure, ...]:
    """Failed requests by kind, most first; kinds that did not occur are left out."""
    kinds = list(FailureKind)
    totals = np.bincount(hits.failures.kind, weights=hits.failures.count, minlength=len(kinds))
    requests = int(hits.response.count.sum()) + int(hits.failures.count.sum())
    found = [
        Failure(kind=kind, count=int(total), share_ratio=float(total) / requests)
        for kind, total in zip(kinds, totals, strict=True)
        if total
    ]
    return tuple(sorted(found, key=lambda each: -each.count))


def quantile(counts: IntArray, q: float, failed: int) -> float | None:
    """`histogram.quantile_ns`, with None where nothing was counted."""
    try:
        return histogram.quantile_ns(counts, q, failures=failed)
    except EmptyPhase:
        return None


def _figures(hits: PhaseHits, name: str, index: int | None) -> Figures:
    response, service = histogram.fold(hits.response, index), histogram.fold(hits.service, index)
    chosen = slice(None) if index is None else hits.failures.route == index
    failed = int(hits.failures.count[chosen].sum())
    return Figures(
        route=name,
        good=int(response.sum()),
        failed=failed,
        response_ns=tuple(quantile(response, q, failed) for q in QUANTILES),
        maximum_ns=histogram.max_ns(response) if response.any() else None,
        service_p95_ns=quantile(service, 0.95, failed),
    )
