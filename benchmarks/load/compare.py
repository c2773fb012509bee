"""
What one generator core of Headway can send, against wrk and Locust's FastHttpUser on the same nginx in the same run.

Rounds are interleaved, so that whatever else the machine does falls on all alike; the ratios of each round are what
counts. Run it with nothing else going on: `.venv/bin/python benchmarks/load/compare.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from headway.lab import binaries, ports, process
from headway.lab import nginx as nginx_server
from headway.load import drive, hits
from headway.model import Arrivals, LoadModel, Parameter, Phase, PhaseHits, Route, Scenario

USERS = 50
BODY = "x" * 512
SERVER = f"""
    location / {{ return 200 "{BODY}"; }}
"""
LOCUSTFILE = """
from locust import FastHttpUser, constant, task

class User(FastHttpUser):
    wait_time = constant(0)

    @task
    def get(self):
        self.client.get("/")
"""
PLAIN = (Route(name="plain", method="GET", path="/"),)
MIX = (
    Route(name="user", method="GET", path="/users/{user_id}", weight=6),
    Route(name="product", method="GET", path="/products/{product_id}", weight=3),
    Route(name="order", method="POST", path="/orders", weight=1, body='{"user": {user_id}, "product": {product_id}}'),
)
PARAMETERS = (
    Parameter(name="user_id", distribution="zipf", low=1, high=200_000, exponent=1.0),
    Parameter(name="product_id", distribution="uniform", low=1, high=50_000),
)
PHASE = Phase(name="closed", model=LoadModel.CLOSED, users=USERS, duration_s=4, warmup_s=1)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """
    One generator's round: good answers per second, and CPU-seconds of its processes per million requests.

    The latter from start to end, start-up included, and (headway) of the worker alone while it measured.
    """

    rate_per_s: float
    cpu_s_per_million: float
    sending_cpu_s_per_million: float | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Where, and how long."""

    url: str
    seconds: int
    generator_cores: set[int]
    folder: Path


def children_cpu_s() -> float:
    """CPU-seconds of the children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(bench: Bench, words: list[str]) -> tuple[str, float]:
    """Output and CPU-seconds of a command on the generators' cores."""
    before = children_cpu_s()
    cores = bench.generator_cores
    found = subprocess.run(
        words, cwd=bench.folder, capture_output=True, text=True, check=False, timeout=bench.seconds + 60,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )  # fmt: skip
    if found.returncode:
        raise SystemExit(f"{words[0]} failed:\n{found.stdout}{found.stderr}")
    return found.stdout, children_cpu_s() - before


def wrk(bench: Bench) -> Measured:
    """wrk, one thread, no pipelining, no script."""
    text, cpu_s = run(bench, ["wrk", "-t1", f"-c{USERS}", f"-d{bench.seconds}s", f"{bench.url}/"])
    answers = re.search(r"(\d+) requests in ([\d.]+)s", text)
    if answers is None or "Non-2xx" in text or "Socket errors" in text:
        raise SystemExit(f"wrk did not measure what it should:\n{text}")
    requests = int(answers[1])
    return Measured(rate_per_s=requests / float(answers[2]), cpu_s_per_million=cpu_s / requests * 1e6)


def locust(bench: Bench) -> Measured:
    """Locust's FastHttpUser, headless, one process; its own totals, and its CPU time from start to end."""
    (bench.folder / "locustfile.py").write_text(LOCUSTFILE)
    program = str(Path(sys.executable).parent / "locust")
    text, cpu_s = run(
        bench,
        [program, "-f", "locustfile.py", "--headless", "-u", str(USERS), "-r", str(USERS), "-t", f"{bench.seconds}s",
         "--host", bench.url, "--json", "--loglevel", "ERROR", "--stop-timeout", "1"],
    )  # fmt: skip
    (total,) = json.loads(text)
    requests = int(total["num_requests"])
    if total["num_failures"] or not requests:
        raise SystemExit(f"Locust did not measure what it should:\n{text[:2000]}")
    # Its slow start is not its speed: the rate of its busiest whole second but the first would flatter it, the median
    # of its whole seconds is what it holds.
    per_second = [int(n) for _, n in sorted(total["num_reqs_per_sec"].items(), key=lambda each: int(float(each[0])))]
    held = statistics.median(per_second[1:-1] or per_second)
    return Measured(rate_per_s=held, cpu_s_per_million=cpu_s / requests * 1e6)


