"""
The other load generators, each asked for the same thing: one nginx, the same connections, as fast as it can, one core.

Every one is run as its own users run it, on the generators' core, and held to its own account of what it did; one that
reports an error or an answer other than 200 ends the benchmark.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from headway.conventions import USER_AGENT

USERS = 50
LOCUSTFILE = """
from locust import FastHttpUser, constant, task

class User(FastHttpUser):
    wait_time = constant(0)

    @task
    def get(self):
        self.client.get("/")
"""
K6_SCRIPT = """
import http from 'k6/http';
export const options = { vus: %d, duration: '%ds', discardResponseBodies: true };
export default function () { http.get('%s/'); }
"""
ARTILLERY = """
config:
  target: "%s"
  processor: "./until.js"
  http: { pool: %d, timeout: 10 }
  phases: [{ duration: 1, arrivalCount: %d }]
scenarios:
  - flow:
      - loop: [{ get: { url: "/" } }]
        whileTrue: "until"
"""
UNTIL = "const end = Date.now() + %d * 1000 + 1000; exports.until = (context, next) => next(Date.now() < end);"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """
    One generator's round: good answers per second, and CPU-seconds of its processes per million requests.

    The latter from start to end, start-up included, and (headway) of the worker alone while it measured;
    `parent_cpu_ratio` is the share of a core that headway's other process took, start-up excluded.
    """

    rate_per_s: float
    cpu_s_per_million: float
    sending_cpu_s_per_million: float | None = None
    parent_cpu_ratio: float | None = None
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
    """wrk with the two headers that Headway sends as well: the server reads the same request."""
    return bare_wrk(bench, "-H", f"user-agent: {USER_AGENT}", "-H", "accept: */*")


def bare_wrk(bench: Bench, *words: str) -> Measured:
    """wrk, one thread, no pipelining, no script; its own request has no header but Host."""
    text, cpu_s = run(bench, ["wrk", "-t1", f"-c{USERS}", f"-d{bench.seconds}s", *words, f"{bench.url}/"])
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


def h2load(bench: Bench) -> Measured:
    """h2load speaking HTTP/1.1, one thread."""
    text, cpu_s = run(bench, ["h2load", "--h1", "-t1", f"-c{USERS}", "-D", str(bench.seconds), f"{bench.url}/"])
    done = re.search(
        r"requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored", text
    )
    if done is None or done[1] != done[2] or done[3] != "0" or done[4] != "0":
        raise SystemExit(f"h2load did not measure what it should:\n{text}")
    requests = int(done[2])
    return Measured(rate_per_s=requests / bench.seconds, cpu_s_per_million=cpu_s / requests * 1e6)


def hey(bench: Bench) -> Measured:
    """hey, one processor."""
    text, cpu_s = run(bench, ["hey", "-z", f"{bench.seconds}s", "-c", str(USERS), "-cpus", "1", f"{bench.url}/"])
    rate, answers = re.search(r"Requests/sec:\s+([\d.]+)", text), re.findall(r"\[(\d+)\]\s+(\d+) responses", text)
    if rate is None or [status for status, _ in answers] != ["200"] or "Error distribution" in text:
        raise SystemExit(f"hey did not measure what it should:\n{text}")
    # hey keeps at most a million results; its rate counts them all.
    requests = float(rate[1]) * bench.seconds
    return Measured(rate_per_s=float(rate[1]), cpu_s_per_million=cpu_s / requests * 1e6)


def k6(bench: Bench) -> Measured:
    """k6, constant users, bodies discarded, no summary but the exported one."""
    (bench.folder / "script.js").write_text(K6_SCRIPT % (USERS, bench.seconds, bench.url))
    program = str(Path(sys.executable).parent / "k6")
    words = [program, "run", "--quiet", "--no-usage-report", "--summary-export", "k6.json", "script.js"]
    _, cpu_s = run(bench, words)
    told = json.loads((bench.folder / "k6.json").read_text())["metrics"]
    requests, failed = int(told["http_reqs"]["count"]), float(told["http_req_failed"]["value"])
    if failed or not requests:
        raise SystemExit(f"k6 did not measure what it should: {told}")
    return Measured(rate_per_s=float(told["http_reqs"]["rate"]), cpu_s_per_million=cpu_s / requests * 1e6)


def artillery(bench: Bench) -> Measured:
    """Artillery, a loop a user."""
    (bench.folder / "artillery.yml").write_text(ARTILLERY % (bench.url, USERS, USERS))
    (bench.folder / "until.js").write_text(UNTIL % bench.seconds)
    _, cpu_s = run(bench, ["artillery", "run", "--quiet", "--output", "artillery.json", "artillery.yml"])
    told = json.loads((bench.folder / "artillery.json").read_text())["aggregate"]
    requests = int(told["counters"].get("http.codes.200", 0))
    if not requests or any(name.startswith("errors.") for name in told["counters"]):
        raise SystemExit(f"Artillery did not measure what it should: {told['counters']}")
    lasted_s = (told["lastCounterAt"] - told["firstCounterAt"]) / 1e3
    return Measured(rate_per_s=requests / lasted_s, cpu_s_per_million=cpu_s / requests * 1e6)


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A generator that Headway is compared with: how it is run, what it is called by, how it is had."""

    run: Callable[[Bench], Measured]
    program: str
    version: Callable[[], str]
    install: str


def _said(words: list[str], pattern: str) -> str:
    own = subprocess.run(words, capture_output=True, text=True, check=False)
    found = re.search(pattern, own.stdout + own.stderr)
    return found[1] if found else "(version unknown)"


def _debian(package: str) -> str:
    return _said(["dpkg-query", "-W", "-f", "${Version}", package], r"(\S+)")


OWN = Path(sys.executable).parent
WRK = Peer(run=wrk, program="wrk", version=lambda: _said(["wrk", "-v"], r"wrk (\S+)"), install="apt install wrk")
PEERS = {
    "wrk": WRK,
    "wrk, bare": replace(WRK, run=bare_wrk),
    "h2load": Peer(
        run=h2load, program="h2load", version=lambda: _said(["h2load", "--version"], r"nghttp2/(\S+)"),
        install="apt install nghttp2-client",
    ),
    "hey": Peer(run=hey, program="hey", version=lambda: _debian("hey"), install="apt install hey"),
    "k6": Peer(
        run=k6, program=str(OWN / "k6"), version=lambda: _said([str(OWN / "k6"), "version"], r"v(\S+)"),
        install="make setup",
    ),
    "locust": Peer(
        run=locust, program=str(OWN / "locust"), version=lambda: version("locust"), install="make setup"
    ),
    "artillery": Peer(
        run=artillery, program="artillery", version=lambda: _said(["artillery", "version"], r"Artillery: (\S+)"),
        install="npm install --global --ignore-scripts artillery@2",
    ),
}  # fmt: skip


def there() -> dict[str, Peer]:
    """The peers that this machine has; those it has not are said, with how to get them."""
    for name, peer in PEERS.items():
        if shutil.which(peer.program) is None:
            print(f"{name} is not there ({peer.install}): not compared")
    return {name: peer for name, peer in PEERS.items() if shutil.which(peer.program) is not None}
