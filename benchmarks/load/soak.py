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
from dataclasses import replace
from pathlib import Path

import psutil
from compare import MIX, PHASE, headway, machine, nginx
from peers import Bench

from headway.model import Arrivals, LoadModel

EVERY_S = 5.0


def sampled(stop: threading.Event, found: list[tuple[float, float, float]]) -> None:
    """Append (seconds, PSS and RSS in MiB of this process and all below it) until told to stop; nginx is not ours."""
    began_s = time.monotonic()
    while not stop.wait(EVERY_S):
        ours = psutil.Process()
        mine = [ours, *(each for each in ours.children(recursive=True) if each.name().startswith("python"))]
        taken = [each.memory_full_info() for each in mine]
        pss, rss = (sum(getattr(each, name) for each in taken) / (1 << 20) for name in ("pss", "rss"))
        found.append((time.monotonic() - began_s, pss, rss))


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
    found: list[tuple[float, float, float]] = []
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
    settled = [each for each in found if each[0] > found[-1][0] / 5]
    slope = statistics.linear_regression([at for at, _, _ in settled], [pss for _, pss, _ in settled]).slope * 60
    print(f"planned {hits.planned.sum():,}, sent {hits.sent.sum():,}, good {hits.response.count.sum():,}")
    print(
        f"lateness P99 {(hits.health.lateness_p99_ns or 0) / 1e6:.3f} ms; worker's CPU {hits.health.cpu_ratio or 0:.0%}"
    )
    most, resident = max(pss for _, pss, _ in found), max(rss for _, _, rss in found)
    print(f"memory of parent and worker together: at most {most:.0f} MiB (sum of resident sizes {resident:.0f} MiB)")
    print(f"growth after the first fifth: {slope:+.2f} MiB a minute")


if __name__ == "__main__":
    main()
