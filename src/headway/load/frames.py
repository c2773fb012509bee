"""HTTP/2 on the wire: frames, settings, error codes, and requests as header blocks. Source: RFC 9113, RFC 7541."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.table import HeaderTable

from headway.model import FailureKind

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
ACK = END_STREAM = 0x1
END_HEADERS, PADDED, PRIORITISED = 0x4, 0x8, 0x20
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADERS = range(1, 7)
NO_ERROR, PROTOCOL_ERROR, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, CANCEL, COMPRESSION_ERROR = 0, 1, 3, 6, 8, 9
ERRORS = (
    "NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED",
    "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
)  # fmt: skip
LARGEST_FRAME = 16_384
"""What we take, and what any server must take."""
LARGEST_WINDOW = 2**31 - 1
FIRST_WINDOW = 65_535
HEAD = Struct(">HBBBL")
"""A frame's first nine bytes: length in two parts, kind, flags, stream."""
_SETTING = Struct(">HL")
_WORD = Struct(">L")
_LINES_KEPT = 4096
_HEADS_KEPT = 1024
_HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade", b"host", b"te"}
)
_SECRET = frozenset({b"authorization", b"proxy-authorization", b"cookie"})
_NAMES = {name: at for at, (name, _) in reversed(list(enumerate(HeaderTable.STATIC_TABLE, start=1)))}
_METHODS = {b"GET": b"\x82", b"POST": b"\x83"}
_SCHEMES = {"http": b"\x86", "https": b"\x87"}
_EMPTY_TABLE = b"\x20"
_HUFFMAN = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)


class Broken(Exception):
    """The server does not keep to HTTP/2; `code` tells it which rule."""

    def __init__(self, code: int, message: str, kind: FailureKind = FailureKind.PROTOCOL) -> None:
        super().__init__(message)
        self.code = code
        self.kind = kind


def error_name(code: int) -> str:
    """An error code in the RFC's word for it."""
    return ERRORS[code] if code < len(ERRORS) else f"error {code:#x}"


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame; payload: at most LARGEST_FRAME bytes."""
    length = len(payload)
    return HEAD.pack(length >> 8, length & 0xFF, kind, flags, stream) + payload


def settings(values: dict[int, int]) -> bytes:
    """A frame of our settings."""
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(name, value) for name, value in values.items()))


def read_settings(payload: bytes) -> Iterator[tuple[int, int]]:
    """Names and values of a settings frame; its length must be a multiple of 6."""
    yield from _SETTING.iter_unpack(payload)


def word(value: int) -> bytes:
    """31 or 32 bits, as in a window's increment or an error code."""
    return _WORD.pack(value)


def read_word(payload: bytes, at: int = 0) -> int:
    """32 bits."""
    found: int = _WORD.unpack_from(payload, at)[0]
    return found


def headers(stream: int, block: bytes, *, ends: bool) -> bytes:
    """A header block as one frame, or as many as it takes."""
    last = END_STREAM if ends else 0
    if len(block) <= LARGEST_FRAME:
        return frame(HEADERS, END_HEADERS | last, stream, block)
    pieces = [block[at : at + LARGEST_FRAME] for at in range(0, len(block), LARGEST_FRAME)]
    found = [frame(HEADERS, last, stream, pieces[0])]
    found += [frame(CONTINUATION, 0, stream, each) for each in pieces[1:-1]]
    return b"".join([*found, frame(CONTINUATION, END_HEADERS, stream, pieces[-1])])


def unpadded(flags: int, payload: bytes, prioritised: int) -> bytes:
    """A payload without its padding, and without the five bytes of a priority."""
    start = padding = 0
    if flags & PADDED:
        start, padding = 1, payload[0] if payload else 0
    if flags & prioritised:
        start += 5
    end = len(payload) - padding
    if end < start:
        raise Broken(PROTOCOL_ERROR, "more padding than there is room for")
    return payload[start:end]


class RequestBlocks:
    """
    Requests as header blocks: those of a worker share what was encoded before.

    The dynamic table is not used, so that a head is encoded once for all connections; `first` goes before a
    connection's first block, to say so.
    """

    first = _EMPTY_TABLE

    def __init__(self, scheme: str) -> None:
        self._scheme = _SCHEMES[scheme]
        self._lines: dict[bytes, bytes] = {}
        self._heads: dict[bytes, bytes] = {}

    def of(self, request: bytes) -> tuple[bytes, bytes]:
        """Header block and body of a request that was made for HTTP/1.1."""
        end = request.index(b"\r\n\r\n")
        first = request.index(b"\r\n")
        method, path, _ = request[:first].split(b" ", 2)
        rest = request[first:end]
        encoded = self._heads.get(rest)
        if encoded is None:
            lines = [each for each in rest.split(b"\r\n") if each]
            lines.sort(key=lambda each: each[:5].lower() != b"host:")  # :authority stands before all of them
            encoded = b"".join([self._line(each) for each in lines])
            if len(self._heads) >= _HEADS_KEPT:
                self._heads.clear()
            self._heads[rest] = encoded
        how = _METHODS.get(method) or b"\x02" + _text(method)
        where = b"\x84" if path == b"/" else b"\x04" + _plain(path)
        return how + self._scheme + where + encoded, request[end + 4 :]

    def _line(self, line: bytes) -> bytes:
        encoded = self._lines.get(line)
        if encoded is None:
            name, _, value = line.partition(b":")
            encoded = _header(name.strip().lower(), value.strip())
            if len(self._lines) >= _LINES_KEPT:
                self._lines.clear()
            self._lines[line] = encoded
        return encoded


def _header(name: bytes, value: bytes) -> bytes:
    if name == b"host":
        name = b":authority"
    elif name in _HOP_BY_HOP and (name, value) != (b"te", b"trailers"):
        return b""
    index = _NAMES.get(name)
    never_kept = 0x10 if name in _SECRET else 0
    start = _number(index, 4, never_kept) if index else bytes([never_kept]) + _text(name)
    return start + _text(value)


def _text(text: bytes) -> bytes:
    """With Huffman's code where that is shorter."""
    coded = _HUFFMAN.encode(text)
    return _number(len(coded), 7, 0x80) + coded if len(coded) < len(text) else _plain(text)


def _plain(text: bytes) -> bytes:
    return _number(len(text), 7, 0) + text


def _number(value: int, bits: int, above: int) -> bytes:
    """An integer with a prefix of so many bits. Source: RFC 7541, 5.1."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([above | value])
    found = bytearray([above | most])
    value -= most
    while value >= 128:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
