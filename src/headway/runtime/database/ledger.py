"""
What a pool's connections cost: how long one waits for them, how long they are held, and by whom.

Source: HikariCP, "About Pool Sizing" and its metrics (wait, usage, pending, leak detection).
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

EDGES_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_log = logging.getLogger("headway.runtime.database")
_OURS = ("headway.runtime.", "contextlib", "psycopg", "asyncio", "starlette.concurrency")


@dataclass(frozen=True, kw_only=True)
class Times:
    """Durations: (len(EDGES_S) + 1,) counts, each of those up to its edge; their sum in seconds."""

    counts: tuple[int, ...]
    sum_s: float

    @property
    def number(self) -> int:
        """How many."""
        return sum(self.counts)

    @property
    def mean_s(self) -> float | None:
        """Seconds; None when there is none."""
        return self.sum_s / self.number if self.number else None


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Who holds a connection: the line of code that took it, and for how long by now."""

    line: str
    thread: str
    held_s: float


@dataclass(frozen=True, kw_only=True)
class PoolState:
    """
    One server's pool in this process.

    Args:
        most: connections it may have.
        open: connections it has.
        waiting: who waits for one now.
        waits: time from asking to having, of those that got one.
        uses: time from having to giving back.
        timeouts: who asked and got none.
        discarded: connections found dead or given back broken.
        most_held: the most held at once since the start.
        holders: the longest first.
    """

    server: str
    most: int
    open: int
    waiting: int
    waits: Times
    uses: Times
    timeouts: int
    discarded: int
    most_held: int
    observed_s: float
    holders: tuple[Holder, ...]


class Ledger:
    """The book of one pool. `watch`, when set, is told of each wait and use as it ends (kind, seconds)."""

    def __init__(self, server: str) -> None:
        self.server = server
        self.watch: Callable[[str, float], None] | None = None
        self.timeouts = 0
        self.discarded = 0
        self._waiting = 0
        self._most_held = 0
        self._began_s = time.monotonic()
        self._lock = threading.Lock()
        self._counts = {kind: [0] * (len(EDGES_S) + 1) for kind in ("wait", "use")}
        self._sums_s = {"wait": 0.0, "use": 0.0}
        self._held: dict[int, tuple[Any, str, str, float]] = {}
        self._told: set[int] = set()

    def asked(self) -> None:
        """Somebody waits for a connection from now on."""
        with self._lock:
            self._waiting += 1

    def took(self, connection: Any, line: str, asked_at_s: float, now_s: float) -> None:
        """He has one."""
        with self._lock:
            self._waiting -= 1
            self._held[id(connection)] = connection, line, threading.current_thread().name, now_s
            self._most_held = max(self._most_held, len(self._held))
            self._note("wait", now_s - asked_at_s)

    def got_none(self) -> None:
        """He has none: it took too long, or the server is away."""
        with self._lock:
            self._waiting -= 1
            self.timeouts += 1

    def gave_back(self, connection: Any, now_s: float, *, broken: bool) -> None:
        """He has given it back."""
        with self._lock:
            found = self._held.pop(id(connection), None)
            self._told.discard(id(connection))
            self.discarded += broken
            if found is not None:
                self._note("use", now_s - found[3])

    def held(self) -> list[Any]:
        """The connections that are out."""
        with self._lock:
            return [each[0] for each in self._held.values()]

    def tell_long_holders(self, longest_s: float, now_s: float) -> None:
        """Log, once each, who has held a connection for too long."""
        with self._lock:
            late = [(key, *each) for key, each in self._held.items() if now_s - each[3] > longest_s]
            late = [each for each in late if each[0] not in self._told]
            self._told.update(each[0] for each in late)
        for _, _, line, thread, since_s in late:
            _log.warning(
                "a connection to %s has been held for %.0f s by %s (%s)", self.server, now_s - since_s, line, thread
            )

    def state(self, *, most: int, opened: int, now_s: float) -> PoolState:
        """The book as it stands."""
        with self._lock:
            holders = [Holder(line=line, thread=who, held_s=now_s - at) for _, line, who, at in self._held.values()]
            return PoolState(
                server=self.server, most=most, open=opened, waiting=self._waiting, timeouts=self.timeouts,
                waits=Times(counts=tuple(self._counts["wait"]), sum_s=self._sums_s["wait"]),
                uses=Times(counts=tuple(self._counts["use"]), sum_s=self._sums_s["use"]),
                discarded=self.discarded, most_held=self._most_held, observed_s=now_s - self._began_s,
                holders=tuple(sorted(holders, key=lambda each: -each.held_s)),
            )  # fmt: skip

    def _note(self, kind: str, seconds: float) -> None:
        self._counts[kind][bisect_left(EDGES_S, seconds)] += 1
        self._sums_s[kind] += seconds
        if self.watch is not None:
            self.watch(kind, seconds)


def calling_line() -> str:
    """The nearest line of code outside this library, as `file:line in function`."""
    frame = sys._getframe(1)  # traceback and inspect read every file on the way
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_OURS):
        frame = frame.f_back
    code = frame.f_code
    return f"{code.co_filename}:{frame.f_lineno} in {code.co_name}"
