"""
Whether the load of a phase was what it was to be. When it was not, through the generator's fault, the phase says
nothing.

A request that found every connection busy was the service's doing, unless there were too few connections for the
promised latency at that rate (Little's law): then it was ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from headway.gate.plan import needed_connections
from headway.model import FailureKind, LoadModel
from headway.thresholds import (
    DELIVERED_MIN_RATIO,
    GENERATOR_CPU_MAX_RATIO,
    LATENESS_P99_MAX_NS,
    LOOP_LAG_P99_MAX_NS,
    MIN_BATCHES,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.model import Evidence, PhaseHits, Promise

SECONDS_NEEDED = MIN_BATCHES
UNDELIVERED = (FailureKind.UNSENT, FailureKind.CONNECT, FailureKind.CONNECT_TIMEOUT)


def invalid_phases(evidence: Evidence, promise: Promise) -> dict[str, str]:
    """Phase -> why its load cannot be judged, and the cure."""
    found = {}
    for hits in evidence.phases:
        why = next(_ailments(hits, promise), None)
        if why is not None:
            found[hits.phase.name] = why
    return found


def _ailments(hits: PhaseHits, promise: Promise) -> Iterator[str]:
    """Every reason the phase says nothing, the plainest first."""
    health, phase = hits.health, hits.phase
    if health.workers_lost:
        yield f"{health.workers_lost} of {health.workers} generator processes died; run again"
    if not hits.finished:
        yield "the load was cut short; run it to its end"
    planned, sent = int(hits.planned.sum()), int(hits.sent.sum())
    if hits.seconds == 0 or planned == 0:
        yield "no request was planned in the measured time; run longer, or raise the rate"
        return
    if health.lateness_p99_ns is not None and health.lateness_p99_ns > LATENESS_P99_MAX_NS:
        yield (
            f"the generator sent late: {health.lateness_p99_ns / 1e6:.1f} ms at P99, {LATENESS_P99_MAX_NS / 1e6:g} ms"
            " allowed; give it a core of its own, more --workers, or another machine"
        )
    if health.loop_lag_p99_ns is not None and health.loop_lag_p99_ns > LOOP_LAG_P99_MAX_NS:
        yield (
            f"the generator's event loop lagged {health.loop_lag_p99_ns / 1e6:.0f} ms at P99,"
            f" {LOOP_LAG_P99_MAX_NS / 1e6:g} ms allowed; give it a core of its own, or another machine"
        )
    if health.cpu_ratio is not None and health.cpu_ratio > GENERATOR_CPU_MAX_RATIO:
        yield (
            f"the generator used {health.cpu_ratio:.0%} of its core, {GENERATOR_CPU_MAX_RATIO:.0%} allowed;"
            " use more --workers on more cores, or another machine"
        )
    yield from _undelivered(hits, promise, planned=planned, sent=sent)
    if phase.model is LoadModel.OPEN and _short_of_connections(hits, promise):
        needed = needed_connections(phase.rate_per_s or 0.0, promise)
        yield (
            f"{phase.max_connections:,} connections were too few: the promised latency at this rate needs {needed:,}"
            " (Little's law); raise max_connections, and 'ulimit -n' if that bounds it"
        )


def _undelivered(hits: PhaseHits, promise: Promise, *, planned: int, sent: int) -> Iterator[str]:
    """Requests that were planned, and neither sent nor held up by the service."""
    kinds = list(FailureKind)
    held_up = sum(int(hits.failures.count[hits.failures.kind == kinds.index(kind)].sum()) for kind in UNDELIVERED)
    if sent + held_up < DELIVERED_MIN_RATIO * planned:
        yield (
            f"only {sent:,} of {planned:,} planned requests were sent, and the service held up {held_up:,} of the"
            " others; the generator lost the rest: lower the rate, or give it another machine"
        )


def _short_of_connections(hits: PhaseHits, promise: Promise) -> bool:
    unsent = hits.failures.count[hits.failures.kind == list(FailureKind).index(FailureKind.UNSENT)]
    waited = int(np.sum(unsent)) > 0 or hits.health.backlog_peak > 0
    full = hits.health.connections_peak >= hits.phase.max_connections
    return waited and full and hits.phase.max_connections < needed_connections(hits.phase.rate_per_s or 0.0, promise)
