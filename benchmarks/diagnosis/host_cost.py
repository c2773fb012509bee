"""
What watching a process and all that it started costs a second, beside psutil asked for the same.

    .venv/bin/python benchmarks/diagnosis/host_cost.py

Processor time of the thread that looks, of a family of so many idle processes; the best of the looks, as a busy
neighbour only adds. Both give the same numbers, which is checked.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import psutil

from headway.evidence.family import Processes, Watched
from headway.model import ProcessSecond

FAMILIES = (20, 100, 200)
LOOKS = 15


@contextmanager
def family(size: int) -> Iterator[int]:
    """A process with so many children; its number."""
    code = f"for i in $(seq {size}); do sleep 600 & done; echo up; wait"
    started = subprocess.Popen(["/bin/sh", "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    assert started.stdout is not None
    try:
        started.stdout.readline()
        yield started.pid
    finally:
        os.killpg(started.pid, 9)
        started.wait()
        started.stdout.close()


def by_psutil(pid: int) -> tuple[int, int, int]:
    """Resident bytes, threads and open files, CPU time read as well, as psutil's documentation has it."""
    resident = threads = files = 0
    root = psutil.Process(pid)
    for process in (root, *root.children(recursive=True)):
        with process.oneshot():
            process.cpu_times()
            resident += process.memory_info().rss
            threads += process.num_threads()
            files += process.num_fds()
    return resident, threads, files


def ours(processes: Processes, watched: Watched) -> ProcessSecond | None:
    """What the host collector does each second."""
    at_s = time.time()
    return watched.sample(at_s, processes.children(at_s))


def least_ms(look: Callable[[], object]) -> float:
    """Processor time of the cheapest look."""
    took = []
    for _ in range(LOOKS):
        begun = time.thread_time()
        look()
        took.append(time.thread_time() - begun)
    return 1e3 * min(took)


def main() -> None:
    """One line a size."""
    print(f"{len(psutil.pids())} processes on this machine besides")
    for size in FAMILIES:
        with family(size) as pid:
            processes = Processes()
            watched = Watched("family", pid, processes)
            watched.sample(0.0, processes.children(0.0))
            own = least_ms(partial(ours, processes, watched))
            other = least_ms(partial(by_psutil, pid))
            last = ours(processes, watched)
            told = last and (last.resident_bytes, last.threads, last.open_files)
            if told != by_psutil(pid):
                raise SystemExit(f"they differ: {told}, psutil {by_psutil(pid)}")
            print(
                f"family of {size + 1}: {own:.2f} ms a second, {own / 10:.2f}% of a core;"
                f" psutil {other:.2f} ms: {own / other:.2f} times as much"
            )


if __name__ == "__main__":
    main()
