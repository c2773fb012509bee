"""
HTTP/1.1 as far as OTLP needs it: POST of a bounded body, plain or gzip, and an answer.

Source: opentelemetry.io/docs/specs/otlp, "OTLP/HTTP".
"""

from __future__ import annotations

import asyncio
import json
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httptools

from headway.evidence.otlp import pools, spans
from headway.evidence.otlp.fields import Malformed
from headway.evidence.otlp.outline import TooMany

if TYPE_CHECKING:
    from collections import Counter

    from headway.evidence.otlp.intake import Intake

PROTOBUF, JSON = "application/x-protobuf", "application/json"
MOST_BODY_BYTES = 16 << 20
"""Of one body, as it is sent and when it is unpacked. The Collector's own default is 20 MiB; SDKs send some 0.2 MiB."""
MOST_JSON_BYTES = 4 << 20
"""JSON is taken apart in Python: more of it would hold up everybody else."""
MOST_RECEIVING_BYTES = 64 << 20
MOST_CONNECTIONS = 512
MOST_HEADER_BYTES = 32_768
MID_REQUEST_S = 30.0
FAREWELL_S = 1.0
IDLE_S = 600.0
SWEEP_S = 5.0
TRACES_PATH, METRICS_PATH = "/v1/traces", "/v1/metrics"
WHERE = "Headway takes POST /v1/traces and, for connection pools, POST /v1/metrics; set OTEL_LOGS_EXPORTER=none"
_PHRASES = {
    200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 408: "Request Timeout",
    413: "Content Too Large", 415: "Unsupported Media Type", 431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}  # fmt: skip


