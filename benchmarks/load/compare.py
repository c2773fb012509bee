"""
What one generator core of Headway can send, against wrk, h2load, hey, k6, Locust and Artillery on the same nginx.

Rounds are interleaved, so that whatever else the machine does falls on all alike; the ratios of each round are what
counts. Run it with nothing else going on: `.venv/bin/python benchmarks/load/compare.py`.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import resource
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from peers import PEERS, USERS, Bench, Measured, Peer, children_cpu_s, there

from headway.load import drive, hits
from headway.model import Arrivals, LoadModel, Parameter, Phase, PhaseHits, Progress, Route, Scenario, Wire
from headway.report.live import LiveView
from headway.servers import binaries, ports, process
from headway.servers import nginx as nginx_server

BODY = "x" * 512
SERVER = f"""
    location / {{ return 200 "{BODY}"; }}
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


def headway(
    bench: Bench,
    routes: tuple[Route, ...],
    phase: Phase,
    *,
    on_second: Callable[[Progress], None] = lambda _second: None,
    wire: Wire | None = None,
) -> tuple[Measured, PhaseHits]:
    """Headway, one worker process; the parent's own CPU time is counted too."""
    parameters = PARAMETERS if routes is MIX else ()
    scenario = Scenario(
        name="bench", file=None, routes=routes, parameters=parameters, default_phase=phase, wire=wire or Wire()
    )
    folder = Path(tempfile.mkdtemp(dir=bench.folder))
    before = children_cpu_s() + own_cpu_s()
    seconds: list[tuple[float, float]] = []

    def second(progress: Progress) -> None:
        seconds.append((time.monotonic(), own_cpu_s()))
        on_second(progress)

    os.sched_setaffinity(0, bench.generator_cores)
    drive.drive(
        scenario, (phase,), bench.url, folder, workers=1, on_second=second,
        on_measure_start=lambda _phase: None, on_measure_end=lambda _phase: None, stop=drive.Stop(),
    )  # fmt: skip
    cpu_s = children_cpu_s() + own_cpu_s() - before
    (from_s, used_s), (to_s, used_to_s) = seconds[0], seconds[-1]
    (found,) = hits.read(folder, (phase,), tuple(route.name for route in routes))
    if found.failures.count.sum() or not found.finished:
        raise SystemExit(f"headway did not measure what it should: {found.error_samples}")
    good = int(found.good.sum())
    sent = good * (1 + phase.warmup_s / found.seconds)
    sending = (found.health.cpu_ratio or 0.0) * found.seconds / good * 1e6
    return Measured(
        rate_per_s=good / found.seconds, cpu_s_per_million=cpu_s / sent * 1e6, sending_cpu_s_per_million=sending,
        parent_cpu_ratio=(used_to_s - used_s) / (to_s - from_s),
        note=f"(worker while sending: {sending:.1f})",
    ), found  # fmt: skip


