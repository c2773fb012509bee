"""
What of a run is compared: for each phase, its requests by second, route and latency, and how the run came about.

A failed request has no latency: it is counted in a bucket above every other, so that it ranks as slower than all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from headway.compare import likeness
from headway.gate import health
from headway.load import histogram
from headway.model import LoadModel, Machine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from headway.evidence.runfile import RunFile
    from headway.model import Evidence, PhaseHits

    IntArray = NDArray[np.int64]
    FloatArray = NDArray[np.float64]

FAILED = histogram.BUCKETS
"""The bucket of requests without a good answer."""
MOST_UNITS = 120
"""Stretches a phase is cut into at most: more say no more of how its seconds hang together, and cost time."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """
    One phase of one run. unit, route, bucket, count: (n,) requests by stretch of `unit_s` seconds, route and bucket.

    good: (units,) good answers within the measured time, by stretch. Every stretch but the last is equally long.
    planned: (units,) requests that were due in an open model; None in a closed one, where a slow service is asked less.
    """

    phase: str
    seconds: int
    unit_s: int
    unit: IntArray
    route: IntArray
    bucket: IntArray
    count: IntArray
    good: IntArray
    planned: IntArray | None

    @property
    def units(self) -> int:
        """How many stretches there are."""
        return len(self.good)

    def failed_and_all(self, route: int | None) -> tuple[FloatArray, FloatArray]:
        """Two (units,) arrays: requests of a route that failed, and all of them."""
        chosen = np.ones(len(self.unit), dtype=bool) if route is None else self.route == route
        lost = chosen & (self.bucket == FAILED)
        return tuple(  # type: ignore[return-value]  # two of them
            np.bincount(self.unit[each], weights=self.count[each], minlength=self.units).astype(np.float64)
            for each in (lost, chosen)
        )


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run, as far as comparing needs it. `ailments`: why it says nothing, and the cure. `pinned`: from a file."""

    id: str
    started_at: str
    target_url: str
    headway_version: str
    machine: Machine
    likeness: Mapping[str, str]  # what makes runs comparable, in parts
    tool: str | None  # None: Headway made the load, and latencies count from the intended send time
    ailments: tuple[str, ...]
    routes: tuple[str, ...]
    loads: Mapping[str, str]  # phase -> its load in words
    samples: Mapping[str, Sample]
    pinned: bool = False

    @property
    def fingerprint(self) -> str:
        """Runs with the same one were asked the same of: traffic and load."""
        return likeness.digest(dict(self.likeness))


def of_evidence(evidence: Evidence) -> Run:
    """What of a run's evidence is compared."""
    origin = evidence.imported
    return Run(
        id=evidence.id,
        started_at=evidence.started_at,
        target_url=evidence.target_url,
        headway_version=evidence.headway_version,
        machine=evidence.machine,
        likeness=likeness.parts(
            evidence.scenario, tuple(hits.phase for hits in evidence.phases), imported=origin is not None
        ),
        tool=None if origin is None else origin.tool,
        ailments=_ailments(evidence),
        routes=evidence.routes,
        loads={hits.phase.name: likeness.load_text(hits.phase) for hits in evidence.phases},
        samples={hits.phase.name: _sample(hits, imported=origin is not None) for hits in evidence.phases},
    )


def like(file: RunFile, run: Run) -> bool:
    """Whether a run was asked the same as `run`, by its run.json alone."""
    imported = None if file.imported is None else file.imported.tool
    return (
        imported == run.tool
        and likeness.parts(file.scenario, file.phases, imported=imported is not None) == run.likeness
    )


def _ailments(evidence: Evidence) -> tuple[str, ...]:
    found = ["it was interrupted; run it to its end"] if evidence.interrupted else []
    if evidence.imported is not None and not evidence.imported.samples:
        found.append(f"{evidence.imported.tool} told totals only; import a file with every request")
    if not evidence.phases:
        found.append("it has no load; run it again")
    for hits in evidence.phases:
        found += [f"phase {hits.phase.name}: {why}" for why in health.unwell(hits)]
    return tuple(found)


def _sample(hits: PhaseHits, *, imported: bool) -> Sample:
    """The phase's cells in stretches. Other tools' times are from the actual send time: theirs are in `service`."""
    cells, failures = hits.service if imported else hits.response, hits.failures
    unit_s = max(1, math.ceil(hits.seconds / MOST_UNITS))
    last = max(0, hits.seconds // unit_s - 1)  # what is left over, and what came late, belongs to the last stretch

    def unit_of(second: IntArray) -> IntArray:
        return np.clip(np.asarray(second, dtype=np.int64) // unit_s, 0, last)

    return merged(
        phase=hits.phase.name,
        seconds=hits.seconds,
        unit_s=unit_s,
        unit=np.concatenate([unit_of(cells.second), unit_of(failures.second)]),
        route=np.concatenate([cells.route, failures.route]),
        bucket=np.concatenate([cells.bucket, np.full(len(failures.count), FAILED)]),
        count=np.concatenate([cells.count, failures.count]),
        good=_by_unit(hits.good, unit_of, hits.seconds),
        planned=_by_unit(hits.planned, unit_of, hits.seconds) if hits.phase.model is LoadModel.OPEN else None,
    )


def _by_unit(counts: IntArray, unit_of: Callable[[IntArray], IntArray], seconds: int) -> IntArray:
    return np.bincount(unit_of(np.arange(seconds)), weights=counts[:seconds]).astype(np.int64)


def merged(
    *,
    phase: str,
    seconds: int,
    unit_s: int,
    unit: IntArray,
    route: IntArray,
    bucket: IntArray,
    count: IntArray,
    good: IntArray,
    planned: IntArray | None = None,
) -> Sample:
    """A sample with one cell for each stretch, route and bucket, in that order."""
    wide = FAILED + 1
    routes = int(route.max(initial=0)) + 1
    key = (unit.astype(np.int64) * routes + route) * wide + bucket
    keys, place = np.unique(key, return_inverse=True)
    return Sample(
        phase=phase,
        seconds=seconds,
        unit_s=unit_s,
        unit=keys // wide // routes,
        route=keys // wide % routes,
        bucket=keys % wide,
        count=np.bincount(place, weights=count, minlength=len(keys)).astype(np.int64),
        good=good,
        planned=planned,
    )


def coarser(sample: Sample, units: int) -> Sample:
    """The same requests in at most so many stretches."""
    if sample.units <= units:
        return sample
    into = np.minimum(np.arange(sample.units) * units // sample.units, units - 1)
    return merged(
        phase=sample.phase,
        seconds=sample.seconds,
        unit_s=round(sample.unit_s * sample.units / units),
        unit=into[sample.unit],
        route=sample.route,
        bucket=sample.bucket,
        count=sample.count,
        good=np.bincount(into, weights=sample.good, minlength=units).astype(np.int64),
        planned=None if sample.planned is None else np.bincount(into, weights=sample.planned).astype(np.int64),
    )
