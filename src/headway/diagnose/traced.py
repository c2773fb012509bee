"""Requests out of a run's spans: how long their server spans took, and whole traces of some of them."""

from __future__ import annotations

from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headway.conventions import SPANS_FILE
from headway.diagnose.critical_path import Span
from headway.errors import BundleDamaged
from headway.evidence.collector import in_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    from headway.model import PhaseHits

MEMORY = "1GB"
SAMPLED = 300
"""Traces taken apart for each route and band: the mean of 300 is known to 6% where the deviation is the mean's size."""
MOST_SPANS = 20_000
"""Spans of one trace that is taken apart; larger ones are counted as left out."""
_ROOTS = """
CREATE TEMP TABLE roots AS
SELECT s.trace_id, s.span_id, s.route::VARCHAR AS route, s.start_ns, s.duration_ns
FROM read_parquet($file) s
WHERE s.kind = 2 AND s.start_ns BETWEEN $low AND $high AND NOT coalesce(s.skewed, false)
  AND (s.parent_id IS NULL OR NOT EXISTS (
    SELECT 1 FROM read_parquet($file) p WHERE p.trace_id = s.trace_id AND p.span_id = s.parent_id))
"""
_RANKED = """
SELECT trace_id, span_id FROM (
  SELECT trace_id, span_id, (row_number() OVER (ORDER BY duration_ns, span_id) - 0.5) / count(*) OVER () AS rank
  FROM roots WHERE $route IS NULL OR route = $route)
WHERE rank BETWEEN $from AND $to ORDER BY hash(span_id) LIMIT $most
"""
_SPANS = """
SELECT s.trace_id, s.span_id, s.parent_id, s.kind, s.name::VARCHAR AS name, s.system::VARCHAR AS system, s.start_ns,
  s.start_ns + s.duration_ns AS end_ns
FROM read_parquet($file) s SEMI JOIN chosen c ON s.trace_id = c.trace_id
"""
_NEAR = "SELECT n.* FROM near n SEMI JOIN chosen c ON n.trace_id = c.trace_id"


@dataclass(frozen=True, kw_only=True)
class Taken:
    """Some requests of one band with their traces, (root, spans), and how many were left out as too large."""

    requests: tuple[tuple[Span, tuple[Span, ...]], ...]
    too_large: int


class Requests:
    """The requests that began in a stretch of time, unix ns, by their topmost server spans."""

    def __init__(self, connection: DuckDBPyConnection, file: Path, low: int, high: int) -> None:
        self._connection = connection
        self._file = str(file)
        self._near: frozenset[tuple[str | None, float, float]] = frozenset()
        connection.execute("DROP TABLE IF EXISTS roots")
        connection.execute(_ROOTS, {"file": self._file, "low": low, "high": high})

    def by_route(self) -> dict[str | None, int]:
        """Requests by route, the most first; those of spans that name none under None."""
        rows = self._connection.execute("SELECT route, count(*) FROM roots GROUP BY 1 ORDER BY 2 DESC, 1").fetchall()
        return dict(rows)

    def prepare(self, wanted: Iterable[tuple[str | None, float, float]]) -> None:
        """Read the spans of what will be taken, (route, low, high) each, in one go: else each takes a whole reading."""
        self._near = frozenset(wanted)
        self._choose([row for each in self._near for row in self._ranked(*each)])
        self._connection.execute(f"CREATE OR REPLACE TEMP TABLE near AS {_SPANS}", {"file": self._file})

    def take(self, route: str | None, low: float, high: float) -> Taken:
        """
        Requests with a rank of server time in [low, high], ratios, at most SAMPLED of them, drawn by their ids' hashes.

        Args:
            route: None for all.
            low, high: 0.45 and 0.55 are the middle tenth.
        """
        ids = self._ranked(route, low, high)
        roots = {bytes(trace): bytes(span) for trace, span in ids}
        self._choose(ids)
        traces: dict[bytes, list[Span]] = defaultdict(list)
        large: set[bytes] = set()
        near = (route, low, high) in self._near
        cursor = self._connection.execute(*((_NEAR,) if near else (_SPANS, {"file": self._file})))
        while rows := cursor.fetchmany(10_000):
            for trace, span, parent, kind, name, system, start_ns, end_ns in rows:
                found = traces[bytes(trace)]
                if len(found) >= MOST_SPANS:
                    large.add(bytes(trace))
                    continue
                found.append(
                    Span(
                        id=bytes(span), parent=None if parent is None else bytes(parent), kind=kind or 0,
                        name=name or "", system=system, start_ns=start_ns, end_ns=end_ns,
                    )
                )  # fmt: skip
        requests = [
            (root, tuple(spans))
            for trace, spans in traces.items()
            if trace not in large and (root := next((s for s in spans if s.id == roots[trace]), None)) is not None
        ]
        return Taken(requests=tuple(requests), too_large=len(large))

    def _ranked(self, route: str | None, low: float, high: float) -> list[tuple[bytes, bytes]]:
        values = {"route": route, "from": low, "to": high, "most": SAMPLED}
        return self._connection.execute(_RANKED, values).fetchall()

    def _choose(self, ids: Iterable[tuple[bytes, bytes]]) -> None:
        import pyarrow as pa

        traces = pa.table({"trace_id": pa.array([trace for trace, _ in ids], pa.binary())})
        self._connection.register("chosen", traces)


@contextmanager
def opened(file: Path) -> Iterator[DuckDBPyConnection]:
    """
    A DuckDB for questions to a file of spans.

    Raises:
        BundleDamaged: the file can't be read.
    """
    import duckdb

    try:
        with duckdb.connect(config={"memory_limit": MEMORY, "threads": 2}) as connection:
            yield connection
    except duckdb.Error as exc:
        raise BundleDamaged(f"cannot be read: {in_words(exc)}", next_act="run again with --traces", file=file) from exc


@contextmanager
def requests(folder: Path, hits: PhaseHits) -> Iterator[Requests | None]:
    """
    The requests of a phase that traces show; None when the run has no traces.

    Raises:
        BundleDamaged: the file of spans can't be read.
    """
    file = folder / SPANS_FILE
    if not file.exists():
        yield None
        return
    with opened(file) as connection:
        low = int(hits.started_at_s * 1e9)
        yield Requests(connection, file, low, low + int(hits.seconds * 1e9))
