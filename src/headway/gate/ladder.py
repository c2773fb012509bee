"""
What tries at different rates say together: the highest rate that holds, the lowest that breaks, and what is open.

A rate may be tried more than once. The tries that could be called count by their seconds; a rate is called held or
broken when that side has at least twice the seconds of the other, and is open until then. So a try that is repeated
for twice as long overrules the first one; two of one length that differ leave the rate open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headway.model import State

if TYPE_CHECKING:
    from collections.abc import Callable

OVERRULES = 2.0


@dataclass(frozen=True, kw_only=True)
class Figure:
    """
    The number that decided a try, in the base unit of its clause (ns, ratio), with its 95% interval.

    None: there is none, it falls among failed requests, or that side of the interval is open.
    """

    criterion: str
    text: str
    limit: float | None
    measured: float | None
    low: float | None
    high: float | None
    samples: int | None


@dataclass(frozen=True, kw_only=True)
class Probe:
    """
    One rate, tried.

    `phase`: its phase in the run. `why`: what decided, in words; `decided_by`: the same as figures. `took_s`: from the
    wish to the answer: warm-up, waiting and judging included. `useful_s`: how long an open one would have to be tried
    to be called; None: nobody can say.
    """

    rate_per_s: float
    duration_s: float
    state: State
    why: str = ""
    phase: str = ""
    decided_by: Figure | None = None
    took_s: float = 0.0
    useful_s: float | None = None
    interrupted: bool = False


class Ladder:
    """Every try so far."""

    def __init__(self) -> None:
        self.probes: list[Probe] = []

    def note(self, probe: Probe) -> None:
        """One more try."""
        self.probes.append(probe)

    def at(self, rate_per_s: float) -> list[Probe]:
        """All tries of one rate."""
        return [each for each in self.probes if each.rate_per_s == rate_per_s]

    def told(self, rate_per_s: float) -> list[Probe]:
        """Those of them in which the generator did not give way: the first, then its repetitions."""
        return [each for each in self.at(rate_per_s) if each.state is not State.INVALID]

    def state(self, rate_per_s: float) -> State:
        """What the tries of one rate say together; INVALID when the generator gave way in all of them."""
        tries = self.at(rate_per_s)
        kept, broken = (
            sum(each.duration_s for each in tries if each.state is state) for state in (State.KEPT, State.BROKEN)
        )
        if kept > 0 and kept >= OVERRULES * broken:
            return State.KEPT
        if broken > 0 and broken >= OVERRULES * kept:
            return State.BROKEN
        if all(each.state is State.INVALID for each in tries):
            return State.INVALID
        return State.INCONCLUSIVE

    @property
    def breaks(self) -> float | None:
        """The lowest rate that is broken."""
        return min(self._rates(lambda state: state is State.BROKEN), default=None)

    @property
    def holds(self) -> float | None:
        """The highest rate that held, and that no broken one lies below."""
        breaks = self.breaks
        held = self._rates(lambda state: state is State.KEPT)
        return max((each for each in held if breaks is None or each < breaks), default=None)

    @property
    def ceiling(self) -> float | None:
        """The lowest rate above the one that holds at which the generator gave way in every try."""
        holds = self.holds or 0.0
        return min((each for each in self._rates(lambda state: state is State.INVALID) if each > holds), default=None)

    @property
    def marks(self) -> list[float]:
        """From the rate that holds to the lowest above it that broke or could not be made, open ones between."""
        holds, top = self.holds or 0.0, self.top
        between = self._rates(lambda state: state is State.INCONCLUSIVE)
        marks = [each for each in between if each > holds and (top is None or each < top)]
        return sorted([*([self.holds] if self.holds is not None else []), *marks, *([top] if top is not None else [])])

    @property
    def top(self) -> float | None:
        """The lowest rate that broke or could not be made."""
        return min((each for each in (self.breaks, self.ceiling) if each is not None), default=None)

    @property
    def lowest(self) -> float:
        """The lowest rate tried."""
        return min(each.rate_per_s for each in self.probes)

    @property
    def highest(self) -> float:
        """The highest rate tried."""
        return max(each.rate_per_s for each in self.probes)

    def says(self, rate_per_s: float | None, *states: State) -> Probe | None:
        """The longest try of a rate that came out so."""
        fitting = [each for each in self.probes if each.rate_per_s == rate_per_s and each.state in states]
        return max(fitting, key=lambda each: each.duration_s, default=None)

    def _rates(self, wanted: Callable[[State], bool]) -> list[float]:
        return [each for each in sorted({probe.rate_per_s for probe in self.probes}) if wanted(self.state(each))]
