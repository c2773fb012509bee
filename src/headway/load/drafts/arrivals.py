"""
When requests arrived: sorted on disk, since a log is written as answers end; its pace; and the file to replay.

Memory is bounded by RUN: sorted runs go to temporary files and are merged as they are read.
"""

from __future__ import annotations

import heapq
import json
import tempfile
from collections import deque
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

RUN = 200_000
"""Arrivals sorted at once: some 40 MB."""
MOST_RUNS = 64
"""Open temporary files; more runs than this are merged into one."""


class Spool:
    """Arrivals in any order in, in order of time out, as often as wanted. A context: its files go at the end."""

    def __init__(self) -> None:
        self._now: list[str] = []
        self._runs: list[IO[str]] = []

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in self._runs:
            each.close()

    def add(self, at_us: int, route: int, target: str) -> None:
        """One arrival: microseconds since 1970, the route's number (-1: none), path and query without line ends."""
        self._now.append(f"{at_us:018d}\t{route}\t{target}\n")
        if len(self._now) >= RUN:
            self._spill()

    def __iter__(self) -> Iterator[tuple[int, int, str]]:
        """(at_us, route, target) in order of time."""
        for line in self._lines():
            at, route, target = line.rstrip("\n").split("\t", 2)
            yield int(at), int(route), target

    def _lines(self) -> Iterator[str]:
        for each in self._runs:
            each.seek(0)
        self._now.sort()
        return heapq.merge(*self._runs, self._now)

    def _spill(self) -> None:
        if len(self._runs) >= MOST_RUNS:
            whole = tempfile.TemporaryFile("w+", encoding="ascii")  # noqa: SIM115 - closed by __exit__
            whole.writelines(self._lines())
            for each in self._runs:
                each.close()
            self._runs = [whole]
        else:
            self._now.sort()
            run = tempfile.TemporaryFile("w+", encoding="ascii")  # noqa: SIM115 - closed by __exit__
            run.writelines(self._now)
            self._runs.append(run)
        self._now = []


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How fast requests came. Seconds and minutes are the clock's own."""

    requests: int
    first_us: int
    last_us: int
    peak_per_s: int  # requests in the busiest second
    busiest_minute_per_s: float  # mean rate of the busiest minute, of the whole log when that is shorter
    busiest_from_us: int  # where the busiest stretch of the length asked for begins

    @property
    def seconds(self) -> float:
        """From the first arrival to the last, at least a second."""
        return max(1.0, (self.last_us - self.first_us) / 1e6)


def pace(spool: Spool, routes: frozenset[int] | None, *, stretch_s: float) -> Pace | None:
    """
    The pace of the arrivals of these routes (None: of all); None when there are none.

    Args:
        spool: the arrivals.
        routes: which count.
        stretch_s: length of the stretch whose busiest place is looked for.
    """
    first = last = count = peak = minute_peak = best = held = 0
    second = minute = None
    in_second = in_minute = 0
    from_us = 0
    recent: deque[tuple[int, int]] = deque()  # (second, requests in it) within the stretch
    for at_us, route, _ in spool:
        if routes is not None and route not in routes:
            continue
        if not count:
            first = from_us = at_us
        last, count = at_us, count + 1
        in_second = in_second + 1 if at_us // 1_000_000 == second else 1
        in_minute = in_minute + 1 if at_us // 60_000_000 == minute else 1
        second, minute = at_us // 1_000_000, at_us // 60_000_000
        peak, minute_peak = max(peak, in_second), max(minute_peak, in_minute)
        if recent and recent[-1][0] == second:
            recent[-1] = (second, in_second)
        else:
            recent.append((second, 1))
        held += 1
        while recent[0][0] <= second - stretch_s:
            held -= recent.popleft()[1]
        if held > best:
            best, from_us = held, max(first, recent[0][0] * 1_000_000)
    if not count:
        return None
    seconds = max(1.0, (last - first) / 1e6)
    busiest = minute_peak / 60 if seconds >= 60 else count / seconds
    return Pace(
        requests=count, first_us=first, last_us=last, peak_per_s=peak,
        busiest_minute_per_s=max(busiest, count / seconds), busiest_from_us=from_us,
    )  # fmt: skip


def replay_lines(spool: Spool, names: Mapping[int, str], *, from_us: int, stretch_s: float, most: int) -> Iterator[str]:
    """The lines of a replay file: `model.Replay`. The first arrival of the stretch is at 0 s; at most `most`."""
    start: int | None = None
    count = 0
    for at_us, route, target in spool:
        name = names.get(route)
        if name is None or at_us < from_us:
            continue
        start = at_us if start is None else start
        if at_us - start >= stretch_s * 1e6:
            return
        count += 1
        if count > most:
            return
        yield json.dumps({"at_s": (at_us - start) / 1e6, "route": name, "path": target}) + "\n"
