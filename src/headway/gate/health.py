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

from headway.gate.plan import ORDINARY, needed_connections
from headway.model import FailureKind, LoadModel
from headway.thresholds import (
    DELIVERED_MIN_RATIO,
    GENERATOR_CPU_MAX_RATIO,
    GENERATOR_SHARE_MAX_RATIO,
    LATENESS_P99_MAX_NS,
    LOOP_LAG_P99_MAX_NS,
    MIN_BATCHES,
    START_SKEW_MAX_NS,
    STEAL_MAX_RATIO,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from headway.model import Evidence, PhaseHits, Promise

SECONDS_NEEDED = MIN_BATCHES
UNDELIVERED = (FailureKind.UNSENT, FailureKind.CONNECT, FailureKind.CONNECT_TIMEOUT, FailureKind.TLS)


def invalid_phases(evidence: Evidence, promise: Promise) -> dict[str, str]:
    """Phase -> why its load says nothing, and the cure."""
    return _first(evidence, lambda hits: _not_made(hits, promise))


STEPS_RATIO = 1.2
"""Requests a start from which it is taken to have several steps."""


def unwell(hits: PhaseHits) -> tuple[str, ...]:
    """Why the load of a phase says nothing, or its times are too long, whatever is promised of it."""
    return (*_not_made(hits, None), *_mistimed(hits))


def mistimed_phases(evidence: Evidence) -> dict[str, str]:
    """Phase -> why its times are too long by more than is allowed, and the cure."""
    return _first(evidence, _mistimed)


def own_error_ns(hits: PhaseHits) -> float:
    """The most by which the generator itself can have lengthened one latency: sent late, heard late."""
    return (hits.health.lateness_max_ns or 0.0) + (hits.health.loop_lag_max_ns or 0.0)


def _first(evidence: Evidence, ailments: Callable[[PhaseHits], Iterator[str]]) -> dict[str, str]:
    found = ((hits.phase.name, next(ailments(hits), None)) for hits in evidence.phases)
    return {name: why for name, why in found if why is not None}


def _not_made(hits: PhaseHits, promise: Promise | None) -> Iterator[str]:
    """Every reason the load was not the one planned, the plainest first."""
    health = hits.health
    yield from _lost(hits)
    if not hits.finished:
        yield "the load was cut short; run it to its end"
    planned, sent = int(hits.planned.sum()), int(hits.sent.sum())
    if hits.seconds == 0 or planned == 0:
        yield "no request was planned in the measured time; run longer, or raise the rate"
        return
    yield from _exhausted(hits)
    yield from _no_cpu_left(hits)
    yield from _beyond_calibration(hits)
    yield from _undelivered(hits, planned=planned, sent=sent)
    yield from _unaccounted(hits)
    if health.start_skew_ns is not None and health.start_skew_ns > START_SKEW_MAX_NS:
        yield (
            f"the workers began within {health.start_skew_ns / 1e6:,.0f} ms of one another as far as their clocks can"
            f" be compared, {START_SKEW_MAX_NS / 1e6:g} ms allowed; run headway nearer to the scheduler and its workers"
        )
    if promise is not None and hits.phase.model is LoadModel.OPEN and _short_of_connections(hits, promise):
        needed = needed_connections(_requests_per_s(hits), promise)
        yield (
            f"{hits.phase.max_connections:,} connections were too few: the promised latency at this rate needs"
            f" {needed:,} (Little's law); raise max_connections, and 'ulimit -n' if that bounds it"
        )


def _lost(hits: PhaseHits) -> Iterator[str]:
    health = hits.health
    dry = next((each.partition(": ")[2] for each in health.losses if " ran dry: " in each), None)
    if dry is not None:
        yield dry  # nobody was lost: there was nothing left to send
    elif health.workers_lost > health.workers_tolerated:
        why = f" ({'; '.join(health.losses[:3])})" if health.losses else ""
        yield f"{health.workers_lost} of {health.workers} generator processes were lost{why}; run again"
    elif hits.phase.name != ORDINARY and health.load_lost_ratio > 1 - DELIVERED_MIN_RATIO:
        yield (
            f"the promised rate was not offered: the {health.workers_lost} of {health.workers} workers that were lost"
            f" left {health.load_lost_ratio:.1%} of it unmade; run again"
        )


def _exhausted(hits: PhaseHits) -> Iterator[str]:
    """Requests that this machine had no file or port for: the service was never asked."""
    count = failed(hits, FailureKind.EXHAUSTED)
    if not count:
        return
    label = FailureKind.EXHAUSTED.value
    said = next((each.removeprefix(label).strip(": ") for each in hits.error_samples if each.startswith(label)), "")
    yield (
        f"the generator had no file descriptor or local port for {count:,} requests{f' ({said})' if said else ''};"
        " raise 'ulimit -n', widen net.ipv4.ip_local_port_range, keep connections alive, or use fewer of them"
    )


def _no_cpu_left(hits: PhaseHits) -> Iterator[str]:
    """Used it all, or was kept from it by what else runs: either way what it says of the service is its own queue."""
    used, wanted = hits.health.cpu_ratio, hits.health.cpu_wanted_ratio
    if used is not None and used > GENERATOR_CPU_MAX_RATIO:
        yield (
            f"the generator used {used:.0%} of its core, {GENERATOR_CPU_MAX_RATIO:.0%} allowed"
            f"{_too_much(hits)}; use more --workers on more cores, or another machine"
        )
    elif used is not None and wanted is not None and wanted > GENERATOR_CPU_MAX_RATIO:
        yield (
            f"the generator used {used:.0%} of its core and waited {wanted - used:.0%} of the time for one that"
            f" others had{_too_much(hits)}; end what else runs here, use fewer --workers, or another machine"
        )


def _beyond_calibration(hits: PhaseHits) -> Iterator[str]:
    """Requests that waited for a connection until they were given up, at a rate that fills the generator itself."""
    unsent = failed(hits, FailureKind.UNSENT)
    if unsent and asked_too_much(hits):
        yield (
            f"{unsent:,} requests found no free connection, and whether the service or the generator was too slow to"
            f" free one cannot be told at this rate{_too_much(hits)}; lower the rate, or use more machines"
        )


def _mistimed(hits: PhaseHits) -> Iterator[str]:
    stolen = hits.health.steal_ratio
    cure = "give the generator a core of its own, or another machine"
    if stolen is not None and stolen > STEAL_MAX_RATIO:
        cure = f"the hypervisor gave {stolen:.0%} of the machine's CPU time to others: use one with cores of its own"
    for what, value, allowed in (
        ("the generator sent late", hits.health.lateness_p99_ns, LATENESS_P99_MAX_NS),
        ("the generator's event loop lagged", hits.health.loop_lag_p99_ns, LOOP_LAG_P99_MAX_NS),
    ):
        if value is not None and value > allowed:
            yield f"{what}: {value / 1e6:.1f} ms at P99, {allowed / 1e6:g} ms allowed{_too_much(hits)}; {cure}"


def _undelivered(hits: PhaseHits, *, planned: int, sent: int) -> Iterator[str]:
    """Requests that were planned, and neither sent nor held up by the service."""
    held_up = failed(hits, *UNDELIVERED)
    if sent + held_up < DELIVERED_MIN_RATIO * planned:
        yield (
            f"only {sent:,} of {planned:,} planned requests were sent, and the service held up {held_up:,} of the"
            f" others; the generator lost the rest{_too_much(hits)}: lower the rate, or give it another machine"
        )


def _unaccounted(hits: PhaseHits) -> Iterator[str]:
    """Every planned request is one good answer or one failure; a lost worker's last second is said elsewhere."""
    left = unaccounted(hits)
    if left and not hits.health.workers_lost and hits.finished:
        yield f"{left:,} planned requests are neither answered nor failed: Headway lost count of them; please report it"


def failed(hits: PhaseHits, *kinds: FailureKind) -> int:
    """Requests that failed in one of these ways."""
    every = list(FailureKind)
    return int(hits.failures.count[np.isin(hits.failures.kind, [every.index(kind) for kind in kinds])].sum())


def unaccounted(hits: PhaseHits) -> int:
    """Planned minus answered minus failed: 0 unless a worker was lost, or Headway lost count."""
    if not hits.response.count.size and hits.good.sum():
        return 0  # imported from a tool that keeps no response times
    return int(hits.planned.sum() - hits.response.count.sum() - hits.failures.count.sum())


def asked_per_s(hits: PhaseHits) -> float | None:
    """The most requests that were due in one second of an open model."""
    return float(hits.planned.max()) if hits.phase.model is LoadModel.OPEN and hits.planned.size else None


def asked_too_much(hits: PhaseHits) -> bool:
    """Whether more was asked of the generator than it should be, by what this machine was calibrated at."""
    asked, calibrated = asked_per_s(hits), hits.health.calibrated_per_s
    return asked is not None and calibrated is not None and asked > GENERATOR_SHARE_MAX_RATIO * calibrated


def _too_much(hits: PhaseHits) -> str:
    """The reason behind a reason: what was asked for and what this machine reaches."""
    if not asked_too_much(hits):
        return ""
    return (
        f" ({asked_per_s(hits):,.0f} req/s were asked for, and its {hits.health.workers} workers were calibrated at"
        f" {hits.health.calibrated_per_s:,.0f} on this machine)"
    )


def _short_of_connections(hits: PhaseHits, promise: Promise) -> bool:
    waited = failed(hits, FailureKind.UNSENT) > 0 or hits.health.backlog_peak > 0
    full = hits.health.connections_peak >= hits.phase.max_connections
    return waited and full and hits.phase.max_connections < needed_connections(_requests_per_s(hits), promise)


def _requests_per_s(hits: PhaseHits) -> float:
    """What was asked for: of a journey every step, of a ramp its highest second."""
    rate = hits.phase.rate_per_s or 0.0
    mean = float(hits.planned.sum()) / max(1, hits.seconds)
    if hits.phase.stages:
        return float(hits.planned.max(initial=0))
    return mean if mean > STEPS_RATIO * rate else rate  # Poisson arrivals are a few more or fewer than the rate
