"""
The highest rate at which every latency promise still holds: which rate to try next, and when to stop.

Rates grow by GROWTH until a promise breaks, then the gap is halved (geometrically) until it is as small as asked. The
rate found is tried once more, for longer. A rate is called broken or held only when the gate says so of a whole phase;
one that it can't tell of is tried again, for twice as long, and then left open. When the generator is what gives way,
that is the end, and it is never called the service's limit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from headway.model import Clause, Comparison, Criterion, Promise, Side, State, Subject
from headway.thresholds import THROUGHPUT_MAX_ERROR_RATIO

if TYPE_CHECKING:
    from collections.abc import Callable

GROWTH = 2.0
LONGER = 2.0
MOST_PROBES = 40
JUDGED = (Subject.ERROR_RATE, Subject.AVAILABILITY)


class Stopped(StrEnum):
    """Why the search ended."""

    SERVICE = "the service"  # a promise broke
    GENERATOR = "the generator"  # the load could not be made, or not be timed
    ASKED = "the highest rate asked for"
    UNSURE = "too little certainty"
    INTERRUPTED = "an interrupt"
    PROBES = "the number of tries"


@dataclass(frozen=True, kw_only=True)
class Probe:
    """One rate, tried. `why`: the first reason it was not kept. `run`: the run's id."""

    rate_per_s: float
    duration_s: float
    state: State
    why: str = ""
    run: str = ""
    interrupted: bool = False


@dataclass(frozen=True, kw_only=True)
class Found:
    """
    What the search knows: at `holds_per_s` every promise was kept, at `breaks_per_s` one was broken.

    None: no rate that was tried did so. `confirmed`: the rate that holds did so a second time, for longer.
    """

    holds_per_s: float | None
    breaks_per_s: float | None
    confirmed: bool
    stopped: Stopped
    why: str
    probes: tuple[Probe, ...]


def promise_of(promise: Promise) -> Promise:
    """
    What must hold at every rate: latencies as the client sees them, and errors.

    A load that a clause names is left out, as the search brings its own. Where no error rate is promised, at most
    THROUGHPUT_MAX_ERROR_RATIO may fail, as for a promised throughput: a rate at which one in ten fails is not held.
    """
    kept = []
    for criterion in promise.criteria:
        clauses = tuple(replace(each, at_rate_per_s=None) for each in criterion.clauses if _judged(each))
        if clauses:
            kept.append(replace(criterion, clauses=clauses))
    if kept and not any(each.subject in JUDGED for criterion in kept for each in criterion.clauses):
        implied = Clause(
            subject=Subject.ERROR_RATE, side=Side.CLIENT, comparison=Comparison.LE, limit=THROUGHPUT_MAX_ERROR_RATIO
        )
        text = f"Error rate <= {THROUGHPUT_MAX_ERROR_RATIO:.0%} (as no other is promised)"
        kept.append(Criterion(id="implied", text=text, file=kept[0].file, line=kept[0].line, clauses=(implied,)))
    return replace(promise, criteria=tuple(kept))


def _judged(clause: Clause) -> bool:
    latency = clause.subject is Subject.LATENCY and clause.side is Side.CLIENT
    return (latency and clause.limit is not None) or clause.subject in JUDGED


def search(
    probe: Callable[[float, float], Probe],
    *,
    start_per_s: float,
    most_per_s: float,
    duration_s: float,
    within_ratio: float,
) -> Found:
    """
    Find the highest rate that holds.

    Args:
        probe: (rate in starts per second, seconds) -> what became of it.
        start_per_s: the first rate.
        most_per_s: no rate above it is tried.
        duration_s: of a first try; unsure ones and the last take twice as long.
        within_ratio: how near the broken rate may be to the one that holds: 0.1 is within 10%.
    """
    return _Search(probe, most_per_s, duration_s, within_ratio).run(start_per_s)


