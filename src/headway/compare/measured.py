"""What a comparison needs of a run: who made it, of what traffic, and each phase's histograms by second."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from headway.evidence.runfile import plain
from headway.gate import health
from headway.load.histogram import highest_ns
from headway.model import LatencyCells, LoadModel
from headway.report.words import load_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from headway.model import Evidence, Phase, PhaseHits, Scenario

    IntArray = NDArray[np.int64]
    FloatArray = NDArray[np.float64]

MOST_UNITS = 240
"""A longer run is counted in units of several seconds: more would make resampling slow and nothing better."""
NOT_LOAD = ("name", "seed", "duration_s", "warmup_s", "control_file", "replay")
"""Of a phase, what may differ between two runs of the same load; a replay's own content is the scenario's."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """
    One phase of a run in `units` of `unit_s` seconds; the `second` of all cells is the unit's number.

    failed: (units, routes) requests without a good answer. load: what was asked for, comparable. corrected: `response`
    counts from the intended send time; else it is empty and only `service` is there. ailments: why it says nothing.
    """

    name: str
    load: str
    load_key: str
    rate_per_s: float
    unit_s: int
    units: int
    response: LatencyCells
    service: LatencyCells
    failed: IntArray
    corrected: bool
    ailments: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run as the other side of a comparison sees it."""

    id: str
    started_at: str
    scenario: str
    fingerprint: str
    routes: tuple[str, ...]
    machine: str
    generator: str
    target_url: str
    imported: str | None
    interrupted: bool
    phases: tuple[Measured, ...]


def of(evidence: Evidence) -> Run:
    """What `evidence` has for a comparison."""
    machine = evidence.machine
    workers = max((each.health.workers for each in evidence.phases), default=0)
    return Run(
        id=evidence.id,
        started_at=evidence.started_at,
        scenario=evidence.scenario.name,
        fingerprint=fingerprint(evidence.scenario),
        routes=evidence.routes,
        machine=f"{machine.cpu_model}, {machine.cores} cores, {machine.memory_bytes / 2**30:.0f} GiB, {machine.kernel}",
        generator=f"headway {evidence.headway_version}, {workers} workers",
        target_url=evidence.target_url,
        imported=None if evidence.imported is None else evidence.imported.tool,
        interrupted=evidence.interrupted,
        phases=tuple(_phase(each, len(evidence.routes), evidence.imported is None) for each in evidence.phases),
    )


def fingerprint(scenario: Scenario) -> str:
    """The same for scenarios that send the same traffic: routes, weights, parameters, journeys, how they travel."""
    wire = replace(scenario.wire, host=None, connect_to=None, unix_socket=None, ca_file=None)
    parts = (scenario.routes, [replace(each, csv_file=None) for each in scenario.parameters], scenario.journeys, wire)
    files = sorted(each.csv_file.name for each in scenario.parameters if each.csv_file)
    text = json.dumps([plain(each) for each in (*parts, files)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def values_ns(buckets: IntArray) -> FloatArray:
    """(u + 1,) what each bucket is worth, ns, and last inf, for requests that failed."""
    return np.append(highest_ns(buckets).astype(np.float64), np.inf)


def matrix(phase: Measured, cells: LatencyCells, route: int | None, buckets: IntArray) -> FloatArray:
    """
    Requests by unit and bucket.

    Args:
        phase: whose failures are counted.
        cells: its `response` or `service`.
        route: index; None for all.
        buckets: (u,) sorted, every bucket that occurs.

    Returns:
        (units, u + 1); the last column is the failed requests.
    """
    chosen = np.ones(len(cells.bucket), dtype=bool) if route is None else cells.route == route
    width = len(buckets) + 1
    place = np.searchsorted(buckets, cells.bucket[chosen]) + cells.second[chosen] * width
    filled = np.bincount(place, weights=cells.count[chosen], minlength=phase.units * width).astype(np.float64)
    out = filled.reshape(phase.units, width)
    out[:, -1] = phase.failed.sum(axis=1) if route is None else phase.failed[:, route]
    return out


def _phase(hits: PhaseHits, routes: int, own: bool) -> Measured:
    unit_s = max(1, -(-hits.seconds // MOST_UNITS))
    units = max(1, hits.seconds // unit_s)

    def unit(second: IntArray) -> IntArray:
        return np.clip(second // unit_s, 0, units - 1)

    failed = np.zeros((units, routes), dtype=np.int64)
    np.add.at(failed, (unit(hits.failures.second), hits.failures.route), hits.failures.count)
    return Measured(
        name=hits.phase.name,
        load=load_text(hits.phase),
        load_key=_load_key(hits.phase),
        rate_per_s=float(hits.sent.sum()) / max(1, hits.seconds),
        unit_s=unit_s,
        units=units,
        response=replace(hits.response, second=unit(hits.response.second)),
        service=replace(hits.service, second=unit(hits.service.second)),
        failed=failed,
        corrected=own,
        ailments=health.unwell(hits),
    )


def _load_key(phase: Phase) -> str:
    """What was asked for. In a closed model the length of a ramp is part of it; seeds and names are not."""
    content: dict[str, Any] = {name: value for name, value in plain(phase).items() if name not in NOT_LOAD}
    if phase.model is LoadModel.OPEN:
        content.pop("users")
    if phase.replay is not None:
        content["replay_speed"] = phase.replay.speed
    return json.dumps(content, sort_keys=True)
