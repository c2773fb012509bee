"""From a finished run to its findings in their order: what each costs the promise, what was accepted."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from headway import diagnose
from headway.conventions import VERDICT_FILE
from headway.diagnose import accepted, silence
from headway.errors import BadInput
from headway.evidence import bundle, reading
from headway.report.advice import Ranked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from headway.diagnose.accepted import Accepted
    from headway.model import Evidence, Finding, Statement


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """One run's findings, weightiest first; `stale` are accepted ones that are no longer there."""

    evidence: Evidence
    ranked: tuple[Ranked, ...]
    stale: tuple[Accepted, ...]

    def chosen(self, wanted: str) -> Ranked:
        """
        The finding with this number or fingerprint.

        Raises:
            BadInput: there is none.
        """
        for each in self.ranked:
            if wanted in {str(each.number), each.finding.fingerprint}:
                return each
        raise BadInput(f"the run has no finding {wanted!r}", next_act="see 'headway diagnose' for their numbers")

    def worst(self) -> float:
        """The largest `rank_ratio` of a finding that nobody accepted; 0 without any."""
        return max((each.rank_ratio for each in self.ranked if each.accepted is None), default=0.0)


def diagnosis(root: Path, run: str | None) -> Diagnosis:
    """
    All rules over a finished run; the findings are written beside its evidence.

    Args:
        root: the folder that has `.headway`.
        run: its id, folder, "latest", "latest~1"; None: the latest.

    Raises:
        BadInput: no such run, or what was accepted cannot be read.
        BundleDamaged: the run's folder cannot be read.
    """
    folder = bundle.find(root, run)
    evidence = reading.read(folder)
    findings = diagnose.find(evidence)
    diagnose.write(folder, findings)
    known = accepted.read(root)
    there = {each.fingerprint for each in findings}
    stale = tuple(each for fingerprint, each in known.items() if fingerprint not in there)
    return Diagnosis(evidence=evidence, ranked=ranked(findings, _limit_ns(folder), known), stale=stale)


def ranked(findings: Sequence[Finding], limit_ns: float | None, known: Mapping[str, Accepted]) -> tuple[Ranked, ...]:
    """
    Findings numbered from 1 by `Ranked.rank_ratio`, the largest first; one place is said once, where it ranks highest,
    and one statement by what mends it. Every command counts by these numbers.

    Args:
        findings: of one run, as `diagnose.find` gives them; equals stay in that order.
        limit_ns: what the promise allows a request; None: not known.
        known: what was accepted, by fingerprint.
    """
    single = [
        Ranked(
            number=0, finding=each, accepted=known.get(each.fingerprint),
            budget_ratio=each.cost_ns / limit_ns if each.cost_ns is not None and limit_ns else None,
        )
        for each in diagnose.told_once(findings)
    ]  # fmt: skip
    places: dict[str, list[Ranked]] = {}
    for one in sorted(single, key=lambda each: -each.rank_ratio):
        places.setdefault(one.finding.fingerprint, []).append(one)
    return tuple(
        replace(first, number=number, also=_other_phases(first, more))
        for number, (first, *more) in enumerate(places.values(), start=1)
    )


def _other_phases(first: Ranked, more: Sequence[Ranked]) -> tuple[str, ...]:
    phases = (each.finding.phase for each in more)
    return tuple(dict.fromkeys(phase for phase in phases if phase != first.finding.phase))


def silence_of(found: Diagnosis, wanted: str) -> tuple[Statement, list[tuple[str, str]]]:
    """
    The statement that is meant, and why each rule says nothing of it.

    Raises:
        BadInput: no statement fits, or several do.
    """
    statement = silence.statement(found.evidence, wanted)
    return statement, silence.why_not(found.evidence, tuple(each.finding for each in found.ranked), statement)


def _limit_ns(folder: Path) -> float | None:
    """The tightest latency that the run's increment promises of the whole API; None: it was never judged."""
    try:
        verdict = json.loads((folder / VERDICT_FILE).read_text(encoding="utf-8"))
        limits = [
            float(each["clause"]["limit"])
            for each in verdict["judgements"]
            if (clause := each["clause"]) is not None
            and (clause["subject"], clause["side"], clause["route"]) == ("latency", "client", None)
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return min(limits, default=None)
