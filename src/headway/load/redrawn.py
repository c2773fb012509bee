"""
What a phase sent, drawn again from its seeds: nothing need be recorded while the load runs.

A worker draws what it starts and the values it fills in from one seeded generator, in the order in which it sends. In
an open model that order is the pacer's, so the n-th request of a run can be made again to the byte, as long as no start
was given up before it was sent. In a closed model the order is the same, but how many were sent in the warm-up is not
written down: what is drawn again obeys the same law without being the same.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import StrEnum
from heapq import merge
from typing import TYPE_CHECKING, Any

import numpy as np

from headway.conventions import LOAD_LOG
from headway.errors import BadInput, HeadwayError
from headway.load import feed, rationing, replay, starts
from headway.load.draw import RanDry
from headway.load.pacer import NEVER, Pacer
from headway.load.worker import Assignment
from headway.model import FailureKind, LoadModel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from headway.load.starts import Starts
    from headway.model import PhaseHits, Scenario

    IntArray = NDArray[np.int64]

MOST = 2_000_000
"""Requests drawn again: some eight seconds. The first so many of a longer phase."""
_UNSENT = frozenset({FailureKind.UNSENT, FailureKind.CONNECT, FailureKind.CONNECT_TIMEOUT, FailureKind.EXHAUSTED,
    FailureKind.TLS, FailureKind.ABORTED})  # fmt: skip
"""Failures that may be of a start that was drawn, and whose values were not."""


class Likeness(StrEnum):
    """How what was drawn again compares with what was sent."""

    EXACT = "the very requests"
    SAME_LAW = "requests drawn by the same law"


@dataclass(frozen=True, kw_only=True)
class Redrawn:
    """
    n requests in order of their intended send times, the warm-up's included.

    at_ns: (n,) since the end of the warm-up; route: (n,) index into the scenario's routes; request: (n,) index into
    `requests`, which has each different request once, as its bytes. `why` says why they are not exact, or cut short.
    """

    at_ns: IntArray
    route: IntArray
    request: IntArray
    requests: tuple[bytes, ...]
    likeness: Likeness
    why: str = ""

    def target(self, number: int) -> str:
        """Path and query of one of `requests`."""
        return self.requests[number].split(b" ", 2)[1].decode("ascii", "replace")


def redrawn(folder: Path, scenario: Scenario, phases: Sequence[PhaseHits], number: int) -> Redrawn:
    """
    The requests of one phase.

    Args:
        folder: the run's.
        scenario: the run's own.
        phases: all of the run.
        number: the phase's, from 0.

    Raises:
        HeadwayError: a recording or the load log cannot be read any more, or values ran dry.
    """
    hits = phases[number]
    values, stood_in = _values(scenario, _sizes(folder, number))
    parameters, drawn = rationing.portion(scenario, [each.phase for each in phases], number, values)
    recording = None
    if hits.phase.replay is not None:
        recording = replay.read(hits.phase.replay, [each.name for each in scenario.routes])
    workers = max(1, hits.health.workers)
    shares = [
        Assignment(
            phase=hits.phase, routes=scenario.routes, parameters=parameters, values=drawn, address=("", 0),
            host="again", worker=each, workers=workers, journeys=scenario.journeys, wire=scenario.wire,
            recording=None if recording is None else recording.share(each, workers),
        )
        for each in range(workers)
    ]  # fmt: skip
    try:
        streams = [_sent(mine, scenario, hits) for mine in shares]
        return _gathered(merge(*streams, key=lambda each: each[0]), hits, stood_in)
    except RanDry as exc:
        raise BadInput(str(exc), next_act="give traces or an access log instead") from exc


def _sizes(folder: Path, number: int) -> Mapping[str, int]:
    """How many values each list had when the phase began, as its first line says."""
    file = folder / LOAD_LOG
    try:
        with file.open(encoding="utf-8", errors="replace") as stream:
            for text in stream:
                line: dict[str, Any] = json.loads(text)
                if line.get("kind") == "start" and line.get("phase") == number:
                    return {str(name): int(size) for name, size in line.get("values", {}).items()}
    except (OSError, ValueError, TypeError, AttributeError) as exc:
        raise HeadwayError(f"cannot read {file}: {exc}", next_act="run again") from exc
    return {}


def _values(scenario: Scenario, sizes: Mapping[str, int]) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """The lists, and the names of those that had to be stood in for: of these only which place was drawn is known."""
    found: dict[str, tuple[str, ...]] = {}
    stood_in: list[str] = []
    for each in scenario.parameters:
        listed: tuple[str, ...] = each.values
        if each.csv_file is not None:
            try:
                listed = feed.values_of(each, None)
            except HeadwayError:
                listed = ()
        size = sizes.get(each.name, len(listed))
        if len(listed) != size:
            listed = tuple(f"{place}" for place in range(1, size + 1))
            stood_in.append(each.name)
        found[each.name] = listed
    missing = [each.name for each in scenario.parameters if each.query is not None and not found[each.name]]
    if missing:
        what = f"how many values {', '.join(missing)} had is not written down"
        raise BadInput(what, next_act="run again with this Headway, or give traces")
    return found, stood_in


def _sent(mine: Assignment, scenario: Scenario, hits: PhaseHits) -> Iterator[tuple[int, int, bytes]]:
    """(when, route, bytes) of one worker's requests; steps whose path depends on an answer are left out."""
    if mine.recording is not None:
        nth = replay.requests(mine.recording, starts.travelling(mine), mine.host)
        for place, at_ns in enumerate(mine.recording.at_ns.tolist()):
            route, request = nth(place)
            yield at_ns, route, request
        return
    made = starts.of(mine)
    drawn: list[int] = []
    for at_ns in _times(mine, scenario, hits):
        if not drawn:
            drawn = made.draw()
        yield from _started(made, drawn.pop(), at_ns)


