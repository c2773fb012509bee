"""
The highest rate at which every latency promise still holds: which rate to try next, and when to stop.

Rates grow by GROWTH until a promise breaks, then the gap is halved (geometrically) until it is as small as asked. The
rate that holds and the broken one above it are each tried again, for longer; one that then says otherwise sends the
search on. A rate is called broken or held only when the gate says so of a whole phase; at a low rate the phase is as
long as that takes. One that it can't tell of is tried again, for as long as it said that it would need, and then left
open, and the search goes on below and above it. Where the generator gives way,
again and again, is the end of what can be tried, and it is never called the service's limit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from headway.gate.bounds import GROWTH
from headway.gate.ladder import Ladder, Probe
from headway.model import Clause, Comparison, Criterion, Promise, Side, State, Subject
from headway.thresholds import THROUGHPUT_MAX_ERROR_RATIO

if TYPE_CHECKING:
    from collections.abc import Generator

    from headway.gate.bounds import Bounds

    Steps = Generator["Try", Probe, None]

INVALID_TRIES = 3
"""A generator that gave way once may have been disturbed; one that did so in every try is at its end."""
MOST_PROBES = 60
DIGITS = 4
JUDGED = (Subject.ERROR_RATE, Subject.AVAILABILITY)


class Stopped(StrEnum):
    """Why the search ended."""

    SERVICE = "the service"  # a promise broke
    GENERATOR = "the generator"  # the load could not be made, or not be timed
    ASKED = "the highest rate asked for"
    UNSURE = "too little certainty"
    TIME = "the time it may take"
    INTERRUPTED = "an interrupt"


@dataclass(frozen=True, kw_only=True)
class Try:
    """A rate to try next, in requests per second, and for how long, warm-up excluded."""

    rate_per_s: float
    duration_s: float


@dataclass(frozen=True, kw_only=True)
class Found:
    """
    What the search knows: at `holds_per_s` every promise was kept, at `breaks_per_s` one was broken.

    None: no rate that was tried did so. `confirmed`: each of the two that there is was so in a longer try as well.
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


