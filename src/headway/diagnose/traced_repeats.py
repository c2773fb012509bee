"""
A run's spans -> for each route, which statements its requests repeat, and what that cost them.

Traces in which nothing comes twice are only counted. Of the others a bounded number a route is looked at one by one,
drawn by a hash of the trace's id; each stands for as many as were left out.
"""

from __future__ import annotations

import re
import tempfile
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from headway.conventions import SPANS_FILE
from headway.diagnose import command_shape, repeats, statement_shape
from headway.diagnose.repetition import Repetition
from headway.diagnose.statement_shape import Kind
from headway.diagnose.words import one_line
from headway.errors import BundleDamaged

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import duckdb

    from headway.diagnose.statement_shape import Shape

MOST_TRACES = 300
"""Traces looked at of each route: shares are then known to within 6 points, sqrt(0.25 / 300) twice."""
MOST_SPANS = 300_000
"""Spans looked at of each route, one trace whole at the least."""
LOT_ROWS = 100_000
NO_SYSTEM = "unknown"


@dataclass(frozen=True, kw_only=True)
class RouteTime:
    """The requests of one route in one phase: how many, their time, and bounds of the middle and the slowest."""

    requests: int
    total_ns: float
    low_ns: float
    high_ns: float
    slow_ns: float
    middle_total_ns: float
    slow_total_ns: float


@dataclass(kw_only=True)
class Repeated:
    """One statement that requests of one route repeat. `stands_for` is a weight for each request seen."""

    phase: str
    route: str
    service: str
    statement: str
    system: str
    shape: Shape
    time: RouteTime
    phase_times: tuple[RouteTime, ...]  # of all routes of the phase
    seen: Repetition = field(default_factory=Repetition)
    stands_for: list[float] = field(default_factory=list)

    @property
    def cost_ns(self) -> float:
        """What the repeated calls take of a request of the route on average, those that don't repeat it included."""
        return self._weighted(np.array(self.seen.cost_ns)) / max(1, self.time.requests)

    @property
    def requests(self) -> float:
        """Requests of the phase that repeat it, as far as those looked at tell."""
        return min(float(self.time.requests), sum(self.stands_for))

    @property
    def calls_a_request(self) -> float:
        """Calls in a request that repeats it, on average."""
        return self._weighted(np.array(self.seen.calls)) / sum(self.stands_for)

    def shares(self) -> tuple[float, float, float]:
        """Its share of the route's time: of all requests, of those around the median, of the slowest 5%."""
        cost, lasted = np.array(self.seen.cost_ns), np.array(self.seen.request_ns)
        middle = (lasted >= self.time.low_ns) & (lasted <= self.time.high_ns)
        slow = lasted >= self.time.slow_ns
        return (
            _share(self._weighted(cost), self.time.total_ns),
            _share(self._weighted(cost * middle), self.time.middle_total_ns),
            _share(self._weighted(cost * slow), self.time.slow_total_ns),
        )

    def _weighted(self, values: np.ndarray[Any, Any]) -> float:
        return float((values * np.array(self.stands_for)).sum())


@dataclass(frozen=True, kw_only=True)
class Window:
    """A phase and when it was measured, unix ns."""

    name: str
    begin_ns: int
    end_ns: int


