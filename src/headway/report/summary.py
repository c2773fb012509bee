"""A run without a promise: what was sent, what came back, how long it took. A fold over the evidence, no verdict."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass

import numpy as np

from headway.errors import EmptyPhase
from headway.gate import health, health_notes
from headway.load import histogram
from headway.model import Evidence, FailureKind, PhaseHits, Presence
from headway.report import caches, coverage, latencies, visible
from headway.report.words import ns_text

QUANTILES = (0.50, 0.95, 0.99, 0.999, 0.9999)


@dataclass(frozen=True, kw_only=True)
class RouteLine:
    """One route of one phase. Times in ms, good answers only; None when there was none."""

    phase: str
    route: str
    good: int
    failed: int
    response_ms: tuple[float | None, ...]  # at QUANTILES, from the intended send time
    service_p95_ms: float | None  # from the actual send time


def lines(evidence: Evidence) -> list[RouteLine]:
    """Every route of every phase, and "all routes" last in each phase."""
    found = []
    for hits in evidence.phases:
        for index in (*range(len(evidence.routes)), None):
            response = histogram.fold(hits.response, index)
            chosen = slice(None) if index is None else hits.failures.route == index
            found.append(
                RouteLine(
                    phase=hits.phase.name,
                    route="all routes" if index is None else evidence.routes[index],
                    good=int(response.sum()),
                    failed=int(np.sum(hits.failures.count[chosen])),
                    response_ms=tuple(in_ms(response, q) for q in QUANTILES),
                    service_p95_ms=in_ms(histogram.fold(hits.service, index), 0.95),
                )
            )
    return found


def in_ms(counts: np.ndarray[tuple[int], np.dtype[np.int64]], q: float) -> float | None:
    """The quantile in ms; None without samples."""
    try:
        return histogram.quantile_ns(counts, q) / 1e6
    except EmptyPhase:
        return None


def as_json(evidence: Evidence) -> str:
    """The same lines for a program."""
    return json.dumps(
        {
            "run": evidence.id,
            "target": evidence.target_url,
            "interrupted": evidence.interrupted,
            "quantiles": QUANTILES,
            "routes": [asdict(line) for line in lines(evidence)],
            "generator": [
                {
                    "phase": hits.phase.name,
                    "planned": int(hits.planned.sum()),
                    "sent": int(hits.sent.sum()),
                    "unaccounted": health.unaccounted(hits),
                    **asdict(hits.health),
                    "invalid": health.unwell(hits),
                }
                for hits in evidence.phases
            ],
            "latencies": [
                {"phase": hits.phase.name, **{name: _told(value) for name, value in asdict(each).items()}}
                for hits in evidence.phases
                for each in latencies.latencies(hits)
            ],
            "notes": list(health_notes.notes(evidence)),
            "traces": coverage.data(evidence),
            "sources": {name: state.presence.value for name, state in evidence.sources.items()},
        },
        indent=2,
    )


def as_text(evidence: Evidence) -> str:
    """A table for a person, 80 columns wide, then what failed and what could not be seen."""
    out = [f"run {evidence.id} against {evidence.target_url}" + (" (interrupted)" if evidence.interrupted else "")]
    out.append(
        f"{'route':<32} {'good':>8} {'failed':>7} " + " ".join(f"{f'p{q * 100:g}':>7}" for q in QUANTILES) + "  ms"
    )
    for line in lines(evidence):
        times = " ".join(f"{'-' if ms is None else f'{ms:.2f}':>7}" for ms in line.response_ms)
        out.append(f"{line.route[:32]:<32} {line.good:>8} {line.failed:>7} {times}")
    kinds = list(FailureKind)
    for hits in evidence.phases:
        sent, planned = int(hits.sent.sum()), int(hits.planned.sum())
        out.append(f"{hits.phase.name}: sent {sent:,} of {planned:,} planned in {hits.seconds} s")
        totals = np.bincount(hits.failures.kind, weights=hits.failures.count, minlength=len(kinds))
        out += latencies.table(hits)
        out += _details(hits)
        out += caches.lines(evidence, hits.phase.name)
        out.append(f"  generator: {generator_text(hits)}")
        out += [f"  invalid: {why}" for why in health.unwell(hits)]
        out += [f"  failed: {int(n):,} {kind.value}" for kind, n in zip(kinds, totals, strict=True) if n]
        out += [f"  first said: {visible.one_line(sample)}" for sample in hits.error_samples]
        if hits.journeys_ended:
            out.append(f"  {hits.journeys_ended:,} journeys ended early at a failed step")
    out += list(health_notes.notes(evidence))
    out += coverage.lines(evidence)
    for name, state in evidence.sources.items():
        if state.presence is not Presence.PRESENT:
            out.append(f"not seen: {name} ({state.presence.value}{': ' + state.detail if state.detail else ''})")
    return "\n".join(out)


def _told(value: float | None) -> float | str | None:
    """What JSON can hold: no bound is the word "inf", as in the verdict's file."""
    return str(value) if value is not None and math.isinf(value) else value


def _details(hits: PhaseHits) -> list[str]:
    """The parts of the requests, when they were timed."""
    found = []
    for part, cells in hits.details.items():
        counts = histogram.fold(cells)
        if counts.any():
            times = ", ".join(f"p{q * 100:g} {ns_text(histogram.quantile_ns(counts, q))}" for q in (0.5, 0.95, 0.99))
            found.append(f"  {part.replace('_', ' ')}: {times} ({int(counts.sum()):,} times)")
    return found


def generator_text(hits: PhaseHits) -> str:
    """How the generator fared, its worst worker's figures, in one line."""
    own, said = hits.health, []
    if own.lateness_p99_ns is not None:
        said.append(f"late by {own.lateness_p99_ns / 1e6:.2f} ms at p99")
    if own.loop_lag_p99_ns is not None:
        said.append(f"loop lag {own.loop_lag_p99_ns / 1e6:.2f} ms")
    if own.cpu_ratio is not None:
        said.append(f"CPU {own.cpu_ratio:.0%} of a core")
    for name, used, allowed in (
        ("files", own.files_peak, own.files_allowed), ("ports", own.ports_peak, own.ports_allowed),
    ):  # fmt: skip
        if used is not None and allowed is not None:
            said.append(f"{name} {used:,} of {allowed:,}")
    if own.steal_ratio is not None:
        said.append(f"{own.steal_ratio:.1%} of CPU time stolen")
    said.append(f"{health.unaccounted(hits):,} dropped")
    return ", ".join(said)