class Search:
    """
    Finds the highest rate that holds.

    `tries` asks for one rate after another and is sent what became of each; `found` says what is known, at any time.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._ladder = Ladder()
        self._spent_s = 0.0
        self._ended: Stopped | None = None

    def tries(self) -> Steps:
        """Each Try in turn; wants its Probe."""
        while self._ended is None:
            wanted = self._next() or self._confirming()
            if wanted is None:
                return
            if self._fits(wanted, reserved_s=self._confirming_s(wanted)):
                yield from self._try(wanted)
            else:
                yield from self._rest()

    def _rest(self) -> Steps:
        """No time for another rate: what is known is tried again, for longer."""
        while self._ended is None and (wanted := self._confirming()) is not None and self._fits(wanted):
            yield from self._once(wanted)
        self._ended = self._ended or Stopped.TIME

    def _try(self, wanted: Try) -> Steps:
        """One rate; again when the generator gave way."""
        yield from self._once(wanted)
        while self._invalid(wanted.rate_per_s) and self._fits(wanted, reserved_s=self._confirming_s(wanted)):
            yield from self._once(wanted)

    def _once(self, wanted: Try) -> Steps:
        probe = yield wanted
        self._ladder.note(probe)
        self._spent_s += probe.took_s
        if probe.interrupted:
            self._ended = Stopped.INTERRUPTED
        elif len(self._ladder.probes) >= MOST_PROBES:
            self._ended = Stopped.TIME

    def _invalid(self, rate: float) -> bool:
        """Whether to try a rate again because the generator gave way in all its tries so far, which were few."""
        tries = self._ladder.at(rate)
        return (
            self._ended is None
            and len(tries) < INVALID_TRIES
            and all(each.state is State.INVALID for each in tries)
        )  # fmt: skip

    def _fits(self, wanted: Try, *, reserved_s: float = 0.0) -> bool:
        return self._spent_s + self._bounds.cost_s(wanted.duration_s) + reserved_s <= self._bounds.longest_s

    def _confirming_s(self, wanted: Try) -> float:
        """Time to try both ends once more after this try: the rate of a first one may be one of them."""
        ends = [each for each in (self._ladder.holds, self._ladder.breaks) if each is not None]
        if wanted.rate_per_s in ends:
            return 0.0
        if not self._ladder.told(wanted.rate_per_s):
            ends = [wanted.rate_per_s, min(ends, default=wanted.rate_per_s)]
        return sum(self._bounds.cost_s(self._bounds.again_s(each)) for each in ends)

    def _next(self) -> Try | None:
        """The rate to try next, and how long; None when nothing is to be learnt between what holds and what doesn't."""
        ladder, most = self._ladder, self._bounds.most_per_s
        if not ladder.probes:
            return self._first(min(self._bounds.start_per_s, most))
        if ladder.top is None and ladder.highest < most:
            return self._first(_legible(min(ladder.highest * GROWTH, most), most))
        if ladder.top is not None and ladder.holds is not None and self._near(ladder.holds, ladder.top):
            return None
        for rate in ladder.marks[::-1]:  # left open while rates grew
            if ladder.state(rate) is State.INCONCLUSIVE and self._worth_repeating(rate):
                return self._again(rate, ladder.told(rate)[-1].useful_s)
        between = self._lower() if ladder.holds is None else self._between()
        return None if between is None else self._first(_legible(between))

    def _first(self, rate: float) -> Try:
        return Try(rate_per_s=rate, duration_s=self._bounds.first_s(rate))

    def _again(self, rate: float, useful_s: float | None = None) -> Try:
        return Try(rate_per_s=rate, duration_s=self._bounds.again_s(rate, useful_s))

    def _lower(self) -> float | None:
        """Below all that was tried, when a promise broke there."""
        lower = _legible(self._ladder.lowest / GROWTH)
        return lower if self._ladder.breaks is not None and lower >= self._bounds.floor_per_s else None

    def _between(self) -> float | None:
        """The middle of the gap above what holds, or of the one below what doesn't; open rates lie between the two."""
        marks, top = self._ladder.marks, self._ladder.top
        for low, high in ((marks[0], marks[1]), (marks[-2], marks[-1])) if len(marks) > 1 else ():
            if not self._near(low, high) and (high == marks[1] or top is not None):
                return math.sqrt(low * high)
        return None

    def _worth_repeating(self, rate: float) -> bool:
        """Whether an open rate could be called if it were tried for longer, which it was not yet."""
        useful_s = self._ladder.told(rate)[-1].useful_s
        return self._once_more(rate) and (useful_s is None or useful_s <= self._bounds.most_s)

    def _once_more(self, rate: float) -> bool:
        """Whether one try alone has told of a rate; when the generator gave way in the next few, that is left."""
        tries, told = self._ladder.at(rate), self._ladder.told(rate)
        return len(told) == 1 and len(tries) - tries.index(told[0]) <= INVALID_TRIES

    def _near(self, low: float, high: float) -> bool:
        return high <= low * (1 + self._bounds.within_ratio) * (1 + 1e-9)

    def _confirming(self) -> Try | None:
        """A longer try of an end that has not had one, of the lower first: it is the answer."""
        ends = (self._ladder.holds, self._ladder.breaks)
        return next((self._again(each) for each in ends if each is not None and self._once_more(each)), None)

    def found(self) -> Found:
        """What is known so far."""
        ladder = self._ladder
        holds, breaks = ladder.holds, ladder.breaks
        ends = [(rate, state) for rate, state in ((holds, State.KEPT), (breaks, State.BROKEN)) if rate is not None]
        confirmed = bool(ends) and all(
            any(each.state is state for each in ladder.told(rate)[1:]) for rate, state in ends
        )
        stopped, why = self._reason()
        return Found(
            holds_per_s=holds, breaks_per_s=breaks, confirmed=confirmed, stopped=stopped, why=why,
            probes=tuple(ladder.probes),
        )  # fmt: skip

    def _reason(self) -> tuple[Stopped, str]:
        """Why no higher rate is known to hold."""
        ladder = self._ladder
        holds, breaks, top = ladder.holds, ladder.breaks, ladder.top
        if self._ended is Stopped.INTERRUPTED or not ladder.probes:
            return Stopped.INTERRUPTED, ""
        lowest = holds is None and ladder.marks == [breaks] and self._lower() is None
        if breaks is not None and top == breaks and (lowest or (holds is not None and self._near(holds, breaks))):
            return Stopped.SERVICE, _why(ladder.says(breaks, State.BROKEN))
        if self._ended is not None:
            return self._ended, f"{len(ladder.probes)} tries were made"
        if top is not None and top == ladder.ceiling and (holds is None or self._near(holds, top)):
            return Stopped.GENERATOR, _why(ladder.says(top, State.INVALID))
        if holds is not None and holds >= self._bounds.most_per_s:
            return Stopped.ASKED, "every promise still holds there"
        above = [each for each in ladder.marks if each not in {holds, top}]
        at = above[0] if above else ladder.highest
        return Stopped.UNSURE, f"at {at:,.10g} req/s: {_why(ladder.says(at, *State))}"


def _why(probe: Probe | None) -> str:
    return probe.why if probe is not None else ""


def _legible(rate: float, most: float = math.inf) -> float:
    """A rate with a few digits, as people would name it; the highest stays what it is."""
    return rate if rate == most else float(f"{rate:.{DIGITS}g}")
