"""Another tool's results as a run's folder, so that they can be judged, compared and reported like a run of our own."""

from __future__ import annotations

import math
import platform
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from headway import __version__
from headway.errors import BadInput
from headway.evidence import bundle, runfile
from headway.evidence.reading import FILES
from headway.evidence.runfile import RunFile
from headway.interchange.foreign import KINDS
from headway.load.histogram import bucket_of
from headway.load.log import LoadLog
from headway.load.recorder import Second
from headway.model import (
    FailureKind,
    Imported,
    LoadModel,
    Machine,
    Phase,
    Presence,
    Route,
    Scenario,
    SourceState,
)

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from headway.interchange.foreign import Foreign, Requests

    IntArray = NDArray[np.int64]

DAY_S = 86_400
HEALTH_UNKNOWN = "does not say how late its own generator sent, nor how busy it was"


@dataclass(kw_only=True)
class Seconds:
    """A run second by second, as the load log has it."""

    began_at_s: float
    length: int
    lines: list[Second]
    by_route: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


def write(root: Path, foreign: Foreign, *, name: str, target_url: str, accepted: bool, warmup_s: float = 0.0) -> Path:
    """
    Make a run's folder of what another tool measured.

    Args:
        root: the folder that has, or gets, `.headway/runs`.
        foreign: what was read.
        name: the scenario's.
        target_url: what was loaded, when the person says so.
        accepted: uncorrected times may keep a promise.
        warmup_s: what was sent in the first so many seconds is left out.

    Returns:
        The folder.

    Raises:
        BadInput: nothing is left after the warm-up; the times span more than a day.
        HeadwayError: the folder can't be written.
    """
    seconds = _seconds(foreign, warmup_s)
    routes = (*foreign.routes, *_extra_route(foreign))
    phase = _phase(foreign, seconds, warmup_s)
    shares = seconds.by_route if seconds and seconds.by_route.any() else np.ones(len(routes))
    scenario = Scenario(
        name=name, file=None, parameters=(), default_phase=phase,
        routes=tuple(_route(each, float(share)) for each, share in zip(routes, shares, strict=False)),
    )  # fmt: skip
    folder = bundle.create(root, name)
    if seconds is not None:
        _write_log(folder, seconds, tuple(foreign.requests.errors) if foreign.requests else ())
    runfile.write(folder, _run(foreign, scenario, folder, seconds, target_url=target_url, accepted=accepted))
    return folder


def _run(
    foreign: Foreign, scenario: Scenario, folder: Path, seconds: Seconds | None, *, target_url: str, accepted: bool
) -> RunFile:
    began = datetime.fromtimestamp(seconds.began_at_s, UTC) if seconds else datetime.now(UTC)
    ended = datetime.fromtimestamp(seconds.began_at_s + seconds.length, UTC) if seconds else began
    samples = foreign.requests is not None or bool(foreign.intervals)
    said = SourceState(
        name="load",
        presence=Presence.PRESENT if seconds else Presence.FAILED,
        detail=f"imported from {foreign.tool}" + ("" if seconds else ", which told no second of it"),
        next_act="" if seconds else "import a file with every request",
    )
    return RunFile(
        id=folder.name,
        started_at=began.isoformat(timespec="milliseconds"),
        finished_at=ended.isoformat(timespec="milliseconds"),
        headway_version=__version__,
        versions={"headway": __version__, "python": platform.python_version()},
        machine=Machine(cpu_model=f"not known: {foreign.tool} made the load", cores=0, memory_bytes=0, kernel=""),
        target_url=target_url,
        workers=None,
        scenario=scenario,
        phases=(scenario.default_phase,),
        sources=(
            said,
            *(SourceState(name=each, presence=Presence.ABSENT, detail=f"not in {foreign.tool}'s results")
              for each in FILES if each != "load"),
        ),
        imported=Imported(
            tool=foreign.tool, file=foreign.file.name, timing=foreign.timing, samples=samples, accepted=accepted,
            told=foreign.told, notes=(*foreign.notes, f"{foreign.tool} {HEALTH_UNKNOWN}"),
        ),
    )  # fmt: skip


def _phase(foreign: Foreign, seconds: Seconds | None, warmup_s: float) -> Phase:
    """The load as it was seen: what the tool was asked to make is in none of its results."""
    length = seconds.length if seconds else 1
    sent = sum(line.sent for line in seconds.lines) if seconds else 0
    closed = foreign.users is not None
    return Phase(
        name="scenario", model=LoadModel.CLOSED if closed else LoadModel.OPEN, users=foreign.users,
        rate_per_s=None if closed else max(sent / length, 1e-9), duration_s=float(length), warmup_s=warmup_s,
    )  # fmt: skip


def _route(name: str, share: float) -> Route:
    method, _, path = name.partition(" ")
    known = method.isupper() and path.startswith("/")
    return Route(name=name, method=method if known else "GET", path=path if known else "/", weight=share)


def _extra_route(foreign: Foreign) -> tuple[str, ...]:
    """For what a tool counts and does not say of which route."""
    if len(foreign.dropped_at_ns):
        return (f"dropped by {foreign.tool}",)
    return (f"all requests of {foreign.tool}",) if foreign.by_second else ()


def _seconds(foreign: Foreign, warmup_s: float) -> Seconds | None:
    if foreign.requests is not None:
        return _of_requests(foreign, foreign.requests, warmup_s)
    if warmup_s:
        raise BadInput(
            f"{foreign.file.name} does not show single requests, so no warm-up can be left out of it",
            next_act="import a file with every request, or leave --warmup away",
        )
    if foreign.intervals:
        return _of_intervals(foreign)
    if foreign.by_second and foreign.began_at_s is not None:
        lines = [_line(number, good=good, failed=Counter({(len(foreign.routes), "OTHER"): bad}) if bad else Counter())
                 for number, (good, bad) in enumerate(foreign.by_second)]  # fmt: skip
        return Seconds(began_at_s=foreign.began_at_s, length=len(lines), lines=lines)
    return None