def headway(bench: Bench, routes: tuple[Route, ...], phase: Phase) -> tuple[Measured, PhaseHits]:
    """Headway, one worker process; the parent's own CPU time is counted too."""
    parameters = PARAMETERS if routes is MIX else ()
    scenario = Scenario(name="bench", file=None, routes=routes, parameters=parameters, default_phase=phase)
    folder = Path(tempfile.mkdtemp(dir=bench.folder))
    own = resource.getrusage(resource.RUSAGE_SELF)
    before = children_cpu_s() + own.ru_utime + own.ru_stime
    os.sched_setaffinity(0, bench.generator_cores)
    drive.drive(
        scenario, (phase,), bench.url, folder, workers=1, on_second=lambda _second: None,
        on_measure_start=lambda _phase: None, on_measure_end=lambda _phase: None, stop=drive.Stop(),
    )  # fmt: skip
    own = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = children_cpu_s() + own.ru_utime + own.ru_stime - before
    (found,) = hits.read(folder, (phase,), tuple(route.name for route in routes))
    if found.failures.count.sum() or not found.finished:
        raise SystemExit(f"headway did not measure what it should: {found.error_samples}")
    good = int(found.good.sum())
    sent = good * (1 + phase.warmup_s / found.seconds)
    sending = (found.health.cpu_ratio or 0.0) * found.seconds / good * 1e6
    return Measured(
        rate_per_s=good / found.seconds, cpu_s_per_million=cpu_s / sent * 1e6, sending_cpu_s_per_million=sending,
        note=f"(worker while sending: {sending:.1f})",
    ), found  # fmt: skip


@contextmanager
def nginx(folder: Path, cores: set[int]) -> Iterator[str]:
    """nginx with one worker on its own cores; its URL."""
    account = process.unprivileged()
    program = binaries.nginx().path
    account = account if process.permits(account, "x", program) else None
    room = folder / "nginx"
    room.mkdir()
    process.own(room, account)
    port = ports.choose()
    http = f"server {{ listen {ports.HOST}:{port} backlog=4096; {SERVER} }}"
    every = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        server = nginx_server.start(program, room, port=port, http=http, log=room / "nginx.log", account=account)
    finally:
        os.sched_setaffinity(0, every)
    try:
        yield f"http://{ports.HOST}:{port}"
    finally:
        nginx_server.stop(server)


def half_rate(bench: Bench, closed: PhaseHits) -> Measured:
    """Poisson arrivals at half of what the closed model reached: how late does the generator send?"""
    rate = float(closed.good.sum()) / closed.seconds / 2
    phase = replace(PHASE, name="open", model=LoadModel.OPEN, arrivals=Arrivals.POISSON, users=None, rate_per_s=rate,
                    duration_s=bench.seconds)  # fmt: skip
    measured, found = headway(bench, PLAIN, phase)
    health = found.health
    note = (
        f"offered {rate:,.0f} req/s, sent {found.sent.sum() / found.planned.sum():.4f} of it; lateness P50 "
        f"{(health.lateness_p50_ns or 0) / 1e6:.3f} ms, P99 {(health.lateness_p99_ns or 0) / 1e6:.3f} ms; "
        f"worker's CPU {health.cpu_ratio or 0:.0%}"
    )
    return replace(measured, note=note)


