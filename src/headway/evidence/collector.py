"""What every source of evidence does, and the thread that keeps a slow or dead one from harming the run."""

from __future__ import annotations

import queue
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from headway.errors import HeadwayError
from headway.model import Presence, SourceState

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from headway.model import Phase

PATIENCE_S = 20.0
"""How long the end of a run waits for a source that doesn't answer. Longer than every timeout of the sources' own."""


class Collector:
    """
    One source of evidence. Times are unix seconds.

    `check` and `opened` run before any load, in the caller's thread; the rest in one thread of the collector's own, in
    order.
    A raised exception ends the collector, never the run; what it had is still written.
    """

    name = ""

    def __init__(self) -> None:
        self.versions: dict[str, str] = {}
        self.lower_bound_phases: set[str] = set()  # counters were reset: the differences may be too small
        self.remark = ""  # what the reader must know of what was collected
        self.notice = ""  # what whoever started the run must know before the load, after `check`

    def check(self) -> SourceState:
        """
        Whether the source can be read.

        Raises:
            SourceRefused: it was named and refuses; nothing should be loaded.
        """
        raise NotImplementedError

    def opened(self, folder: Path) -> None:
        """The run's folder is made; in the caller's thread, before any load."""

    def begin(self, phase: Phase, at_s: float) -> None:
        """The phase's warm-up is over."""

    def sample(self, at_s: float) -> None:
        """A second has gone by, in a phase or between two."""

    def end(self, phase: Phase, at_s: float) -> None:
        """The phase's measured part is over."""

    def finish(self) -> None:
        """The load is over: ask what is left to ask."""

    def write(self, folder: Path) -> None:
        """Write what was collected. Talks to no server."""

    def close(self) -> None:
        """Let go of connections and files."""


def absent(name: str, option: str) -> SourceState:
    """Nobody named this source."""
    return SourceState(name=name, presence=Presence.ABSENT, detail="not named", next_act=f"name it with {option}")


def present(name: str, detail: str) -> SourceState:
    """The source can be read."""
    return SourceState(name=name, presence=Presence.PRESENT, detail=detail)


def failed(name: str, reason: str, next_act: str) -> SourceState:
    """The source was named and cannot be read."""
    return SourceState(name=name, presence=Presence.FAILED, detail=reason, next_act=next_act)


class Watch:
    """A collector in a thread of its own, so that readings of all sources are taken at once and none can block."""

    def __init__(self, collector: Collector, state: SourceState) -> None:
        self.collector = collector
        self._state = state
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        # A daemon: a server that never answers must not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name=f"headway-{collector.name}", daemon=True)
        self._thread.start()

    @property
    def state(self) -> SourceState:
        """The source's state, with the collector's remark."""
        remark = self.collector.remark
        if not remark or self._state.presence is Presence.ABSENT:
            return self._state
        return replace(self._state, detail=f"{self._state.detail}; {remark}")

    def post(self, task: Callable[[], None]) -> None:
        """Do `task` after all earlier ones; returns at once."""
        self._tasks.put(task)

    def sample(self, at_s: float) -> None:
        """Take a sample, unless the collector is still busy with something earlier."""
        if self._tasks.empty():
            self.post(lambda: self.collector.sample(at_s))

    def finish(self) -> None:
        """Ask what is left to ask; then take no more tasks."""
        self.post(self.collector.finish)
        self._tasks.put(None)

    def wait(self, patience_s: float = PATIENCE_S) -> None:
        """Wait until all tasks are done; a collector that isn't in time has failed."""
        self._thread.join(patience_s)
        if self._thread.is_alive():
            self._fail(TimeoutError(f"no answer within {patience_s:.0f} s"))

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            if self._state.presence is not Presence.PRESENT:
                continue
            try:
                task()
            except Exception as exc:  # noqa: BLE001 whatever a source does, the run goes on and the reason is kept
                self._fail(exc)

    def _fail(self, exc: Exception) -> None:
        reason, next_act = (exc.what, exc.next_act) if isinstance(exc, HeadwayError) else (in_words(exc), "run again")
        self._state = failed(self.collector.name, f"lost during the run: {reason}", next_act)


def in_words(exc: BaseException) -> str:
    """An exception as one line that says something even when its message is empty."""
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    return " ".join(lines) if lines else type(exc).__name__
