"""
Recorded arrivals, sent again: a file of JSON lines {"at_s": 0.25, "route": "GET /users/{id}", "path": "/users/7"}.

The recording is held as two arrays and one run of bytes, so that a million arrivals take some 50 MB in each place.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from headway.errors import BadInput
from headway.load import template

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from headway.model import Replay, Route

    IntArray = NDArray[np.int64]

MOST = 5_000_000
"""Arrivals a recording may have: a quarter of a gigabyte."""
_PATH = re.compile(r"/[!-~]*")
_STAND_IN = "/headway-replays-this"


@dataclass(frozen=True, kw_only=True)
class Recording:
    """
    n arrivals in order of time.

    at_ns: (n,) since the first moment of the recording, divided by the speed; route: (n,) index into the scenario's
    routes; ends: (n,) where each path ends in `paths`.
    """

    at_ns: IntArray
    route: IntArray
    ends: IntArray
    paths: bytes

    def share(self, worker: int, workers: int) -> Recording:
        """Every `workers`-th arrival, from the `worker`-th on."""
        mine = np.arange(worker, len(self.at_ns), workers)
        begins = np.concatenate([[0], self.ends[:-1]]).astype(np.int64)[mine]
        ends = self.ends[mine]
        paths = [self.paths[a:b] for a, b in zip(begins.tolist(), ends.tolist(), strict=True)]
        lengths = np.array([len(each) for each in paths], dtype=np.int64)
        return Recording(at_ns=self.at_ns[mine], route=self.route[mine], ends=np.cumsum(lengths), paths=b"".join(paths))

    def path(self, number: int) -> bytes:
        """The path, with its query, of one arrival."""
        return self.paths[int(self.ends[number - 1]) if number else 0 : int(self.ends[number])]

    @property
    def lasts_s(self) -> float:
        """From its first moment to its last arrival; 0 when it is empty."""
        return float(self.at_ns[-1]) / 1e9 if len(self.at_ns) else 0.0


def read(recorded: Replay, routes: Sequence[str]) -> Recording:
    """
    A replay file.

    Args:
        recorded: the file and the speed.
        routes: names of the scenario's routes; each arrival names one.

    Raises:
        BadInput: the file is missing or empty, or a line of it is not an arrival; with the line.
    """
    numbers = {name: number for number, name in enumerate(routes)}
    at_ns: list[int] = []
    route: list[int] = []
    paths: list[bytes] = []
    before = 0.0
    for line, text in _lines(recorded.file):
        try:
            arrival = json.loads(text)
            at_s, name, path = arrival["at_s"], arrival["route"], arrival["path"]
        except (ValueError, KeyError, TypeError) as exc:
            raise _bad(recorded.file, line, 'is not {"at_s": ..., "route": ..., "path": ...}') from exc
        wrong = _wrong(at_s, name, path, before, numbers)
        if wrong is not None:
            raise _bad(recorded.file, line, wrong)
        if len(paths) == MOST:
            raise BadInput(f"more than {MOST:,} arrivals", next_act="replay a part of them", file=recorded.file)
        before = at_s
        at_ns.append(round(at_s * 1e9 / recorded.speed))
        route.append(numbers[name])
        paths.append(path.encode("ascii"))
    if not paths:
        raise BadInput("no arrivals to replay", next_act="record some", file=recorded.file)
    lengths = np.array([len(each) for each in paths], dtype=np.int64)
    return Recording(
        at_ns=np.array(at_ns, dtype=np.int64), route=np.array(route, dtype=np.int64), ends=np.cumsum(lengths),
        paths=b"".join(paths),
    )  # fmt: skip


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    try:
        with file.open(encoding="utf-8") as stream:
            for line, text in enumerate(stream, start=1):
                if text.strip():
                    yield line, text
    except (OSError, UnicodeDecodeError) as exc:
        raise BadInput(f"cannot read the arrivals: {exc}", next_act="name a file of JSON lines", file=file) from exc


def _wrong(at_s: object, name: object, path: object, before: float, numbers: Mapping[str, int]) -> str | None:
    """What is wrong with an arrival, if anything."""
    if isinstance(at_s, bool) or not isinstance(at_s, int | float) or not math.isfinite(at_s) or at_s < 0:
        return f"has at_s = {at_s!r}, which is no moment"
    if at_s < before:
        return f"has at_s = {at_s!r}, earlier than the line before it"
    if not isinstance(name, str) or name not in numbers:
        return f"names the route {name!r}, which the scenario does not have"
    if not isinstance(path, str) or not _PATH.fullmatch(path):
        return f"has path = {path!r}, which is no path"
    return None


def _bad(file: Path, line: int, why: str) -> BadInput:
    return BadInput(f"the arrival {why}", next_act="mend or remove the line", file=file, line=line)


def requests(recording: Recording, routes: Sequence[Route], host: str) -> Callable[[int], tuple[int, bytes]]:
    """
    A function that gives the route and the bytes of a worker's n-th arrival.

    Args:
        recording: the worker's share.
        routes: the scenario's; a path takes the place of its route's own, headers and body stay.
        host: what the Host header says.
    """
    around = [_around(route, host) for route in routes]
    numbers = recording.route

    def nth(number: int) -> tuple[int, bytes]:
        route = int(numbers[number])
        before, after = around[route]
        return route, b"%b%b%b" % (before, recording.path(number), after)

    return nth


def _around(route: Route, host: str) -> tuple[bytes, bytes]:
    """What stands before and after the path in the route's request."""
    whole = template.renderer(replace(route, path=_STAND_IN), host, {})()
    before, _, after = whole.partition(_STAND_IN.encode())
    return before, after