def _started(made: Starts, start: int, at_ns: int) -> Iterator[tuple[int, int, bytes]]:
    if start < len(made.shots):
        yield at_ns, start, made.shots[start].render()
        return
    course = made.courses[start - len(made.shots)]
    values = course.draw()
    for leg in course.legs:
        try:
            yield at_ns, leg.route, leg.render(values)
        except KeyError:
            continue  # a name that an answer gives
        # Later steps come after an answer and a pause; when is not known here, and hit rates hardly depend on it.


def _times(mine: Assignment, scenario: Scenario, hits: PhaseHits) -> Iterator[int]:
    """When one worker's starts were meant to be sent, ns from the end of the warm-up."""
    phase = hits.phase
    warmup_ns = int(phase.warmup_s * 1e9)
    if phase.model is LoadModel.OPEN:
        pacer = Pacer(
            phase, worker=mine.worker, workers=mine.workers, end_ns=warmup_ns + phase.whole_seconds * 10**9
        )  # fmt: skip
        while pacer.due_ns != NEVER:
            yield pacer.due_ns - warmup_ns
            pacer.advance()
        return
    per_start = max(scenario.requests_per_start, 1e-9) * mine.workers
    for second, sent in enumerate(hits.sent.tolist()):
        count = round(sent / per_start)
        for place in range(count):
            yield int((second + (place + mine.worker / mine.workers) / count) * 1e9)


def _gathered(sent: Iterator[tuple[int, int, bytes]], hits: PhaseHits, stood_in: list[str]) -> Redrawn:
    numbers: dict[bytes, int] = {}
    at_ns: list[int] = []
    route: list[int] = []
    request: list[int] = []
    for when, which, what in sent:
        if len(at_ns) == MOST:
            break
        at_ns.append(when)
        route.append(which)
        request.append(numbers.setdefault(what, len(numbers)))
    found = Redrawn(
        at_ns=np.array(at_ns, dtype=np.int64), route=np.array(route, dtype=np.int64),
        request=np.array(request, dtype=np.int64), requests=tuple(numbers), likeness=Likeness.SAME_LAW,
    )  # fmt: skip
    why = _why_not_exact(found, hits)
    if len(at_ns) == MOST:
        why = f"{why + '; ' if why else ''}the first {MOST:,} of them"
    elif not why:
        return replace(found, likeness=Likeness.EXACT, why=_told(stood_in))
    return replace(found, why=why)


def _told(stood_in: list[str]) -> str:
    return f"values of {', '.join(stood_in)} stand for those at the same place of a list" if stood_in else ""


def _why_not_exact(found: Redrawn, hits: PhaseHits) -> str:
    """What keeps them from being the very requests; "" when nothing does."""
    if hits.phase.model is LoadModel.CLOSED:
        return "the order in which users start is not written down"
    kinds = list(FailureKind)
    unsent = sum(
        count
        for kind, count in zip(hits.failures.kind.tolist(), hits.failures.count.tolist(), strict=True)
        if kinds[kind] in _UNSENT
    )
    if unsent:
        return f"{unsent:,} requests were drawn and not sent"
    if hits.health.workers_lost:
        return "a generator process was lost"
    measured = found.at_ns[(found.at_ns >= 0) & (found.at_ns < hits.seconds * 10**9)]
    per_second = np.bincount(measured // 10**9, minlength=hits.seconds)
    if hits.journeys_ended or (len(per_second) and int(hits.planned.sum()) != int(per_second.sum())):
        return f"{int(hits.planned.sum()):,} requests were planned, and {len(measured):,} are drawn again"
    return ""
