"""
Spans as they came -> rows of span_columns.SPANS: one meaning for old and new semantic conventions, no values in texts.

Everything that is kept of spans goes through here.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from headway.evidence.otlp import texts
from headway.evidence.otlp.spans import INT, KEYS, PARAMETER, STRING
from headway.evidence.span_columns import SPANS

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from numpy.typing import NDArray

    from headway.evidence.otlp.spans import Spans

    IntArray = NDArray[np.int64]
    UIntArray = NDArray[np.uint64]

NONE = -1
SERVER, CLIENT, PRODUCER = 2, 3, 4
ERROR = 2
LATEST_NS = 1 << 62
"""A time after the year 2116 is no time."""
OTHER_SYSTEM = "other_sql"
_NUMBER = {name: number for number, name in enumerate(KEYS)}


@dataclass(frozen=True, kw_only=True)
class Coded:
    """Texts of (n,) spans: a number each, NONE where nothing is said, and what the numbers stand for."""

    number: IntArray
    words: Sequence[Any]

    def __getitem__(self, number: int) -> Any:
        return self.words[number] if number >= 0 else ""


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How a run wants its spans: `salt` makes keys that nobody can look up; `show` leaves values in texts."""

    salt: bytes
    show: bool = False


def table(spans: Spans, manner: Manner) -> tuple[pa.RecordBatch, dict[str, int]]:
    """The rows of spans, and how many were left out for which reason."""
    timed = (spans.start_ns > 0) & (spans.start_ns < LATEST_NS) & (spans.end_ns < LATEST_NS)
    kept = spans.whole & timed
    left = {
        "without ids": int(np.count_nonzero(~spans.whole)),
        "without a time": int(np.count_nonzero(spans.whole & ~timed)),
    }
    batch = _Reader(spans, manner).batch()
    return batch if kept.all() else batch.filter(pa.array(kept)), {name: count for name, count in left.items() if count}


