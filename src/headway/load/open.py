"""
The open model: requests are due when the pacer says so, whatever the service does.

A start goes out on a free connection at once, or on the first that comes free or opens; its clock runs from the
intended time all along. So does that of a journey's later step, which is due when the pause after the answer before it
has passed. A request that finds no connection within the timeout is given up as not sent.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from time import monotonic_ns
from typing import TYPE_CHECKING

from headway.load.engine import Engine
from headway.load.pacer import NEVER
from headway.model import FailureKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from headway.load.connection import Connection
    from headway.load.dial import Dialer, DialFailed
    from headway.load.pacer import Pacer
    from headway.load.plain import Poller
    from headway.load.recorder import Recorder
    from headway.load.starts import Starts
    from headway.load.visit import Visit
    from headway.model import Wire

CONNECTS_AT_ONCE = 128


class OpenEngine(Engine):
    """
    Sends at the pacer's times.

    Args:
        front, back: two pacers of one seed; the front one tells what is due, the back one what is sent.
        began_ns: the instant that the pacers' times count from.
        most: open connections at most.
        recorded: n -> route and bytes of the n-th start, where a recording is replayed; None: starts are drawn.
        others: as `Engine`.
    """

    __slots__ = (
        "_back", "_began_ns", "_ended", "_front", "_idle", "_most", "_recorded", "_replayed", "_starts_due",
        "_steps_due", "_thinking", "_thought",
    )  # fmt: skip

    def __init__(
        self, *, front: Pacer, back: Pacer, began_ns: int, most: int, dialer: Dialer, poller: Poller,
        starts: Starts, recorder: Recorder, timeout_ns: int, wire: Wire | None = None, origin: str = "",
        recorded: Callable[[int], tuple[int, bytes]] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            dialer=dialer, poller=poller, starts=starts, recorder=recorder, timeout_ns=timeout_ns, wire=wire,
            origin=origin,
        )  # fmt: skip
        self._front = front
        self._back = back
        self._began_ns = began_ns
        self._most = most
        self._recorded = recorded
        self._replayed = starts.replayed
        self._idle: list[Connection] = []
        self._starts_due = 0  # between the two pacers
        self._ended = False
        self._thinking: list[tuple[int, int, Visit]] = []  # a heap by the moment the next step is due
        self._thought = 0
        self._steps_due: deque[Visit] = deque()

    def begin(self) -> None:
        """Send from now on."""
        self._begin()
        self._wake_at(self._began_ns + self._front.due_ns)

    @property
    def backlog(self) -> int:
        """Requests that are due and wait for a connection."""
        return self._starts_due + len(self._steps_due)

    def wake(self) -> None:
        """Requests may be due: count them and send them."""
        now_ns = monotonic_ns()
        if not self.sending:
            return
        front, thinking = self._front, self._thinking
        now = now_ns - self._began_ns
        while front.due_ns <= now and not self._ended:
            self._plan(self._began_ns + front.due_ns)
            front.advance()
            self._starts_due += 1
        while thinking and thinking[0][0] <= now_ns:
            visit = heappop(thinking)[2]
            self._plan(visit.due_ns)
            self._steps_due.append(visit)
        idle = self._idle
        while idle and (self._starts_due or self._steps_due):
            self._send_oldest(idle.pop())
        self._connect_missing()

    def _next_due_ns(self) -> int:
        start_ns = NEVER if self._ended or self._front.due_ns == NEVER else self._began_ns + self._front.due_ns
        return min(start_ns, self._thinking[0][0]) if self._thinking else start_ns

    def _no_more(self) -> None:
        """Neither the pacer nor a visitor that thinks has another."""
        self._ended = True
        self._thinking.clear()

    def _ready(self, connection: Connection) -> None:
        self._take(connection)

    def freed(self, connection: Connection, now_ns: int) -> None:
        due_ns = self._began_ns + self._front.due_ns
        if due_ns < now_ns:  # overslept: it may have been free when that was due, and is no excuse from then on
            connection.free_ns = due_ns
        if self._starts_due or self._steps_due:
            self._send_oldest(connection)
        else:
            self._idle.append(connection)

    def _take(self, connection: Connection) -> None:
        """A free connection: to the oldest request that waits, or aside. As in `freed`, oversleeping is no excuse."""
        connection.free_ns = min(connection.free_ns, self._next_due_ns())
        if self.backlog and self.sending:
            self._send_oldest(connection)
        elif self._keep_alive:
            self._idle.append(connection)
        else:
            self._open.discard(connection)
            connection.close()

    def _left(self, connection: Connection, visit: Visit | None, now_ns: int) -> None:
        del connection, visit, now_ns
        if self.sending:
            self._connect_missing()

    def _lost(self, connection: Connection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)
        if self.sending:
            self._connect_missing()

    def _over(self, connection: Connection | None, visit: Visit, pause_ns: int, now_ns: int) -> None:
        del visit, pause_ns, now_ns  # who comes next does not wait for who leaves
        if connection is not None:
            self._take(connection)
        elif self.sending:
            self._connect_missing()

    def _go_on(self, connection: Connection | None, visit: Visit) -> None:
        now_ns = monotonic_ns()
        if visit.due_ns > now_ns:
            if visit.due_ns < self.measure_to_ns and self.sending:
                self._thought += 1  # so that two due at one moment are not compared further
                heappush(self._thinking, (visit.due_ns, self._thought, visit))
                self._wake_at(visit.due_ns)
            self._over(connection, visit, 0, now_ns)
            return
        if not visit.hops:
            if visit.due_ns >= self.measure_to_ns or not self.sending:
                self._over(connection, visit, 0, now_ns)
                return
            self._plan(visit.due_ns)
        if connection is not None:
            self._send_visit(connection, visit, now_ns)
        elif visit.hops:
            self._steps_due.appendleft(visit)
            self._connect_missing()
        else:
            self._steps_due.append(visit)
            self._connect_missing()

    def _send_oldest(self, connection: Connection) -> None:
        """Send the request that waits longest."""
        visit = self._oldest_step()
        if visit is not None:
            self._send_visit(connection, visit, monotonic_ns())
            return
        back = self._back
        intended_ns = self._began_ns + back.due_ns
        self._starts_due -= 1
        if self._recorded is None:
            self._send_start(connection, intended_ns, monotonic_ns())
        else:
            route, request = self._recorded(back.passed)
            course = self._replayed.get(route)
            if course is None:
                self._send_shot(connection, route, request, intended_ns, monotonic_ns())
            else:
                self._send_visit(connection, course.begin(intended_ns, request), monotonic_ns())
        back.advance()

    def _oldest_step(self) -> Visit | None:
        """The step that waits longest, taken from its queue, unless a start has waited longer."""
        steps = self._steps_due
        if steps and (not self._starts_due or steps[0].due_ns <= self._began_ns + self._back.due_ns):
            return steps.popleft()
        return None

    def _give_up(self, kind: FailureKind, message: str) -> None:
        if not self.backlog:
            return
        visit = self._oldest_step()
        if visit is not None:
            # One that follows a redirect was sent already.
            unsent = kind is FailureKind.UNSENT and visit.hops
            self._fail_visit(visit, FailureKind.TIMEOUT if unsent else kind, message)
            return
        intended_ns = self._began_ns + self._back.due_ns
        self._starts_due -= 1
        if self._recorded is None:
            self._fail_start(intended_ns, kind, message)
        elif intended_ns >= self.measure_from_ns:
            self._recorder.failed(self._recorded(self._back.passed)[0], kind, message)
        self._back.advance()

    def _undialled(self, failed: DialFailed) -> None:
        self._give_up(failed.kind, failed.message)

    def _swept(self, now_ns: int) -> None:
        too_old = now_ns - self._timeout_ns
        while self.backlog and self._oldest_ns() < too_old:
            if self._open:
                self._give_up(FailureKind.UNSENT, "every connection was busy")
            else:  # the dialer is about to say so too
                self._give_up(FailureKind.CONNECT_TIMEOUT, "no connection came to be in time")
        if self.sending:
            self._connect_missing()

    def _oldest_ns(self) -> int:
        """When the request that waits longest was due."""
        start_ns = self._began_ns + self._back.due_ns if self._starts_due else NEVER
        return min(start_ns, self._steps_due[0].due_ns) if self._steps_due else start_ns

    def _connect_missing(self) -> None:
        """As many connections as requests that wait, within what is allowed."""
        missing = self._starts_due + len(self._steps_due) - self._connecting
        if missing > 0:
            room = min(self._most - len(self._open), CONNECTS_AT_ONCE) - self._connecting
            self._connect(min(room, missing))
