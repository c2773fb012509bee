"""What several rules ask of a phase: its requests, its failures, its stretch of wall time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headway.model import FailureKind

if TYPE_CHECKING:
    from headway.model import PhaseHits


def answered(hits: PhaseHits) -> int:
    """Requests the service gave an HTTP answer to, good or not."""
    return sum(hits.statuses.values())


def failed_by_kind(hits: PhaseHits) -> dict[FailureKind, int]:
    """Failed requests by kind, only kinds that occurred."""
    counts = {
        kind: int(hits.failures.count[hits.failures.kind == index].sum()) for index, kind in enumerate(FailureKind)
    }
    return {kind: n for kind, n in counts.items() if n}


def within(hits: PhaseHits, at_s: float) -> bool:
    """Whether a moment lies in the phase's measured time."""
    return hits.started_at_s <= at_s < hits.started_at_s + hits.seconds