class _Reader:
    def __init__(self, spans: Spans, manner: Manner) -> None:
        self._spans = spans
        self._manner = manner
        self._n = len(spans)

    def batch(self) -> pa.RecordBatch:
        spans, show = self._spans, self._manner.show
        start, end = (
            np.minimum(each, np.uint64(LATEST_NS)).astype(np.int64) for each in (spans.start_ns, spans.end_ns)
        )
        http, statements = self._http(), self._statements()
        calls = (spans.kind == CLIENT) | (spans.kind == PRODUCER) | (statements["system"].number >= 0)
        columns = {
            "trace_id": _fixed(spans.trace_id),
            "span_id": _fixed(spans.span_id),
            "parent_id": _fixed(spans.parent_id, spans.has_parent & spans.parent_id.any(axis=1)),
            "service": _words(Coded(number=spans.service, words=spans.services)),
            "name": _words(self._each(self._coded(*spans.name), lambda text: texts.name(text, show=show))),
            "kind": pa.array(spans.kind.astype(np.int8)),
            "start_ns": pa.array(start),
            "duration_ns": pa.array(np.maximum(0, end - start)),
            "skewed": pa.array(end < start),
            "error": pa.array(spans.status == ERROR),
            "status": self._numbers("http.status_code", "http.response.status_code", low=100, high=599),
            "peer": _words(self._peer(calls)),
            "code": _words(self._code()),
            "rows": self._numbers("db.response.returned_rows"),
            "body_bytes": self._numbers("http.response_content_length", "http.response.body.size", where=self._server),
            "thread": self._numbers("thread.id"),
            "route": _words(http["route"]),
            "system": _words(statements["system"]),
            "statement": _words(statements["statement"]),
            "operation": _words(statements["operation"]),
            "key": self._keys(http, statements),
        }
        arrays = [columns[name].cast(SPANS.field(name).type) for name in SPANS.names]
        return pa.RecordBatch.from_arrays(arrays, schema=SPANS)

    @property
    def _server(self) -> NDArray[np.bool_]:
        return np.asarray(self._spans.kind == SERVER)

    def _coded(self, low: IntArray, high: IntArray, where: NDArray[np.bool_] | None = None) -> Coded:
        number = np.full(self._n, NONE, dtype=np.int64)
        rows = np.flatnonzero(low < high if where is None else where)
        codes, words = self._spans.texts(low[rows], high[rows])
        number[rows] = codes
        return Coded(number=number, words=words)

    def _text(self, *names: str, where: NDArray[np.bool_] | None = None) -> Coded:
        """Texts of one meaning; of names that stand later the value counts where both are there."""
        low, high = np.zeros(self._n, dtype=np.int64), np.zeros(self._n, dtype=np.int64)
        for name in names:
            found = self._spans.values.get(_NUMBER[name])
            if found is not None:
                said = (found.kind == STRING) & (found.low < found.high)
                low[found.span[said]], high[found.span[said]] = found.low[said], found.high[said]
        return self._coded(low, high, (low < high) if where is None else where & (low < high))

    def _whole(self, *names: str, where: NDArray[np.bool_] | None = None) -> IntArray:
        """Whole numbers of one meaning; NONE where nothing is said."""
        values = np.full(self._n, NONE, dtype=np.int64)
        for name in names:
            found = self._spans.values.get(_NUMBER[name])
            if found is not None:
                said = found.kind == INT
                values[found.span[said]] = found.number[said].astype(np.int64)
        return values if where is None else np.where(where, values, NONE)

    def _numbers(
        self, *names: str, low: int = 0, high: int = LATEST_NS, where: NDArray[np.bool_] | None = None
    ) -> pa.Array:
        values = self._whole(*names, where=where)
        return pa.array(values, mask=(values < low) | (values > high))

    def _each(self, coded: Coded, change: Callable[[Any], Any]) -> Coded:
        """Other words for the same numbers; None: nothing is said."""
        return self._joined(change, coded)

    def _joined(self, make: Callable[..., Any], *coded: Coded) -> Coded:
        """One word for each different combination; made once for each."""
        combined = np.zeros(self._n, dtype=np.int64)
        for each in coded:
            combined = combined * (len(each.words) + 1) + (each.number + 1)
        found = pa.array(combined).dictionary_encode()
        left, words = found.dictionary.to_numpy(), []
        for each in reversed(coded):
            left, own = np.divmod(left, len(each.words) + 1)
            words.append([each[number] for number in (own - 1).tolist()])
        order: dict[Hashable, int] = {None: NONE}
        codes = [order.setdefault(word, len(order) - 1) for word in map(make, *reversed(words))]
        return Coded(number=np.array(codes, dtype=np.int64)[np.asarray(found.indices)], words=list(order)[1:])

    def _http(self) -> dict[str, Coded]:
        server, show = self._server, self._manner.show
        method = self._text("http.method", "http.request.method", where=server)
        pattern = self._text("http.route", where=server)
        path = self._text("http.target", "url.path", where=server)
        query, url = self._text("url.query", where=server), self._text("http.url", "url.full", where=server)
        asked = self._joined(texts.path_and_query, url, path, query)
        no_method = method.number == NONE  # a server of something else than HTTP
        route = self._joined(
            lambda verb, known, place: texts.route(verb, known, place, show=show), method, pattern, asked
        )
        return {
            "method": method,
            "asked": Coded(number=np.where(no_method, NONE, asked.number), words=asked.words),
            "route": Coded(number=np.where(no_method, NONE, route.number), words=route.words),
        }

    def _statements(self) -> dict[str, Coded]:
        show = self._manner.show
        raw = self._text("db.statement", "db.query.text")
        system = self._joined(
            lambda known, text: known.lower()[:40] or (OTHER_SYSTEM if text else None),
            self._text("db.system", "db.system.name"), self._flag(raw),
        )  # fmt: skip
        told = self._joined(lambda text, whose: texts.statement(text, whose, show=show) if text else None, raw, system)
        statement = self._joined(lambda each: each.text or None if each else None, told)
        operation = self._joined(
            lambda known, each, whose: _operation(known, each.text if each else "") if whose else None,
            self._text("db.operation", "db.operation.name"), told, system,
        )  # fmt: skip
        return {"raw": raw, "system": system, "told": told, "statement": statement, "operation": operation}

    @staticmethod
    def _flag(coded: Coded) -> Coded:
        return Coded(number=np.where(coded.number >= 0, 0, NONE), words=["said"])

    def _peer(self, where: NDArray[np.bool_]) -> Coded:
        host = self._text("net.sock.peer.addr", "net.peer.name", "server.address", where=where)
        ports = self._whole("net.sock.peer.port", "net.peer.port", "server.port", where=where)
        different, port = np.unique(ports, return_inverse=True)
        port_coded = Coded(number=port.astype(np.int64), words=different.tolist())
        return self._joined(
            lambda address, number: address[:100] + (f":{number}" if number >= 0 else "") if address else None,
            host, port_coded,
        )  # fmt: skip

    def _code(self) -> Coded:
        lines, line = np.unique(self._whole("code.lineno", "code.line.number"), return_inverse=True)
        return self._joined(
            lambda file, at, function, whose: texts.code(file, at if at >= 0 else None, function, whose),
            self._text("code.filepath", "code.file.path"),
            Coded(number=line.astype(np.int64), words=lines.tolist()),
            self._text("code.function", "code.function.name"),
            self._text("code.namespace"),
        )

    def _keys(self, http: dict[str, Coded], statements: dict[str, Coded]) -> pa.Array:
        """
        Of requests and statements. A statement with placeholders has a key only where their values came with it.
        """
        key, known = self._parameters()
        told, raw = statements["told"], statements["raw"]
        is_open = np.array([*(each.open for each in told.words), False], dtype=bool)[told.number]
        of_text = (raw.number >= 0) & (~is_open | known)
        key = np.where(of_text, key + self._hashed(raw, b"statement"), 0)
        of_request = (http["asked"].number >= 0) & ~of_text
        both = self._hashed(http["method"], b"method") + self._hashed(http["asked"], b"path")
        return pa.array(np.where(of_request, both, key), mask=~(of_text | of_request))

    def _parameters(self) -> tuple[UIntArray, NDArray[np.bool_]]:
        """The sum of the hashes of each span's parameters, their names within; and which have any."""
        key, known = np.zeros(self._n, dtype=np.uint64), np.zeros(self._n, dtype=bool)
        for number in (PARAMETER, _NUMBER["db.statement.parameters"], _NUMBER["db.query.parameters"]):
            found = self._spans.values.get(number)
            if found is None or not len(found.span):
                continue
            content, low, high = self._spans.buffer.content, found.low.tolist(), found.high.tolist()
            salted = [self._hash(b"parameter", content[a:b]) for a, b in zip(low, high, strict=True)]
            np.add.at(key, found.span, np.array(salted, dtype=np.uint64))
            known[found.span] = True
        return key, known

    def _hashed(self, coded: Coded, domain: bytes) -> UIntArray:
        """(n,) hashes of texts; 0 where nothing is said."""
        hashes = [self._hash(domain, str(word).encode("utf-8", "surrogatepass")) for word in coded.words]
        return np.array([*hashes, 0], dtype=np.uint64)[coded.number]

    def _hash(self, domain: bytes, content: bytes) -> int:
        return int.from_bytes(
            hashlib.blake2b(content, digest_size=8, key=self._manner.salt, person=domain).digest(), "little"
        )


def _operation(known: str, text: str) -> str | None:
    """SELECT, GET: what the SDK says, else the statement's first word."""
    word = (known or text).split(maxsplit=1)
    return word[0].upper()[:30] if word and word[0].replace("_", "").replace(".", "").isalnum() else None


def _fixed(content: NDArray[np.uint8], where: NDArray[np.bool_] | None = None) -> pa.Array:
    n, width = content.shape
    valid = None if where is None else pa.py_buffer(np.packbits(where, bitorder="little"))
    return pa.Array.from_buffers(pa.binary(width), n, [valid, pa.py_buffer(np.ascontiguousarray(content))])


def _words(coded: Coded) -> pa.Array:
    indices = pa.array(coded.number.astype(np.int32), mask=coded.number < 0)
    words = [str(word).encode("utf-8", "replace").decode() for word in coded.words]
    return pa.DictionaryArray.from_arrays(indices, pa.array(words, pa.string()))
