"""
What is worth knowing of the generator when its load can be judged all the same: said beside the verdict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headway.gate.health import asked_per_s, asked_too_much, unaccounted
from headway.load import histogram
from headway.thresholds import (
    FILES_NEAR_RATIO,
    FLOOR_NEAR_RATIO,
    GENERATOR_SHARE_MAX_RATIO,
    PORTS_NEAR_RATIO,
    STEAL_MAX_RATIO,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.model import Evidence, PhaseHits


def notes(evidence: Evidence) -> Iterator[str]:
    """A line for each thing, with its phase."""
    yield from _wire(evidence)
    yield from _calibration(evidence)
    for hits in evidence.phases:
        for each in (_lost, _short, _share, _floor, _near, _stolen, _skew):
            for said in each(hits):
                yield f"{hits.phase.name}: {said}"


def _wire(evidence: Evidence) -> Iterator[str]:
    """What was agreed to that makes the run say less."""
    wire, encrypted = evidence.scenario.wire, evidence.target_url.startswith("https:")
    place = wire.unix_socket or wire.connect_to
    if place is not None:
        yield f"connections went to {place}, in place of the URL's host"
    if wire.host is not None:
        yield f"requests were addressed to {wire.host}, in place of the URL's host"
    if wire.insecure and encrypted:
        yield "any TLS certificate was accepted (insecure): who answered was not checked"
    calibrated = any(hits.health.calibrated_per_s is not None for hits in evidence.phases)
    if calibrated and (wire.http2 or encrypted or not wire.keep_alive):
        how = [("HTTP/2", wire.http2), ("TLS", encrypted), ("a connection a request", not wire.keep_alive)]
        used = " and ".join(name for name, is_so in how if is_so)
        yield f"the generator is calibrated over clear text with HTTP/1.1 kept alive: it reaches less with {used}"


def _calibration(evidence: Evidence) -> Iterator[str]:
    own = [hits for hits in evidence.phases if hits.health.lateness_p99_ns is not None]  # not another tool's
    if own and all(hits.health.calibrated_per_s is None for hits in own):
        if any(hits.health.start_skew_ns is not None for hits in own):
            yield "the generators are not calibrated: what a cluster's machines can reach is not measured"
        else:
            yield "the generator is not calibrated on this machine: 'headway calibrate' measures what it can reach"
        return
    hits = next((each for each in evidence.phases if each.health.calibrated_at_s is not None), None)
    if hits is not None and hits.health.calibrated_at_s is not None:
        age = age_text(hits.started_at_s - hits.health.calibrated_at_s)
        yield f"the generator reaches {hits.health.calibrated_per_s:,.0f} req/s on this machine, measured {age} before"


def _lost(hits: PhaseHits) -> Iterator[str]:
    health = hits.health
    if 0 < health.workers_lost <= health.workers_tolerated:
        yield (
            f"{health.workers_lost} of {health.workers} workers were lost, as tolerated: {health.load_lost_ratio:.1%}"
            " of the load was not made, and what they sent in their last second is not counted"
            f"{''.join(f'; {why}' for why in health.losses[:3])}"
        )


def _short(hits: PhaseHits) -> Iterator[str]:
    left = unaccounted(hits)
    if left and (hits.health.workers_lost or not hits.finished):
        yield f"{left:,} planned requests are neither answered nor failed: they were lost with their worker"


def _share(hits: PhaseHits) -> Iterator[str]:
    if asked_too_much(hits):
        yield (
            f"{asked_per_s(hits):,.0f} req/s were asked of a generator calibrated at"
            f" {hits.health.calibrated_per_s:,.0f}: above {GENERATOR_SHARE_MAX_RATIO:.0%} its own queues show"
        )


def _floor(hits: PhaseHits) -> Iterator[str]:
    floor, counts = hits.health.floor_p50_ns, histogram.fold(hits.service)
    if floor is None or not counts.any():
        return
    median = histogram.quantile_ns(counts, 0.5)
    if median < FLOOR_NEAR_RATIO * floor:
        yield (
            f"the median service time of {median / 1e6:.3g} ms is near the generator's own floor of"
            f" {floor / 1e6:.3g} ms on this machine: the service itself may be faster than that"
        )


def _near(hits: PhaseHits) -> Iterator[str]:
    health = hits.health
    for what, used, allowed, ratio, cure in (
        ("file descriptors of one worker", health.files_peak, health.files_allowed, FILES_NEAR_RATIO,
         "raise 'ulimit -n' or use more --workers"),
        ("local ports towards the target", health.ports_peak, health.ports_allowed, PORTS_NEAR_RATIO,
         "keep connections alive, or widen net.ipv4.ip_local_port_range"),
    ):  # fmt: skip
        if used is not None and allowed and used > ratio * allowed:
            yield f"{used:,} of {allowed:,} {what} were in use; {cure}"


def _stolen(hits: PhaseHits) -> Iterator[str]:
    stolen = hits.health.steal_ratio
    if stolen is not None and stolen > STEAL_MAX_RATIO:
        yield f"the hypervisor gave {stolen:.1%} of this machine's CPU time to others; times may be too long by that"


def _skew(hits: PhaseHits) -> Iterator[str]:
    skew = hits.health.start_skew_ns
    if skew is not None:
        yield f"its {hits.health.workers} workers began within {skew / 1e6:.3g} ms of one another"


def age_text(age_s: float) -> str:
    """How long, in the largest unit that fits: "3 days"."""
    for unit, size_s in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if age_s >= size_s:
            count = int(age_s // size_s)
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return "less than a minute"
