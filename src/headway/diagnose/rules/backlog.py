"""
Requests waited for a free connection: they arrived faster than they were answered. Saturation, in USE's terms.

For: the service is past its knee, and more of anything that is not the bottleneck changes nothing. Against: it is a
symptom, so a finding that says what makes each answer slow comes before it; a generator with too few connections makes
a queue of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headway.diagnose.words import fingerprint
from headway.errors import EmptyPhase
from headway.load import histogram
from headway.model import Confidence, Finding, LoadModel, Subject
from headway.thresholds.rules import SYMPTOM_WEIGHT_RATIO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.model import Evidence, PhaseHits

RULE = "backlog"
Q = 0.95


def find(evidence: Evidence) -> Iterator[Finding]:
    """One finding a phase in which waiting made up most of the response time at P95."""
    for hits in evidence.phases:
        if hits.phase.model is LoadModel.OPEN and hits.health.backlog_peak:
            yield from _finding(hits)


def _finding(hits: PhaseHits) -> Iterator[Finding]:
    try:
        response = histogram.quantile_ns(histogram.fold(hits.response), Q)
        service = histogram.quantile_ns(histogram.fold(hits.service), Q)
    except EmptyPhase:
        return
    waited = (response - service) / response if response else 0.0
    if waited < 0.5:
        return
    yield Finding(
        rule=RULE,
        phase=hits.phase.name,
        line=(
            f"requests came faster than they were answered: P95 is {response / 1e6:,.0f} ms from the intended send time"
            f" and {service / 1e6:,.0f} ms from the actual one; up to {hits.health.backlog_peak:,} waited for one of"
            f" {hits.health.connections_peak:,} connections"
        ),
        explains=(Subject.LATENCY, Subject.THROUGHPUT),
        share_ratio=waited,
        weight_ratio=waited * SYMPTOM_WEIGHT_RATIO,
        share_of="response time at P95",
        fingerprint=fingerprint(RULE),
        confidence=Confidence.CERTAIN,
        reasons_for=(f"{waited:.0%} of the response time at P95 was spent before the request could be sent",),
        reasons_against=(
            "waiting is a symptom: look first at what makes each answer slow",
            f"the load had {hits.health.connections_peak:,} connections at most; users who share fewer would wait too",
        ),
    )
