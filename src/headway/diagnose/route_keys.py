"""
The keys of a route: what was read by which request, what was written that it may depend on, and how well that is known.

A read's key is the whole request. Which writes change it is known for sure where a write's path is the read's own, and
is taken to be possible where a write sends a value that the read's path has, too (`{product_id}`). A read without such
a value, of the same collection, may be changed by each of the collection's writes.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from headway.diagnose.hit_rates.stream import KeyStream, made
from headway.errors import HeadwayError
from headway.load import redrawn, template

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from headway.load.redrawn import Redrawn
    from headway.model import Evidence, PhaseHits, Route, Scenario

    IntArray = NDArray[np.int64]
    Named = tuple[tuple[str, str], ...]
    """What a request names: (parameter, value), or its path."""

SAFE = frozenset({"GET", "HEAD"})
NEITHER = SAFE | {"OPTIONS"}


@dataclass(frozen=True, kw_only=True)
class RouteKeys:
    """
    One GET route in one phase.

    `stream` has its reads, and the writes that surely change one of its keys; `possible` also those that may.
    `collection_per_s` is the rate of writes to the same collection that name no key of it. `writers` and
    `possible_writers` name the routes that write. `known_by` says where the keys are from, in words.
    """

    route: str
    stream: KeyStream
    possible: KeyStream
    collection_per_s: float = 0.0
    writers: tuple[str, ...] = ()
    possible_writers: tuple[str, ...] = ()
    collection_writers: tuple[str, ...] = ()
    known_by: str


def of_phase(evidence: Evidence, hits: PhaseHits) -> dict[str, RouteKeys]:
    """
    Every GET route of one phase that was asked for, by name; none where the requests cannot be drawn again.

    Raises:
        HeadwayError: why they cannot.
    """
    names = [each.phase.name for each in evidence.phases]
    again = _again(evidence.folder, evidence.scenario, evidence.phases, names.index(hits.phase.name))
    return {
        route.name: _keys(number, evidence.scenario, again)
        for number, route in enumerate(evidence.scenario.routes)
        if route.method == "GET" and (again.route == number).any()
    }


def why_not(evidence: Evidence, hits: PhaseHits) -> str | None:
    """Why the keys of a phase are not known; None: they are."""
    if evidence.imported is not None:
        return "the load was made by another tool, which kept no request"
    try:
        of_phase(evidence, hits)
    except HeadwayError as exc:
        return f"{exc.what}; {exc.next_act}"
    return None


_DRAWN: dict[tuple[str, int], Redrawn] = {}


def _again(folder: Path, scenario: Scenario, phases: Sequence[PhaseHits], number: int) -> Redrawn:
    """Drawn once a phase: three rules and two remedies ask for it."""
    asked = (str(folder), number)
    if asked not in _DRAWN:
        _DRAWN.clear()  # one phase at a time: two million requests take their place
        _DRAWN[asked] = redrawn.redrawn(folder, scenario, phases, number)
    return _DRAWN[asked]


def _keys(number: int, scenario: Scenario, again: Redrawn) -> RouteKeys:
    route = scenario.routes[number]
    mine = again.route == number
    sure, possible, collection = _writers(route, scenario.routes)
    read_at, read_key = again.at_ns[mine], again.request[mine]
    surely = _written(again, read_key, sure, _path)
    maybe = _written(again, read_key, [*sure, *possible], _shared(route, scenario.routes))
    written = int(np.isin(again.route, collection).sum()) if collection else 0
    lasts_s = max(float(again.at_ns[-1] - again.at_ns[0]) / 1e9, 1e-9)
    return RouteKeys(
        route=route.name,
        stream=_joined(read_at, read_key, surely),
        possible=_joined(read_at, read_key, _more(surely, maybe)),
        collection_per_s=written / lasts_s,
        writers=tuple(scenario.routes[each].name for each in sure),
        possible_writers=tuple(scenario.routes[each].name for each in possible),
        collection_writers=tuple(scenario.routes[each].name for each in collection),
        known_by=f"{again.likeness.value} of the load{', ' + again.why if again.why else ''}",
    )


def _writers(route: Route, routes: Sequence[Route]) -> tuple[list[int], list[int], list[int]]:
    """Routes that surely, possibly change a key of this one; those that write to its collection and name no key."""
    sure, possible, collection = [], [], []
    path = _pathless(route.path)
    names = template.names(path) or template.names(route.path)
    for number, other in enumerate(routes):
        if other.method in NEITHER:
            continue
        if _shape(other.path) == _shape(route.path):
            sure.append(number)
        elif names & template.names(f"{other.path}\n{other.body or ''}"):
            possible.append(number)
        elif _collection(other.path) == _collection(route.path):
            collection.append(number)
    return sure, possible, collection


def _pathless(path: str) -> str:
    return path.partition("?")[0]


def _shape(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", _pathless(path))


def _collection(path: str) -> str:
    return path.lstrip("/").partition("?")[0].partition("/")[0]


def _path(_route: int, request: bytes) -> Named:
    target = request.split(b" ", 2)[1].partition(b"?")[0]
    return (("path", target.decode("ascii", "replace")),)


class _Shared:
    """What a request sends by the names that the read's path has."""

    def __init__(self, names: Iterable[str], routes: Sequence[Route]) -> None:
        self._names = frozenset(names)
        self._routes = routes

    def __call__(self, route: int, request: bytes) -> Named:
        found = sent(self._routes[route], request)
        shared = tuple((name, found[name]) for name in sorted(self._names & found.keys()))
        return (*shared, *_path(route, request))


