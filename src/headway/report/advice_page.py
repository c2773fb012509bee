"""The findings of one run as one HTML file: no network, no script; each with its reasons, remedies and proofs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headway.model import ProofState
from headway.promises.spoken import percent_text
from headway.prove.remedies import PROVERS
from headway.report import advice, html, proofs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from headway.diagnose.accepted import Accepted
    from headway.model import Evidence, Finding, Proof, Remedy
    from headway.prove.prediction import Prediction
    from headway.report.advice import Ranked

NOT_YET = "Not proven yet."
TOLD = "Told, not proven: nothing here can try it."


@dataclass(frozen=True, kw_only=True)
class Told:
    """One remedy: what would be done, what is thought of it, what was measured of it or why nothing was."""

    title: str
    act: str
    estimate: str
    proofs: tuple[proofs.View, ...]
    untried: str


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One finding, as the page lays it out. `share` is a CSS length; `act` proves what can be and was not."""

    number: int
    line: str
    weight: str
    share: str
    facts: tuple[tuple[str, str], ...]
    reasons_for: tuple[str, ...]
    reasons_against: tuple[str, ...]
    details: tuple[str, ...]
    statement: str | None
    remedies: tuple[Told, ...]
    act: str
    accepted: str


def page(
    ranked: Sequence[Ranked], evidence: Evidence, stale: Sequence[Accepted], found: Sequence[Proof],
    predictions: Sequence[Prediction],
) -> str:  # fmt: skip
    """
    The page as text.

    Args:
        ranked: the findings in their order, as `diagnosing.ranked` gives them.
        evidence: the run.
        stale: what was accepted and is no longer there.
        found: the run's proofs; one whose finding is no longer there is shown by itself.
        predictions: what the proofs promise for the next run.
    """
    there = {each.finding.fingerprint for each in ranked}
    shown = [_shown(each, evidence, found) for each in ranked]
    return html.environment().get_template("advice.html.j2").render(
        title=f"Findings of {evidence.id}",
        evidence=evidence,
        summary=_summary(ranked, evidence),
        loud=[each for each in shown if not each.accepted],
        quiet=[each for each in shown if each.accepted],
        stale=stale,
        not_seen=advice.not_seen(evidence),
        foretold=list(proofs.foretold(predictions)),
        others=[proofs.view(each) for each in found if each.fingerprint not in there],
    )  # fmt: skip


def _shown(ranked: Ranked, evidence: Evidence, found: Sequence[Proof]) -> Shown:
    finding = ranked.finding
    own = [each for each in found if each.fingerprint == finding.fingerprint]
    remedies = tuple(_told(each, own) for each in finding.remedies)
    return Shown(
        number=ranked.number,
        line=finding.line,
        weight=percent_text(ranked.rank_ratio),
        share=f"{100 * min(1.0, max(0.0, ranked.rank_ratio)):.1f}%",
        facts=tuple(advice.facts(ranked)),
        reasons_for=finding.reasons_for,
        reasons_against=finding.reasons_against,
        details=finding.details,
        statement=finding.location.statement,
        remedies=remedies,
        act=f"headway prove {evidence.id} {finding.fingerprint}" if _provable(finding, own) else "",
        accepted=advice.reason(ranked),
    )


def _told(remedy: Remedy, own: Sequence[Proof]) -> Told:
    tried = _tried(remedy, own)
    untried = NOT_YET if remedy.kind in PROVERS else TOLD
    return Told(
        title=remedy.title, act=remedy.act, estimate=proofs.estimated(remedy.estimate),
        proofs=tuple(proofs.view(each) for each in tried), untried="" if tried else untried,
    )  # fmt: skip


def _tried(remedy: Remedy, own: Sequence[Proof]) -> list[Proof]:
    return [each for each in own if (each.remedy.kind, each.remedy.title) == (remedy.kind, remedy.title)]


def _provable(finding: Finding, own: Sequence[Proof]) -> bool:
    """Whether a remedy of it could be proven that was not, or not decided."""
    return any(
        each.kind in PROVERS and all(proof.state is ProofState.UNPROVEN for proof in _tried(each, own))
        for each in finding.remedies
    )


def _summary(ranked: Sequence[Ranked], evidence: Evidence) -> str:
    return ", ".join(_counts(ranked, evidence))


def _counts(ranked: Sequence[Ranked], evidence: Evidence) -> Iterator[str]:
    loud = sum(each.accepted is None for each in ranked)
    yield "1 finding" if loud == 1 else f"{loud or 'no'} findings"
    if accepted := len(ranked) - loud:
        yield f"{accepted} accepted"
    if missing := len(advice.not_seen(evidence)):
        yield f"{missing} of {len(evidence.sources)} sources not seen"
