"""Runs made by hand for the tests of comparing: latencies whose seconds hang together, at a level one chooses."""

from __future__ import annotations

import math

import numpy as np

from headway.compare.sample import FAILED, Run, Sample, merged
from headway.load import histogram
from headway.model import Machine

MACHINE = Machine(cpu_model="cpu", cores=4, memory_bytes=1 << 33, kernel="Linux 6", id="m1", boot="b1")
LIKENESS = {"routes": "r", "parameters": "p", "journeys": "j", "wire": "w", "hooks": "h", "load": "l"}


def sample(
    random: np.random.Generator,
    *,
    seconds: int = 60,
    rate: int = 100,
    persistence: float = 0.0,
    swing: float = 0.1,
    spread: float = 0.5,
    scale: float = 1.0,
    level: float = 0.0,
    tail: float = 1.0,
    failed: float = 0.0,
    routes: int = 1,
    phase: str = "scenario",
) -> Sample:
    """
    Log-normal latencies around 20 ms x `scale`, whose level swings: AR(1) with `persistence` from second to second.

    `level` shifts the whole run (on the log scale); the slowest 3% take `tail` times as long; `failed` is a share.
    """
    wave = np.empty(seconds)
    noise = random.normal(size=seconds)
    wave[0] = noise[0]
    for second in range(1, seconds):
        wave[second] = persistence * wave[second - 1] + math.sqrt(1 - persistence**2) * noise[second]
    good = random.poisson(rate, size=seconds)
    unit = np.repeat(np.arange(seconds), good)
    ms = 20 * scale * np.exp(level + swing * wave[unit] + spread * random.normal(size=len(unit)))
    ms[random.random(len(unit)) < 0.03] *= tail
    bucket = (histogram.bucket_of((ms * 1e6).astype(np.int64)) >> 4) << 4  # fewer buckets, so that tests are quick
    lost = random.random(len(unit)) < failed
    return merged(
        phase=phase, seconds=seconds, unit_s=1, unit=unit, route=random.integers(0, routes, len(unit)),
        bucket=np.where(lost, FAILED, bucket), count=np.ones(len(unit), dtype=np.int64),
        good=np.bincount(unit[~lost], minlength=seconds).astype(np.int64), planned=good.astype(np.int64),
    )  # fmt: skip


def run(name: str, phase: Sample, **differing: object) -> Run:
    """A run of that phase alone, on MACHINE."""
    facts: dict[str, object] = {
        "id": name, "started_at": "2026-01-01T00:00:00Z", "target_url": "http://a", "headway_version": "1",
        "machine": MACHINE, "likeness": LIKENESS, "tool": None, "ailments": (), "routes": ("GET /a", "GET /b"),
        "loads": {phase.phase: "100 req/s"}, "samples": {phase.phase: phase},
    }  # fmt: skip
    return Run(**{**facts, **differing})  # type: ignore[arg-type]  # as a test has it
