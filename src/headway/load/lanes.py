"""
HTTP/2 as the engine sees it: lanes, each of which carries one request at a time, as a connection does.

A connection has as many lanes as the server lets it have streams, 100 at most. What a server that leaves in peace
(GOAWAY without an error) has not begun is asked again on another connection, as clients do; its clock runs on.
"""

from __future__ import annotations

import asyncio
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from headway.load import frames
from headway.load.answer import Answer, decoded
from headway.load.dial import Dialer, DialFailed
from headway.load.frames import Broken
from headway.load.http2 import Session
from headway.model import FailureKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.load.answer import Headers
    from headway.load.engine import Engine
    from headway.load.plain import Poller
    from headway.load.target import Address
    from headway.load.tls import Client
    from headway.load.visit import Visit
    from headway.model import Wire

MOST_RETRIES = 3


class Lane:
    """One request at a time on a session; to the engine, all that `connection.Connection` is."""

    __slots__ = (
        "_dialer", "_engine", "_most_body_bytes", "_request", "_session", "_told", "body", "busy", "connect_ns",
        "first_byte_ns", "free_ns", "head_only", "headers", "intended_ns", "length", "received", "retries", "route",
        "sent_ns", "size", "spent", "status", "stream", "tls_ns", "unsent", "user", "visit", "wanted_ns", "widened",
        "window",
    )  # fmt: skip

    def __init__(self, engine: Engine, dialer: Http2Dialer, wanted_ns: int) -> None:
        self._engine: Any = engine  # which speaks of connections; a lane is one in all that it asks
        self._dialer = dialer
        self._session: Session | None = None
        self._most_body_bytes = dialer.wire.max_body_bytes
        self._request = b""
        self._told = False
        self.visit: Visit | None = None
        self.user: Any = None
        self.connect_ns: int | None = None
        self.tls_ns: int | None = None
        self.wanted_ns = wanted_ns
        self.busy = self.head_only = self.spent = False
        self.route = self.intended_ns = self.sent_ns = self.free_ns = self.first_byte_ns = 0
        self.retries = 0
        # The stream's own, kept by the session.
        self.stream = self.status = self.received = self.size = self.window = self.widened = 0
        self.length: int | None = None
        self.headers: Headers = ()
        self.body: list[bytes] = []
        self.unsent = b""

    # -- the engine calls these -----------------------------------------------------------------------------

    def send(self, route: int, request: bytes, intended_ns: int, now_ns: int) -> None:
        """Put one request on the wire."""
        self.busy = True
        self.route = route
        self.intended_ns = intended_ns
        self.sent_ns = now_ns
        self.retries = 0
        self._request = request
        self._go()

    def fail(self, kind: FailureKind, message: str = "") -> None:
        """The request in flight gets no good answer; nor is its session trusted with another."""
        self.busy = False
        session, self._session = self._session, None
        if session is None:
            self._dialer.forget_lane(self)
        else:
            session.cancel(self)
            if kind is FailureKind.TIMEOUT:
                self._dialer.forget(session)
                session.retire()
        self._engine.failed(self, kind, message)

    def close(self) -> None:
        """Nothing is in flight."""
        self.busy = False
        session, self._session = self._session, None
        if session is not None:
            session.leave(self)

    def answer(self) -> Answer:
        """
        The answer that a visit was given just now, whole.

        Raises:
            ValueError: its body cannot be decoded.
        """
        return Answer(self.status, self.headers, decoded(self.headers, b"".join(self.body), self._most_body_bytes))

    def parts(self, now_ns: int) -> Iterator[tuple[str, int]]:
        """The first request of a session has its connect and TLS times."""
        if not self._told:
            self._told = True
            if self.connect_ns is not None:
                yield "connect", self.connect_ns
            if self.tls_ns is not None:
                yield "tls", self.tls_ns
        yield "first_byte", self.first_byte_ns - self.sent_ns
        yield "body", now_ns - self.first_byte_ns

    # -- the session and the dialer call these --------------------------------------------------------------

    def join(self, session: Session) -> None:
        """Use this session from now on."""
        self._session = session
        session.lanes.add(self)

    def ready(self) -> None:
        """The engine may use it."""
        self.free_ns = monotonic_ns()
        self._engine.connected(self)

    def again(self, session: Session) -> None:
        """Send the request once more, elsewhere."""
        self.join(session)
        self._go()

    def leave(self) -> None:
        """It has no session now, and waits for one."""
        self._session = None
        self.retries += 1

    def finished(self, *, spent: bool) -> None:
        """The answer is whole; its session takes no other when it is spent."""
        self.busy = False
        self.spent = spent or not self._dialer.wire.keep_alive
        self._engine.answered(self, self.status, self.received)

    def ended(self, kind: FailureKind, message: str) -> None:
        """The request in flight failed with its stream."""
        self._session = None
        if self.busy:
            self.busy = False
            self._engine.failed(self, kind, message)

    def lost(self) -> None:
        """Its session takes no further requests."""
        self._session = None
        self._engine.lost(self)

    def _go(self) -> None:
        self.status = self.received = self.size = self.widened = self.first_byte_ns = 0
        self.headers, self.body = (), []
        session = self._session
        if session is None:  # lost at this very moment
            self._dialer.again(self)
            return
        session.request(self, *self._dialer.blocks.of(self._request))


