"""The verdict as rows of text: what every format prints, made once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headway.model import Judgement, State, Verdict
from headway.promises.spoken import NO_BOUND, limit_text, statistic_text, value_text
from headway.report.visible import one_line
from headway.report.words import EXIT_MEANINGS, FAILED, NOTHING, count_text

if TYPE_CHECKING:
    from collections.abc import Sequence

_WORST_FIRST = (State.BROKEN, State.INVALID, State.INCONCLUSIVE, State.KEPT)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One judgement as text, on one line each, control characters neutralised."""

    criterion: str
    priority: str
    text: str
    route: str
    limit: str
    measured: str
    interval: str
    samples: str
    source: str
    load: str
    phase: str
    state: State
    reason: str
    explanation: str
    settle: str
    where: str  # file and line of a criterion that isn't kept

    @property
    def remarks(self) -> tuple[str, ...]:
        """What stands below the row: what explains it, why it is what it is, what would settle it."""
        if self.state is State.KEPT:  # a number beside its limit says why; where there is none, the reason does
            return (self.reason,) if self.reason and self.measured == NOTHING else ()
        said = (self.explanation, self.reason if self.reason != self.explanation else "", self.settle)
        return tuple(each for each in said if each)


def rows(judgements: Sequence[Judgement]) -> tuple[Row, ...]:
    """One row a judgement, in the promise's order."""
    return tuple(_row(each) for each in judgements)


def by_criterion(verdict: Verdict) -> tuple[tuple[Judgement, ...], ...]:
    """Judgements grouped by criterion, in the promise's order; a criterion of several clauses has several."""
    groups: dict[tuple[str, str, int | None], list[Judgement]] = {}
    for each in verdict.judgements:
        groups.setdefault((each.criterion, each.text, each.line), []).append(each)
    return tuple(tuple(group) for group in groups.values())


def worst(judgements: Sequence[Judgement]) -> State:
    """The state of a criterion: it holds when each of its clauses holds; nothing judged is inconclusive."""
    states = {each.state for each in judgements}
    return next((state for state in _WORST_FIRST if state in states), State.INCONCLUSIVE)


def tally(verdict: Verdict) -> str:
    """ "2 of 9 criteria kept, 6 broken, 1 inconclusive"."""
    states = [worst(group) for group in by_criterion(verdict)]
    kept = sum(state is State.KEPT for state in states)
    parts = [f"{kept} of {len(states)} criteria kept"]
    for state in (State.BROKEN, State.INCONCLUSIVE, State.INVALID):
        if count := states.count(state):
            parts.append(f"{count} {state.value}")
    return ", ".join(parts)


def verdict_line(verdict: Verdict) -> str:
    """The whole answer in one line, with the exit code and what it means."""
    code = verdict.exit_code
    return (
        f"Increment {one_line(verdict.promise_id)}: {verdict.state.value.upper()}. {tally(verdict)}. "
        f"Exit code {int(code)}: {EXIT_MEANINGS[code]}."
    )


def interval_text(judgement: Judgement) -> str:
    """ "398 ms to 427 ms"; an open side is said as open, failed requests as failed; a dash for none."""
    clause, low, high = judgement.clause, judgement.low, judgement.high
    if clause is None or (low is None and high is None):
        return NOTHING
    if low is not None and math.isinf(low) and low > 0:
        return FAILED
    down = NO_BOUND if low is None else value_text(clause, low)
    up = NO_BOUND if high is None or math.isinf(high) else value_text(clause, high)
    return f"{down} to {up}"


def _row(judgement: Judgement) -> Row:
    clause = judgement.clause
    limit = "not understood"
    if clause is not None:
        limit = limit_text(clause)
        if clause.statistic is not None:
            limit = f"{statistic_text(clause.statistic)} {limit}"
    measured = NOTHING
    if clause is not None and judgement.measured is not None:
        measured = FAILED if math.isinf(judgement.measured) else value_text(clause, judgement.measured)
    is_kept = judgement.state is State.KEPT
    where = (
        ""
        if judgement.file is None or is_kept
        else f"{judgement.file}" + (f":{judgement.line}" if judgement.line else "")
    )
    return Row(
        criterion=one_line(judgement.criterion),
        priority=one_line(judgement.priority or ""),
        text=one_line(judgement.text),
        route=one_line(clause.route or "") if clause is not None else "",
        limit=limit,
        measured=measured,
        interval=interval_text(judgement),
        samples=count_text(judgement.samples),
        source=one_line(judgement.source),
        load=one_line(judgement.load),
        phase=one_line(judgement.phase or ""),
        state=judgement.state,
        reason=one_line(judgement.reason),
        explanation=one_line(judgement.explanation or ""),
        settle=_settle(judgement),
        where=one_line(where),
    )


def _settle(judgement: Judgement) -> str:
    if judgement.requests_to_settle is None:
        return ""
    return f"{judgement.requests_to_settle:,} further requests would settle it"
