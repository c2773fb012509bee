"""A cluster behind a slow and lopsided line: real network namespaces, real delay, one run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dask_cluster import DaskCluster
from delayed_link import NEAR, DelayedLink
from headway.evidence import bundle, reading
from headway.gate.health import unwell
from headway.load import histogram
from keyboard import HEADWAY

THERE_S, BACK_S = 0.002, 0.012
SERVICE = """
import asyncio, sys
from headway.load.null_server import NullProtocol

class Counting(NullProtocol):
    seen = 0

    def data_received(self, data):
        Counting.seen += data.count(b"GET /")
        super().data_received(data)

async def serve():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Counting, sys.argv[1], 8080)
    print("ready", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    print(Counting.seen, flush=True)

asyncio.run(serve())
"""
SCENARIO = """
name = "far"
[load]
rate_per_s = 100
arrivals = "constant"
duration_s = 2
warmup_s = 0
[[routes]]
path = "/"
"""


@pytest.fixture
def link() -> Iterator[DelayedLink]:
    """2 ms there, 12 ms back. A machine that allows no namespaces fails here, with what it said: nothing is skipped."""
    made = DelayedLink(there_s=THERE_S, back_s=BACK_S)
    try:
        yield made
    finally:
        made.close()


def test_workers_behind_a_slow_line_begin_together_and_are_counted_exactly(link: DelayedLink, tmp_path: Path) -> None:
    """Two workers 14 ms away: their clock is found within what is said of it, though the way back is six times as
    long; the line's delay is in the times; what the service counted is what was planned, to the request."""
    near = link.near
    (tmp_path / "far.toml").write_text(SCENARIO)
    service = subprocess.Popen(
        [*near, sys.executable, "-c", SERVICE, NEAR], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    cluster = None
    try:
        assert service.stdout is not None
        assert service.stdout.readline() == "ready\n"
        cluster = DaskCluster(tmp_path, host=NEAR, scheduler_in=near, workers_in=link.far)
        cluster.add(2)
        ran = subprocess.run(
            [*near, *HEADWAY, "run", str(tmp_path / "far.toml"), "--against", f"http://{NEAR}:8080", "--no-answers",
             "--on", cluster.address, "--root", str(tmp_path), "--format", "json"],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        counted, _ = service.communicate()
    finally:
        if cluster is not None:
            cluster.close()
        service.kill()
        service.wait()
    evidence = reading.read(bundle.find(tmp_path, None))
    (hits,) = evidence.phases
    assert hits.planned.sum() == hits.response.count.sum() == int(counted) - 2 == 200
    assert hits.health.start_skew_ns is not None
    trip_ns = (THERE_S + BACK_S) * 1e9
    assert trip_ns <= hits.health.start_skew_ns < 100e6
    assert not [why for why in unwell(hits) if "late" not in why and "lagged" not in why]  # other tests are running
    assert histogram.quantile_ns(histogram.fold(hits.service), 0.01) >= trip_ns
    started = next(json.loads(line) for line in (evidence.folder / "load.jsonl").read_text().splitlines())
    for place in started["places"]:  # both namespaces have one clock, so the truth is 0
        assert abs(place["clock_ahead_ns"]) <= place["clock_uncertainty_ns"]
        assert place["clock_uncertainty_ns"] >= trip_ns / 2
        assert place["order_early_ns"] > 0
    assert not Path("/proc", str(cluster.workers[0].pid)).exists()
