"""From a finished run to its findings in their order: what each costs the promise, what was accepted."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headway import diagnose
from headway.conventions import VERDICT_FILE
from headway.diagnose import accepted, silence
from headway.errors import BadInput
from headway.evidence import bundle, reading
from headway.report.advice import Ranked

if TYPE_CHECKING:
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
        """The largest share that a finding nobody accepted has of what it is of; 0 without any."""
        return max((each.finding.share_ratio for each in self.ranked if each.accepted is None), default=0.0)


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
    known, limit_ns = accepted.read(root), _limit_ns(folder)
    places: dict[str, list[Finding]] = {}
    for each in findings:
        places.setdefault(each.fingerprint, []).append(each)
    ranked = tuple(
        Ranked(
            number=number, finding=each, accepted=known.get(each.fingerprint), also=tuple(dict.fromkeys(
                other.phase for other in more if other.phase != each.phase)),
            budget_ratio=each.cost_ns / limit_ns if each.cost_ns is not None and limit_ns else None,
        )
        for number, (each, *more) in enumerate(places.values(), start=1)
    )  # fmt: skip
    there = {each.fingerprint for each in findings}
    stale = tuple(each for fingerprint, each in known.items() if fingerprint not in there)
    return Diagnosis(evidence=evidence, ranked=ranked, stale=stale)


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