class _Search:
    def __init__(
        self, probe: Callable[[float, float], Probe], most_per_s: float, duration_s: float, within_ratio: float
    ) -> None:
        self._probe = probe
        self._most = most_per_s
        self._duration_s = duration_s
        self._within = within_ratio
        self._probes: list[Probe] = []
        self._held: list[float] = []
        self._broken: list[Probe] = []

    def run(self, start_per_s: float) -> Found:
        rate = min(start_per_s, self._most)
        while True:
            last = self._try(rate, self._duration_s)
            end = self._end(last)
            if end is not None:
                return end
            if self._near_enough():
                return self._confirm()
            rate = self._next()

    def _try(self, rate: float, duration_s: float) -> Probe:
        """One rate; when it can't be told, once more for longer."""
        last = self._note(self._probe(rate, duration_s))
        if last.state is State.INCONCLUSIVE and not last.interrupted:
            last = self._note(self._probe(rate, duration_s * LONGER))
        return last

    def _note(self, probe: Probe) -> Probe:
        self._probes.append(probe)
        if probe.state is State.KEPT:
            self._held.append(probe.rate_per_s)
        elif probe.state is State.BROKEN:
            self._broken.append(probe)
        return probe

    @property
    def _holds(self) -> float | None:
        """The highest rate that was kept and that nothing at or below it contradicts."""
        breaks = self._breaks
        return max((each for each in self._held if breaks is None or each < breaks), default=None)

    @property
    def _breaks(self) -> float | None:
        return min((each.rate_per_s for each in self._broken), default=None)

    def _end(self, last: Probe) -> Found | None:
        if last.interrupted:
            return self._found(Stopped.INTERRUPTED, "interrupted")
        if last.state is State.INVALID:
            return self._found(Stopped.GENERATOR, last.why)
        if last.state is State.INCONCLUSIVE:
            return self._found(Stopped.UNSURE, last.why)
        if last.state is State.KEPT and last.rate_per_s >= self._most:
            return self._found(Stopped.ASKED, "every promise still holds there")
        if len(self._probes) >= MOST_PROBES:
            return self._found(Stopped.PROBES, f"{len(self._probes)} rates were tried")
        return None

    def _near_enough(self) -> bool:
        holds, breaks = self._holds, self._breaks
        return holds is not None and breaks is not None and breaks <= holds * (1 + self._within) * (1 + 1e-9)

    def _next(self) -> float:
        holds, breaks = self._holds, self._breaks
        if breaks is None:
            return min((holds or 1.0) * GROWTH, self._most)
        if holds is None:
            return breaks / GROWTH
        return math.sqrt(holds * breaks)

    def _confirm(self) -> Found:
        """The rate that holds, again and for longer; one that doesn't any more is broken, and the one below counts."""
        rate = self._holds or 0.0
        last = self._note(self._probe(rate, self._duration_s * LONGER))
        broken = min(self._broken, key=lambda each: each.rate_per_s)
        confirmed = last.state is State.KEPT
        end = self._end(last) if last.state in {State.INVALID, State.INCONCLUSIVE} else None
        return end or self._found(Stopped.SERVICE, broken.why, confirmed=confirmed)

    def _found(self, stopped: Stopped, why: str, *, confirmed: bool = False) -> Found:
        return Found(
            holds_per_s=self._holds, breaks_per_s=self._breaks, confirmed=confirmed, stopped=stopped, why=why,
            probes=tuple(self._probes),
        )  # fmt: skip


def most_seconds(
    *, start_per_s: float, most_per_s: float, duration_s: float, warmup_s: float, within_ratio: float
) -> float:
    """The longest a search can take when no try is unsure, answers that are waited for at the end left out."""
    growing = math.ceil(math.log(max(most_per_s / start_per_s, 1.0), GROWTH)) + 1
    halving = math.ceil(math.log2(max(math.log(GROWTH) / math.log1p(within_ratio), 1.0)))
    tries = min(growing + halving, MOST_PROBES)
    return tries * (duration_s + warmup_s) + duration_s * LONGER + warmup_s
