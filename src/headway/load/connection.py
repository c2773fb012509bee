"""
One keep-alive HTTP/1.1 connection: a request out, an answer in, never two at once. The hot path.

The parser is llhttp's; a method it doesn't find on its protocol costs nothing, so only what is needed is defined. An
answer that a visit looks into is kept as it came and parsed once more, whole: the others pay nothing for it. An answer
whose head is known (heads.py) passes the parser by, which stands between two answers then.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, cast

import httptools

from headway.load.answer import Answer, decoded
from headway.model import FailureKind

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from headway.load.engine import Engine
    from headway.load.plain import PlainTransport
    from headway.load.visit import Visit

_FRAMED = re.compile(rb"\r\n(?:content-length|transfer-encoding)\s*:", re.IGNORECASE)
_INTERIM = re.compile(rb"HTTP/1\.[01] 1\d\d")


class Connection(asyncio.Protocol):
    """
    One connection of an engine.

    While `busy`: `route`, `intended_ns` and `sent_ns` are those of the request in flight. `free_ns` is the moment it
    last became ready to send; `wanted_ns` the moment it was asked to connect; `spent`: it takes no other request.
    `visit` is whose request it is, None for a single request that is not looked into; `user` whose connection it is in
    a closed model.
    """

    __slots__ = (
        "_complete", "_engine", "_head", "_headers_done", "_heads", "_known", "_most_body_bytes", "_most_head_bytes",
        "_parser", "_raw", "_reusable", "_status", "_transport", "_write", "busy", "free_ns", "head_only",
        "intended_ns", "line", "put", "read", "received", "route", "sent_ns", "spent", "user", "visit", "wanted_ns",
    )  # fmt: skip

    def __init__(self, engine: Engine, wanted_ns: int, most_body_bytes: int, most_head_bytes: int) -> None:
        self._engine = engine
        self._heads = engine.heads
        self._known = engine.heads.known.get
        self._most_body_bytes = most_body_bytes
        self._most_head_bytes = most_head_bytes
        self._raw: list[bytes] = []
        self.visit: Visit | None = None
        self.user: Any = None
        self.wanted_ns = wanted_ns
        self._parser = httptools.HttpResponseParser(self)
        self.busy = self.spent = False
        self.head_only = False
        self._complete = False
        self._headers_done = False
        self._reusable = False
        self.received = 0
        self._status = 0
        self._head = b""
        self.route = 0
        self.intended_ns = self.sent_ns = self.free_ns = 0

    def send(self, route: int, request: bytes, intended_ns: int, now_ns: int) -> None:
        """Put one request on the wire."""
        self.busy = True
        self.route = route
        self.intended_ns = intended_ns
        self.sent_ns = now_ns
        self._write(request)

    def fail(self, kind: FailureKind, message: str = "") -> None:
        """The request in flight gets no good answer; the connection is of no further use."""
        self.busy = False
        self._transport.abort()
        self._engine.failed(self, kind, message)

    def answer(self) -> Answer:
        """
        The answer that a visit was given just now, whole.

        Raises:
            ValueError: its body cannot be decoded.
        """
        return whole(b"".join(self._raw), self._most_body_bytes)

    def parts(self, now_ns: int) -> Iterator[tuple[str, int]]:
        """Names and ns of the parts of the answer that is whole at `now_ns`; none unless they are timed."""
        del now_ns
        return iter(())

    def close(self) -> None:
        """Close without a word: nothing is in flight."""
        self.busy = False
        self._transport.abort()

    # -- asyncio calls these ----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready to send."""
        self._transport = cast(asyncio.Transport, transport)
        self._write = self._transport.write
        self.free_ns = monotonic_ns()
        self._engine.connected(self)

    def served(self, line: PlainTransport, sock: socket.socket) -> Callable[[int], None]:
        """What serves it on a clear-text socket: most of what comes and goes takes a shortcut there."""
        self.line, self.read, self.put = line, sock.recv_into, sock.send
        return self._engine.served(self)

    def data_received(self, data: bytes) -> None:
        """Feed the parser; when the answer is whole, the engine takes over."""
        if not self.busy:
            self._engine.unasked(self)
            return
        if not self.received:  # the first of this answer
            known = self._known(data[: data.find(b"\r\n\r\n")])
            if known is not None and known[0] == len(data) and not self.head_only:
                self.busy = False
                if self.visit is not None:
                    self._raw = [data]
                self._engine.answered(self, known[1], known[0])
                return
            if self.visit is not None:
                self._raw = []
        self._parse(data)

    def _parse(self, data: bytes) -> None:
        self.received += len(data)
        if not self._headers_done:
            self._head += data
        if self.visit is not None:
            self._raw.append(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.fail(FailureKind.PROTOCOL, "the server switched protocols")
            return
        except httptools.HttpParserError as error:
            self.fail(FailureKind.PROTOCOL, f"{error}; it began with {self._head[:40]!r}")
            return
        if self._complete:
            if self._reusable and self.received == len(data) and not self.head_only:
                self._heads.learn(data, self._status)
            self._finish()
        elif self.received > self._most_body_bytes:
            self.fail(FailureKind.TOO_LARGE, f"more than {self._most_body_bytes:,} bytes")
        elif len(self._head) > self._most_head_bytes and not self._headers_done:
            self.fail(FailureKind.TOO_LARGE, f"headers of more than {self._most_head_bytes:,} bytes")

    def connection_lost(self, exc: Exception | None) -> None:
        """In the middle of an answer it is a failure, unless the answer was to end with the connection."""
        if self.busy:
            if exc is None and self._headers_done and not framed(self._head):
                self._finish(ended=True)
                return
            self.busy = False
            self._engine.failed(self, FailureKind.RESET, "closed by the server before the answer was whole")
        self._engine.lost(self)

    def _finish(self, *, ended: bool = False) -> None:
        self.busy = self._complete = self._headers_done = False
        reusable, received = self._reusable and not ended, self.received
        self.received = 0
        self._head = b""
        if self.head_only:
            self._parser = httptools.HttpResponseParser(self)
        if not reusable:
            self.spent = True
            self._transport.abort()
        self._engine.answered(self, self._status, received)

    # -- the parser calls these -------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A second answer to one request begins: it would be mistaken for the next one's."""
        if self._complete and not self.head_only:
            self._reusable = False

    def on_headers_complete(self) -> None:
        """An answer to HEAD ends here."""
        if self._complete:
            return
        self._status = self._parser.get_status_code()
        if self._status >= 200:
            self._headers_done = True
            if self.head_only:
                self._complete = True
                self._reusable = self._parser.should_keep_alive()

    def on_message_complete(self) -> None:
        """The answer is whole, unless it was an interim one. Only here does the parser know whether more may come."""
        if self._headers_done and (self.head_only or not self._complete):
            self._complete = True
            self._reusable = self._parser.should_keep_alive()


class TimedConnection(Connection):
    """One that also says what the time of an answer was made of: connect, TLS, first byte, body."""

    __slots__ = ("_connect_ns", "_first_byte_ns", "_tls_ns", "_told")

    def __init__(self, engine: Engine, wanted_ns: int, most_body_bytes: int, most_head_bytes: int) -> None:
        super().__init__(engine, wanted_ns, most_body_bytes, most_head_bytes)
        self._connect_ns = 0
        self._tls_ns: int | None = None
        self._first_byte_ns = 0
        self._told = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connecting and the handshake have had their time: before the first answer can come."""
        connected_ns, shaken_ns = transport.get_extra_info("handshake_ns", (monotonic_ns(), None))
        self._connect_ns = connected_ns - self.wanted_ns
        self._tls_ns = None if shaken_ns is None else shaken_ns - connected_ns
        super().connection_made(transport)

    def send(self, route: int, request: bytes, intended_ns: int, now_ns: int) -> None:
        """Put one request on the wire."""
        self._first_byte_ns = 0
        super().send(route, request, intended_ns, now_ns)

    def data_received(self, data: bytes) -> None:
        """The first bytes of an answer have their moment."""
        if not self._first_byte_ns:
            self._first_byte_ns = monotonic_ns()
        super().data_received(data)

    def parts(self, now_ns: int) -> Iterator[tuple[str, int]]:
        """The first request of a connection has its connect and TLS times."""
        if not self._told:
            self._told = True
            yield "connect", self._connect_ns
            if self._tls_ns is not None:
                yield "tls", self._tls_ns
        yield "first_byte", self._first_byte_ns - self.sent_ns
        yield "body", now_ns - self._first_byte_ns


class _Whole:
    """What llhttp finds in an answer. Interim ones are forgotten, what comes after the final one is not looked at."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body: list[bytes] = []
        self._over = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._over:
            self.headers.append((name.lower(), value.strip()))

    def on_headers_complete(self) -> None:
        if not self._over:
            self.status = self.parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        if not self._over:
            self.body.append(data)

    def on_message_complete(self) -> None:
        if self.status >= 200:
            self._over = True
        else:
            self.headers.clear()


def whole(raw: bytes, most_bytes: int) -> Answer:
    """
    An answer from its bytes, which have been found to be one.

    Raises:
        ValueError: the body cannot be decoded, or would have more than `most_bytes`.
    """
    found = _Whole()
    with contextlib.suppress(httptools.HttpParserError):  # what comes after the answer
        found.parser.feed_data(raw)
    headers = tuple(found.headers)
    return Answer(found.status, headers, decoded(headers, b"".join(found.body), most_bytes))


def framed(head: bytes) -> bool:
    """Whether the answer said how long it is, so that its end before that is no end. Interim answers don't count."""
    final = next((each for each in head.split(b"\r\n\r\n") if not _INTERIM.match(each)), b"")
    return _FRAMED.search(final) is not None
