"""Why nothing is said of a statement: each rule's own reason, or what was not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headway.diagnose.rules import WHY_NOT
from headway.diagnose.words import one_line
from headway.errors import BadInput
from headway.model import Presence

if TYPE_CHECKING:
    from headway.model import Evidence, Finding, Statement

NEEDED = ("statements", "plans", "tables", "indexes")


def statement(evidence: Evidence, wanted: str) -> Statement:
    """
    The one statement that is meant: by its id, its text or a part of it.

    Raises:
        BadInput: none fits, or several do.
    """
    first = {each.id: each for each in evidence.statements}
    if wanted in first:
        return first[wanted]
    words = " ".join(wanted.lower().split())
    fitting = [each for each in first.values() if words in " ".join(each.text.lower().split())]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise BadInput(
            f"no statement of this run has {one_line(wanted)!r} in it",
            next_act="say its id, or words of its text as pg_stat_statements has it ($1 for constants)",
        )
    listed = "; ".join(f"{each.id}: {one_line(each.text, 60)}" for each in fitting[:5])
    raise BadInput(f"{len(fitting)} statements have that in them: {listed}", next_act="say the id of one")


def why_not(evidence: Evidence, findings: tuple[Finding, ...], wanted: Statement) -> list[tuple[str, str]]:
    """
    (rule, reason) for a statement: what was found of it, or each rule's reason for having found nothing.

    Args:
        evidence: the run.
        findings: of the run.
        wanted: the statement.
    """
    said: list[tuple[str, str]] = []
    for rule, reason in WHY_NOT.items():
        own = [each for each in findings if each.rule == rule and _about(each, wanted)]
        why = None if own else reason(evidence, wanted.id)
        if own:
            said.append((rule, f"there is a finding: {own[0].fingerprint}"))
        else:
            said.append((rule, why or "it looked, and has nothing to say of it"))
    for name in NEEDED:
        state = evidence.sources.get(name)
        if state is None or state.presence is not Presence.PRESENT:
            said.append((name, f"was not seen: {state.detail if state else 'not asked for'}"))
    if wanted.plan is None:
        said.append(("plans", f"its plan was not seen: {wanted.plan_error or 'not planned'}"))
    return said


def _about(finding: Finding, wanted: Statement) -> bool:
    ids = {finding.location.statement_id}
    for remedy in finding.remedies:
        ids |= {str(each) for each in remedy.parameters.get("statement_ids") or ()}
    return wanted.id in ids
