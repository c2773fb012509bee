"""
Whether the load of a phase was what it was to be, and whether the generator could time it.

Load that was not made through the generator's fault says nothing: the phase is invalid. A request that found every
connection busy was the service's doing, unless there were too few connections for the promised latency at that rate
(Little's law): then it was ours.

A generator that sent or listened late made latencies longer, never shorter, as they count from the intended send time.
So nothing is kept on its word, and a latency is broken only when taking off the generator's own worst error leaves it
beyond the limit.
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
    from collections.abc import Callable, Iterator

    from headway.model import Evidence, PhaseHits, Promise

SECONDS_NEEDED = MIN_BATCHES
UNDELIVERED = (FailureKind.UNSENT, FailureKind.CONNECT, FailureKind.CONNECT_TIMEOUT)


def invalid_phases(evidence: Evidence, promise: Promise) -> dict[str, str]:
    """Phase -> why its load says nothing, and the cure."""
    return _first(evidence, lambda hits: _not_made(hits, promise))


def mistimed_phases(evidence: Evidence) -> dict[str, str]:
    """Phase -> why its times are too long by more than is allowed, and the cure."""
    return _first(evidence, _mistimed)


def own_error_ns(hits: PhaseHits) -> float:
    """The most by which the generator itself can have lengthened one latency: sent late, heard late."""
    return (hits.health.lateness_max_ns or 0.0) + (hits.health.loop_lag_max_ns or 0.0)


def _first(evidence: Evidence, ailments: Callable[[PhaseHits], Iterator[str]]) -> dict[str, str]:
    found = ((hits.phase.name, next(ailments(hits), None)) for hits in evidence.phases)
    return {name: why for name, why in found if why is not None}


def _not_made(hits: PhaseHits, promise: Promise) -> Iterator[str]:
    """Every reason the load was not the one planned, the plainest first."""
    health = hits.health
    if health.workers_lost:
        yield f"{health.workers_lost} of {health.workers} generator processes died; run again"
    if not hits.finished:
        yield "the load was cut short; run it to its end"
    planned, sent = int(hits.planned.sum()), int(hits.sent.sum())
    if hits.seconds == 0 or planned == 0:
        yield "no request was planned in the measured time; run longer, or raise the rate"
        return
    if health.cpu_ratio is not None and health.cpu_ratio > GENERATOR_CPU_MAX_RATIO:
        yield (
            f"the generator used {health.cpu_ratio:.0%} of its core, {GENERATOR_CPU_MAX_RATIO:.0%} allowed;"
            " use more --workers on more cores, or another machine"
        )
    yield from _undelivered(hits, planned=planned, sent=sent)
    if hits.phase.model is LoadModel.OPEN and _short_of_connections(hits, promise):
        needed = needed_connections(hits.phase.rate_per_s or 0.0, promise)
        yield (
            f"{hits.phase.max_connections:,} connections were too few: the promised latency at this rate needs"
            f" {needed:,} (Little's law); raise max_connections, and 'ulimit -n' if that bounds it"
        )


def _mistimed(hits: PhaseHits) -> Iterator[str]:
    cure = "give the generator a core of its own, or another machine"
    for what, value, allowed in (
        ("the generator sent late", hits.health.lateness_p99_ns, LATENESS_P99_MAX_NS),
        ("the generator's event loop lagged", hits.health.loop_lag_p99_ns, LOOP_LAG_P99_MAX_NS),
    ):
        if value is not None and value > allowed:
            yield f"{what}: {value / 1e6:.1f} ms at P99, {allowed / 1e6:g} ms allowed; {cure}"


def _undelivered(hits: PhaseHits, *, planned: int, sent: int) -> Iterator[str]:
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
