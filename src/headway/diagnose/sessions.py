"""What the looks at a database's sessions come to in one phase."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headway.diagnose.windows import answered
from headway.load import histogram

if TYPE_CHECKING:
    from headway.model import Database, Evidence, PhaseHits, Wait

CONTENDING = frozenset({"LWLock", "BufferPin", "SpinLock"})


def active(evidence: Evidence, phase: str) -> list[Wait]:
    """Rows of sessions that ran a statement."""
    return [each for each in evidence.waits if each.phase == phase and each.state == "active"]


def looks(evidence: Evidence, phase: str) -> int:
    """How often was looked."""
    return max((each.looks for each in evidence.connections if each.phase == phase), default=0)


def running(rows: list[Wait]) -> float:
    """Sessions on average that wanted a core: they waited for nothing, or for one another's short locks."""
    return sum(each.sessions for each in rows if each.event_type is None or each.event_type in CONTENDING)


def locked(rows: list[Wait]) -> float:
    """Sessions on average that waited for a lock."""
    return sum(each.sessions for each in rows if each.event_type == "Lock")


def in_service(hits: PhaseHits) -> float:
    """Requests inside the service at once on average, by Little's law: those that were answered."""
    counts = histogram.fold(hits.service)
    if not counts.any() or not hits.seconds:
        return 0.0
    return float(counts.sum()) * histogram.mean_ns(counts) / 1e9 / hits.seconds


def mean_service_ns(hits: PhaseHits) -> float | None:
    """Of an answered request."""
    counts = histogram.fold(hits.service)
    return histogram.mean_ns(counts) if counts.any() else None


def database(evidence: Evidence, phase: str) -> Database | None:
    """What the database counted in the phase."""
    return next((each for each in evidence.databases if each.phase == phase), None)


def opened_per_request(evidence: Evidence, hits: PhaseHits) -> float:
    """Connections opened for each request; 0 where nobody counted."""
    counted, requests = database(evidence, hits.phase.name), answered(hits)
    return counted.sessions / requests if counted and requests else 0.0
