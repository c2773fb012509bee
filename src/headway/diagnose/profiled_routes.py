"""
Which route the service's functions work for: by the code a server span names, else by being open at the same moments.

A function that is only ever on the stack while a request of one route is open, much more often than that route is open
anyway, works for that route. Under much concurrency every route is open at every moment and nothing can be told; how
much was told is said.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from headway.conventions import SPANS_FILE
from headway.diagnose import profiled, traced
from headway.evidence.stacks import WALL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from headway.diagnose.profiled import Function
    from headway.evidence.stacks import Profile
    from headway.model import Evidence

    FloatArray = NDArray[np.float64]

SLACK_S = 0.002
SHIFTS_S = np.arange(-10, 126) * SLACK_S
"""A sampler's clock starts some time after it was told to, the longer the busier the machine is. How much is found out:
the shift is taken, one for a process and all of its functions, at which functions and routes go together best."""
MIN_LOOKS = 6
MIN_LOOKS_TO_SHIFT = 20
MIN_PRESENT = 0.9
MIN_ABOVE_BASE = 0.25
MIN_ABOVE_NEXT = 0.25
_CODE = re.compile(r"(.+?)(?::\d+)? in (.+)", re.DOTALL)
_PARAMETER = re.compile(r"\{[^}]*\}|:\w+|<[^>]*>")


@dataclass(frozen=True, kw_only=True)
class Told:
    """Functions whose route is known; `coverage_ratio` is the share of the service's own wall time that has a route."""

    route_of: Mapping[Function, str] = field(default_factory=dict)
    coverage_ratio: float = 0.0

    def of(self, profile: Profile, stack: Sequence[int]) -> str | None:
        """The route of a stack: that of its outermost function that has one."""
        return next(
            (found for index in stack if (found := self.route_of.get(profiled.function_of(profile.frames[index])))),
            None,
        )


@dataclass(frozen=True, kw_only=True)
class Open:
    """Requests of one route as their server spans say: sorted unix times of their begins and of their ends."""

    starts: FloatArray
    ends: FloatArray

    def at(self, times: FloatArray) -> NDArray[np.bool_]:
        """(n,) whether one was open, give or take SLACK_S."""
        begun = np.searchsorted(self.starts, times + SLACK_S, side="right")
        ended = np.searchsorted(self.ends, times - SLACK_S, side="left")
        return np.asarray(begun > ended)


def same_route(one: str, other: str) -> bool:
    """Whether two names are one route, whatever their parameters are called: {id}, :id, <int:id>."""
    return _PARAMETER.sub("{}", one) == _PARAMETER.sub("{}", other)


def told(evidence: Evidence, profile: Profile) -> Told:
    """What can be told of this run; nothing without traces, unless there is one route only."""
    if len(evidence.routes) == 1:
        return _all_one(profile, evidence.routes[0])
    file = evidence.folder / SPANS_FILE
    if not file.exists():
        return Told()
    return _told(file, file.stat().st_mtime_ns, profile)


@lru_cache(maxsize=2)
def _told(file: Path, _changed_ns: int, profile: Profile) -> Told:
    spans, codes = _server_spans(file)
    known = {code: route for code, route in codes.items() if route}
    named = _named(profile, known)
    by_time = _by_time(profile, spans) if spans else {}
    return _with_coverage(profile, {**by_time, **named})


def _server_spans(file: Path) -> tuple[dict[str, Open], dict[str, str]]:
    """Server spans by route, and the code that spans of one route alone name."""
    with traced.opened(file) as connection:
        rows = connection.execute(
            "SELECT route, start_ns / 1e9, (start_ns + duration_ns) / 1e9 FROM read_parquet($file)"
            " WHERE kind = 2 AND route IS NOT NULL",
            {"file": str(file)},
        ).fetchnumpy()
        codes = connection.execute(
            "SELECT code, any_value(route) FROM read_parquet($file) WHERE kind = 2 AND code IS NOT NULL"
            " AND route IS NOT NULL GROUP BY code HAVING count(DISTINCT route) = 1",
            {"file": str(file)},
        ).fetchall()
    routes, starts, ends = (np.asarray(column) for column in rows.values())
    found = {
        str(route): Open(starts=np.sort(starts[routes == route]), ends=np.sort(ends[routes == route]))
        for route in dict.fromkeys(routes.tolist())
    }
    return found, dict(codes)


