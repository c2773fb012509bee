"""
The pinned baseline: a small file to commit, with all it takes to compare against without the run's folder.

It holds one pin for each traffic and load (a run's fingerprint), the requests of each in MOST_STRETCHES as
HdrHistogram encodes them, and the figures of the pins before it: who pins anew at each release can still be shown how
far the service has come since the first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from headway.compare import sample, side
from headway.compare.sample import FAILED, Run, Sample
from headway.errors import BadInput, BundleDamaged, RunInvalid
from headway.evidence import bundle
from headway.load.log import decoded, encoded
from headway.model import Machine
from headway.promises.spoken import duration_text

if TYPE_CHECKING:
    from pathlib import Path

    from headway.compare.margin import Margin

FORMAT = 1
MOST_STRETCHES = 60
"""Of each phase, so that a file of five routes stays near 100 KB and the swings of a minute's run can be seen in it."""
QUANTILES = (0.50, 0.95, 0.99)


@dataclass(frozen=True, kw_only=True)
class Pin:
    """The run pinned, and of each pin before it, oldest first: (run, phase -> P50, P95, P99 in ns, inf: failed)."""

    run: Run
    earlier: tuple[tuple[str, dict[str, list[float]]], ...]


def pin(file: Path, run: Run) -> int:
    """
    Pin a run in place of the one with the same traffic and load; returns how many there were before it.

    Raises:
        RunInvalid: the run says nothing.
        BundleDamaged: the file that is there can't be read.
        HeadwayError: it can't be written.
    """
    if run.ailments:
        raise RunInvalid(f"run {run.id} can't be pinned: {run.ailments[0]}", next_act="pin a valid run")
    if run.tool is not None:
        raise RunInvalid(f"run {run.id} was made by {run.tool}", next_act="pin a run that headway made")
    pins = _pins(file) if file.exists() else {}
    before = pins.get(run.fingerprint)
    earlier: list[Any] = []
    if before is not None:
        earlier = [*before["earlier"], {"run": before["run"]["id"], "figures_ns": before["figures_ns"]}]
    pins[run.fingerprint] = {"figures_ns": _figures(run), "earlier": earlier, "run": _run(run)}
    file.parent.mkdir(parents=True, exist_ok=True)
    bundle.put_json(file, {"format": FORMAT, "pins": pins})
    return len(earlier)


def pinned(file: Path, run: Run) -> Pin:
    """
    The pin that a run is to be compared against.

    Raises:
        BadInput: nothing is pinned for its traffic and load.
        BundleDamaged: the file can't be read.
    """
    act = "pin a run you are content with: headway compare --pin RUN"
    if not file.exists():
        raise BadInput(f"there is no baseline in {file}", next_act=act)
    pins = _pins(file)
    found = pins.get(run.fingerprint)
    if found is None:
        raise BadInput(
            f"{file} has no baseline for the traffic and load of run {run.id}; it has {len(pins)} of others",
            next_act=f"{act}; or run the scenario and load that was pinned",
        )
    try:
        earlier = tuple((each["run"], _numbers(each["figures_ns"])) for each in found["earlier"])
        return Pin(run=_back(found["run"]), earlier=earlier)
    except Exception as exc:  # the codec raises many kinds
        raise BundleDamaged(f"is damaged: {exc}", next_act="pin a run again", file=file) from exc


def drift(pin: Pin, run: Run, margin: Margin) -> tuple[str, ...]:
    """What has added up since the first of several pins: a sentence for each percentile that went up too far."""
    if not pin.earlier:
        return ()
    first, figures = pin.earlier[0]
    found = []
    for name, phase in run.samples.items():
        for q, then, now in zip(QUANTILES, figures.get(name, ()), figures_ns(phase), strict=False):
            if then > 0 and now / then - 1 > margin.latency_ratio(then):
                found.append(
                    f"since run {first}, the first of {len(pin.earlier) + 1} pins, p{q * 100:g} of {name} went from"
                    f" {duration_text(then)} to {duration_text(now)} ({now / then - 1:+.0%}): each new pin takes the"
                    " slower service for the measure"
                )
    return tuple(found)