class Http2Dialer(Dialer):
    """
    Makes lanes, and sessions where there is no room for another lane.

    Args:
        wire: streams at once, limits.
        others: as `Dialer`.
    """

    most_retries = MOST_RETRIES

    def __init__(
        self, address: Address, timeout_s: float, poller: Poller, encryption: Client | None, wire: Wire
    ) -> None:
        super().__init__(address, timeout_s, poller, encryption)
        self.wire = wire
        self.blocks = frames.RequestBlocks("http" if encryption is None else "https")
        self._streams = wire.streams if wire.keep_alive else 1
        self._expected = self._streams  # lanes of a session, as the last one had it
        self._sessions: list[Session] = []
        self._opening: list[_Opening] = []
        self._stranded: list[Lane] = []
        self._rescuing: asyncio.Task[None] | None = None

    async def dial(self, engine: Engine, wanted_ns: int) -> None:
        """
        Make one lane, on a session that is there or on a new one.

        Raises:
            DialFailed: there is none.
        """
        lane = Lane(engine, self, wanted_ns)
        session, lane.connect_ns, lane.tls_ns = await self._found()
        lane.join(session)
        lane.ready()

    def close(self) -> None:
        """No connection is left open."""
        for session in self._sessions[:]:
            session.close()
        if self._rescuing is not None:
            self._rescuing.cancel()

    def keeps(self, session: Session) -> bool:
        """Whether a session without lanes is of further use."""
        return self.wire.keep_alive and session in self._sessions

    def forget(self, session: Session) -> None:
        """No further lane on it."""
        if session in self._sessions:
            self._sessions.remove(session)

    def forget_lane(self, lane: Lane) -> None:
        """Nobody waits for its request any more."""
        if lane in self._stranded:
            self._stranded.remove(lane)

    def again(self, lane: Lane) -> None:
        """Its server left before it began this request: another session is to have it."""
        lane.leave()
        session = next((each for each in self._sessions if each.room > 0), None)
        if session is not None:
            lane.again(session)
            return
        self._stranded.append(lane)
        if self._rescuing is None:
            self._rescuing = asyncio.get_running_loop().create_task(self._rescue())

    async def _rescue(self) -> None:
        """Sessions for the lanes that have none."""
        try:
            while self._stranded:
                session, _, _ = await self._found()
                while self._stranded and session.room > 0:
                    self._stranded.pop(0).again(session)
        except DialFailed as failed:
            lanes, self._stranded = self._stranded, []
            for lane in lanes:
                lane.ended(failed.kind, failed.message)
        finally:
            self._rescuing = None

    async def _found(self) -> tuple[Session, int | None, int | None]:
        """
        A session with room, and how long connecting and shaking hands took where it is new.

        Raises:
            DialFailed: there is none.
        """
        while True:
            session = next((each for each in self._sessions if each.room > 0), None)
            if session is not None:
                return session, None, None
            opening = next((each for each in self._opening if each.waiting < self._expected - 1), None)
            if opening is None:
                return await self._open()
            opening.waiting += 1
            failed = await asyncio.shield(opening.over)
            if failed is not None:
                raise DialFailed(failed.kind, failed.message)

    async def _open(self) -> tuple[Session, int, int | None]:
        opening = _Opening()
        self._opening.append(opening)
        failed: DialFailed | None = DialFailed(FailureKind.ABORTED, "")
        session = Session(
            self, self._streams, self.wire.max_body_bytes, self.wire.max_head_bytes, timed=self.wire.details
        )
        began_ns = monotonic_ns()
        try:
            connect_ns, tls_ns = await self._connect(session)
            left_s = self._timeout_s - (monotonic_ns() - began_ns) / 1e9
            async with asyncio.timeout(max(left_s, 0.001)):
                await session.settled
            failed = None if session.limit else DialFailed(FailureKind.PROTOCOL, "the server allows no stream at all")
        except DialFailed as error:
            failed = error
            raise
        except Broken as error:
            failed = DialFailed(error.kind, str(error))
            raise failed from error
        except TimeoutError as error:
            failed = DialFailed(FailureKind.CONNECT_TIMEOUT, "no HTTP/2 settings came")
            raise failed from error
        except OSError as error:
            failed = DialFailed(FailureKind.CONNECT, str(error))
            raise failed from error
        finally:
            self._opening.remove(opening)
            if failed is None:
                self._expected = session.limit
                self._sessions.append(session)
            else:
                session.close()
            opening.over.set_result(failed)
        if failed is not None:
            raise failed
        return session, connect_ns, tls_ns


class _Opening:
    """A session on its way. `over`: why it did not come to be, None when it did. `waiting`: dials besides its own."""

    def __init__(self) -> None:
        self.waiting = 0
        self.over: asyncio.Future[DialFailed | None] = asyncio.get_running_loop().create_future()
