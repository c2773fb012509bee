"""
A worker's lines to the target: connections opened, timed out and counted, and the alarm for what is due next.

What is sent on them is an engine's to say (engine.py).
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from time import monotonic_ns
from typing import TYPE_CHECKING

from headway.load.heads import Heads
from headway.load.pacer import NEVER
from headway.load.timer import Timer
from headway.model import FailureKind

if TYPE_CHECKING:
    from headway.load.connection import Connection
    from headway.load.dial import DialFailed
    from headway.load.plain import Poller
    from headway.model import Wire

SWEEP_S = 0.1


class Lines(ABC):
    """
    Open connections and those that are being opened.

    Args:
        poller: serves clear-text connections and the alarm; it wakes the engine between its batches.
        timeout_ns: of an answer since it was sent.
        wire: how requests travel.
    """

    # More than thirty attributes: CPython finds those of a dictionary that large by a slower way than slots.
    __slots__ = (
        "_armed_ns", "_connecting", "_loop", "_open", "_poller", "_sweeping", "_tasks", "_timeout_ns", "_timer",
        "_wire", "heads", "sending",
    )  # fmt: skip

    def __init__(self, *, poller: Poller, timeout_ns: int, wire: Wire) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeout_ns = timeout_ns
        self._wire = wire
        self._open: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._connecting = 0
        self._poller = poller
        self._timer = Timer(poller, self._alarmed)
        self._armed_ns = NEVER
        self._sweeping: asyncio.TimerHandle | None = None
        self.heads = Heads()
        self.sending = False

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._open)

    @property
    def lingered_ns(self) -> int:
        """Processor time spent waiting for what was due in a moment."""
        return self._poller.lingered_ns

    @abstractmethod
    def wake(self) -> None:
        """Requests may be due: count them and send them."""

    def connected(self, connection: Connection) -> None:
        """A connection is ready."""
        self._connecting -= 1
        self._open.add(connection)
        self._ready(connection)

    def unasked(self, connection: Connection) -> None:
        """Data that nobody asked for: the connection cannot be trusted."""
        connection.close()
        self.lost(connection)

    def lost(self, connection: Connection) -> None:
        """An idle connection was closed by the server."""
        if connection in self._open:
            self._open.discard(connection)
            self._lost(connection)

    @abstractmethod
    def _ready(self, connection: Connection) -> None:
        """A new connection: the oldest request that waits goes out on it."""

    @abstractmethod
    def _lost(self, connection: Connection) -> None:
        """A connection with nothing in flight is gone."""

    @abstractmethod
    def _undialled(self, failed: DialFailed) -> None:
        """A connection could not be made."""

    @abstractmethod
    def _next_due_ns(self) -> int:
        """When something is due next, on the monotonic clock; NEVER when nothing is."""

    @abstractmethod
    def _swept(self, now_ns: int) -> None:
        """What a model does ten times a second."""

    def _begin(self) -> None:
        self.sending = True
        self._poller.after, self._poller.due, self._poller.idle = self.wake, self._next_due_ns, self._rearm
        self._sweeping = self._loop.call_later(SWEEP_S, self._sweep)

    def _hang_up(self) -> None:
        """End: what is in flight is cut off, and said so."""
        for connection in list(self._open):
            if connection.busy:
                connection.fail(FailureKind.ABORTED)
            else:
                connection.close()
        for task in self._tasks:
            task.cancel()
        if self._sweeping is not None:
            self._sweeping.cancel()
        self._poller.after = self._poller.due = self._poller.idle = None
        self._timer.close()

    def _alarmed(self) -> None:
        """Nothing else: the poller wakes the engine behind its batch, when what has been answered is known."""
        self._armed_ns = NEVER

    def _rearm(self) -> None:
        """The poller has nothing to do: wake when something is due next."""
        at_ns = self._next_due_ns()
        if at_ns not in {NEVER, self._armed_ns}:
            self._armed_ns = at_ns
            self._timer.arm(at_ns)

    def _wake_at(self, at_ns: int) -> None:
        """Wake then, or before when something else is due: of use where the poller is not the one that calls."""
        if at_ns < self._armed_ns:
            self._armed_ns = at_ns
            self._timer.arm(at_ns)

    def _connect(self, wanted: int) -> None:
        for _ in range(wanted):
            self._connecting += 1
            task = self._loop.create_task(self._open_one())
            self._tasks.add(task)
            task.add_done_callback(self._dialled)

    def _dialled(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._loop.call_exception_handler({"message": "a dialer failed", "exception": error})

    @abstractmethod
    async def _open_one(self) -> None:
        """Ask for one connection; `connected` follows, or `_undialled`."""

    def _sweep(self) -> None:
        """Time out what waits too long, in flight or for a connection; open what is still missing."""
        now_ns = monotonic_ns()
        too_old = now_ns - self._timeout_ns
        for connection in [each for each in self._open if each.busy and each.sent_ns < too_old]:
            connection.fail(FailureKind.TIMEOUT, f"no whole answer within {self._timeout_ns / 1e9:g} s")
        self.heads.renew()
        self._swept(now_ns)
        self._sweeping = self._loop.call_later(SWEEP_S, self._sweep)
