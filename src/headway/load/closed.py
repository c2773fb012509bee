"""
The closed model: each user waits for its answer, and for as long as it thinks, before it sends again.

A user keeps a connection of its own. When it must connect anew, its clock runs while it does: the moment it was ready
to send is the moment its request was meant to be sent.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from time import monotonic_ns
from typing import TYPE_CHECKING

from headway.load.engine import Engine
from headway.load.pacer import NEVER

if TYPE_CHECKING:
    from headway.load.connection import Connection
    from headway.load.dial import Dialer, DialFailed
    from headway.load.plain import Poller
    from headway.load.recorder import Recorder
    from headway.load.starts import Starts
    from headway.load.visit import Visit
    from headway.model import FailureKind, Wire

RETRY_NS = 100_000_000
"""A user whose connection failed waits this long: a dead target must not become a busy loop."""


class User:
    """One who sends, waits and thinks. `due_ns`: when its next request is meant to be sent."""

    __slots__ = ("busy", "connection", "due_ns", "gone", "leaving", "left", "visit")

    def __init__(self, left: int | None) -> None:
        self.connection: Connection | None = None
        self.visit: Visit | None = None
        self.due_ns = 0
        self.left = left  # starts it may still make, None: any number
        self.busy = False  # a request of it is due, waiting or in flight
        self.leaving = False  # goes as soon as that has come to its end
        self.gone = False


class ClosedEngine(Engine):
    """
    Sends for users.

    Args:
        users: how many begin.
        began_ns: when they do, on the monotonic clock.
        together: starts that all of them may make together in the measured time; None: any number.
        each: starts that each may make in the measured time.
        others: as `Engine`.
    """

    __slots__ = (
        "_began_ns", "_each", "_thinking", "_thought", "_together", "_users", "_waiting", "_wanted",
    )  # fmt: skip

    def __init__(
        self, *, users: int, began_ns: int, dialer: Dialer, poller: Poller, starts: Starts, recorder: Recorder,
        timeout_ns: int, wire: Wire | None = None, origin: str = "", together: int | None = None,
        each: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            dialer=dialer, poller=poller, starts=starts, recorder=recorder, timeout_ns=timeout_ns, wire=wire,
            origin=origin,
        )  # fmt: skip
        self._wanted = users
        self._began_ns = began_ns
        self._together = together
        self._each = each
        self._users: list[User] = []
        self._waiting: deque[User] = deque()  # for a connection
        self._thinking: list[tuple[int, int, User]] = []  # a heap by the moment each is due
        self._thought = 0

    def begin(self) -> None:
        """Every user connects and sends."""
        self._begin()
        self.set_users(self._wanted)

    @property
    def backlog(self) -> int:
        """Users that wait for a connection."""
        return len(self._waiting)

    @property
    def exhausted(self) -> bool:
        """All starts that were to be made are made and answered. Never before it has begun: it has no users yet."""
        busy = any(each.busy or each.visit is not None for each in self._users)
        return self.sending and self.iterations_left == 0 and not busy

    @property
    def iterations_left(self) -> int | None:
        """Starts still to be made; None when they are not counted."""
        if self._together is not None:
            return self._together
        return sum(each.left or 0 for each in self._users) if self._each is not None else None

    def set_users(self, wanted: int) -> None:
        """So many from now on: new ones begin at once; those who leave take their answer first, newest first."""
        self._wanted = wanted
        staying = sum(not each.leaving for each in self._users)
        for user in self._users:
            if staying < wanted and user.leaving:
                user.leaving = False
                staying += 1
        for _ in range(wanted - staying):
            user = User(self._each)
            self._users.append(user)
            self._again(user, max(monotonic_ns(), self._began_ns))
        for user in self._users[::-1]:
            if staying <= wanted:
                break
            if not user.leaving:
                user.leaving = True
                staying -= 1
                if not user.busy:
                    self._leave(user)
        counted = self._each is not None or self._together is not None
        self.plain_until_ns = 0 if counted or any(each.leaving for each in self._users) else self.measure_to_ns

    def wake(self) -> None:
        """Users may have thought enough: they send."""
        thinking = self._thinking
        if not thinking:
            return
        now_ns = monotonic_ns()
        while thinking and thinking[0][0] <= now_ns:
            user = heappop(thinking)[2]
            if not user.gone:
                self._due(user)

    def _next_due_ns(self) -> int:
        return self._thinking[0][0] if self._thinking else NEVER

    # -- inside -----------------------------------------------------------------------------------------------

    def _no_more(self) -> None:
        self._thinking.clear()
        self.plain_until_ns = 0

    def _ready(self, connection: Connection) -> None:
        while self._waiting:
            user = self._waiting.popleft()
            if not user.gone:
                connection.user = user
                user.connection = connection
                self._send(user, connection)
                return
        self._open.discard(connection)
        connection.close()

    def freed(self, connection: Connection, now_ns: int) -> None:
        if now_ns >= self.plain_until_ns:
            self._again(connection.user, now_ns)
            return
        # Written out, as in shortcut.py: TLS, HTTP/2 and answers whose heads differ come here with each request.
        if not self.drawn:
            self.drawn = self._draw()
        start = self.drawn[-1]
        if start >= len(self._shots):
            self._plan(now_ns)
            self._start(connection.user, connection, now_ns, now_ns)
            return
        self.drawn.pop()
        shot = self._shots[start]
        connection.head_only = shot.head_only
        connection.send(start, shot.render(), now_ns, now_ns)
        if now_ns >= self.measure_from_ns:
            self._recorder.at_once += 1
        else:
            self.warmed[0] += 1
            self.warmed[1] += 1

    def _again(self, user: User, at_ns: int) -> None:
        """The user is ready to send at that moment, if it may and should."""
        user.busy = False
        if user.leaving:
            self._leave(user)
        elif self.sending and at_ns < self.measure_to_ns and (user.visit is not None or self._may_start(user, at_ns)):
            user.due_ns = at_ns
            if at_ns > monotonic_ns():
                self._thought += 1  # so that two due at one moment are not compared further
                heappush(self._thinking, (at_ns, self._thought, user))
                self._wake_at(at_ns)
            else:
                self._due(user)
        else:
            user.visit = None

    def _may_start(self, user: User, at_ns: int) -> bool:
        """Whether another start is left to make. Those of the warm-up come on top."""
        return at_ns < self.measure_from_ns or (self._together != 0 and user.left != 0)

    def _due(self, user: User) -> None:
        """Now: on its own connection, or on one it has to wait for."""
        if user.visit is None and user.due_ns >= self.measure_from_ns:
            if not self._may_start(user, user.due_ns):
                return  # another one made the last start while this one thought
            if self._together is not None:
                self._together -= 1
            if user.left is not None:
                user.left -= 1
        user.busy = True
        self._plan(user.due_ns)
        self._dispatch(user)

    def _dispatch(self, user: User) -> None:
        if user.connection is not None:
            self._send(user, user.connection)
        else:
            self._waiting.append(user)
            self._connect(1)

    def _send(self, user: User, connection: Connection) -> None:
        if user.visit is not None:
            self._send_visit(connection, user.visit, monotonic_ns())
        else:
            self._start(user, connection, user.due_ns, monotonic_ns())

    def _start(self, user: User, connection: Connection, intended_ns: int, now_ns: int) -> None:
        visit = self._send_start(connection, intended_ns, now_ns)
        if visit is not None:
            visit.user = user
            user.visit = visit

    def _left(self, connection: Connection, visit: Visit | None, now_ns: int) -> None:
        user: User = connection.user
        user.connection = user.visit = None
        self._again(user, now_ns + (visit.pause_ns() if visit is not None else 0))

    def _lost(self, connection: Connection) -> None:
        user: User | None = connection.user
        if user is not None and user.connection is connection:
            user.connection = None

    def _over(self, connection: Connection | None, visit: Visit, pause_ns: int, now_ns: int) -> None:
        user = _of(visit, connection)
        user.visit = None
        self._again(user, now_ns + pause_ns)

    def _go_on(self, connection: Connection | None, visit: Visit) -> None:
        user = _of(visit, connection)
        if visit.hops:
            self._dispatch(user)
        else:
            self._again(user, visit.due_ns)

    def _leave(self, user: User) -> None:
        """It is no more, nor is its connection."""
        user.gone = True
        user.visit = None
        self._users.remove(user)
        if user.connection is not None:
            self._open.discard(user.connection)
            user.connection.close()
            user.connection = None

    def _give_up(self, kind: FailureKind, message: str) -> None:
        """The user that waits longest is ready again, after a moment; a journey it was on has ended."""
        if not self._waiting:
            return
        user = self._waiting.popleft()
        if user.visit is not None:
            self._fail_visit(user.visit, kind, message)
        else:
            self._fail_start(user.due_ns, kind, message)
        user.visit = None
        self._again(user, monotonic_ns() + RETRY_NS)

    def _undialled(self, failed: DialFailed) -> None:
        self._give_up(failed.kind, failed.message)

    def _swept(self, now_ns: int) -> None:
        """Nothing: a user waits as long as the dialer does."""


def _of(visit: Visit, connection: Connection | None) -> User:
    """Whose visit it is; without a connection that user has none any more."""
    user: User = visit.user  # type: ignore[assignment]  # the closed model's own
    if connection is None:
        user.connection = None
    return user