def own_cpu_s() -> float:
    """CPU-seconds of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def stopped(cores: set[int], for_s: float = 1.0) -> tuple[float, float]:
    """
    How much of the generator's core is not there: what a loop that only reads the clock misses.

    Returns:
        Share of the time in stops of more than 0.2 ms, and the longest stop in ms. No program can be more punctual.
    """
    every = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    longest = missed = 0
    began = last = time.monotonic_ns()
    while last - began < for_s * 1e9:
        now = time.monotonic_ns()
        if now - last > 200_000:
            missed += now - last
            longest = max(longest, now - last)
        last = now
    os.sched_setaffinity(0, every)
    return missed / (last - began), longest / 1e6


@contextmanager
def nginx(folder: Path, cores: set[int], *, clear: str = "", secure: str = "") -> Iterator[str]:
    """
    nginx with one worker on its own cores.

    Args:
        clear: words of `listen` of its port; the one after it speaks TLS when `secure` says with what.

    Yields:
        The URL of the clear port.
    """
    account = process.unprivileged()
    program = binaries.nginx().path
    account = account if process.permits(account, "x", program) else None
    room = folder / "nginx"
    room.mkdir()
    process.own(room, account)
    port = ports.choose()
    tls = f"listen {ports.HOST}:{port + 1} ssl backlog=4096; {secure}" if secure else ""
    http = f"server {{ listen {ports.HOST}:{port} backlog=4096; {clear} {tls} {SERVER} }}"
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
    share, longest_ms = stopped(bench.generator_cores)
    phase = replace(PHASE, name="open", model=LoadModel.OPEN, arrivals=Arrivals.POISSON, users=None, rate_per_s=rate,
                    duration_s=bench.seconds)  # fmt: skip
    measured, found = headway(bench, PLAIN, phase)
    health = found.health
    note = (
        f"offered {rate:,.0f} req/s, sent {found.sent.sum() / found.planned.sum():.4f} of it; lateness P50 "
        f"{(health.lateness_p50_ns or 0) / 1e6:.3f} ms, P99 {(health.lateness_p99_ns or 0) / 1e6:.3f} ms; "
        f"worker's CPU {health.cpu_ratio or 0:.0%}; just before, the core was away for {share:.1%} of a second, "
        f"{longest_ms:.1f} ms at the most"
    )
    return replace(measured, note=note)


def with_live_view(bench: Bench) -> Measured:
    """The closed model, drawn once a second on a terminal."""
    ours, theirs = os.openpty()
    drawn = threading.Thread(target=_read_all, args=(ours,), daemon=True)
    drawn.start()
    with open(theirs, "w", encoding="utf-8") as terminal, LiveView(terminal) as view:  # noqa: PTH123 - a descriptor
        measured, _ = headway(bench, PLAIN, replace(PHASE, duration_s=bench.seconds), on_second=view.second)
    drawn.join(5)
    return measured


def _read_all(terminal: int) -> None:
    """Read what is drawn until the drawer closes: a terminal that nobody reads would stop it."""
    shown = 0
    with suppress(OSError):
        while more := os.read(terminal, 1 << 16):
            shown += len(more)
    os.close(terminal)
    if not shown:
        print("nothing was drawn on the terminal: the live view's figures mean nothing", flush=True)


def generators(bench: Bench, peers: dict[str, Peer]) -> dict[str, Callable[[], Measured]]:
    """What is run in each round, in this order: Headway stands beside wrk, to which it is held closest."""
    phase = replace(PHASE, duration_s=bench.seconds)
    last: list[PhaseHits] = []

    def plain() -> Measured:
        measured, whole = headway(bench, PLAIN, phase)
        last[:] = [whole]
        return measured

    found: dict[str, Callable[[], Measured]] = {}
    for name, peer in peers.items():
        found[name] = lambda peer=peer: peer.run(bench)  # type: ignore[misc]  # bound now, called later
        if name == next(iter(peers)):
            found["headway"] = plain
            found["headway, three templated routes"] = lambda: headway(bench, MIX, phase)[0]
    found["headway, live view on"] = lambda: with_live_view(bench)
    found["headway, open Poisson at half"] = lambda: half_rate(bench, last[0])
    return found


def rounds(bench: Bench, number: int, peers: dict[str, Peer]) -> dict[str, list[Measured]]:
    """Each generator in turn, `number` times; a line for each as it ends."""
    found: dict[str, list[Measured]] = {}
    for each in range(1, number + 1):
        for name, generate in generators(bench, peers).items():
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
        for peer, theirs in found.items():
            if peer.startswith("headway"):
                continue
            pairs = list(zip(found[ours], theirs, strict=True))
            yield ratio(f"{ours} / {peer}, req/s", [a.rate_per_s / b.rate_per_s for a, b in pairs])
            # Those in C start in no time; what Python takes to start is no cost of a request.
            native = PEERS[peer].program in {"wrk", "h2load"}
            mine = [(a.sending_cpu_s_per_million if native else None) or a.cpu_s_per_million for a, _ in pairs]
            what = "sending" if native else "start-up included"
            per_cpu = [b.cpu_s_per_million / a for a, (_, b) in zip(mine, pairs, strict=True)]
            yield ratio(f"{ours} / {peer}, requests per CPU-second, {what}", per_cpu)
    pairs = list(zip(found["headway, live view on"], found["headway"], strict=True))
    views = [(a.parent_cpu_ratio or 0) - (b.parent_cpu_ratio or 0) for a, b in pairs]
    yield ratio("live view on - off, share of a core", views, digits=4)


def ratio(what: str, of: list[float], digits: int = 2) -> str:
    """One line of three figures."""
    low, middle, high = (f"{each:.{digits}f}" for each in (min(of), statistics.median(of), max(of)))
    return f"{what}: min {low}, median {middle}, max {high}"


def machine() -> str:
    """Processor and cores."""
    info = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.+)", info.read_text()) if info.exists() else None
    return f"{model[1] if model else platform.processor() or platform.machine()}, {len(os.sched_getaffinity(0))} cores"


def versions(folder: Path, peers: dict[str, Peer]) -> str:
    """Versions of everything compared."""
    server = subprocess.run([binaries.nginx().path, "-v"], cwd=folder, capture_output=True, text=True, check=False)
    own = [f"Python {platform.python_version()}", f"headway {version('headway')}", f"uvloop {version('uvloop')}"]
    return ", ".join(
        [*own, server.stderr.strip().rpartition(": ")[2], *(f"{name} {peer.version()}" for name, peer in peers.items())]
    )


def main() -> None:
    """Print each round as it ends, and then the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, choices=range(1, 11), metavar="1..10")
    parser.add_argument("--seconds", type=int, default=4, choices=range(2, 31), metavar="2..30", help="of each round")
    parser.add_argument("--only", action="append", choices=tuple(PEERS), help="this peer alone; may be repeated")
    parser.add_argument("--quick", action="store_true", help="one round of 2 s: does it run, not how fast")
    asked = parser.parse_args()
    number, seconds = (1, 2) if asked.quick else (asked.rounds, asked.seconds)
    peers = {name: peer for name, peer in there().items() if not asked.only or name in asked.only}
    if not peers:
        raise SystemExit("no other generator is there to be compared with")
    every = sorted(os.sched_getaffinity(0))
    server_cores, generator_cores = ({every[0]}, {every[1]}) if len(every) > 1 else (set(every), set(every))
    print(f"machine: {machine()}; load average before: {os.getloadavg()[0]:.1f}")
    print("server and generator share this machine: nginx (1 worker) has one core, each generator in turn the other")
    with tempfile.TemporaryDirectory(prefix="headway-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        print(f"versions: {versions(folder, peers)}")
        print(f"{USERS} connections, a 512-byte answer, {number} rounds of {seconds} s", flush=True)
        with nginx(folder, server_cores) as url:
            bench = Bench(url=url, seconds=seconds, generator_cores=generator_cores, folder=folder)
            found = rounds(bench, number, peers)
    print("\n".join(ratios(found)))


if __name__ == "__main__":
    main()
