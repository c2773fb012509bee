"""
What the two models share: connections, what comes back on them and how it counts.

`OpenEngine` (open.py) sends on a schedule, `ClosedEngine` (closed.py) for users who wait for their answers. A start is
a single request, whose bytes a `Shot` gives on the hot path, or a `Visit` whose answers are looked into (starts.py).
"""

from __future__ import annotations

from abc import abstractmethod
from time import monotonic_ns
from types import MethodType
from typing import TYPE_CHECKING

from headway.load.connection import Connection, TimedConnection
from headway.load.dial import DialFailed
from headway.load.lines import Lines
from headway.load.pacer import NEVER
from headway.load.shortcut import server
from headway.load.visit import Hop
from headway.model import FailureKind, Wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from headway.load.dial import Dialer
    from headway.load.plain import Poller
    from headway.load.recorder import Recorder
    from headway.load.starts import Starts
    from headway.load.visit import Visit

GOOD = frozenset(range(200, 400))
"""Statuses of good answers where a route does not say."""


class Engine(Lines):
    """
    Sends, and counts what comes back.

    Args:
        dialer: makes the connections.
        poller: serves clear-text connections and the alarm; it wakes the engine between its batches.
        starts: what is sent.
        recorder: where to count.
        timeout_ns: of an answer since it was sent, of a request waiting for a connection, and of a connection.
        wire: how requests travel.
        origin: scheme, host and port as in a URL: redirects that leave it are not followed.
    """

    __slots__ = (
        "_courses", "_dialer", "_draw", "_good", "_keep_alive", "_origin", "_recorder", "_serve", "_shots",
        "_timed", "drawn", "measure_from_ns", "measure_to_ns", "plain_until_ns", "warmed",
    )  # fmt: skip

    def __init__(
        self,
        *,
        dialer: Dialer,
        poller: Poller,
        starts: Starts,
        recorder: Recorder,
        timeout_ns: int,
        wire: Wire | None = None,
        origin: str = "",
    ) -> None:
        super().__init__(poller=poller, timeout_ns=timeout_ns, wire=wire or Wire())
        self._dialer = dialer
        self._shots = starts.shots
        self._good = [shot.good or GOOD for shot in starts.shots]
        self._courses = starts.courses
        self._draw = starts.draw
        self.drawn: list[int] = []  # what is started next, the last of them first
        self._recorder = recorder
        self._serve = server(self, recorder, starts.shots, self._good, poller.buffer)
        self._keep_alive = self._wire.keep_alive
        self._timed = self._wire.details
        self._origin = origin
        self.warmed = [0, 0, 0]  # planned, sent, answered: of the warm-up, for the live view alone
        self.plain_until_ns = 0  # until then whoever is answered sends at once, and nobody is counted
        self.measure_from_ns = NEVER
        self.measure_to_ns = NEVER

    # -- the worker calls these ---------------------------------------------------------------------------

    @property
    @abstractmethod
    def backlog(self) -> int:
        """Requests that are due and wait for a connection."""

    @property
    def quiet(self) -> bool:
        """Nothing waits and nothing is in flight."""
        return self.backlog == 0 and self._connecting == 0 and not any(each.busy for each in self._open)

    def stop_sending(self, *, forget_backlog: bool) -> None:
        """Nothing new goes out, only what is due already, unless that is forgotten: cut off, and said so."""
        self._no_more()
        if forget_backlog:
            self.sending = False
            while self.backlog:
                self._give_up(FailureKind.ABORTED, "")

    def abandon(self) -> None:
        """End: what is in flight is cut off, and said so."""
        self.stop_sending(forget_backlog=True)
        self._hang_up()
        self._dialer.close()

    # -- the dialer and connections call these ----------------------------------------------------------------

    def new_connection(self, wanted_ns: int) -> Connection:
        """The protocol of one more connection, for the dialer to connect; asked for at `wanted_ns`."""
        kind = TimedConnection if self._wire.details else Connection
        found = kind(self, wanted_ns, self._wire.max_body_bytes, self._wire.max_head_bytes)
        found.spent = not self._keep_alive
        return found

    def served(self, connection: Connection) -> Callable[[int], None]:
        """What serves a connection on a clear-text socket; without keep-alive or with parts timed, the long way."""
        return connection.line.ready if self._timed or not self._keep_alive else MethodType(self._serve, connection)

    def answered(self, connection: Connection, status: int, received: int) -> None:
        """An answer is whole: count it, and send the next if one waits, unless the connection is spent."""
        now_ns = monotonic_ns()
        if connection.visit is not None:
            self._visited(connection, connection.visit, status, received, now_ns)
            return
        intended_ns = connection.intended_ns
        if intended_ns >= self.measure_from_ns:
            recorder, route = self._recorder, connection.route
            if status in self._good[route]:
                recorder.hit(route, now_ns - intended_ns, now_ns - connection.sent_ns, status, received)
                if self._timed:
                    self._time(connection, now_ns)
            else:
                recorder.unwanted(status, received)
                recorder.failed(route, FailureKind.STATUS, str(status))
        else:
            self.warmed[2] += 1
        if connection.spent:
            self._part(connection, now_ns)
        else:
            connection.free_ns = now_ns
            self.freed(connection, now_ns)

    def failed(self, connection: Connection, kind: FailureKind, message: str) -> None:
        """A request in flight came to nothing."""
        now_ns, visit = monotonic_ns(), connection.visit
        if visit is not None:
            self._fail_visit(visit, kind, message)
        elif connection.intended_ns >= self.measure_from_ns:
            self._recorder.failed(connection.route, kind, message)
        if connection in self._open:
            self._open.discard(connection)
            self._left(connection, visit, now_ns)

    # -- a model's own ------------------------------------------------------------------------------------------

    @abstractmethod
    def freed(self, connection: Connection, now_ns: int) -> None:
        """A single request was answered, and its connection can take another."""

    @abstractmethod
    def _left(self, connection: Connection, visit: Visit | None, now_ns: int) -> None:
        """A request came to its end, good or bad, and its connection is gone; the visit, if any, ends as well."""

    @abstractmethod
    def _over(self, connection: Connection | None, visit: Visit, pause_ns: int, now_ns: int) -> None:
        """A visit ended, and its connection, when there is one, is free."""

    @abstractmethod
    def _go_on(self, connection: Connection | None, visit: Visit) -> None:
        """A visit's next request is due at `visit.due_ns`, now or later; its connection, if any, is free."""

    @abstractmethod
    def _give_up(self, kind: FailureKind, message: str) -> None:
        """The oldest request that waits is not sent."""

    @abstractmethod
    def _no_more(self) -> None:
        """No request becomes due any more."""

    # -- inside -----------------------------------------------------------------------------------------------

    def _send_start(self, connection: Connection, intended_ns: int, now_ns: int) -> Visit | None:
        """Send what is drawn next. Gives the visit it begins, or None for a single request."""
        if not self.drawn:
            self.drawn = self._draw()
        start = self.drawn.pop()
        shots = self._shots
        if start >= len(shots):
            visit = self._courses[start - len(shots)].begin(intended_ns)
            self._send_visit(connection, visit, now_ns)
            return visit
        self._send_shot(connection, start, shots[start].render(), intended_ns, now_ns)
        return None

    def _send_shot(self, connection: Connection, route: int, request: bytes, intended_ns: int, now_ns: int) -> None:
        """Send a single request that nobody looks into."""
        connection.head_only = self._shots[route].head_only
        connection.visit = None
        connection.send(route, request, intended_ns, now_ns)
        if intended_ns >= self.measure_from_ns:
            recorder = self._recorder
            recorder.sent += 1
            free_ns = connection.free_ns
            recorder.lates.append(now_ns - (intended_ns if intended_ns > free_ns else free_ns))
        else:
            self.warmed[1] += 1

    def _send_visit(self, connection: Connection, visit: Visit, now_ns: int) -> None:
        """Send a visit's request; one that follows a redirect keeps the clock of the first, and isn't counted again."""
        leg, intended_ns = visit.leg, visit.due_ns
        connection.head_only = visit.head_only
        connection.visit = visit
        if visit.hops:
            connection.send(leg.route, visit.request(), intended_ns, visit.sent_ns)
            return
        visit.sent_ns = now_ns
        connection.send(leg.route, visit.request(), intended_ns, now_ns)
        if intended_ns >= self.measure_from_ns:
            self._recorder.sent += 1
            self._recorder.lates.append(now_ns - max(intended_ns, connection.free_ns))
        else:
            self.warmed[1] += 1

    def _visited(self, connection: Connection, visit: Visit, status: int, received: int, now_ns: int) -> None:
        """A visit's answer is whole: look into it, then on to the next step."""
        still: Connection | None = connection
        if connection.spent:
            connection.close()
            self._open.discard(connection)
            still = None
        else:
            connection.free_ns = now_ns
        failure = visit.judge(status, connection.answer, self._wire.redirects, self._origin)
        measured = visit.due_ns >= self.measure_from_ns
        if isinstance(failure, Hop):
            if measured:
                self._recorder.received_bytes += received
            self._go_on(still, visit)
            return
        if failure is not None:
            if measured:
                self._recorder.unwanted(status, received)
            self._fail_visit(visit, failure[0], failure[1])
        elif not measured:
            self.warmed[2] += 1
        else:
            recorder = self._recorder
            recorder.hit(visit.leg.route, now_ns - visit.due_ns, now_ns - visit.sent_ns, status, received)
            if self._timed:
                self._time(connection, now_ns)
        pause_ns = visit.pause_ns()
        if failure is None and visit.advance(now_ns + pause_ns):
            self._go_on(still, visit)
        else:
            self._over(still, visit, pause_ns, now_ns)

    def _fail_visit(self, visit: Visit, kind: FailureKind, message: str) -> None:
        """The visit's request came to nothing, and it ends; steps that were to come never fall due."""
        if visit.due_ns >= self.measure_from_ns:
            self._recorder.failed(visit.leg.route, kind, message)
            self._recorder.journeys_ended += visit.more

    def _fail_start(self, intended_ns: int, kind: FailureKind, message: str) -> None:
        """A start that could not be sent: it is drawn all the same, so that each route has its share of these."""
        if not self.drawn:
            self.drawn = self._draw()
        start = self.drawn.pop()
        if start >= len(self._shots):
            self._fail_visit(self._courses[start - len(self._shots)].begin(intended_ns), kind, message)
        elif intended_ns >= self.measure_from_ns:
            self._recorder.failed(start, kind, message)

    def _part(self, connection: Connection, now_ns: int) -> None:
        """Its answer was whole, and the connection is of no further use."""
        connection.close()
        if connection in self._open:
            self._open.discard(connection)
            self._left(connection, None, now_ns)

    def _plan(self, intended_ns: int) -> None:
        """A request has become due."""
        if intended_ns >= self._recorder.until_ns:
            self._recorder.ahead += 1
        elif intended_ns >= self.measure_from_ns:
            self._recorder.planned += 1
        else:
            self.warmed[0] += 1

    def _time(self, connection: Connection, now_ns: int) -> None:
        """The parts of a good answer's time, when they are asked for."""
        for measure, ns in connection.parts(now_ns):
            self._recorder.details[measure].extend((connection.route, ns))

    async def _open_one(self) -> None:
        try:
            await self._dialer.dial(self, monotonic_ns())
        except DialFailed as failed:
            self._connecting -= 1
            self._undialled(failed)
