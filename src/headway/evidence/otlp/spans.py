"""
Bodies of OTLP -> spans as arrays, whatever they were encoded in: JSON is turned into protobuf first.

Attributes are kept as places in the bytes until somebody asks for them: most are never asked for.

Source: github.com/open-telemetry/opentelemetry-proto, trace/v1/trace.proto; opentelemetry.io/docs/specs/otlp, "JSON".
"""

from __future__ import annotations

import base64
import itertools
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from headway.evidence.otlp.fields import BYTES, FIXED64, VARINT, Buffer, Malformed, walk

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from headway.evidence.otlp.outline import Outline

    IntArray = NDArray[np.int64]
    UIntArray = NDArray[np.uint64]

KEYS = (
    "http.request.method", "http.method", "http.route", "http.response.status_code", "http.status_code",
    "url.full", "http.url", "url.path", "url.query", "http.target",
    "http.response.body.size", "http.response_content_length",
    "db.system.name", "db.system", "db.query.text", "db.statement", "db.operation.name", "db.operation",
    "db.response.returned_rows", "db.statement.parameters", "db.query.parameters",
    "server.address", "net.peer.name", "net.sock.peer.addr", "server.port", "net.peer.port", "net.sock.peer.port",
    "code.file.path", "code.filepath", "code.line.number", "code.lineno",
    "code.function.name", "code.function", "code.namespace", "thread.id",
)  # fmt: skip
"""The attributes that are read, of old semantic conventions and new. All others are left where they are."""
PREFIXES = ("db.query.parameter.", "db.operation.parameter.")
PARAMETER = len(KEYS)
"""Stands for an attribute with one of PREFIXES."""
STRING, INT = 1, 3
"""Numbers of AnyValue's fields."""
_SHORTEST, _LONGEST = 8, 32
"""Bytes of a text that four words of eight bytes cover, which may overlap. All KEYS are such texts."""
_ID_FIELDS = {"traceId": 16, "spanId": 8, "parentSpanId": 8}
_HEX = re.compile(r"[0-9a-fA-F]*")


def _places(size: IntArray) -> tuple[IntArray | int, ...]:
    """Where in texts of _SHORTEST to _LONGEST bytes the four words begin that cover them."""
    last = size - 8
    return 0, np.minimum(8, last), np.minimum(16, last), last


def _key_words() -> tuple[IntArray, UIntArray, NDArray[np.int8]]:
    """
    KEYS as many texts are compared with them at once: their sizes, (4, n) words, and which is likely to be meant.

    That is found by the sum of the first word and the last, modulo the least number that gives each key its own.
    """
    sizes = np.array([len(each) for each in KEYS])
    buffer = Buffer("".join(KEYS).encode())
    begins = np.cumsum(sizes) - sizes
    words = np.array([buffer.words[begins + place] for place in _places(sizes)])
    sums = words[0] + words[3]
    count = next(n for n in itertools.count(len(KEYS)) if len(np.unique(sums % np.uint64(n))) == len(KEYS))
    in_slot = np.zeros(count, dtype=np.int8)
    in_slot[sums % np.uint64(count)] = np.arange(len(KEYS))
    return sizes, words, in_slot


_SIZES, _WORDS, _IN_SLOT = _key_words()


@dataclass(frozen=True, kw_only=True)
class Values:
    """(m,) attributes of one key: whose span's, of which kind (AnyValue's field number), where, and the number."""

    span: IntArray
    kind: IntArray
    low: IntArray
    high: IntArray
    number: NDArray[np.uint64]


