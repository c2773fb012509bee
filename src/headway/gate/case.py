"""What a subject's judge is given, and how it answers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from headway import diagnose
from headway.gate import health
from headway.gate.plan import load_words, phase_of
from headway.gate.routes import index_of
from headway.model import Comparison, Judgement, Presence, Side, State, Subject
from headway.promises.spoken import limit_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headway.load.intervals import Interval
    from headway.model import Clause, Criterion, Evidence, Finding, PhaseHits, Promise

RUN_WIDE = frozenset({Subject.INDEXED, Subject.MONITORING, Subject.ALERTS})
"""Judged over the whole run, whatever the load was."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a judge found: the state, why, and the number with its interval."""

    state: State
    reason: str
    source: str = ""
    measured: float | None = None
    low: float | None = None
    high: float | None = None
    samples: int | None = None
    requests_to_settle: int | None = None


@dataclass(frozen=True, kw_only=True)
class Case:
    """
    One clause and all there is to judge it by.

    `invalid` is phase -> why its load says nothing; `mistimed` is phase -> why its times are too long.
    """

    promise: Promise
    criterion: Criterion
    clause: Clause
    evidence: Evidence
    findings: tuple[Finding, ...]
    invalid: Mapping[str, str]
    mistimed: Mapping[str, str]

    @property
    def phase(self) -> str:
        """The phase the clause is judged in."""
        return phase_of(self.clause, self.evidence.scenario)[0]

    @property
    def hits(self) -> PhaseHits | None:
        """That phase's hits; None when the run has no such phase."""
        return next((each for each in self.evidence.phases if each.phase.name == self.phase), None)

    def loaded(self) -> PhaseHits | Answer:
        """The phase's hits, or the answer that they say nothing."""
        hits = self.hits
        if hits is None:
            return inconclusive(f"the run has no load of {self.phase}; run again with this increment")
        if self.phase in self.invalid:
            return Answer(state=State.INVALID, reason=self.invalid[self.phase])
        return hits

    def requested(self) -> tuple[PhaseHits, int | None] | Answer:
        """The phase's hits and the index of the clause's route (None: the whole API), or the answer instead."""
        hits, named = self.loaded(), self.clause.route
        if isinstance(hits, Answer) or named is None:
            return hits if isinstance(hits, Answer) else (hits, None)
        found = index_of(named, self.evidence.routes)
        if found is not None:
            return hits, found
        return inconclusive(f"no one route of the scenario is {named}; it has {', '.join(self.evidence.routes)}")

    def source(self, name: str) -> Answer | None:
        """None when the source was there; else the answer that it was not."""
        state = self.evidence.sources.get(name)
        if state is not None and state.presence is Presence.PRESENT:
            return None
        why = "was not named" if state is None else state.detail or state.presence.value
        act = f"; {state.next_act}" if state is not None and state.next_act else ""
        return inconclusive(f"no {name} to judge by: {why}{act}")

    def judgement(self, answer: Answer) -> Judgement:
        """The answer with the clause's words around it, and for a broken one the evidence that explains most."""
        clause, hits = self.clause, self.hits
        explained = None
        if answer.state is State.BROKEN:
            explained = diagnose.explain(self.findings, clause.subject, self.phase, side=clause.side)
        run_wide = clause.subject in RUN_WIDE
        return Judgement(
            criterion=self.criterion.id,
            text=self.criterion.text,
            priority=self.criterion.priority,
            clause=clause,
            state=answer.state,
            reason=answer.reason,
            measured=answer.measured,
            low=answer.low,
            high=answer.high,
            samples=answer.samples,
            source=answer.source,
            phase=None if run_wide else self.phase,
            load="the whole run" if run_wide else load_words(hits.phase) if hits else "",
            explanation=explained.line if explained else None,
            requests_to_settle=answer.requests_to_settle,
            file=self.criterion.file,
            line=self.criterion.line,
        )


def inconclusive(reason: str, *, source: str = "") -> Answer:
    """Nothing to decide by."""
    return Answer(state=State.INCONCLUSIVE, reason=reason, source=source)


def weigh(clause: Clause, low: float, high: float) -> State:
    """
    Kept when the whole interval is on the promised side of the limit, broken when it is on the other.

    Args:
        clause: with a comparison and a limit.
        low, high: ends of the 95% interval, in the limit's unit.
    """
    limit = clause.limit
    if limit is None or clause.comparison is None or math.isnan(low) or math.isnan(high):
        return State.INCONCLUSIVE
    kept, broken = {
        Comparison.LT: (high < limit, low >= limit),
        Comparison.LE: (high <= limit, low > limit),
        Comparison.GT: (low > limit, high <= limit),
        Comparison.GE: (low >= limit, high < limit),
    }[clause.comparison]
    return State.KEPT if kept else State.BROKEN if broken else State.INCONCLUSIVE


def weighed(clause: Clause, interval: Interval, *, source: str, note: str, settle: int | None = None) -> Answer:
    """The answer of an interval; an open one says what would settle it."""
    state = weigh(clause, interval.low, interval.high)
    reason = {
        State.KEPT: "the 95% interval is within the limit",
        State.BROKEN: "the 95% interval is beyond the limit",
    }.get(state)
    if reason is None:
        if interval.effective == 0:
            reason = f"too few seconds for an interval; measure at least {health.SECONDS_NEEDED} s"
        elif math.isinf(interval.high) and not math.isinf(interval.measured):
            reason = f"too few samples ({interval.samples:,}) to bound it"
        else:
            reason = f"the 95% interval straddles {limit_text(clause)}"
        if settle is not None:
            reason += f"; about {settle:,} further requests would settle it"
    return Answer(
        state=state,
        reason=reason + (f"; {note}" if note else ""),
        source=source,
        measured=interval.measured,
        low=interval.low,
        high=interval.high,
        samples=interval.samples,
        requests_to_settle=settle if state is State.INCONCLUSIVE else None,
    )


def less_own_error(case: Case, clause: Clause, answer: Answer) -> Answer:
    """
    The answer of a client-side clause when the generator was late: its lateness only ever lengthens a latency.

    Kept needs a generator in health. A broken latency stands when it is broken without the generator's worst error.
    """
    why, hits = case.mistimed.get(case.phase), case.hits
    if why is None or hits is None or answer.state not in {State.KEPT, State.BROKEN}:
        return answer
    if answer.state is State.BROKEN:
        own = health.own_error_ns(hits)
        if clause.subject is not Subject.LATENCY:
            return answer
        if (
            clause.windows_ratio is None
            and answer.low is not None
            and weigh(clause, answer.low - own, math.inf) is State.BROKEN
        ):
            return replace(
                answer, reason=f"{answer.reason}; the generator's own error, {own / 1e6:.0f} ms at most, is less"
            )
    return replace(answer, state=State.INVALID, reason=why, requests_to_settle=None)


def same_load(clause: Clause) -> bool:
    """Whether a clause is a whole-API client latency that names no load: it must hold at every promised rate too."""
    return (
        clause.subject is Subject.LATENCY
        and clause.side is Side.CLIENT
        and clause.route is None
        and clause.at_rate_per_s is None
    )
