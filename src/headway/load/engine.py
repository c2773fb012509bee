"""
One worker's engine: when to send, on which connection, and what came of it.

Open model: a request is due when the pacer says so. It goes out on a free connection at once, or on the first that
comes free or opens; its clock runs from the intended time all along. Closed model: each user sends again as soon as
its answer came, and when it must connect anew for that, its clock runs while it does. A request that finds no
connection within the timeout is given up as not sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic_ns
from typing import TYPE_CHECKING

from headway.load.dial import DialFailed
from headway.load.pacer import NEVER
from headway.load.recorder import FULL
from headway.model import FailureKind

if TYPE_CHECKING:
    from headway.load.connection import Connection
    from headway.load.dial import Dialer
    from headway.load.pacer import Pacer
    from headway.load.recorder import Recorder
    from headway.load.timer import Timer

CONNECTS_AT_ONCE = 128
SWEEP_S = 0.1
RETRY_S = 0.1
"""A closed user whose connection failed waits this long: a dead target must not become a busy loop."""


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One route, ready to be sent: its bytes and what counts as a good answer."""

    render: Callable[[], bytes]
    good: frozenset[int]  # empty: 200 to 399
    head_only: bool


class Engine:
    """
    Sends, and counts what comes back.

    Args:
        dialer: makes the connections.
        shots: one a route.
        draw_routes: () -> a batch of route indexes, by weight.
        recorder: where to count.
        timeout_ns: of an answer since it was sent, of a request waiting for a connection, and of a connection.
        most: open connections at most; in a closed model the users.
    """

    def __init__(
        self,
        *,
        dialer: Dialer,
        shots: Sequence[Shot],
        draw_routes: Callable[[], list[int]],
        recorder: Recorder,
        timeout_ns: int,
        most: int,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._dialer = dialer
        self._shots = shots
        self._draw_routes = draw_routes
        self._routes: list[int] = []
        self._recorder = recorder
        self._timeout_ns = timeout_ns
        self._most = most
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._connecting = 0
        self._front: Pacer | None = None
        self._back: Pacer | None = None
        self._timer: Timer | None = None
        self._began_ns = 0
        self.backlog = 0
        self.warmed = [0, 0, 0]  # planned, sent, answered: of the warm-up, for the live view alone
        self.measure_from_ns = NEVER
        self.measure_to_ns = NEVER
        self.sending = False

    # -- the worker calls these ---------------------------------------------------------------------------

    def begin_open(self, front: Pacer, back: Pacer, timer: Timer, began_ns: int) -> None:
        """Start an open model: `front` and `back` are two pacers of one seed; times count from `began_ns`."""
        self._front, self._back, self._timer, self._began_ns = front, back, timer, began_ns
        self.sending = True
        timer.arm(began_ns + front.due_ns)
        self._loop.call_later(SWEEP_S, self._sweep)

    def begin_closed(self) -> None:
        """Start a closed model: every user connects and sends."""
        self.sending = True
        self._connect(self._most)
        self._loop.call_later(SWEEP_S, self._sweep)

    def wake(self) -> None:
        """Requests may be due: count them, send them, and wake again at the next."""
        front, now_ns = self._front, monotonic_ns()
        if front is None or self._timer is None or not self.sending:
            return
        recorder, now = self._recorder, now_ns - self._began_ns
        while front.due_ns <= now:
            if front.due_ns >= self.measure_from_ns - self._began_ns:
                recorder.planned += 1
            else:
                self.warmed[0] += 1
            front.advance()
            self.backlog += 1
        idle = self._idle
        while self.backlog and idle:
            self._send_due(idle.pop())
        if self.backlog > self._connecting:
            self._connect(self.backlog - self._connecting)
        if front.due_ns != NEVER:
            self._timer.arm(self._began_ns + front.due_ns)

    @property
    def quiet(self) -> bool:
        """Nothing waits and nothing is in flight."""
        return self.backlog == 0 and self._connecting == 0 and not any(each.busy for each in self._open)

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._open)

    def stop_sending(self, *, forget_backlog: bool) -> None:
        """No request goes out any more, but those already due unless they are forgotten: cut off, and said so."""
        self._front = None
        if forget_backlog or self._back is None:
            self.sending = False
            while self.backlog:
                self._give_up(FailureKind.ABORTED, "")

    def abandon(self) -> None:
        """End: what is in flight is cut off, and said so."""
        self.stop_sending(forget_backlog=True)
        for connection in list(self._open):
            if connection.busy:
                connection.fail(FailureKind.ABORTED)
            else:
                connection.close()
        for task in self._tasks:
            task.cancel()

    # -- connections call these -----------------------------------------------------------------------------

    def connected(self, connection: Connection) -> None:
        """A connection is ready."""
        self._connecting -= 1
        self._open.add(connection)
        self._next(connection, connection.wanted_ns)

    def answered(self, connection: Connection, status: int, received: int, *, reusable: bool) -> None:
        """An answer is whole: count it, and send the next if one waits."""
        now_ns = monotonic_ns()
        recorder = self._recorder
        if connection.intended_ns >= self.measure_from_ns:
            good = self._shots[connection.route].good
            recorder.statuses[status] += 1
            recorder.received_bytes += received
            if status in good if good else 200 <= status < 400:
                hits = recorder.hits
                hits.extend((connection.route, now_ns - connection.intended_ns, now_ns - connection.sent_ns))
                if len(hits) >= FULL:
                    recorder.fold()
            else:
                recorder.failed(connection.route, FailureKind.STATUS, str(status))
        else:
            self.warmed[2] += 1
        if reusable:
            connection.free_ns = now_ns
            self._next(connection, now_ns)
        else:
            self._gone(connection)

    def failed(self, connection: Connection, kind: FailureKind, message: str) -> None:
        """A request in flight came to nothing."""
        if connection.intended_ns >= self.measure_from_ns:
            self._recorder.failed(connection.route, kind, message)
        self._gone(connection)

    def unasked(self, connection: Connection) -> None:
        """Data that nobody asked for: the connection cannot be trusted."""
        connection.close()
        self._gone(connection)

    def lost(self, connection: Connection) -> None:
        """An idle connection was closed by the server."""
        self._gone(connection)

    # -- inside -----------------------------------------------------------------------------------------------

    def _next(self, connection: Connection, since_ns: int) -> None:
        """`since_ns`: when a closed user was free to send, which is when its request was meant to be sent."""
        if self._back is None:
            if self.sending and connection.free_ns < self.measure_to_ns:
                self._send(connection, since_ns, connection.free_ns)
            else:
                self._idle.append(connection)
        elif self.backlog and self.sending:
            self._send_due(connection)
        else:
            self._idle.append(connection)

    def _send_due(self, connection: Connection) -> None:
        """Send the oldest request that waits."""
        back = self._back
        if back is None:
            return
        intended_ns = self._began_ns + back.due_ns
        back.advance()
        self.backlog -= 1
        self._send(connection, intended_ns, monotonic_ns())

    def _send(self, connection: Connection, intended_ns: int, now_ns: int) -> None:
        if not self._routes:
            self._routes = self._draw_routes()
        route = self._routes.pop()
        shot = self._shots[route]
        connection.head_only = shot.head_only
        connection.send(route, shot.render(), intended_ns, now_ns)
        if intended_ns >= self.measure_from_ns:
            recorder = self._recorder
            recorder.sent += 1
            free_ns = connection.free_ns
            recorder.lates.append(now_ns - (intended_ns if intended_ns > free_ns else free_ns))
            if self._back is None:
                recorder.planned += 1
        else:
            self.warmed[1] += 1
            self.warmed[0] += self._back is None

    def _give_up(self, kind: FailureKind, message: str) -> None:
        """The oldest request that waits is not sent."""
        back = self._back
        if back is None or not self.backlog:
            return
        if self._began_ns + back.due_ns >= self.measure_from_ns:
            if not self._routes:
                self._routes = self._draw_routes()
            self._recorder.failed(self._routes.pop(), kind, message)
        back.advance()
        self.backlog -= 1

    def _gone(self, connection: Connection) -> None:
        """A connection is no more; another takes its place when one is needed."""
        if connection not in self._open:
            return
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if self.sending and (self._back is None or self.backlog > self._connecting):
            self._connect(1)

    def _connect(self, wanted: int) -> None:
        room = min(self._most - len(self._open) - self._connecting, wanted)
        if self._back is not None:
            room = min(room, CONNECTS_AT_ONCE - self._connecting)
        for _ in range(max(0, room)):
            self._connecting += 1
            task = self._loop.create_task(self._open_one())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _open_one(self) -> None:
        wanted_ns = monotonic_ns()
        try:
            await self._dialer.dial(self, wanted_ns)
        except DialFailed as failed:
            self._undialled(failed, wanted_ns)

    def _undialled(self, failed: DialFailed, wanted_ns: int) -> None:
        self._connecting -= 1
        if self._back is not None:
            self._give_up(failed.kind, failed.message)
        elif self.sending:
            if wanted_ns >= self.measure_from_ns:
                self._count_unconnected(failed.kind, failed.message)
            self._loop.call_later(RETRY_S, self._retry)

    def _retry(self) -> None:
        if self.sending:
            self._connect(1)

    def _count_unconnected(self, kind: FailureKind, message: str) -> None:
        """A closed user's try that found no connection: a request that was planned and failed."""
        if not self._routes:
            self._routes = self._draw_routes()
        self._recorder.planned += 1
        self._recorder.failed(self._routes.pop(), kind, message)

    def _sweep(self) -> None:
        """Time out what waits too long, in flight or for a connection; open what is still missing."""
        now_ns = monotonic_ns()
        too_old = now_ns - self._timeout_ns
        for connection in [each for each in self._open if each.busy and each.sent_ns < too_old]:
            connection.fail(FailureKind.TIMEOUT, f"no whole answer within {self._timeout_ns / 1e9:g} s")
        if self._back is not None:
            while self.backlog and self._began_ns + self._back.due_ns < too_old:
                self._give_up(FailureKind.UNSENT, "every connection was busy")
            if self.sending and self.backlog > self._connecting:
                self._connect(self.backlog - self._connecting)
        self._loop.call_later(SWEEP_S, self._sweep)