def _named(profile: Profile, codes: Mapping[str, str]) -> dict[Function, str]:
    found: dict[Function, str] = {}
    for code, route in codes.items():
        match = _CODE.fullmatch(code)
        for frame in profile.frames if match else ():
            if match and frame.own and frame.file.endswith(match[1]) and frame.name == match[2]:
                found[profiled.function_of(frame)] = route
    return found


def _by_time(profile: Profile, spans: Mapping[str, Open]) -> dict[Function, str]:
    every, of = _looks(profile, spans)
    if not len(every):
        return {}
    base = {route: float(open_.at(every).mean()) for route, open_ in spans.items()}
    found: dict[Function, str] = {}
    for function, times in of.items():
        if len(times) < MIN_LOOKS:
            continue
        present = sorted(((float(open_.at(times).mean()), route) for route, open_ in spans.items()), reverse=True)
        (best, route), next_best = present[0], present[1][0] if len(present) > 1 else 0.0
        if best >= MIN_PRESENT and best - base[route] >= MIN_ABOVE_BASE and best - next_best >= MIN_ABOVE_NEXT:
            found[function] = route
    return found


def _looks(profile: Profile, spans: Mapping[str, Open]) -> tuple[FloatArray, dict[Function, FloatArray]]:
    """
    Moments at which something was seen to begin, and of those the ones at which each own function was on the stack.

    Later looks that saw the same stack have no moment of their own in the profile, and are left out.
    """
    every: list[FloatArray] = []
    of: dict[Function, list[FloatArray]] = defaultdict(list)
    for key in dict.fromkeys((each.pid, each.phase) for each in profile.of(WALL)):
        rows = [
            (np.array([at_s], dtype=np.float64), _own(profile, stack))
            for samples in profile.of(WALL)
            if (samples.pid, samples.phase) == key
            for at_s, stack in zip(samples.at_s, samples.stacks, strict=True)
            if stack
        ]
        shift = _shift(spans, rows)
        for times, own in rows:
            every.append(times + shift)
            for function in own:
                of[function].append(times + shift)
    joined = np.concatenate(every) if every else np.array([])
    return joined, {function: np.concatenate(times) for function, times in of.items()}


def _shift(spans: Mapping[str, Open], rows: Sequence[tuple[FloatArray, set[Function]]]) -> float:
    """The shift at which functions and routes go together best, of equal ones the middle; 0 with too little to tell."""
    of: dict[Function, list[FloatArray]] = defaultdict(list)
    for times, own in rows:
        for function in own:
            of[function].append(times)
    looks = [np.concatenate(times) for times in of.values() if len(times) >= MIN_LOOKS]
    if sum(map(len, looks)) < MIN_LOOKS_TO_SHIFT:
        return 0.0
    every = np.concatenate([times for times, _ in rows])
    scores = np.array([_together(spans, every + shift, [times + shift for times in looks]) for shift in SHIFTS_S])
    best = np.flatnonzero(scores >= scores.max() - 1e-9)
    return 0.0 if len(best) == len(scores) else float(SHIFTS_S[best[len(best) // 2]])


def _together(spans: Mapping[str, Open], every: FloatArray, looks: Sequence[FloatArray]) -> float:
    """How much more often than anyway each function's own route is open while it is on the stack, over all looks."""
    base = {route: float(each.at(every).mean()) for route, each in spans.items()}
    return sum(len(t) * max(float(each.at(t).mean()) - base[route] for route, each in spans.items()) for t in looks)


def _own(profile: Profile, stack: Sequence[int]) -> set[Function]:
    depth = profiled.after_loop(profile, stack) or 0
    return {
        profiled.function_of(profile.frames[index])
        for index in stack[depth:]
        if profile.frames[index].own and profile.frames[index].name != "<module>"
    }


def _all_one(profile: Profile, route: str) -> Told:
    return _with_coverage(
        profile,
        {function: route for _, stack in _working(profile) for function in _own(profile, stack)},
    )


def _working(profile: Profile) -> Iterator[tuple[float, tuple[int, ...]]]:
    for samples in profile.of(WALL):
        yield from zip(samples.seconds, samples.stacks, strict=True)


def _with_coverage(profile: Profile, route_of: dict[Function, str]) -> Told:
    whole = _seconds(profile, route_of, any_route=True)
    return Told(route_of=route_of, coverage_ratio=_seconds(profile, route_of) / whole if whole else 0.0)


def _seconds(profile: Profile, route_of: Mapping[Function, str], *, any_route: bool = False) -> float:
    def counts(functions: Iterable[Function]) -> bool:
        return any(any_route or each in route_of for each in functions)

    return sum(seconds for seconds, stack in _working(profile) if counts(_own(profile, stack)))
