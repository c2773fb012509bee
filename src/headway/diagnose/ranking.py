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
