"""
Requests that got no good answer: the kind that dominates, and the first thing the service said.

For: each is a promise broken to somebody. Against: those the generator gave up on, or could not send, are the symptom
of a service too slow for its load; what makes it slow comes before them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headway.diagnose.windows import failed_by_kind
from headway.diagnose.words import fingerprint, one_line
from headway.model import Confidence, FailureKind, Finding, Subject
from headway.thresholds.rules import FAILURES_MIN_RATIO, SYMPTOM_WEIGHT_RATIO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.model import Evidence, PhaseHits

RULE = "failures"
SYMPTOMS = frozenset({FailureKind.UNSENT, FailureKind.TIMEOUT, FailureKind.ABORTED})
"""Of a service too slow for its load: what makes it slow explains more."""


def find(evidence: Evidence) -> Iterator[Finding]:
    """One finding a phase in which more than a trace failed."""
    for hits in evidence.phases:
        kinds = failed_by_kind(hits)
        planned = int(hits.planned.sum())
        failed = sum(kinds.values())
        if planned and failed / planned >= FAILURES_MIN_RATIO:
            yield _finding(hits, kinds, failed / planned)


def _finding(hits: PhaseHits, kinds: dict[FailureKind, int], ratio: float) -> Finding:
    worst = max(kinds, key=lambda kind: kinds[kind])
    rest = ", ".join(f"{n:,} {kind.value}" for kind, n in sorted(kinds.items(), key=lambda each: -each[1]))
    statuses = ", ".join(f"{n:,} x {status}" for status, n in sorted(hits.statuses.items()) if status >= 400)
    return Finding(
        rule=RULE,
        phase=hits.phase.name,
        line=f"{ratio:.3%} of the planned requests failed: {rest}" + (f" ({statuses})" if statuses else ""),
        explains=(Subject.ERROR_RATE, Subject.AVAILABILITY, Subject.THROUGHPUT, Subject.LATENCY),
        share_ratio=min(1.0, ratio),
        weight_ratio=min(1.0, ratio) * (SYMPTOM_WEIGHT_RATIO if worst in SYMPTOMS else 1.0),
        share_of="planned requests",
        fingerprint=fingerprint(RULE, worst.name),
        confidence=Confidence.CERTAIN,
        reasons_for=(f"{kinds[worst]:,} of {sum(kinds.values()):,} failures are {worst.value}",),
        reasons_against=(
            ("a symptom of a service too slow for its load: look first at what makes it slow",)
            if worst in SYMPTOMS
            else ()
        ),
        details=tuple(one_line(text) for text in hits.error_samples),
    )