@dataclass(frozen=True, kw_only=True)
class Spans:
    """
    (n,) spans as they came. Ids of a wrong length are None's: `whole` says which spans can be kept.

    `service` is an index of `services`. `values` has the attributes that came, by key.
    """

    buffer: Buffer
    whole: NDArray[np.bool_]
    trace_id: NDArray[np.uint8]  # (n, 16)
    span_id: NDArray[np.uint8]  # (n, 8)
    parent_id: NDArray[np.uint8]  # (n, 8)
    has_parent: NDArray[np.bool_]
    name: tuple[IntArray, IntArray]
    kind: IntArray
    start_ns: NDArray[np.uint64]
    end_ns: NDArray[np.uint64]
    status: IntArray
    service: IntArray
    services: tuple[str, ...]
    values: Mapping[int, Values]

    def __len__(self) -> int:
        return len(self.kind)

    def texts(self, low: IntArray, high: IntArray) -> tuple[IntArray, list[str]]:
        """
        Texts at places of the bytes as numbers, and what each stands for; that they are UTF-8 was checked before.

        The places are in ascending order, as those of later spans are.
        """
        # Texts, and what stands between them as nulls: nothing is copied but what differs.
        bounds = np.column_stack((low, high)).ravel()
        valid = np.full(len(low) // 4 + 1, 0b01010101, dtype=np.uint8)
        count = max(0, len(bounds) - 1)
        buffers = [pa.py_buffer(valid), pa.py_buffer(bounds), pa.py_buffer(self.buffer.content)]
        coded = pa.Array.from_buffers(pa.large_binary(), count, buffers).dictionary_encode()
        return np.asarray(coded.indices[::2]).astype(np.int64), [each.decode() for each in coded.dictionary.to_pylist()]


def from_json(body: bytes, request: Any) -> bytes:
    """
    The same request in protobuf. Ids are in hexadecimal digits, as OTLP has them; base64 is taken too.

    Args:
        body: JSON.
        request: an empty message of the request's type; it is filled.

    Raises:
        Malformed: no JSON, or not this request.
    """
    try:
        content = json.loads(body)
        _with_bytes(content)
        json_format.ParseDict(content, request, ignore_unknown_fields=True, max_recursion_depth=50)
        return bytes(request.SerializeToString())
    except (ValueError, RecursionError, json_format.ParseError, TypeError, AttributeError) as exc:
        raise Malformed(f"not OTLP in JSON: {str(exc)[:200]}") from exc


def _with_bytes(content: Any) -> None:
    """Ids in hexadecimal become what the JSON form of protobuf wants: base64."""
    work = [content]
    while work:
        part = work.pop()
        if isinstance(part, list):
            work.extend(part)
        elif isinstance(part, dict):
            for name, value in part.items():
                size = _ID_FIELDS.get(name)
                if size and isinstance(value, str) and len(value) == 2 * size and _HEX.fullmatch(value):
                    part[name] = base64.b64encode(bytes.fromhex(value)).decode()
                elif isinstance(value, (list, dict)) and name not in ("attributes", "body"):
                    work.append(value)


def decoded(buffer: Buffer, found: Outline, first: int, last: int) -> Spans:
    """
    The spans `first` to `last` of an outline.

    Raises:
        Malformed: one is damaged.
    """
    low, high = found.low[first:last], found.high[first:last]
    n = len(low)
    fields = walk(buffer, low, high)

    def at(number: int) -> tuple[IntArray, IntArray]:
        begin, end = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
        mine = fields.of(number, BYTES)
        begin[fields.owner[mine]], end[fields.owner[mine]] = fields.low[mine], fields.high[mine]
        return begin, end

    def number_of(number: int, wire: int) -> NDArray[np.uint64]:
        values = np.zeros(n, dtype=np.uint64)
        mine = fields.of(number, wire)
        values[fields.owner[mine]] = fields.value[mine]
        return values

    trace, span, parent = at(1), at(2), at(4)
    attributes = fields.of(9, BYTES)
    return Spans(
        buffer=buffer,
        whole=(trace[1] - trace[0] == 16) & (span[1] - span[0] == 8),
        trace_id=buffer.rows(trace[0], 16),
        span_id=buffer.rows(span[0], 8),
        parent_id=buffer.rows(parent[0], 8),
        has_parent=parent[1] - parent[0] == 8,
        name=at(5),
        kind=np.minimum(number_of(6, VARINT), np.uint64(127)).astype(np.int64),
        start_ns=number_of(7, FIXED64),
        end_ns=number_of(8, FIXED64),
        status=_status(buffer, *at(15)),
        service=found.sender[first:last],
        services=tuple(each.service for each in found.senders),
        values=_values(buffer, fields.owner[attributes], fields.low[attributes], fields.high[attributes]),
    )  # fmt: skip


def _status(buffer: Buffer, low: IntArray, high: IntArray) -> IntArray:
    fields = walk(buffer, low, high)
    codes = np.zeros(len(low), dtype=np.int64)
    mine = fields.of(3, VARINT)
    codes[fields.owner[mine]] = np.minimum(fields.value[mine], np.uint64(127)).astype(np.int64)
    return codes


def _values(buffer: Buffer, span: IntArray, low: IntArray, high: IntArray) -> dict[int, Values]:
    """The attributes that somebody asks for, by key."""
    places = _pairs(buffer, low, high)
    key = _matched(buffer, places[0], places[1])
    asked = np.flatnonzero(key >= 0)
    asked = asked[np.argsort(key[asked], kind="stable")]
    fields = walk(buffer, places[2][asked], places[3][asked])
    n = len(asked)
    kind, begin, end = (np.zeros(n, dtype=np.int64) for _ in range(3))
    number = np.zeros(n, dtype=np.uint64)
    kind[fields.owner], begin[fields.owner], end[fields.owner] = fields.number, fields.low, fields.high
    number[fields.owner] = fields.value
    said = np.flatnonzero(kind)
    asked, kind, begin, end, number = asked[said], kind[said], begin[said], end[said], number[said]
    found: dict[int, Values] = {}
    bounds = np.searchsorted(key[asked], np.arange(PARAMETER + 2))
    for each, (first, last) in enumerate(itertools.pairwise(bounds.tolist())):
        mine = slice(first, last)
        if each == PARAMETER:  # hashed with their names: everything from the key on
            begin[mine], end[mine] = low[asked[mine]], high[asked[mine]]
        if first < last:
            found[each] = Values(
                span=span[asked[mine]], kind=kind[mine], low=begin[mine], high=end[mine], number=number[mine]
            )
    return found


def _pairs(buffer: Buffer, low: IntArray, high: IntArray) -> IntArray:
    """(4, n) where the key and the value of each KeyValue begin and end."""
    # As good as all are written alike: a short key, then a value of up to 16 kB, then the end.
    content = buffer.bytes
    key_low = low + 2
    key_high = key_low + content[low + 1]
    inside = (content[low] == 0x0A) & (content[low + 1] < 0x80) & (key_high + 2 <= high)
    at = np.where(inside, key_high, low)
    first, second = content[at + 1].astype(np.int64), content[at + 2].astype(np.int64)
    short = first < 0x80
    size = np.where(short, first, (first & 0x7F) | second << 7)
    value_low = at + np.where(short, 2, 3)
    plain = inside & (content[at] == 0x12) & (short | (second < 0x80)) & (value_low + size == high)
    places = np.where(plain, np.stack((key_low, key_high, value_low, high)), 0)
    others = np.flatnonzero(~plain)
    if len(others):
        fields = walk(buffer, low[others], high[others])
        for number, row in ((1, 0), (2, 2)):
            mine = fields.of(number, BYTES)
            owner = others[fields.owner[mine]]
            places[row][owner], places[row + 1][owner] = fields.low[mine], fields.high[mine]
    return places


def _matched(buffer: Buffer, low: IntArray, high: IntArray) -> NDArray[np.int8]:
    """Which of KEYS each text is, PARAMETER, or -1."""
    found = np.full(len(low), -1, dtype=np.int8)
    sizes = high - low
    mine = np.flatnonzero((sizes >= _SHORTEST) & (sizes <= _LONGEST))
    first, size = low[mine], sizes[mine]
    words = [buffer.words[first + place] for place in _places(size)]
    likely = _IN_SLOT[(words[0] + words[3]) % np.uint64(len(_IN_SLOT))]
    is_it = _SIZES[likely] == size
    for have, wanted in zip(words, _WORDS, strict=True):
        is_it &= have == wanted[likely]
    found[mine[is_it]] = likely[is_it]
    for prefix in PREFIXES:
        mine = np.flatnonzero(sizes > len(prefix))
        starts = buffer.words[low[mine]] == np.uint64(int.from_bytes(prefix[:8].encode(), "little"))
        mine = mine[starts]
        texts = buffer.rows(low[mine], len(prefix)).view(f"S{len(prefix)}").ravel()
        found[mine[texts == prefix.encode()]] = PARAMETER
    return found


def empty_request() -> ExportTraceServiceRequest:
    """To be filled from JSON."""
    return ExportTraceServiceRequest()
