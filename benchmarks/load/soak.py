"""
Memory of a long run: Poisson arrivals at a steady rate, every process's memory sampled as it goes.

What counts is the proportional set size: pages that both processes map (the interpreter, numpy's code) count once.
The sum of resident sizes, which counts them twice, is printed beside it.

Ten minutes at 20,000 requests/s by default; it stops by itself. `.venv/bin/python benchmarks/load/soak.py`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
from compare import MIX, PHASE, headway, machine, nginx
from peers import Bench

from headway.model import Arrivals, LoadModel

EVERY_S = 5.0
MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Memory in MiB: proportional set size of this process and of all below it, nginx's left out; resident sizes."""

    at_s: float
    parent: float
    workers: float
    resident: float


def sampled(stop: threading.Event, found: list[Sample]) -> None:
    """Append a sample now and then until told to stop."""
    began_s = time.monotonic()
    ours = psutil.Process()
    while not stop.wait(EVERY_S):
        mine = [ours, *(each for each in ours.children(recursive=True) if each.name().startswith("python"))]
        try:
            parent, *workers = [each.memory_full_info() for each in mine]
        except psutil.NoSuchProcess:  # the worker has just ended
            continue
        found.append(
            Sample(
                at_s=time.monotonic() - began_s, parent=parent.pss / MIB,
                workers=sum(each.pss for each in workers) / MIB,
                resident=sum(each.rss for each in (parent, *workers)) / MIB,
            )
        )  # fmt: skip


def growth(found: list[Sample], after: float, of: Callable[[Sample], float]) -> float:
    """MiB a minute over what came after that share of the time: the slope of a line through it."""
    settled = [each for each in found if each.at_s > found[-1].at_s * after]
    return statistics.linear_regression([each.at_s for each in settled], [of(each) for each in settled]).slope * 60


def main() -> None:
    """Print the memory, its growth, and what was sent."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=600, choices=range(20, 3601), metavar="20..3600")
    parser.add_argument("--rate", type=float, default=20_000.0)
    asked = parser.parse_args()
    every = sorted(os.sched_getaffinity(0))
    cores = ({every[0]}, {every[1]}) if len(every) > 1 else (set(every), set(every))
    print(f"machine: {machine()}; nginx has one core, one worker of headway and its parent the other")
    phase = replace(
        PHASE, name="soak", model=LoadModel.OPEN, arrivals=Arrivals.POISSON, users=None, rate_per_s=asked.rate,
        duration_s=asked.seconds,
    )  # fmt: skip
    found: list[Sample] = []
    stop = threading.Event()
    with tempfile.TemporaryDirectory(prefix="headway-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with nginx(folder, cores[0]) as url:
            bench = Bench(url=url, seconds=asked.seconds, generator_cores=cores[1], folder=folder)
            watcher = threading.Thread(target=sampled, args=(stop, found), daemon=True)
            watcher.start()
            _, hits = headway(bench, MIX, phase)
            stop.set()
            watcher.join()
    print(f"planned {hits.planned.sum():,}, sent {hits.sent.sum():,}, good {hits.response.count.sum():,}")
    print(
        f"lateness P99 {(hits.health.lateness_p99_ns or 0) / 1e6:.3f} ms; worker's CPU {hits.health.cpu_ratio or 0:.0%}"
    )
    most, resident = max(each.parent + each.workers for each in found), max(each.resident for each in found)
    print(f"memory of parent and worker together: at most {most:.0f} MiB (sum of resident sizes {resident:.0f} MiB)")
    for share in (0.2, 0.6):
        parent, worker = growth(found, share, lambda each: each.parent), growth(found, share, lambda each: each.workers)
        print(f"growth after {share:.0%} of it, MiB a minute: parent {parent:+.3f}, worker {worker:+.3f}")


if __name__ == "__main__":
    main()
