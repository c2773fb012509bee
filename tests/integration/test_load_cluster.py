"""Load from a cluster of real Dask worker processes: one start, one count, one verdict, and every way to fail."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

import headway
from dask_cluster import DaskCluster
from headway.errors import BadInput, RunInvalid, TargetUnreachable
from headway.gate import health_notes
from headway.gate.health import unwell
from headway.load import drive, hits
from headway.load.cluster import host, remote
from headway.load.scenario import single
from headway.load.worker import Assignment
from headway.model import LoadModel, Parameter, Phase, PhaseHits, Route, Scenario, Wire
from load_target import OK, Target, target
from made.judged import made_evidence
from secure_site import site

if TYPE_CHECKING:
    from conftest import StartNginx

OPEN = Phase(name="scenario", model=LoadModel.OPEN, rate_per_s=300, duration_s=2, warmup_s=0)
CLOSED = Phase(name="scenario", model=LoadModel.CLOSED, users=3, duration_s=1, warmup_s=0)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """A scheduler and three workers."""
    running = DaskCluster(tmp_path_factory.mktemp("dask"))
    try:
        running.add(3)
        yield running
    finally:
        running.close()


class Counting(Target):
    """A service that notes when its connections came to be used, and counts."""

    def __init__(self) -> None:
        self.first_s: list[float] = []
        seen: set[asyncio.StreamWriter] = set()

        async def answer(_head: bytes, writer: asyncio.StreamWriter) -> None:
            if writer not in seen:
                seen.add(writer)
                self.first_s.append(time.monotonic())
            writer.write(OK)

        super().__init__(answer)


@pytest.fixture
def service() -> Iterator[Counting]:
    """One such service."""
    running = Counting()
    try:
        yield running
    finally:
        running.end()


def driven(
    folder: Path, url: str, phase: Phase, on: str, *, scenario: Scenario | None = None, tolerate: int = 0,
    stop: drive.Stop | None = None, on_start: Callable[[], None] = lambda: None, workers: int | None = None,
) -> PhaseHits:  # fmt: skip
    """One phase on the cluster, driven and read back."""
    scenario = scenario or single(url)
    drive.drive(
        scenario, (phase,), url, folder, on=on, tolerate=tolerate, workers=workers, on_second=lambda _second: None,
        on_measure_start=lambda _phase: on_start(), on_measure_end=lambda _phase: None, stop=stop or drive.Stop(),
    )  # fmt: skip
    (found,) = hits.read(folder, (phase,), tuple(route.name for route in scenario.routes))
    return found


def generators() -> list[psutil.Process]:
    """Generator processes of this machine's clusters that descend from this process."""
    every = (each for each in psutil.Process().children(recursive=True) if each.status() != psutil.STATUS_ZOMBIE)
    return [each for each in every if "headway.load.cluster.generator" in " ".join(each.cmdline())]


def said(found: PhaseHits) -> str:
    """What stands beside a verdict on it."""
    return "\n".join(health_notes.notes(made_evidence(found)))


def test_the_merged_counts_are_the_service_s_own(cluster: DaskCluster, service: Counting, tmp_path: Path) -> None:
    """Three workers of 100/s are 300/s: as many requests as were planned, answered and seen by the service, exactly;
    the values of a file that only this machine has are in them, from every worker."""
    (tmp_path / "ids.csv").write_text("id\nred\ngreen\n")
    ids = Parameter(name="id", distribution="csv", csv_file=tmp_path / "ids.csv")
    routes = (Route(name="r", method="GET", path="/{id}"),)
    scenario = Scenario(name="s", file=None, routes=routes, parameters=(ids,), default_phase=OPEN)
    found = driven(tmp_path, service.url, OPEN, cluster.address, scenario=scenario)
    assert (found.health.workers, found.health.workers_lost, found.finished) == (3, 0, True)
    assert found.planned.sum() == found.sent.sum() == found.response.count.sum() == 600
    lines = [head.split(b"\r\n")[0] for head in service.asked]
    assert sum(line in {b"GET /red HTTP/1.1", b"GET /green HTTP/1.1"} for line in lines) == 600
    assert len(lines) == 600 + 3  # each machine asked once whether the service is there
    assert not generators()