def _pins(file: Path) -> dict[str, Any]:
    content = bundle.get_json(file)
    version = content.get("format") if isinstance(content, dict) else None
    if version != FORMAT or not isinstance(content.get("pins"), dict):
        what = f"has format {version!r}, and this Headway reads {FORMAT}"
        raise BundleDamaged(what, next_act="pin a run again with this Headway", file=file)
    return dict(content["pins"])


def _figures(run: Run) -> dict[str, list[float | None]]:
    """JSON has no infinity: None is a rank among failed requests."""
    return {
        name: [value if math.isfinite(value) else None for value in figures_ns(each)]
        for name, each in run.samples.items()
    }


def figures_ns(phase: Sample) -> list[float]:
    """P50, P95 and P99 of all requests of a phase."""
    whole = side.of_run(phase, None)
    return [whole.quantile_ns(q) if whole.requests else math.nan for q in QUANTILES]


def _numbers(figures: dict[str, list[float | None]]) -> dict[str, list[float]]:
    return {name: [math.inf if value is None else value for value in each] for name, each in figures.items()}


def _run(run: Run) -> dict[str, Any]:
    machine = run.machine
    return {
        "id": run.id,
        "started_at": run.started_at,
        "target_url": run.target_url,
        "headway_version": run.headway_version,
        "machine": {
            "cpu_model": machine.cpu_model, "cores": machine.cores, "memory_bytes": machine.memory_bytes,
            "kernel": machine.kernel, "id": machine.id, "boot": machine.boot,
        },
        "likeness": dict(run.likeness),
        "routes": list(run.routes),
        "loads": dict(run.loads),
        "samples": {name: _sample(sample.coarser(each, MOST_STRETCHES)) for name, each in run.samples.items()},
    }  # fmt: skip


def _sample(phase: Sample) -> dict[str, Any]:
    cells = []
    for unit in range(phase.units):
        for route in np.unique(phase.route[phase.unit == unit]).tolist():
            own = (phase.unit == unit) & (phase.route == route)
            good = own & (phase.bucket != FAILED)
            text = ""
            if good.any():
                text = encoded((phase.bucket[good], phase.count[good])).partition(",")[2]
            cells.append([unit, route, int(phase.count[own & ~good].sum()), text])
    planned = None if phase.planned is None else phase.planned.tolist()
    return {
        "seconds": phase.seconds, "unit_s": phase.unit_s, "good": phase.good.tolist(), "planned": planned,
        "cells": cells,
    }  # fmt: skip


def _back(content: dict[str, Any]) -> Run:
    return Run(
        id=content["id"],
        started_at=content["started_at"],
        target_url=content["target_url"],
        headway_version=content["headway_version"],
        machine=Machine(**content["machine"]),
        likeness=content["likeness"],
        tool=None,
        ailments=(),
        routes=tuple(content["routes"]),
        loads=content["loads"],
        samples={name: _sample_back(name, each) for name, each in content["samples"].items()},
        pinned=True,
    )


def _sample_back(name: str, content: dict[str, Any]) -> Sample:
    parts: list[tuple[int, int, int, int]] = []
    for unit, route, failed, text in content["cells"]:
        if text:
            buckets, counts = (each.tolist() for each in decoded(text))
            parts += [(unit, route, bucket, count) for bucket, count in zip(buckets, counts, strict=True)]
        if failed:
            parts.append((unit, route, FAILED, failed))
    table = np.array(parts, dtype=np.int64).reshape(-1, 4)
    return sample.merged(
        phase=name, seconds=content["seconds"], unit_s=content["unit_s"], unit=table[:, 0], route=table[:, 1],
        bucket=table[:, 2], count=table[:, 3], good=np.array(content["good"], dtype=np.int64),
        planned=None if content["planned"] is None else np.array(content["planned"], dtype=np.int64),
    )  # fmt: skip
