"""
One trace's spans as plain arrays -> which statement each request repeated, how often, how, and what it cost.

Nothing is believed of a trace: parents may be missing, stand in a circle or come twice, clocks may disagree, and one
request may have a hundred thousand children.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]
    BoolArray = NDArray[np.bool_]

NONE = -1
INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = 1, 2, 3, 4, 5
DEEPEST_DOUBLINGS = 20
"""Parents are followed 2^20 steps up: more than a trace has spans. What has found no request by then is in a circle."""


@dataclass(frozen=True, kw_only=True)
class TraceSpans:
    """
    One trace, (n,) each. Texts are numbers that the caller knows the meaning of; NONE where nothing is said.

    `parent` is the parent's index, NONE of a root, MISSING (-2) where it names a span that never came.
    """

    parent: IntArray
    kind: IntArray
    start_ns: IntArray
    duration_ns: IntArray
    error: BoolArray
    service: IntArray
    route: IntArray
    statement: IntArray
    peer: IntArray
    code: IntArray
    key: NDArray[np.uint64]
    has_key: BoolArray
    rows: IntArray


MISSING = -2


@dataclass(frozen=True, kw_only=True)
class Words:
    """What the caller knows of statements, by their number: whether one reads, and whether it undoes a transaction."""

    reads: BoolArray
    undoes: BoolArray


class Manner(StrEnum):
    SEQUENTIAL = "one after another"
    INTERLEAVED = "one after another with others between"
    CONCURRENT = "at the same time"


@dataclass(frozen=True, kw_only=True)
class Repeat:
    """
    One statement, asked `calls` times in one request.

    `cost_ns` is the time in which at least one of them was under way; `total_ns` the sum. `keys` are those seen,
    `without_key` how many calls didn't say theirs. `peers_most` and `places_most`: calls to the server, from the line
    of code, that has most of them. `failures` is how many failed, `undone_ratio` the share of the gaps between calls
    with a failure or a ROLLBACK in them. `gap_ns` is the median gap, `gap_spread` its coefficient of variation,
    `idle_ratio` the share of the gaps with no other call in them. `source` is the statement that was read before it,
    `source_rows` what that returned, None where it isn't said.
    """

    entry: int  # index of the request's span
    statement: int
    calls: int
    cost_ns: int
    total_ns: int
    manner: Manner
    keys: NDArray[np.uint64]
    without_key: int
    peers_most: int
    places_most: int
    code: int
    failures: int
    undone_ratio: float
    gap_ns: float
    gap_spread: float
    idle_ratio: float
    mean_ns: float
    full_pages: bool  # all answers but the last have the same number of rows, 2 or more
    source: int
    source_rows: int | None


def parents(span_ids: NDArray[np.uint64], parent_ids: NDArray[np.uint64], has_parent: BoolArray) -> IntArray:
    """
    Index of each span's parent: NONE without one, MISSING where no such span came. Of two spans with one id, the first.

    Args:
        span_ids, parent_ids: (n,) ids as numbers; has_parent: (n,) whether one is named.
    """
    order = np.argsort(span_ids, kind="stable")
    at = np.minimum(np.searchsorted(span_ids[order], parent_ids), len(order) - 1)
    found = order[at]
    there = span_ids[found] == parent_ids
    return np.where(has_parent, np.where(there, found, MISSING), NONE).astype(np.int64)


def entries(trace: TraceSpans) -> IntArray:
    """
    For each span the index of the request it belongs to: the nearest server or consumer span above it, or the root
    when that is neither; NONE where there is none.

    A span whose parent never came belongs to its service's request when the trace has exactly one of it.
    """
    n = len(trace.parent)
    own = np.arange(n)
    root = (trace.parent == NONE) & (trace.kind != CLIENT) & (trace.kind != PRODUCER)
    is_entry = (trace.kind == SERVER) | (trace.kind == CONSUMER) | root
    up = np.where(is_entry | (trace.parent < 0), own, trace.parent)
    for _ in range(DEEPEST_DOUBLINGS):
        further = up[up]
        if np.array_equal(further, up):
            break
        up = further
    owner = np.where(is_entry[up], up, NONE)
    orphans = (owner == NONE) & (trace.parent[up] == MISSING)
    for service in np.unique(trace.service[orphans]):
        whose = np.flatnonzero(is_entry & (trace.service == service))
        if len(whose) == 1:
            owner[orphans & (trace.service == service)] = whose[0]
    return owner.astype(np.int64)


def repeats(trace: TraceSpans, words: Words, *, least: int = 2) -> list[Repeat]:
    """
    Every statement that reads and that one request asked at least `least` times.

    Args:
        trace: its spans, in any order.
        words: (statements,) what is known of each statement.
        least: calls from which a statement is repeated.
    """
    owner = entries(trace)
    # Of an ORM's span and its driver's below it, both with the statement, the outer one is the call.
    above = trace.parent.clip(0)
    call = (trace.kind == CLIENT) & (trace.statement >= 0)
    owner[call & call[above] & (trace.parent >= 0) & (trace.statement[above] == trace.statement)] = NONE
    asked = (owner != NONE) & (trace.statement >= 0)
    found: list[Repeat] = []
    if np.count_nonzero(asked) < least:
        return found
    calls = np.flatnonzero(((trace.kind == CLIENT) | (trace.statement >= 0)) & (owner != NONE))
    calls = calls[np.lexsort((trace.start_ns[calls], owner[calls]))]
    for part in np.split(calls, np.flatnonzero(np.diff(owner[calls])) + 1):
        found.extend(_of_one_request(trace, words, int(owner[part[0]]), part, least))
    return found


def _of_one_request(trace: TraceSpans, words: Words, entry: int, calls: IntArray, least: int) -> list[Repeat]:
    """`calls` are the request's client spans, by their start."""
    statement = trace.statement[calls]
    numbers, counts = np.unique(statement[statement >= 0], return_counts=True)
    often = [(int(each), int(n)) for each, n in zip(numbers, counts, strict=True) if n >= least and words.reads[each]]
    counted = dict(zip(numbers.tolist(), counts.tolist(), strict=True))
    return [_repeat(trace, words, entry, calls, statement == each, counted) for each, _ in often]


