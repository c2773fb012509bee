"""
Headway's times against servers whose true percentiles are known in closed form.

    stall    nothing is answered for 0.2 s of each second, two connections: P(R > r) = 0.2 (1 - r / 0.2 s)
    queue    M/M/1, Poisson arrivals at half of what the server can: R is exponential with rate mu - lambda
    two      bimodal: 92% after 2 ms, 8% after 20 ms, nobody waits for another

Three numbers stand beside each measured one: the closed form; how far a sample of this size strays from it by chance
(one standard deviation, by simulation); and what the server itself took, by its own clock. What Headway measured less
what the server took is Headway's error together with the kernel's and the loopback's.

    python benchmarks/load/truth.py [--seconds 60] [--json]
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import urllib.request
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import coverage
from truth_server import LONG_S, LONG_SHARE, PERIOD_S, SERVICE_S, SHORT_S, STALL_S

from headway.load import histogram, hits
from headway.load.drive import Stop, drive
from headway.model import Arrivals, LoadModel, Phase, Route, Scenario

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

QUANTILES = (0.5, 0.8, 0.9, 0.95, 0.99, 0.999)
RATE_PER_S = 100.0
STALL_CONNECTIONS = 2
REPLICATES = 200


@dataclass(frozen=True, kw_only=True)
class Row:
    """One quantile of one server, ms. `chance_ms`: one standard deviation of it in a sample of this size."""

    server: str
    q: float
    truth_ms: float
    chance_ms: float
    response_ms: float
    service_ms: float
    server_ms: float  # by the server's own clock, of the requests that reached it: not corrected
    requests: int

    @property
    def error_ms(self) -> float:
        """Measured less true."""
        return self.response_ms - self.truth_ms

    @property
    def own_error_ms(self) -> float:
        """Service time as measured less what the server took."""
        return self.service_ms - self.server_ms


def stall_s(q: float) -> float:
    share = STALL_S / PERIOD_S
    return max(0.0, STALL_S * (q - (1 - share)) / share)


def queue_s(q: float) -> float:
    return -math.log(1 - q) / (1 / SERVICE_S - RATE_PER_S)


def two_s(q: float) -> float:
    return SHORT_S if q <= 1 - LONG_SHARE else LONG_S


TRUTH: dict[str, Callable[[float], float]] = {"stall": stall_s, "queue": queue_s, "two": two_s}


def simulated(server: str, rng: np.random.Generator, seconds: int) -> FloatArray:
    """Responses of one run as the closed form has them, s."""
    if server == "queue":
        return coverage.queue(SERVICE_S * RATE_PER_S)(rng, RATE_PER_S, seconds)[1]
    n = rng.poisson(RATE_PER_S * seconds)
    if server == "two":
        return np.where(rng.random(n) < LONG_SHARE, LONG_S, SHORT_S)
    into = (rng.uniform(0, seconds, n) + rng.uniform(0, PERIOD_S)) % PERIOD_S
    return np.maximum(0.0, STALL_S - into)


def chance_ms(server: str, q: float, seconds: int) -> float:
    """How far a quantile of one run strays from its truth, root mean square, ms."""
    rng = np.random.default_rng(5)
    found = [np.quantile(simulated(server, rng, seconds), q, method="inverted_cdf") for _ in range(REPLICATES)]
    return float(np.sqrt(np.mean((np.array(found) - TRUTH[server](q)) ** 2))) * 1e3


@contextmanager
def running() -> Iterator[str]:
    """The server, in a process of its own; its URL."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("truth_server.py"))],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield str(process.stdout.readline()).strip() if process.stdout else ""
    finally:
        process.communicate(timeout=10)


def measured(url: str, servers: tuple[str, ...], seconds: int, *, connections: int) -> list[Row]:
    """Load some of the servers at once, each at RATE_PER_S, and compare."""
    routes = tuple(Route(name=each, method="GET", path=f"/{each}") for each in servers)
    phase = Phase(
        name="truth", model=LoadModel.OPEN, arrivals=Arrivals.POISSON, rate_per_s=RATE_PER_S * len(servers),
        duration_s=seconds, warmup_s=1, max_connections=connections, timeout_s=5, seed=4,
    )  # fmt: skip
    scenario = Scenario(name="truth", file=None, routes=routes, parameters=(), default_phase=phase)
    with tempfile.TemporaryDirectory() as folder:
        drive(
            scenario, (phase,), url, Path(folder), workers=1, on_second=lambda _progress: None,
            on_measure_start=forget(url), on_measure_end=lambda _phase: None, stop=Stop(),
        )  # fmt: skip
        took = {name.strip("/"): np.array(each) / 1e6 for name, each in own_times(url).items()}
        (found,) = hits.read(Path(folder), (phase,), servers)
    if len(found.failures.count) or (found.health.lateness_p99_ns or 0) > 5e6:
        print(f"truth: failures or a late generator: {found.error_samples} {found.health}", file=sys.stderr)
    rows = []
    for route, server in enumerate(servers):
        response, service = (histogram.fold(cells, route) for cells in (found.response, found.service))
        rows += [
            Row(
                server=server, q=q, truth_ms=TRUTH[server](q) * 1e3, chance_ms=chance_ms(server, q, seconds),
                response_ms=histogram.quantile_ns(response, q) / 1e6,
                service_ms=histogram.quantile_ns(service, q) / 1e6,
                server_ms=float(np.quantile(took[server], q, method="inverted_cdf")), requests=int(response.sum()),
            )
            for q in QUANTILES
        ]  # fmt: skip
    return rows


def own_times(url: str) -> dict[str, Any]:
    """What the server took since it was last asked."""
    with urllib.request.urlopen(f"{url}/times", timeout=10) as answer:
        told: dict[str, Any] = json.load(answer)
        return told


def forget(url: str) -> Callable[[Phase], None]:
    """Lets the server forget the warm-up."""

    def ask(_phase: Phase) -> None:
        own_times(url)

    return ask


def compare(seconds: int) -> list[Row]:
    """All three servers; the two that nothing holds up run beside each other."""
    with running() as url:
        stalled = measured(url, ("stall",), seconds, connections=STALL_CONNECTIONS)
        return stalled + measured(url, ("queue", "two"), seconds, connections=200)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--seconds", type=int, default=60)
    words.add_argument("--json", action="store_true")
    asked = words.parse_args()
    found = compare(asked.seconds)
    if asked.json:
        rows = [asdict(each) | {"error_ms": each.error_ms, "own_error_ms": each.own_error_ms} for each in found]
        print(json.dumps({"seconds": asked.seconds, "rate_per_s": RATE_PER_S, "rows": rows}, indent=2))
        return
    print(f"{asked.seconds} s at {RATE_PER_S:g}/s each, Poisson; ms")
    print(
        f"{'server':<7} {'q':>6} {'true':>8} {'response':>9} {'error':>7} {'by chance':>9} "
        f"{'service':>8} {'server took':>11} {'error':>7}"
    )
    for each in found:
        print(
            f"{each.server:<7} {'p' + format(each.q * 100, 'g'):>6} {each.truth_ms:>8.2f} {each.response_ms:>9.2f} "
            f"{each.error_ms:>+7.2f} {each.chance_ms:>9.2f} {each.service_ms:>8.2f} {each.server_ms:>11.2f} "
            f"{each.own_error_ms:>+7.2f}"
        )


if __name__ == "__main__":
    main()
