"""The workers' seconds, added up for a live view."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from headway.load.histogram import BUCKETS, quantile_ns
from headway.model import Progress, RouteSecond

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from headway.load.recorder import Second, Sparse
    from headway.model import Phase


class Gathering:
    """Waits until every worker has told a second, then tells it once."""

    def __init__(self, phase: Phase, workers: int, on_second: Callable[[Progress], None]) -> None:
        self._phase = phase
        self._working = set(range(workers))
        self._on_second = on_second
        self._seconds: dict[int, dict[int, Second]] = defaultdict(dict)
        self._failed = 0

    def second(self, worker: int, second: Second) -> None:
        """One worker's second."""
        self._seconds[second.second][worker] = second
        self._tell_whole()

    def lose(self, worker: int) -> None:
        """It tells nothing any more; what it told counts."""
        self._working.discard(worker)
        self._tell_whole()

    def end(self) -> None:
        """Tell what is left: seconds after the measured time, which only the workers still draining had."""
        for number in sorted(self._seconds):
            self._on_second(self._whole(list(self._seconds.pop(number).values())))

    def _tell_whole(self) -> None:
        for number in sorted(self._seconds):
            if self._working <= self._seconds[number].keys():
                self._on_second(self._whole(list(self._seconds.pop(number).values())))

    def _whole(self, told: list[Second]) -> Progress:
        failed = sum(n for each in told for _, _, n in each.failures)
        self._failed += failed
        response = added(cells for each in told for cells in each.response.values())
        service = added(cells for each in told for cells in each.service.values())
        some = bool(response.any())
        return Progress(
            phase=self._phase,
            warming_up=told[0].second < 0,
            elapsed_s=self._phase.warmup_s + told[0].second + 1,
            planned_per_s=sum(each.planned for each in told),
            sent_per_s=sum(each.sent for each in told),
            good_per_s=sum(each.good for each in told),
            failed=failed,
            failed_total=self._failed,
            response_p50_ns=quantile_ns(response, 0.50) if some else None,
            response_p95_ns=quantile_ns(response, 0.95) if some else None,
            response_p99_ns=quantile_ns(response, 0.99) if some else None,
            service_p95_ns=quantile_ns(service, 0.95) if some else None,
            connections=sum(each.connections for each in told),
            backlog=sum(each.backlog for each in told),
            routes=by_route(told),
            lateness=filled(each.lateness for each in told),
        )


def by_route(told: Iterable[Second]) -> tuple[RouteSecond, ...]:
    """Each route that any worker had an answer or a failure of."""
    told = tuple(told)
    failures: dict[int, dict[str, int]] = defaultdict(dict)
    for each in told:
        for route, kind, n in each.failures:
            failures[route][kind] = failures[route].get(kind, 0) + n
    answered = {route for each in told for route in each.response}
    return tuple(
        RouteSecond(
            route=route,
            failures=failures.get(route, {}),
            response=filled(each.response[route] for each in told if route in each.response),
            service=filled(each.service[route] for each in told if route in each.service),
        )
        for route in sorted(answered | set(failures))
    )


def filled(cells: Iterable[Sparse]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Buckets and counts of all the cells, a bucket perhaps named more than once."""
    pairs = list(cells)
    buckets, counts = (
        np.concatenate([np.asarray(pair[side], dtype=np.int64) for pair in pairs] or [np.zeros(0, dtype=np.int64)])
        for side in range(2)
    )
    return buckets, counts


def added(cells: Iterable[Sparse]) -> NDArray[np.int64]:
    """(BUCKETS,) sums."""
    counts = np.zeros(BUCKETS, dtype=np.int64)
    for buckets, numbers in cells:
        counts[buckets] += numbers
    return counts
