"""Evidence and a promise to a verdict: every clause judged, the states folded, what was not seen said."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from headway.gate import health, health_notes, imported
from headway.gate.case import RUN_WIDE, Answer, Case, inconclusive, less_own_error
from headway.gate.subjects import JUDGES
from headway.model import ExitCode, Judgement, Presence, Side, State, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from headway.model import Clause, Criterion, Evidence, Finding, Promise

ORDER = (State.BROKEN, State.INVALID, State.INCONCLUSIVE, State.KEPT)
"""The first state any clause has is the verdict's: a broken promise stays broken whatever else could not be told."""
EXIT_CODES = {
    State.KEPT: ExitCode.KEPT,
    State.BROKEN: ExitCode.BROKEN,
    State.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
    State.INVALID: ExitCode.INVALID,
}
INTERRUPTED = "the run was interrupted; run it to its end"


def judge(promise: Promise, evidence: Evidence, findings: Sequence[Finding]) -> Verdict:
    """
    Judge one run.

    Args:
        promise: what must hold.
        evidence: what the run left behind.
        findings: the same run's, for the line that explains a broken clause.

    Returns:
        The verdict. A run that was interrupted is invalid as a whole; a promise without criteria is never kept.
    """
    evidence = imported.lifted(evidence, promise)
    invalid = health.invalid_phases(evidence, promise) | imported.invalid_phases(evidence)
    mistimed = health.mistimed_phases(evidence)
    judgements = tuple(
        _judgement(criterion, clause, partial(
            Case, promise=promise, evidence=evidence, findings=tuple(findings), invalid=invalid, mistimed=mistimed
        ))
        for criterion in promise.criteria
        for clause in criterion.clauses or (None,)
    )  # fmt: skip
    states = {each.state for each in judgements}
    state = next((each for each in ORDER if each in states), State.INCONCLUSIVE)
    if evidence.interrupted:
        state = State.INVALID
    return Verdict(
        promise_id=promise.id,
        promise_title=promise.title,
        run_id=evidence.id,
        state=state,
        exit_code=EXIT_CODES[state],
        judgements=judgements,
        invalid_phases=invalid,
        notes=tuple(dict.fromkeys((*_notes(promise, evidence), *_late(mistimed), *health_notes.notes(evidence)))),
    )


def _judgement(criterion: Criterion, clause: Clause | None, case_of: Callable[..., Case]) -> Judgement:
    if clause is None:
        return _not_understood(criterion)
    case = case_of(criterion=criterion, clause=clause)
    if case.evidence.interrupted:
        return case.judgement(Answer(state=State.INVALID, reason=INTERRUPTED))
    found = JUDGES.get((clause.subject, clause.side))
    if found is None:
        what = f"a {clause.subject.value} at the {clause.side.value}"
        return case.judgement(inconclusive(f"{what} cannot be measured yet"))
    answer = imported.answer(case, found)
    if clause.side is Side.CLIENT and clause.subject not in RUN_WIDE:
        answer = less_own_error(case, clause, answer)
    return imported.worded(case, case.judgement(answer))


def _not_understood(criterion: Criterion) -> Judgement:
    reason = f"{criterion.file}:{criterion.line}: not understood: {criterion.not_understood or 'no clause found'}"
    if criterion.instead:
        reason += f"; say, for example, '{criterion.instead}'"
    return Judgement(
        criterion=criterion.id, text=criterion.text, priority=criterion.priority, clause=None,
        state=State.INCONCLUSIVE, reason=reason, file=criterion.file, line=criterion.line,
    )  # fmt: skip


def _notes(promise: Promise, evidence: Evidence) -> Iterator[str]:
    """What was read into the text, and what could not be seen."""
    if evidence.interrupted:
        yield INTERRUPTED
    if evidence.imported is not None:
        yield f"imported from {evidence.imported.tool}: {evidence.imported.file}, {evidence.imported.timing}"
        yield from evidence.imported.notes
    for criterion in promise.criteria:
        for clause in criterion.clauses:
            for assumed in clause.assumed:
                yield f"{criterion.id}: {assumed}"
    replicas = max((each.replicas for each in evidence.databases), default=0)
    if replicas:
        yield f"not seen: what {replicas} streaming replica(s) answered; the database's figures are the primary's"
    for name, state in evidence.sources.items():
        if state.presence is not Presence.PRESENT:
            yield f"not seen: {name} ({state.presence.value}{': ' + state.detail if state.detail else ''})"


def _late(mistimed: dict[str, str]) -> Iterator[str]:
    for phase, why in mistimed.items():
        yield f"{phase}: {why}. Lateness only lengthens times: nothing is called kept there"
