"""The workers of one phase, wherever they run: started at one instant, heard, and counted once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

from headway.load import progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from headway.load.log import LoadLog
    from headway.load.recorder import Second
    from headway.model import Phase, Progress

TICK_S = 0.05
Message = tuple[Any, ...]
"""("second", Second), ("done",), ("lost", why) of one worker; ("host", facts) of its machine."""


class Stop:
    """How a run is ended early, from a signal handler."""

    def __init__(self) -> None:
        self.draining = False
        self.at_once = False

    def drain(self) -> None:
        """No new requests; wait a little for those in flight."""
        self.draining = True

    def now(self) -> None:
        """End the workers."""
        self.draining = self.at_once = True


class Hands(Protocol):
    """What starts the workers of a phase and carries orders and messages: pipes here, Dask between machines."""

    lead_ns: int
    """From the order to the start: time for every worker to have heard it."""

    @property
    def workers(self) -> int:
        """How many there are."""

    def hire(self) -> None:
        """Start every worker; each is ready afterwards, or this raises."""

    def start(self, began_ns: int) -> Mapping[str, Any]:
        """Order all to begin at that instant of this machine's monotonic clock; gives facts for the log."""

    def messages(self, wait_s: float) -> Iterable[tuple[int, Message]]:
        """What has come, after waiting so long at most: (worker, message)."""

    def drain(self) -> None:
        """No new requests."""

    def dismiss(self) -> None:
        """No worker is left afterwards."""


class Crew:
    """
    One phase's work.

    Args:
        number: the phase's, from 0.
        phase: what is driven.
        hands: the workers.
        log: gets every second of every worker, as it comes.
        stop: ends the phase early.
        on_second: gets each second's progress.
        tolerate: how many workers may be lost before the phase is ended.
        facts: what else the phase's first line says.
    """

    def __init__(
        self,
        number: int,
        phase: Phase,
        hands: Hands,
        log: LoadLog,
        stop: Stop,
        on_second: Callable[[Progress], None],
        *,
        tolerate: int = 0,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        self._number = number
        self._phase = phase
        self._hands = hands
        self._log = log
        self._stop = stop
        self._tolerate = tolerate
        self._facts = facts or {}
        self._gathered = progress.Gathering(phase, hands.workers, on_second)
        self._working = set(range(hands.workers))
        self._lost = 0
        self._drained = False
        self._started_at_s = 0.0

    def run(self, on_measure_start: Callable[[], None], on_measure_end: Callable[[], None]) -> None:
        """Start, gather, end. Workers are gone afterwards, whatever happens."""
        phase, hands = self._phase, self._hands
        try:
            hands.hire()
            ordered_ns = time.monotonic_ns()
            began_ns = ordered_ns + hands.lead_ns
            start_s = phase.warmup_s + (began_ns - time.monotonic_ns()) / 1e9
            self._started_at_s = time.time() + start_s
            facts = hands.start(began_ns)
            self._log.event(
                "start", self._number, started_at_s=self._started_at_s, workers=hands.workers,
                offset_s=self._log.offset_s(self._started_at_s), workers_tolerated=self._tolerate,
                **self._facts, **facts,
            )  # fmt: skip
            hooks = [(start_s, on_measure_start), (start_s + phase.whole_seconds, on_measure_end)]
            self._gather(ordered_ns, hooks)
            self._gathered.end()
        finally:
            hands.dismiss()
        finished = self._lost <= self._tolerate and not self._stop.draining
        self._log.event("end", self._number, workers_lost=self._lost, finished=finished)

    def _gather(self, from_ns: int, hooks: list[tuple[float, Callable[[], None]]]) -> None:
        """Take the workers' messages until each is done or gone; call the hooks when their time has come."""
        while self._working and not self._stop.at_once:
            for worker, message in self._hands.messages(TICK_S):
                self._take(worker, message)
            elapsed_s = (time.monotonic_ns() - from_ns) / 1e9
            if self._stop.draining and not self._drained:
                self._drain()
            while hooks and (elapsed_s >= hooks[0][0] or (self._drained and len(hooks) == 1)):
                hooks.pop(0)[1]()
        if len(hooks) == 1:
            hooks.pop()[1]()

    def _take(self, worker: int, message: Message) -> None:
        match message[0]:
            case "second":
                self._second(worker, message[1])
            case "host":
                self._log.event("host", self._number, worker=worker, **message[1])
            case "done":
                self._working.discard(worker)
            case "lost" if worker in self._working:
                self._lose(worker, message[1])

    def _second(self, worker: int, second: Second) -> None:
        if second.second >= 0:
            self._log.second(self._number, worker, self._started_at_s, second)
        self._gathered.second(worker, second)

    def _lose(self, worker: int, why: str) -> None:
        """What it would have sent was not: the phase ends, unless so many may be lost."""
        self._working.discard(worker)
        self._lost += 1
        self._log.event("lost", self._number, worker=worker, why=why)
        self._gathered.lose(worker)
        if self._lost > self._tolerate:
            self._drain()

    def _drain(self) -> None:
        self._drained = True
        self._hands.drain()