def _of_requests(foreign: Foreign, requests: Requests, warmup_s: float) -> Seconds:
    """Requests by the second in which they ended; those sent in the warm-up are left out."""
    route = np.array(requests.route, dtype=np.int64)
    ended, latency = (np.array(each, dtype=np.int64) for each in (requests.ended_at_ns, requests.latency_ns))
    kind, dropped = np.array(requests.kind, dtype=np.int64), np.array(foreign.dropped_at_ns, dtype=np.int64)
    sent = ended - latency
    if not len(sent):
        raise BadInput(f"{foreign.file.name} has no requests", next_act="name a file with results", file=foreign.file)
    zero = min(int(sent.min()), int(dropped.min()) if len(dropped) else int(sent.min())) + int(warmup_s * 1e9)
    kept = sent >= zero
    if not kept.any():
        raise BadInput(f"nothing was sent after {warmup_s:g} s of warm-up", next_act="lower --warmup")
    route, ended, latency, kind, sent = (each[kept] for each in (route, ended, latency, kind, sent))
    dropped = dropped[dropped >= zero]
    length = max(1, math.ceil((int(np.concatenate([sent, dropped]).max()) - zero + 1) / 1e9))
    if length > DAY_S:
        raise BadInput(
            f"{foreign.file.name}'s times span {length / DAY_S:.1f} days", next_act="import one run's results at a time"
        )
    order = np.argsort(ended, kind="stable")
    route, latency, kind, ended_s = (each[order] for each in (route, latency, kind, (ended - zero) // 10**9))
    ends = max(length, int(ended_s[-1]) + 1)
    edges = np.searchsorted(ended_s, np.arange(ends + 1))
    begun = np.bincount((sent - zero) // 10**9, minlength=ends)
    lost = np.bincount((dropped - zero) // 10**9, minlength=ends)
    lines = []
    for number in range(ends):
        of = slice(int(edges[number]), int(edges[number + 1]))
        line = _second(number, route[of], latency[of], kind[of], (len(foreign.routes), int(lost[number])))
        line.sent = int(begun[number])
        line.planned = line.sent + int(lost[number])
        lines.append(line)
    lines[0].statuses = dict(requests.statuses)
    lines[0].received_bytes = requests.received_bytes
    by_route = np.bincount(route, minlength=len(foreign.routes) + len(_extra_route(foreign)))
    return Seconds(began_at_s=zero / 1e9, length=length, lines=lines, by_route=by_route)


def _second(number: int, route: IntArray, latency: IntArray, kind: IntArray, dropped: tuple[int, int]) -> Second:
    """What ended in one second; `dropped` is (route, how many) of what the tool never sent."""
    failed: Counter[tuple[int, str]] = Counter()
    for at, which in zip(route[kind >= 0].tolist(), kind[kind >= 0].tolist(), strict=True):
        failed[at, KINDS[which].name] += 1
    if dropped[1]:
        failed[dropped[0], FailureKind.UNSENT.name] += dropped[1]
    good = kind < 0
    line = _line(number, good=int(good.sum()), failed=failed)
    line.service = {
        int(each): cells(bucket_of(latency[good & (route == each)])) for each in np.unique(route[good]).tolist()
    }
    return line


def _of_intervals(foreign: Foreign) -> Seconds:
    began = min(each.at_s for each in foreign.intervals)
    by_second: dict[int, dict[int, Counter[int]]] = defaultdict(lambda: defaultdict(Counter))
    for each in foreign.intervals:
        found = by_second[int(each.at_s - began)][each.route]
        for bucket, count in zip(bucket_of(each.value_ns).tolist(), each.count.tolist(), strict=True):
            found[bucket] += count
    length = max(by_second) + 1
    if length > DAY_S:
        raise BadInput(f"{foreign.file.name}'s times span days", next_act="import one run's log at a time")
    lines = []
    for number in range(length):
        routes = by_second.get(number, {})
        line = _line(number, good=sum(sum(each.values()) for each in routes.values()), failed=Counter())
        line.service = {
            route: (np.array(sorted(each)), np.array([each[at] for at in sorted(each)]))
            for route, each in routes.items()
        }
        lines.append(line)
    return Seconds(began_at_s=began, length=length, lines=lines)


def _line(number: int, *, good: int, failed: Counter[tuple[int, str]]) -> Second:
    total = good + sum(failed.values())
    return Second(
        second=number, planned=total, sent=total, good=good, statuses={}, received_bytes=0,
        failures=[(route, kind, n) for (route, kind), n in failed.items()],
    )  # fmt: skip


def cells(buckets: IntArray) -> tuple[IntArray, IntArray]:
    """Filled buckets and their counts."""
    return np.unique(buckets, return_counts=True)


def _write_log(folder: Path, seconds: Seconds, errors: tuple[str, ...]) -> None:
    log = LoadLog(folder, began_s=seconds.began_at_s)
    try:
        log.event("start", 0, started_at_s=seconds.began_at_s, workers=1, offset_s=0.0)
        seconds.lines[0].errors = list(errors)
        for line in seconds.lines:
            log.second(0, 0, seconds.began_at_s, line)
        log.event("end", 0, workers_lost=0, finished=True)
    finally:
        log.close()