def rounds(bench: Bench, number: int, *, with_wrk: bool) -> dict[str, list[Measured]]:
    """Each generator in turn, `number` times; a line for each as it ends."""
    phase = replace(PHASE, duration_s=bench.seconds)
    found: dict[str, list[Measured]] = {}
    last: list[PhaseHits] = []

    def ours(routes: tuple[Route, ...]) -> Measured:
        measured, whole = headway(bench, routes, phase)
        if routes is PLAIN:
            last[:] = [whole]
        return measured

    generators: dict[str, Callable[[], Measured]] = {"wrk": lambda: wrk(bench)} if with_wrk else {}
    generators |= {
        "headway": lambda: ours(PLAIN),
        "locust": lambda: locust(bench),
        "headway, three templated routes": lambda: ours(MIX),
        "headway, open Poisson at half": lambda: half_rate(bench, last[0]),
    }
    for each in range(1, number + 1):
        for name, generate in generators.items():
            measured = generate()
            found.setdefault(name, []).append(measured)
            print(
                f"round {each}  {name:<32} {measured.rate_per_s:>9,.0f} req/s "
                f"{measured.cpu_s_per_million:>8.1f} CPU-s per million  {measured.note}".rstrip(),
                flush=True,
            )
    return found


def ratios(found: dict[str, list[Measured]]) -> Iterator[str]:
    """The lines that say how many times the peer's figure Headway reaches."""
    for ours in ("headway", "headway, three templated routes"):
        for peer in ("wrk", "locust"):
            if peer not in found:
                continue
            pairs = list(zip(found[ours], found[peer], strict=True))
            # wrk starts in no time; what Python takes to start is no cost of a request.
            mine = [(a.sending_cpu_s_per_million if peer == "wrk" else None) or a.cpu_s_per_million for a, _ in pairs]
            cpu = "CPU per request" + (", sending" if peer == "wrk" else ", start-up included")
            for what, of in (
                ("req/s", [a.rate_per_s / b.rate_per_s for a, b in pairs]),
                (cpu, [a / b.cpu_s_per_million for a, (_, b) in zip(mine, pairs, strict=True)]),
            ):
                yield (
                    f"{ours} / {peer}, {what}: min {min(of):.2f}, median {statistics.median(of):.2f}, max {max(of):.2f}"
                )


def machine() -> str:
    """Processor and cores."""
    info = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.+)", info.read_text()) if info.exists() else None
    return f"{model[1] if model else platform.processor() or platform.machine()}, {len(os.sched_getaffinity(0))} cores"


def peers(folder: Path, *, with_wrk: bool) -> str:
    """Versions of everything compared."""
    found = [f"Python {platform.python_version()}", f"headway {version('headway')}", f"uvloop {version('uvloop')}",
             f"locust {version('locust')}"]  # fmt: skip
    server = subprocess.run([binaries.nginx().path, "-v"], cwd=folder, capture_output=True, text=True, check=False)
    found.append(server.stderr.strip().rpartition(": ")[2])
    if with_wrk:
        own = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False)
        said = re.search(r"wrk (\S+)", own.stdout + own.stderr)
        found.append(f"wrk {said[1] if said else '(version unknown)'}")
    return ", ".join(found)


def main() -> None:
    """Print each round as it ends, and then the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, choices=range(1, 11), metavar="1..10")
    parser.add_argument("--seconds", type=int, default=4, choices=range(2, 31), metavar="2..30", help="of each round")
    parser.add_argument("--quick", action="store_true", help="one round of 2 s: does it run, not how fast")
    asked = parser.parse_args()
    number, seconds = (1, 2) if asked.quick else (asked.rounds, asked.seconds)
    with_wrk = shutil.which("wrk") is not None
    every = sorted(os.sched_getaffinity(0))
    server_cores, generator_cores = ({every[0]}, {every[1]}) if len(every) > 1 else (set(every), set(every))
    print(f"machine: {machine()}; load average before: {os.getloadavg()[0]:.1f}")
    print("server and generator share this machine: nginx (1 worker) has one core, each generator in turn the other")
    with tempfile.TemporaryDirectory(prefix="headway-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        print(f"versions: {peers(folder, with_wrk=with_wrk)}")
        if not with_wrk:
            print("wrk is not there; install it ('apt install wrk', 'brew install wrk') to be compared with it")
        print(f"{USERS} connections, a 512-byte answer, {number} rounds of {seconds} s", flush=True)
        with nginx(folder, server_cores) as url:
            bench = Bench(url=url, seconds=seconds, generator_cores=generator_cores, folder=folder)
            found = rounds(bench, number, with_wrk=with_wrk)
    print("\n".join(ratios(found)))


if __name__ == "__main__":
    main()