def _shared(route: Route, routes: Sequence[Route]) -> _Shared:
    path = _pathless(route.path)
    return _Shared(template.names(path) or template.names(route.path), routes)


def sent(route: Route, request: bytes) -> dict[str, str]:
    """The values by name that a request has in its target and its body."""
    head, _, body = request.partition(b"\r\n\r\n")
    target = head.split(b" ", 2)[1].decode("latin-1")
    found: dict[str, str] = {}
    for said, text in ((route.path, target), (route.body or "", body.decode("utf-8", "replace"))):
        expression, names = _expression(said)
        match = expression.fullmatch(text) if names else None
        if match is not None:
            found |= {name: value for name, value in zip(names, match.groups(), strict=True) if name not in found}
    return found


@lru_cache(maxsize=256)
def _expression(said: str) -> tuple[re.Pattern[str], tuple[str, ...]]:
    """A template as an expression, and its names in order."""
    names: list[str] = []
    parts: list[str] = []
    at = 0
    for found in re.finditer(r"\{([A-Za-z_]\w*(?:\.[\w-]+)?)\}", said):
        parts += [re.escape(said[at : found.start()]), r"([^\s/?&\"]*)"]
        names.append(found[1])
        at = found.end()
    return re.compile("".join(parts) + re.escape(said[at:]), re.DOTALL), tuple(names)


def _written(
    again: Redrawn, read_key: IntArray, writers: Sequence[int], named: Callable[[int, bytes], Named]
) -> tuple[IntArray, IntArray]:
    """(when, which key) of each write that changes a key that is read; a write of a value changes all keys with it."""
    if not writers:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    number = int(again.route[np.flatnonzero(again.request == read_key[0])[0]])
    by_name: dict[tuple[str, str], list[int]] = defaultdict(list)
    for key in np.unique(read_key).tolist():
        for each in named(number, again.requests[key]):
            by_name[each].append(key)
    at_ns: list[int] = []
    keys: list[int] = []
    which = np.flatnonzero(np.isin(again.route, writers))
    cached: dict[int, Named] = {}
    for place in which.tolist():
        request = int(again.request[place])
        if request not in cached:
            cached[request] = named(int(again.route[place]), again.requests[request])
        changed = {key for each in cached[request] for key in by_name.get(each, ())}
        at_ns += [int(again.at_ns[place])] * len(changed)
        keys += changed
    return np.array(at_ns, dtype=np.int64), np.array(keys, dtype=np.int64)


def _more(sure: tuple[IntArray, IntArray], maybe: tuple[IntArray, IntArray]) -> tuple[IntArray, IntArray]:
    """Both; a write that is in both counts once in effect, as the second of one moment changes nothing more."""
    return np.concatenate([sure[0], maybe[0]]), np.concatenate([sure[1], maybe[1]])


def _joined(read_at: IntArray, read_key: IntArray, written: tuple[IntArray, IntArray]) -> KeyStream:
    at_ns, keys = written
    return made(
        np.concatenate([read_key, keys]),
        np.concatenate([read_at, at_ns]),
        write=np.concatenate([np.zeros(len(read_at), dtype=np.bool_), np.ones(len(at_ns), dtype=np.bool_)]),
    )
