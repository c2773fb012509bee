"""
One keep-alive HTTP/1.1 connection: a request out, an answer in, never two at once. The hot path.

The parser is llhttp's; a method it doesn't find on its protocol costs nothing, so only what is needed is defined.
"""

from __future__ import annotations

import asyncio
import re
from time import monotonic_ns
from typing import TYPE_CHECKING, cast

import httptools

from headway.model import FailureKind

if TYPE_CHECKING:
    from headway.load.engine import Engine

LARGEST_ANSWER_BYTES = 64 << 20
LARGEST_HEAD_BYTES = 64 << 10
_FRAMED = re.compile(rb"\r\n(?:content-length|transfer-encoding)\s*:", re.IGNORECASE)
_INTERIM = re.compile(rb"HTTP/1\.[01] 1\d\d")


class Connection(asyncio.Protocol):
    """
    One connection of an engine.

    While `busy`: `route`, `intended_ns` and `sent_ns` are those of the request in flight. `free_ns` is the moment it
    last became ready to send; `wanted_ns` the moment it was asked to connect.
    """

    __slots__ = (
        "_complete", "_engine", "_head", "_headers_done", "_parser", "_received", "_reusable", "_status", "_transport",
        "busy", "free_ns", "head_only", "intended_ns", "route", "sent_ns", "wanted_ns",
    )  # fmt: skip

    def __init__(self, engine: Engine, wanted_ns: int) -> None:
        self._engine = engine
        self.wanted_ns = wanted_ns
        self._parser = httptools.HttpResponseParser(self)
        self.busy = False
        self.head_only = False
        self._complete = False
        self._headers_done = False
        self._reusable = False
        self._received = 0
        self._status = 0
        self._head = b""
        self.route = 0
        self.intended_ns = self.sent_ns = self.free_ns = 0

    def send(self, route: int, request: bytes, intended_ns: int, now_ns: int) -> None:
        """Put one request on the wire."""
        self.busy = True
        self._complete = self._headers_done = False
        self._received = 0
        self._head = b""
        self.route = route
        self.intended_ns = intended_ns
        self.sent_ns = now_ns
        self._transport.write(request)

    def fail(self, kind: FailureKind, message: str = "") -> None:
        """The request in flight gets no good answer; the connection is of no further use."""
        self.busy = False
        self._transport.abort()
        self._engine.failed(self, kind, message)

    def close(self) -> None:
        """Close without a word: nothing is in flight."""
        self.busy = False
        self._transport.abort()

    # -- asyncio calls these ----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready to send."""
        self._transport = cast(asyncio.Transport, transport)
        self.free_ns = monotonic_ns()
        self._engine.connected(self)

    def data_received(self, data: bytes) -> None:
        """Feed the parser; when the answer is whole, the engine takes over."""
        if not self.busy:
            self._engine.unasked(self)
            return
        self._received += len(data)
        if not self._headers_done:
            self._head += data
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.fail(FailureKind.PROTOCOL, "the server switched protocols")
            return
        except httptools.HttpParserError as error:
            self.fail(FailureKind.PROTOCOL, f"{error}; it began with {self._head[:40]!r}")
            return
        if self._complete:
            self._finish()
        elif self._received > LARGEST_ANSWER_BYTES:
            self.fail(FailureKind.TOO_LARGE, f"more than {LARGEST_ANSWER_BYTES >> 20} MiB")
        elif len(self._head) > LARGEST_HEAD_BYTES and not self._headers_done:
            self.fail(FailureKind.TOO_LARGE, f"headers of more than {LARGEST_HEAD_BYTES >> 10} KiB")

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
        self.busy = False
        reusable = self._reusable and not ended
        if self.head_only:
            self._parser = httptools.HttpResponseParser(self)
        if not reusable:
            self._transport.abort()
        self._engine.answered(self, self._status, self._received, reusable=reusable)

    # -- the parser calls these -------------------------------------------------------------------------

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
        if self._complete and not self.head_only:
            self._reusable = False  # a second answer to one request: it would be mistaken for the next one's
        elif self._headers_done:
            self._complete = True
            self._reusable = self._parser.should_keep_alive()


def framed(head: bytes) -> bool:
    """Whether the answer said how long it is, so that its end before that is no end. Interim answers don't count."""
    final = next((each for each in head.split(b"\r\n\r\n") if not _INTERIM.match(each)), b"")
    return _FRAMED.search(final) is not None
