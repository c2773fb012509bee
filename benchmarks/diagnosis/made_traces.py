"""
Spans written by hand, as the receiver would leave them: requests, statements below them, and what goes wrong with them.

Times are drawn around what is asked for, from a seed: no case rests on a round number. What an SDK does not say unless
it is told to (rows, values, code lines) is null unless a case says it.
"""

from __future__ import annotations

import random
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headway.evidence.span_columns import SPANS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MS = 1_000_000
START_NS = 1_000_000_000_000
"""As the made runs of the tests have it: their phases begin at 1,000 s."""
INTERNAL, SERVER, CLIENT, CONSUMER = 1, 2, 3, 5


class Book:
    """All spans of one case."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.rows: list[dict[str, Any]] = []
        self.now_ns = START_NS + 5_000 * MS

    def identity(self, size: int) -> bytes:
        """Random bytes for an id."""
        return self.rng.randbytes(size)

    def add(self, **columns: Any) -> dict[str, Any]:
        """One span; columns left out are null."""
        row = dict.fromkeys(SPANS.names) | {"skewed": False, "error": False, "service": "shop"} | columns
        self.rows.append(row)
        return row

    def request(self, name: str, **columns: Any) -> Request:
        """A new trace with one request, of the route of that name unless said; the next begins milliseconds later."""
        self.now_ns += self.rng.randint(2, 12) * MS
        return Request(self, self.identity(16), None, name, self.now_ns, **columns)

    def table(self) -> pa.Table:
        """The spans in a receiver's order: as they end, traces mixed."""
        rows = sorted(self.rows, key=lambda each: each["start_ns"] + each["duration_ns"])
        return pa.table({name: pa.array([row[name] for row in rows], SPANS.field(name).type) for name in SPANS.names})


class Request:
    """A server span that is being filled. `now_ns` moves on as things are done one after another."""

    def __init__(
        self, book: Book, trace: bytes, parent: bytes | None, name: str, start_ns: int, **columns: Any
    ) -> None:
        self.book, self.trace, self.now_ns = book, trace, start_ns
        self.service = columns.get("service", "shop")
        told = {"kind": SERVER, "name": name, "route": name, "status": 200} | columns
        self.span = book.add(
            trace_id=trace, span_id=book.identity(8), parent_id=parent, start_ns=start_ns, duration_ns=0, **told
        )
        self.above: list[dict[str, Any]] = [self.span]

    def pause(self, ms: float) -> None:
        """The service's own time, or somebody else's."""
        self.now_ns += int(ms * MS * self.book.rng.uniform(0.7, 1.4))

    def call(self, name: str, ms: float, **columns: Any) -> dict[str, Any]:
        """One client span, waited for."""
        self.pause(0.05)
        row = self._client(name, self.now_ns, ms, **columns)
        self.now_ns += row["duration_ns"]
        return row

    def sql(self, statement: str, ms: float = 1.0, **columns: Any) -> dict[str, Any]:
        """One statement, waited for. `key` may be any text: it is hashed."""
        word = statement.split(maxsplit=1)[0].upper()
        return self.call(word, ms, **{"system": "postgresql", "statement": statement, "operation": word} | columns)

    def redis(self, statement: str, ms: float = 0.3, **columns: Any) -> dict[str, Any]:
        """One Redis command, waited for."""
        word = statement.split(maxsplit=1)[0]
        return self.call(word, ms, **{"system": "redis", "statement": statement, "operation": word} | columns)

    def at_once(self, statements: Sequence[tuple[str, dict[str, Any]]], ms: float, *, lanes: int = 1_000) -> None:
        """Statements started together, `lanes` of them under way at a time: a pool's size."""
        free = [self.now_ns] * min(lanes, max(1, len(statements)))
        for statement, columns in statements:
            lane = free.index(min(free))
            word = statement.split(maxsplit=1)[0].upper()
            told = {"system": "postgresql", "statement": statement, "operation": word} | columns
            row = self._client(word, free[lane] + self.book.rng.randint(1_000, 40_000), ms, **told)
            free[lane] = row["start_ns"] + row["duration_ns"]
        self.now_ns = max(free)

    @contextmanager
    def inside(self, name: str, **columns: Any) -> Iterator[dict[str, Any]]:
        """An internal span around what is done meanwhile."""
        row = self._row(name, self.now_ns, 0, kind=INTERNAL, **columns)
        self.above.append(row)
        yield row
        self.above.pop()
        row["duration_ns"] = self.now_ns - row["start_ns"]

    @contextmanager
    def asked_of(self, service: str, route: str) -> Iterator[Request]:
        """A request to another service, in the same trace; it runs while this one waits."""
        client = self._row(f"GET {service}", self.now_ns, 0, kind=CLIENT)
        below = Request(self.book, self.trace, client["span_id"], route, self.now_ns + 20_000, service=service)
        yield below
        below.done()
        self.now_ns = below.now_ns + 20_000
        client["duration_ns"] = self.now_ns - client["start_ns"]

    def done(self) -> dict[str, Any]:
        """The answer is sent."""
        self.pause(0.4)
        self.span["duration_ns"] = self.now_ns - self.span["start_ns"]
        self.book.now_ns = max(self.book.now_ns, self.now_ns)
        return self.span

    def _client(self, name: str, start_ns: int, ms: float, **columns: Any) -> dict[str, Any]:
        duration = int(ms * MS * self.book.rng.uniform(0.6, 1.7))
        return self._row(name, start_ns, duration, **{"kind": CLIENT, "peer": "db:5432"} | columns)

    def _row(self, name: str, start_ns: int, duration_ns: int, **columns: Any) -> dict[str, Any]:
        if isinstance(columns.get("key"), str):
            columns["key"] = zlib.crc32(columns["key"].encode()) * 2_654_435_761
        told = {"parent_id": self.above[-1]["span_id"], "service": self.service} | columns
        return self.book.add(
            trace_id=self.trace, span_id=self.book.identity(8), name=name, start_ns=start_ns, duration_ns=duration_ns,
            **told,
        )  # fmt: skip
