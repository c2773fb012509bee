"""
What one worker counts: constant memory however many requests there are.

The hot path packs numbers into one flat buffer; `flush` folds it into sparse histograms once a second.
"""

from __future__ import annotations

import resource
from array import array
from collections import Counter
from dataclasses import dataclass, field
from struct import Struct
from typing import TYPE_CHECKING

import numpy as np

from headway.load.histogram import BUCKETS, bucket_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from headway.model import FailureKind

Sparse = tuple["NDArray[np.integer]", "NDArray[np.integer]"]
"""Buckets, ascending, and their counts, of the same length. Arrays: lists of them take ten times as long to send."""
HIT = Struct("=qqqqq")
"""A good answer: route, response ns, service ns, status, bytes. Packed where it is kept, counted when it is folded."""
FULL = HIT.size << 11
"""Bytes of hits held before a fold, which takes a fifth of a millisecond then: what is due meanwhile waits."""
DETAILS = ("connect", "tls", "first_byte", "body")
"""The parts of a request's time; their numbers are kept apart only when they are asked for."""
ERROR_SAMPLES = 5
STATUSES = 1000
"""HTTP's have three digits; so does what llhttp lets pass."""


@dataclass(kw_only=True)
class Second:
    """One worker's second, as it goes to the parent and, in this form, into the load log."""

    second: int  # whole seconds since the warm-up ended; below 0 in the warm-up
    planned: int
    sent: int
    good: int
    statuses: dict[int, int]
    failures: list[tuple[int, str, int]]  # route, kind, requests
    received_bytes: int
    response: dict[int, Sparse] = field(default_factory=dict)  # by route
    service: dict[int, Sparse] = field(default_factory=dict)
    lateness: Sparse = field(default_factory=lambda: sparse(np.zeros(0, dtype=np.int64)))
    loop_lag: Sparse = field(default_factory=lambda: sparse(np.zeros(0, dtype=np.int64)))
    cpu_ratio: float = 0.0
    connections: int = 0
    backlog: int = 0
    journeys_ended: int = 0
    iterations_left: int = 0  # starts that were still to be made when this second ended
    details: dict[str, dict[int, Sparse]] = field(default_factory=dict)  # by measure, by route
    files: int = 0  # open file descriptors of this worker, and how many it may have
    files_allowed: int = 0
    cpu_wait_ratio: float = 0.0  # share of the second in which it was ready to run and had no core
    errors: list[str] = field(default_factory=list)


def sparse(counts: NDArray[np.int64]) -> Sparse:
    """The filled buckets of one second's histogram, small: what a pipe doesn't hold is waited for by its sender."""
    filled = np.flatnonzero(counts != 0)  # of truth values: an eighth of the time
    return filled.astype(np.uint16), counts[filled].astype(np.uint32)


def by_route(counts: NDArray[np.int64]) -> dict[int, Sparse]:
    """The filled buckets of each route's histogram that has any; counts: (routes, BUCKETS)."""
    return {route: sparse(row) for route, row in enumerate(counts) if row.any()}


