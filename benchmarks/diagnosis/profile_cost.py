"""
What sampling a service's stacks costs it: throughput with and without, in turns, and the samplers' own processor time.

    .venv/bin/python benchmarks/diagnosis/profile_cost.py --quick

The service is one asyncio process that computes a little for each request and is asked as fast as it answers, by a few
connections: it uses all of its core, so what is taken from it shows. With fewer idle cores than samplers need, they
also compete with service and load for cores. Throughput on a machine where other things run is mostly noise, so the
service's own processor time for an answer is compared as well: what a sampler does to the service itself shows there.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from headway.evidence.profile import RATES, Profiler
from headway.model import LoadModel, Phase

PHASE = Phase(name="on", model=LoadModel.CLOSED, duration_s=1, warmup_s=0, users=4)
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CONNECTIONS = 4


async def service(port: int) -> None:
    """Some 0.1 ms of Python for each request, in a stack of ten frames."""

    def deep(left: int) -> int:
        return deep(left - 1) if left else sum(number * number for number in range(1_500))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                deep(10)
                writer.write(ANSWER)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    await server.serve_forever()


async def load(port: int, seconds: float) -> float:
    """Answers a second, each connection asking again as soon as it is answered."""
    until = time.monotonic() + seconds
    count = 0

    async def user() -> None:
        nonlocal count
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.monotonic() < until:
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            await reader.readexactly(len(ANSWER))
            count += 1
        writer.close()

    began = time.monotonic()
    await asyncio.gather(*(user() for _ in range(CONNECTIONS)))
    return count / (time.monotonic() - began)


def plain(pid: int, port: int, seconds: float) -> tuple[float, float]:
    """Answers a second, and the service's processor time for each, in microseconds."""
    process = psutil.Process(pid)
    before, began = sum(process.cpu_times()[:2]), time.monotonic()
    rate = asyncio.run(load(port, seconds))
    spent = sum(process.cpu_times()[:2]) - before
    return rate, spent * 1e6 / (rate * (time.monotonic() - began))


def profiled(pid: int, port: int, seconds: float) -> tuple[float, float, float]:
    """The same with the samplers on, and the share of one core they used."""
    profiler = Profiler((("app", pid),), wanted=True)
    profiler.check()
    before = _children_cpu()
    try:
        profiler.begin(PHASE, time.time())
        rate, each_us = plain(pid, port, seconds)
        profiler.end(PHASE, time.time())
    finally:
        profiler.close()
    return rate, each_us, (_children_cpu() - before) / seconds


def _children_cpu() -> float:
    """Processor time of children that ended and were waited for, in seconds."""
    spent = os.times()
    return spent.children_user + spent.children_system


def interval(differences: list[float]) -> tuple[float, float]:
    """The mean's 95% interval by Student's t for few pairs."""
    from scipy import stats

    mean = statistics.fmean(differences)
    half = float(stats.t.ppf(0.975, len(differences) - 1)) * statistics.stdev(differences) / len(differences) ** 0.5
    return mean - half, mean + half


def main() -> None:
    """Rounds of on and off, the order changing each round."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    options.add_argument("--quick", action="store_true", help="fewer, shorter rounds: under a minute")
    options.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.serve:
        asyncio.run(service(asked.serve))
        return
    rounds, seconds = (5, 5.0) if asked.quick else (12, 15.0)
    from headway.servers import ports

    port = ports.choose()
    with tempfile.TemporaryDirectory() as folder:
        child = subprocess.Popen([sys.executable, str(Path(__file__).resolve()), "--serve", str(port)], cwd=folder)
        try:
            time.sleep(1.0)
            asyncio.run(load(port, 1.0))
            costs, dearer, cores = [], [], []
            for number in range(rounds):
                off = plain(child.pid, port, seconds) if number % 2 else None
                on, on_us, used = profiled(child.pid, port, seconds)
                off_rate, off_us = off or plain(child.pid, port, seconds)
                costs.append(1 - on / off_rate)
                dearer.append(on_us / off_us - 1)
                cores.append(used)
                print(
                    f"round {number + 1}: {off_rate:,.0f} req/s and {off_us:.0f} us each without,"
                    f" {on:,.0f} and {on_us:.0f} with; samplers {used:.1%} of a core"
                )
        finally:
            child.kill()
            child.wait()
    low, high = interval(costs)
    least, most = interval(dearer)
    print(
        f"sampling at {' + '.join(str(rate) for rate in RATES.values())} a second costs"
        f" {statistics.fmean(costs):.1%} of throughput (95%: {low:.1%} to {high:.1%}),"
        f" {statistics.fmean(dearer):.1%} more of the service's processor time an answer ({least:.1%} to {most:.1%}),"
        f" {statistics.fmean(cores):.1%} of a core beside the service; {psutil.cpu_count()} cores, load"
        f" {psutil.getloadavg()[0]:.1f}"
    )


if __name__ == "__main__":
    main()