@contextmanager
def opened(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """
    A connection in memory with the run's spans as the view `spans`; it takes a gigabyte at most and then spills.

    Raises:
        BundleDamaged: the file can't be read as spans.
    """
    import duckdb

    file = folder / SPANS_FILE
    try:
        with tempfile.TemporaryDirectory(prefix="headway-spans-") as room, duckdb.connect() as connection:
            connection.execute("SET memory_limit = '1GB'")
            connection.execute("SET temp_directory = $room", {"room": room})
            connection.read_parquet(str(file)).create_view("spans")
            yield connection
    except duckdb.Error as exc:
        raise BundleDamaged(f"cannot be read as spans: {one_line(str(exc))}", next_act="run again", file=file) from exc


def read(connection: duckdb.DuckDBPyConnection, windows: Sequence[Window]) -> Iterator[Repeated]:
    """
    Every statement that some request asked twice, by phase and route.

    Args:
        connection: has a view or table `spans` with the columns of evidence/span_columns.py.
        windows: the phases; what lies in none of them is left out.
    """
    connection.execute(_queries()["requests"])
    times = {window.name: _route_times(connection, window) for window in windows}
    connection.execute(_queries()["chosen"], {"traces": MOST_TRACES, "spans": MOST_SPANS})
    found: dict[tuple[str, str, str, str], Repeated] = {}
    for lot in _lots(connection):
        _take_in(lot, windows, times, found)
    yield from found.values()


@cache
def _queries() -> Mapping[str, str]:
    text = resources.files("headway.diagnose").joinpath("sql", "repeats.sql").read_text("utf-8")
    blocks = (block.partition("\n") for block in re.split(r"^-- name: ", text, flags=re.MULTILINE)[1:])
    return {name.strip(): body for name, _, body in blocks}


def _route_times(connection: duckdb.DuckDBPyConnection, window: Window) -> dict[tuple[str, str], RouteTime]:
    rows = connection.execute(_queries()["route_times"], {"begin": window.begin_ns, "end": window.end_ns}).fetchall()
    names = ("requests", "total_ns", "low_ns", "high_ns", "slow_ns", "middle_total_ns", "slow_total_ns")
    return {(row[0], row[1]): RouteTime(**dict(zip(names, row[2:], strict=True))) for row in rows}


def _lots(connection: duckdb.DuckDBPyConnection) -> Iterator[pa.Table]:
    """Spans in tables of whole traces; a table holds LOT_ROWS and the rest of its last trace."""
    reader = connection.sql(_queries()["spans_of_chosen"]).to_arrow_reader(LOT_ROWS)
    left: pa.Table | None = None
    for batch in reader:
        table = pa.Table.from_batches([batch])
        table = table if left is None else pa.concat_tables([left, table])
        traces = np.asarray(table["trace"])
        changes = np.flatnonzero(traces[1:] != traces[:-1])
        cut = int(changes[-1]) + 1 if len(changes) else 0
        if cut:
            yield table.slice(0, cut)
        left = table.slice(cut)
    if left is not None and left.num_rows:
        yield left


@dataclass(frozen=True, kw_only=True)
class _Lot:
    """A table's columns as arrays, its texts as numbers."""

    texts: Mapping[str, list[str]]
    arrays: Mapping[str, np.ndarray[Any, Any]]
    words: repeats.Words

    def text(self, column: str, number: int) -> str | None:
        return self.texts[column][number] if number >= 0 else None


def _lot(table: pa.Table) -> _Lot:
    texts: dict[str, list[str]] = {}
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    for name in ("service", "route", "system", "statement", "peer", "code"):
        coded = table[name].combine_chunks().dictionary_encode()
        texts[name] = coded.dictionary.to_pylist()
        arrays[name] = coded.indices.fill_null(repeats.NONE).to_numpy(zero_copy_only=False).astype(np.int64)
    for name in ("has_parent", "error"):
        arrays[name] = table[name].combine_chunks().fill_null(False).to_numpy(zero_copy_only=False)
    for name in ("trace", "span", "parent", "kind", "start_ns", "duration_ns", "stands_for"):
        arrays[name] = table[name].combine_chunks().fill_null(0).to_numpy(zero_copy_only=False)
    arrays["has_key"] = table["key"].is_valid().to_numpy()
    arrays["key"] = table["key"].combine_chunks().fill_null(0).to_numpy(zero_copy_only=False)
    arrays["rows"] = table["rows"].combine_chunks().fill_null(repeats.NONE).to_numpy(zero_copy_only=False)
    shapes = [_shape_of(text, _system_of(arrays, texts, number)) for number, text in enumerate(texts["statement"])]
    words = repeats.Words(
        reads=np.array([each.kind is Kind.READ for each in shapes], dtype=bool),
        undoes=np.array([each.lstrip().lower().startswith("rollback") for each in texts["statement"]], dtype=bool),
    )
    return _Lot(texts=texts, arrays=arrays, words=words)


def _system_of(arrays: Mapping[str, np.ndarray[Any, Any]], texts: Mapping[str, list[str]], statement: int) -> str:
    number = int(arrays["system"][int(np.argmax(arrays["statement"] == statement))])
    return texts["system"][number] if number >= 0 else NO_SYSTEM


def _shape_of(text: str, system: str) -> Shape:
    return command_shape.shape(text) if system in command_shape.SYSTEMS else statement_shape.shape(text)


def _take_in(
    table: pa.Table,
    windows: Sequence[Window],
    times: Mapping[str, Mapping[tuple[str, str], RouteTime]],
    found: dict[tuple[str, str, str, str], Repeated],
) -> None:
    lot = _lot(table)
    trace = lot.arrays["trace"]
    edges = [0, *(np.flatnonzero(trace[1:] != trace[:-1]) + 1).tolist(), len(trace)]
    systems: dict[str, str] = defaultdict(str)
    for first, last in pairwise(edges):
        for repeat in repeats.repeats(_trace(lot, first, last), lot.words):
            entry = first + repeat.entry
            at = int(lot.arrays["start_ns"][entry])
            phase = next((each.name for each in windows if each.begin_ns <= at < each.end_ns), None)
            route, service = (lot.text(name, int(lot.arrays[name][entry])) or "" for name in ("route", "service"))
            text = lot.texts["statement"][repeat.statement]
            time = times[phase].get((route, service)) if phase is not None else None
            if phase is None or time is None:
                continue
            systems[text] = systems[text] or _system_of(lot.arrays, lot.texts, repeat.statement)
            kept = found.setdefault(
                (phase, route, service, text),
                Repeated(
                    phase=phase, route=route, service=service, statement=text, system=systems[text],
                    shape=_shape_of(text, systems[text]), time=time,
                    phase_times=tuple(times[phase].values()),
                ),
            )  # fmt: skip
            key = int(lot.arrays["key"][entry]) if lot.arrays["has_key"][entry] else None
            texts = lot.text("statement", repeat.source), lot.text("code", repeat.code)
            kept.seen.add(repeat, int(lot.arrays["duration_ns"][entry]), key, *texts)
            kept.stands_for.append(float(lot.arrays["stands_for"][entry]))


def _trace(lot: _Lot, first: int, last: int) -> repeats.TraceSpans:
    part = {name: values[first:last] for name, values in lot.arrays.items()}
    parent = repeats.parents(part["span"], part["parent"], part["has_parent"].astype(bool))
    above = np.where(parent >= 0, part["code"][np.maximum(parent, 0)], repeats.NONE)
    return repeats.TraceSpans(
        parent=parent, kind=part["kind"], start_ns=part["start_ns"], duration_ns=part["duration_ns"],
        error=part["error"].astype(bool), service=part["service"], route=part["route"], statement=part["statement"],
        peer=part["peer"], code=np.where(part["code"] >= 0, part["code"], above), key=part["key"],
        has_key=part["has_key"], rows=part["rows"],
    )  # fmt: skip


def _share(part: float, whole: float) -> float:
    return min(1.0, part / whole) if whole > 0 else 0.0
