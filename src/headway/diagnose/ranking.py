"""All rules over one run, and the finding that explains a broken clause."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headway.diagnose.rules import RULES
from headway.model import Side, Subject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headway.model import Evidence, Finding


def find(evidence: Evidence) -> tuple[Finding, ...]:
    """Every finding of every rule, the weightiest first. What the evidence lacks gives no finding."""
    found = [finding for rule in RULES for finding in rule(evidence)]
    return tuple(sorted(found, key=lambda each: -_weight(each)))


def _weight(finding: Finding) -> float:
    return finding.share_ratio if finding.weight_ratio is None else finding.weight_ratio


def told_once(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """
    The findings without those that only say how much a statement takes where another says what to do about it.

    `explain` gets them all: a phase's own figures explain it better than a cause that was found in another phase.
    """
    handled = {each for finding in findings if finding.remedies for each in _statements(finding)}
    return tuple(each for each in findings if each.remedies or not _statements(each) or _statements(each) - handled)


def _statements(finding: Finding) -> frozenset[str]:
    """The statements it speaks of."""
    own = () if finding.location.statement_id is None else (finding.location.statement_id,)
    named = (str(each) for remedy in finding.remedies for each in remedy.parameters.get("statement_ids") or ())
    return frozenset((*own, *named))


def explain(findings: Sequence[Finding], subject: Subject, phase: str, *, side: Side | None = None) -> Finding | None:
    """
    The line of evidence that explains most of a broken clause.

    Args:
        findings: of the run, ranked.
        subject: what is broken.
        phase: where; a finding of another phase serves when that phase has none.
        side: of a latency at the database only what is said of statements explains.
    """
    fitting = [each for each in findings if subject in each.explains]
    if side is Side.DATABASE:
        fitting = [each for each in fitting if each.share_of == "database time"]
    return next((each for each in fitting if each.phase == phase), fitting[0] if fitting else None)