def test_workers_begin_together(cluster: DaskCluster, service: Counting, tmp_path: Path) -> None:
    """How far apart a run says its workers began holds at the service; with a user each, they connect at once."""
    found = driven(tmp_path, service.url, CLOSED, cluster.address)
    skew_ns = found.health.start_skew_ns
    assert skew_ns is not None
    assert 0 < skew_ns < 100_000_000
    assert len(service.first_s) == 3 + 3
    apart_s = service.first_s[-1] - service.first_s[-3]
    assert apart_s < skew_ns / 1e9 + 0.05  # and what a busy machine takes to accept three connections
    assert "3 workers began within" in said(found)
    early = len(service.asked) - 3 - found.planned.sum()  # a timer may run some µs before the measured time
    assert 0 <= early <= 3


def test_a_lost_worker_makes_the_run_invalid(cluster: DaskCluster, service: Counting, tmp_path: Path) -> None:
    """A generator is killed: the others drain, the run ends early and says nothing, what was counted stays."""
    killer = threading.Timer(1.1, lambda: os.kill(generators()[0].pid, signal.SIGKILL))
    began = time.monotonic()
    found = driven(tmp_path, service.url, replace(OPEN, duration_s=30), cluster.address, on_start=killer.start)
    assert time.monotonic() - began < 20
    assert (found.finished, found.health.workers_lost, found.health.workers) == (False, 1, 3)
    assert "1 of 3 generator processes were lost (worker " in unwell(found)[0]
    assert found.response.count.sum() > 100
    assert not generators()


def test_an_interrupt_drains_every_worker(cluster: DaskCluster, service: Counting, tmp_path: Path) -> None:
    """Ctrl-C once: all workers stop sending, wait for their answers, and are gone; the evidence stays."""
    stop = drive.Stop()
    interrupt = threading.Timer(0.8, stop.drain)
    phase = replace(OPEN, duration_s=30)
    found = driven(tmp_path, service.url, phase, cluster.address, stop=stop, on_start=interrupt.start)
    assert not found.finished
    assert 100 < found.planned.sum() == found.response.count.sum() == len(service.asked) - 3 < 1000
    assert not generators()


def test_what_is_no_cluster_is_refused(cluster: DaskCluster, tmp_path: Path) -> None:
    """Another scheme, nobody there, or a target that the workers cannot reach: one clear error before any load."""
    with pytest.raises(BadInput, match="no cluster's address"):
        driven(tmp_path, "http://127.0.0.1:1", OPEN, "http://127.0.0.1:8786")
    with target(lambda _head, _writer: asyncio.sleep(0)) as gone:
        pass
    with pytest.raises(TargetUnreachable, match=r"seen from the Dask worker tcp://.*nothing listens"):
        driven(tmp_path, gone.url, OPEN, cluster.address)
    assert not list(tmp_path.iterdir())