class Recorder:
    """Counters of one worker, since the last flush."""

    def __init__(self, routes: int) -> None:
        self._routes = routes
        self.hits = bytearray(FULL)  # HIT after HIT
        self.held = 0  # bytes of them
        self.lates = array("q")  # ns, of every request sent
        self.lags = array("q")
        self.details = {measure: array("q") for measure in DETAILS}  # route, ns, ...: good answers, when asked for
        self._parts: dict[str, NDArray[np.int64]] = {}
        self._folded = np.zeros((2, routes, BUCKETS), dtype=np.int64)
        self._lateness = np.zeros(BUCKETS, dtype=np.int64)
        self.at_once = 0  # planned, and sent at that same moment: added to planned, sent and lateness by `flush`
        self.until_ns = 1 << 62  # where this second ends; what is planned from there on counts in the next
        self.ahead = 0
        self.planned = 0
        self.sent = 0
        self.journeys_ended = 0
        self.received_bytes = 0
        self._statuses = np.zeros(STATUSES, dtype=np.int64)
        self.failures: Counter[tuple[int, str]] = Counter()
        self._errors: dict[str, None] = {}
        self._reported: set[str] = set()
        self._cpu_s = cpu_s()
        self._since_ns = self._lingered_ns = 0

    def hit(self, route: int, response_ns: int, service_ns: int, status: int, received: int) -> None:
        """One good answer."""
        HIT.pack_into(self.hits, self.held, route, response_ns, service_ns, status, received)
        self.held += HIT.size
        if self.held >= FULL:
            self.fold()

    def unwanted(self, status: int, received: int) -> None:
        """One answer that is not good; `failed` says so."""
        self._statuses[status] += 1
        self.received_bytes += received

    def failed(self, route: int, kind: FailureKind, message: str = "") -> None:
        """One request got no good answer."""
        self.failures[route, kind.name] += 1
        self.say(f"{kind.value}: {message}" if message else kind.value)

    def say(self, text: str) -> None:
        """A sample for people, the first of its words."""
        if len(self._reported) < ERROR_SAMPLES and text not in self._reported:
            self._reported.add(text)
            self._errors[text] = None

    def fold(self) -> None:
        """Empty the flat arrays into the histograms."""
        if self.held:
            table = np.frombuffer(self.hits, dtype=np.int64, count=self.held // 8).reshape(-1, 5)
            for measure in range(2):
                cells = table[:, 0] * BUCKETS + bucket_of(table[:, measure + 1])
                np.add.at(self._folded[measure].reshape(-1), cells, 1)  # of one dimension: a third of the time
            self._statuses += np.bincount(table[:, 3], minlength=STATUSES)
            self.received_bytes += int(table[:, 4].sum())
            self.held = 0
        if self.lates:
            np.add.at(self._lateness, bucket_of(np.array(self.lates, dtype=np.int64)), 1)
            del self.lates[:]
        for part, flat in self.details.items():
            if flat:
                parts = self._parts.setdefault(part, np.zeros((self._routes, BUCKETS), dtype=np.int64))
                pairs = np.array(flat, dtype=np.int64).reshape(-1, 2)
                np.add.at(parts, (pairs[:, 0], bucket_of(pairs[:, 1])), 1)
                del flat[:]

    def flush(self, second: int, now_ns: int, *, connections: int, backlog: int, lingered_ns: int = 0) -> Second:
        """
        Everything since the last flush; starts over.

        Args:
            second: its number.
            now_ns: its end.
            connections, backlog: at that moment.
            lingered_ns: processor time from the start of the run on that was waiting, not work.
        """
        self.fold()
        self.planned += self.at_once
        self.sent += self.at_once
        self._lateness[bucket_of(np.zeros(1, dtype=np.int64))] += self.at_once
        response, service = self._folded
        lags = np.bincount(bucket_of(np.array(self.lags, dtype=np.int64)), minlength=BUCKETS)
        waited_s = (lingered_ns - self._lingered_ns) / 1e9
        used_s, elapsed_s = max(0.0, cpu_s() - self._cpu_s - waited_s), (now_ns - self._since_ns) / 1e9
        found = Second(
            second=second,
            planned=self.planned,
            sent=self.sent,
            good=int(response.sum()),
            statuses={int(status): int(self._statuses[status]) for status in np.flatnonzero(self._statuses)},
            failures=[(route, kind, n) for (route, kind), n in self.failures.items()],
            received_bytes=self.received_bytes,
            response=by_route(response),
            service=by_route(service),
            details={measure: by_route(parts) for measure, parts in self._parts.items()},
            journeys_ended=self.journeys_ended,
            lateness=sparse(self._lateness),
            loop_lag=sparse(lags),
            cpu_ratio=used_s / elapsed_s if self._since_ns else 0.0,
            connections=connections,
            backlog=backlog,
            errors=list(self._errors),
        )
        self._clear()
        self.measure(now_ns, lingered_ns)
        return found

    def measure(self, now_ns: int, lingered_ns: int = 0) -> None:
        """CPU time counts from now. What was counted stays: the engine counts nothing before the measured time."""
        self._cpu_s, self._since_ns, self._lingered_ns = cpu_s(), now_ns, lingered_ns

    def _clear(self) -> None:
        del self.lags[:]
        self._folded[:] = 0
        self._lateness[:] = 0
        for parts in self._parts.values():
            parts[:] = 0
        self.at_once = self.planned = self.sent = self.received_bytes = self.journeys_ended = 0
        self._statuses[:] = 0
        self.failures.clear()
        self._errors.clear()
        self.planned, self.ahead = self.ahead, 0


def cpu_s() -> float:
    """CPU seconds this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