class Refused(Exception):
    """A request that gets another answer than 200. `reason` is what it is counted as."""

    def __init__(self, status: int, reason: str, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.reason = reason
        self.why = why


@dataclass(kw_only=True)
class Shared:
    """What all connections share."""

    intake: Intake
    receiving_bytes: int = 0
    connections: set[Connection] = field(default_factory=set)

    @property
    def refused(self) -> Counter[str]:
        """Requests refused, by reason."""
        return self.intake.counts.refused

    def sweep(self, now_s: float) -> None:
        """End connections that have been in the middle of a request, or idle, for too long."""
        for each in list(self.connections):
            each.expire(now_s)


class Connection(asyncio.Protocol):
    """One sender's connection: requests one after another."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._since_s = asyncio.get_running_loop().time()
        self._begun = False  # whether anything was received yet
        self._refused = False  # what still comes is not looked at
        self._asked_s: float | None = None  # when the request began that is being received
        self._body = bytearray()
        self._forget()

    def _forget(self) -> None:
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._header_bytes = 0
        self._let_go()

    def _let_go(self) -> bytes:
        """The body so far; it counts as being received no longer."""
        body, self._body = bytes(self._body), bytearray()
        self._shared.receiving_bytes -= len(body)
        return body

    # Of asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream's transport
        self._shared.connections.add(self)
        if len(self._shared.connections) > MOST_CONNECTIONS:
            self._refuse(Refused(503, "too many connections", f"more than {MOST_CONNECTIONS} connections"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._shared.connections.discard(self)
        self._let_go()
        self._transport = None

    def data_received(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing() or self._refused:
            return
        self._since_s = asyncio.get_running_loop().time()
        if not self._begun and self._speaks_something_else(data):
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(Refused(400, "not OTLP over HTTP/1.1", "this is no place to upgrade"))
        except httptools.HttpParserError as exc:
            cause = exc.__context__
            if isinstance(cause, Refused):
                self._refuse(cause)
            else:
                self._refuse(Refused(400, "not HTTP", "not HTTP/1.1"))

    def expire(self, now_s: float) -> None:
        """End it when it is too long in the middle of a request, or idle."""
        if self._asked_s is not None and now_s - self._asked_s > MID_REQUEST_S and not self._refused:
            self._refuse(Refused(408, "too slow", f"a request that took more than {MID_REQUEST_S:.0f} s"))
        elif now_s - self._since_s > IDLE_S and self._transport is not None:
            self._transport.close()

    def _speaks_something_else(self, data: bytes) -> bool:
        self._begun = True
        what = "gRPC" if data.startswith(b"PRI ") else "TLS" if data[:2] == b"\x16\x03" else None
        if what is not None and self._transport is not None:
            self._shared.refused[what] += 1
            self._transport.close()
        return what is not None

    # Of httptools. An exception leaves feed_data as HttpParserCallbackError, with this one as its context.

    def on_message_begin(self) -> None:
        self._forget()
        self._asked_s = self._since_s

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._count_header(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value
        self._count_header(len(name) + len(value))

    def _count_header(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > MOST_HEADER_BYTES:
            raise Refused(431, "header too large", f"a header of more than {MOST_HEADER_BYTES:,} bytes")

    def on_headers_complete(self) -> None:
        if self._path() not in (TRACES_PATH, METRICS_PATH):
            raise Refused(404, "other paths", WHERE)
        if self._parser.get_method() != b"POST":
            raise Refused(405, "other methods", WHERE)
        if self._media() not in (PROTOBUF, JSON):
            raise Refused(415, "other content types", f"content-type must be {PROTOBUF} or {JSON}")
        if self._headers.get(b"content-encoding", b"identity").strip().lower() not in (b"gzip", b"identity", b""):
            raise Refused(415, "other encodings", "content-encoding must be gzip, or none")
        length = self._headers.get(b"content-length", b"0")
        if length.isdigit() and int(length[:18]) > MOST_BODY_BYTES:
            raise _too_large()
        if self._headers.get(b"expect", b"").lower() == b"100-continue":
            self._send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        self._body += data
        self._shared.receiving_bytes += len(data)
        if len(self._body) > MOST_BODY_BYTES:
            raise _too_large()
        if self._shared.receiving_bytes > MOST_RECEIVING_BYTES:
            raise Refused(503, "busy, asked to come again", "too much is being received at once")

    def on_message_complete(self) -> None:
        body, is_json = self._let_go(), self._media() == JSON
        self._asked_s = None
        if self._headers.get(b"content-encoding", b"").strip().lower() == b"gzip":
            body = unpacked(body)
        if is_json and len(body) > MOST_JSON_BYTES:
            raise _too_large(MOST_JSON_BYTES)
        answer = self._traces(body, is_json) if self._path() == TRACES_PATH else self._metrics(body, is_json)
        self._answer(200, answer, JSON if is_json else PROTOBUF)

    def _path(self) -> str:
        return self._url.partition(b"?")[0].decode("latin-1")

    def _media(self) -> str:
        return self._headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()

    def _traces(self, body: bytes, is_json: bool) -> bytes:
        intake = self._shared.intake
        try:
            lost = intake.take(spans.from_json(body, spans.empty_request()) if is_json else body)
        except TooMany as exc:
            raise Refused(413, "too large", str(exc)) from exc
        except Malformed as exc:
            raise Refused(400, "damaged", str(exc)) from exc
        except BlockingIOError as exc:
            raise Refused(503, "busy, asked to come again", str(exc)) from exc
        return partial(lost, intake.full, is_json=is_json)

    def _metrics(self, body: bytes, is_json: bool) -> bytes:
        try:
            self._shared.intake.pools.take(spans.from_json(body, pools.empty_request()) if is_json else body)
        except Malformed as exc:
            raise Refused(400, "damaged metrics", str(exc)) from exc
        return partial(0, "", is_json=is_json)

    def _refuse(self, refused: Refused) -> None:
        """
        Answer with a Status message, read no further and close a moment later.

        To close at once would reset the connection under a sender that is still sending, who then never sees why.
        """
        self._shared.refused[refused.reason] += 1
        self._refused = True
        self._let_go()
        is_json = self._media() == JSON
        body = json.dumps({"message": refused.why}).encode() if is_json else _text_field(2, refused.why)
        self._answer(refused.status, body, JSON if is_json else PROTOBUF, last=True)
        if self._transport is not None:
            asyncio.get_running_loop().call_later(FAREWELL_S, self._transport.close)

    def _answer(self, status: int, body: bytes, media: str, *, last: bool = False) -> None:
        again = "retry-after: 1\r\n" if status == 503 else ""
        head = (
            f"HTTP/1.1 {status} {_PHRASES[status]}\r\ncontent-type: {media}\r\ncontent-length: {len(body)}\r\n"
            f"{again}connection: {'close' if last else 'keep-alive'}\r\n\r\n"
        )
        self._send(head.encode() + body)

    def _send(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


def unpacked(body: bytes) -> bytes:
    """
    The content of a gzip body; one that becomes too large is given up before it is.

    Raises:
        Refused: not gzip, cut off, or larger than MOST_BODY_BYTES.
    """
    found, left = [], body
    size = 0
    while left:
        part = zlib.decompressobj(wbits=31)
        try:
            found.append(part.decompress(left, MOST_BODY_BYTES - size + 1))
        except zlib.error as exc:
            raise Refused(400, "damaged", f"not gzip: {exc}") from exc
        size += len(found[-1])
        if size > MOST_BODY_BYTES:
            raise _too_large()
        if not part.eof:
            raise Refused(400, "damaged", "gzip that is cut off")
        left = part.unused_data
    return b"".join(found)


def partial(lost: int, why: str, *, is_json: bool) -> bytes:
    """An ExportTraceServiceResponse: empty when all was taken, else how many spans were not and why."""
    if is_json:
        said = {"partialSuccess": {"rejectedSpans": str(lost), "errorMessage": why}} if lost else {}
        return json.dumps(said).encode()
    if not lost:
        return b""
    inner = b"\x08" + _varint(lost) + _text_field(2, why)
    return b"\x0a" + _varint(len(inner)) + inner


def _text_field(number: int, text: str) -> bytes:
    content = text.encode()[:500]
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def _too_large(most: int = MOST_BODY_BYTES) -> Refused:
    return Refused(413, "too large", f"a body of more than {most >> 20} MiB: lower OTEL_BSP_MAX_EXPORT_BATCH_SIZE")