def _repeat(
    trace: TraceSpans, words: Words, entry: int, calls: IntArray, mine: BoolArray, counted: dict[int, int]
) -> Repeat:
    own, others = calls[mine], calls[~mine]
    start, duration = trace.start_ns[own], trace.duration_ns[own]
    reached = np.maximum.accumulate(start + duration)
    gaps = np.maximum(0, start[1:] - reached[:-1])
    between = _between(trace, start, others)
    overlapping = float(np.mean(start[1:] < reached[:-1])) if len(own) > 1 else 0.0
    codes = trace.code[own]
    source, source_rows = _source(trace, words, calls, mine, counted)
    keyed = trace.has_key[own]
    mean_gap = float(gaps.mean()) if len(gaps) else 0.0
    return Repeat(
        entry=entry,
        statement=int(trace.statement[own[0]]),
        calls=len(own),
        cost_ns=int(duration.sum()) if overlapping == 0 else _covered(start, reached),
        total_ns=int(duration.sum()),
        manner=_manner(overlapping, between),
        keys=np.unique(trace.key[own][keyed]),
        without_key=int(np.count_nonzero(~keyed)),
        peers_most=_most(trace.peer[own]),
        places_most=_most(codes) if (codes >= 0).all() else len(own),
        code=_commonest(codes),
        failures=int(np.count_nonzero(trace.error[own])),
        undone_ratio=_undone(trace, words, start, calls),
        gap_ns=float(np.median(gaps)) if len(gaps) else 0.0,
        gap_spread=float(gaps.std()) / mean_gap if mean_gap else 0.0,
        idle_ratio=float(np.mean(between == 0)) if len(between) else 0.0,
        mean_ns=float(duration.mean()),
        full_pages=_full_pages(trace.rows[own]),
        source=source,
        source_rows=source_rows,
    )


def _manner(overlapping: float, between: IntArray) -> Manner:
    if overlapping >= 0.5:
        return Manner.CONCURRENT
    return Manner.INTERLEAVED if len(between) and np.mean(between > 0) >= 0.5 else Manner.SEQUENTIAL


def _between(trace: TraceSpans, start: IntArray, others: IntArray) -> IntArray:
    """(calls - 1,) how many other calls of the request begin in each gap."""
    at = np.sort(trace.start_ns[others])
    return np.diff(np.searchsorted(at, start)).astype(np.int64)


def _undone(trace: TraceSpans, words: Words, start: IntArray, calls: IntArray) -> float:
    """Share of the gaps from one call to the next with a failure, or a ROLLBACK, that began in them."""
    bad = calls[trace.error[calls] | ((trace.statement[calls] >= 0) & words.undoes[trace.statement[calls]])]
    if len(start) < 2 or not len(bad):
        return 0.0
    counts = np.diff(np.searchsorted(np.sort(trace.start_ns[bad]), start))
    return float(np.mean(counts > 0))


def _covered(start: IntArray, reached: IntArray) -> int:
    """Length of the union of intervals sorted by start; `reached` is the latest end so far."""
    fresh = np.concatenate([[True], start[1:] > reached[:-1]])
    first = np.flatnonzero(fresh)
    last = np.concatenate([first[1:] - 1, [len(start) - 1]])
    return int((reached[last] - start[first]).sum())


def _source(
    trace: TraceSpans, words: Words, calls: IntArray, mine: BoolArray, counted: dict[int, int]
) -> tuple[int, int | None]:
    """
    The statement the keys may have come from: of those that read before the first call and fewer times than it was
    called, the last that returned as many rows as there were calls; else the last one.
    """
    own = calls[mine]
    n, first = len(own), int(trace.start_ns[own[0]])
    before = calls[(trace.start_ns[calls] <= first) & ~mine & (trace.statement[calls] >= 0)]
    before = before[words.reads[trace.statement[before]]][-50:]
    fewer = [int(each) for each in before if counted[int(trace.statement[each])] < n]
    if not fewer:
        return NONE, None
    chosen = next((each for each in reversed(fewer) if trace.rows[each] == n), fewer[-1])
    rows = int(trace.rows[chosen])
    alone = counted[int(trace.statement[chosen])] == 1
    return int(trace.statement[chosen]), rows if rows >= 0 and alone else None


def _full_pages(rows: IntArray) -> bool:
    return len(rows) > 1 and bool((rows >= 0).all()) and bool((rows[:-1] == rows[0]).all()) and rows[0] >= 2


def _most(values: IntArray) -> int:
    return int(np.unique(values, return_counts=True)[1].max())


def _commonest(values: IntArray) -> int:
    said = values[values >= 0]
    if not len(said):
        return NONE
    numbers, counts = np.unique(said, return_counts=True)
    return int(numbers[counts.argmax()])
