"""
A run's numbers since it began, for those who watch it while it runs: a fold over its seconds, in the parent process.

The workers do nothing for it. Warm-up is not counted. Two histograms are kept of each time: explicit bounds for
OpenMetrics, exponential buckets for OTLP; both are made from Headway's own, so a value is placed to 0.1 %.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from headway.load.histogram import BUCKETS, highest_ns, lowest_ns
from headway.model import FailureKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from headway.model import Progress, Scenario

    IntArray = NDArray[np.int64]

BOUNDS_S = (
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10, 30, 60,
)  # fmt: skip
SCALE = 4
"""OTLP's exponential histogram of this scale has buckets 4.4 % wide."""
GOOD = "good"
_ALL = np.arange(BUCKETS, dtype=np.int64)
_HIGHEST_S = highest_ns(_ALL) / 1e9
_MIDDLE_S = (lowest_ns(_ALL) + highest_ns(_ALL)) / 2e9
EXPLICIT = np.searchsorted(np.array(BOUNDS_S), _MIDDLE_S)
EXPONENTIAL = np.ceil(np.log2(_HIGHEST_S) * 2**SCALE).astype(np.int64) - 1
LOWEST = int(EXPONENTIAL.min())


@dataclass(kw_only=True)
class Times:
    """One histogram. explicit: (len(BOUNDS_S) + 1,) counts; exponential: from index LOWEST on."""

    explicit: IntArray = field(default_factory=lambda: np.zeros(len(BOUNDS_S) + 1, dtype=np.int64))
    exponential: IntArray = field(default_factory=lambda: np.zeros(int(EXPONENTIAL.max()) - LOWEST + 1, dtype=np.int64))
    sum_s: float = 0.0

    @property
    def count(self) -> int:
        """Values in it."""
        return int(self.explicit.sum())

    def add(self, cells: tuple[IntArray, IntArray]) -> None:
        """More values: (buckets, counts)."""
        buckets, counts = cells
        np.add.at(self.explicit, EXPLICIT[buckets], counts)
        np.add.at(self.exponential, EXPONENTIAL[buckets] - LOWEST, counts)
        self.sum_s += float((_MIDDLE_S[buckets] * counts).sum())


@dataclass(kw_only=True)
class OfPhase:
    """One phase's sums since its warm-up ended, and what its last second showed."""

    planned: int = 0
    sent: int = 0
    requests: Counter[tuple[str, str]] = field(default_factory=Counter)  # (route, GOOD or the kind of failure)
    response: dict[str, Times] = field(default_factory=lambda: defaultdict(Times))  # by route
    service: dict[str, Times] = field(default_factory=lambda: defaultdict(Times))
    lateness: Times = field(default_factory=Times)
    connections: int = 0
    backlog: int = 0
    warming_up: bool = True


class Totals:
    """All phases of one run. `second` is called by the run; readers hold `lock` while they read `phases`."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario.name
        self.began_ns = time.time_ns()
        self.lock = threading.Lock()
        self.phases: dict[str, OfPhase] = {}
        self._routes = tuple(route.name for route in scenario.routes)

    def second(self, progress: Progress) -> None:
        """One more second of the run."""
        with self.lock:
            phase = self.phases.setdefault(progress.phase.name, OfPhase())
            phase.connections, phase.backlog = progress.connections, progress.backlog
            phase.warming_up = progress.warming_up
            if progress.warming_up:
                return
            phase.planned += round(progress.planned_per_s)
            phase.sent += round(progress.sent_per_s)
            if progress.lateness is not None:
                phase.lateness.add(progress.lateness)
            for each in progress.routes:
                name = self._routes[each.route]
                if each.response[1].size:
                    phase.response[name].add(each.response)
                    phase.service[name].add(each.service)
                    phase.requests[name, GOOD] += int(each.response[1].sum())
                for kind, n in each.failures.items():
                    phase.requests[name, FailureKind[kind].value] += n

    def names(self) -> Iterator[tuple[str, OfPhase]]:
        """Phases by name; under `lock`."""
        yield from self.phases.items()