def test_an_authority_s_certificate_travels(
    cluster: DaskCluster, nginx: StartNginx, service_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    """The CA file is on the machine that orders the run alone: generators elsewhere trust what is in it."""
    found = site(nginx, service_folder("tls"), settings="http2 on;")
    scenario = replace(single(found.url), wire=Wire(http2=True, ca_file=found.ca_file))
    hits = driven(tmp_path, found.url, replace(OPEN, duration_s=1), cluster.address, scenario=scenario, workers=2)
    assert hits.planned.sum() == hits.response.count.sum() > 50
    assert {line[0] for line in found.logged()[3:]} == {"HTTP/2.0"}
    missing = replace(scenario, wire=Wire(ca_file=tmp_path / "none.pem"))
    with pytest.raises(BadInput, match="the CA file cannot be read"):
        driven(tmp_path / "second", found.url, OPEN, cluster.address, scenario=missing)


def test_another_headway_is_refused(cluster: DaskCluster, service: Counting, tmp_path: Path) -> None:
    """A worker with other code, even of the same version, would count otherwise: refused, with both named."""
    shutil.copytree(Path(headway.__file__).parent, tmp_path / "headway", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "headway/load/pacer.py").open("a") as pacer:
        pacer.write("# not the same\n")
    (added,) = cluster.add(1, python_path=tmp_path)
    try:
        with pytest.raises(BadInput, match=rf"has Headway {headway.__version__} \(code \w+\), and this one is"):
            driven(tmp_path, service.url, OPEN, cluster.address)
    finally:
        cluster.end(added, signal.SIGTERM)
        cluster.workers.remove(added)
    assert not service.asked


def test_a_tolerated_loss_is_said_with_its_share(cluster: DaskCluster, service: Counting, tmp_path: Path) -> None:
    """A whole Dask worker is killed and one loss is tolerated: the run goes on, and says how much was not made; at a
    promised rate it is invalid all the same, as that rate was not offered."""
    phase = replace(OPEN, duration_s=3)
    killer = threading.Timer(1.3, lambda: cluster.end(cluster.workers[0]))
    found = driven(tmp_path, service.url, phase, cluster.address, tolerate=1, on_start=killer.start)
    killer.join()
    assert (found.finished, found.health.workers_lost, found.seconds) == (True, 1, 3)
    assert abs(int(found.planned.sum()) - (100 + 2 * 300)) <= 3  # a second's edge is as sharp as a timer
    assert found.health.load_lost_ratio == pytest.approx(200 / 900, abs=0.005)
    assert "1 of 3 workers were lost, as tolerated: 22." in said(found)
    assert not any("were lost" in why or "promised" in why for why in unwell(found))
    promised = replace(found, phase=replace(phase, name="300 req/s"))
    assert "the promised rate was not offered" in unwell(promised)[0]


def test_a_generator_that_nobody_asks_after_ends(service: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parent is killed: no machine goes on loading the service for nobody."""
    monkeypatch.setattr(host, "LEASE_S", 1.0)
    address = ("127.0.0.1", int(service.url.rpartition(":")[2]))
    assignment = Assignment(
        phase=replace(OPEN, duration_s=60), routes=single(service.url).routes, parameters=(), values={},
        address=address, host="x", worker=0, workers=1,
    )  # fmt: skip

    async def left_alone() -> None:
        assert await host.hire("one", assignment, {}, watches=True) is None
        left = await host.start("one", time.monotonic_ns() + 10**8)
        assert left is not None
        assert left > 0
        assert len(generators()) == 1
        while generators():  # noqa: ASYNC110 - another process's end is no event here
            await asyncio.sleep(0.1)
        assert await host.take("one", 0, 0.1) is None

    asyncio.run(asyncio.wait_for(left_alone(), 20))
    assert len(service.asked) > 10


def test_a_scheduler_that_dies_is_said(service: Counting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scheduler is killed in the middle: one clear error, no generator is left, what came before is kept."""
    monkeypatch.setattr(remote, "SILENT_MAX_S", 2.0)
    monkeypatch.setattr(remote, "ANSWER_S", 2.0)
    alone = DaskCluster(tmp_path)
    try:
        alone.add(1)
        killer = threading.Timer(1.5, lambda: alone.end(alone.scheduler))
        with pytest.raises(RunInvalid, match=r"scheduler at dask://.* is lost"):
            driven(tmp_path, service.url, replace(OPEN, duration_s=30), alone.address, on_start=killer.start)
        for each in alone.workers:
            each.wait(20)
        assert not generators()
    finally:
        alone.close()
    (kept,) = hits.read(tmp_path, (replace(OPEN, duration_s=30),), ("r",))
    assert not kept.finished
    assert kept.response.count.sum() > 100
