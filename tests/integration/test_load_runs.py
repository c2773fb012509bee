"""Whole runs with worker processes against real services: time told honestly, and every way a run can end."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
import psycopg
import pytest

from headway.errors import BadInput, SourceRefused, TargetUnreachable
from headway.load import drive, feed, histogram, hits, reach
from headway.load.scenario import single
from headway.load.target import parse
from headway.model import Arrivals, FailureKind, LoadModel, Parameter, Phase, PhaseHits, Progress, Route, Scenario
from load_target import OK, says, target

if TYPE_CHECKING:
    from conftest import StartNginx

OPEN = Phase(name="open", model=LoadModel.OPEN, rate_per_s=400, duration_s=1, warmup_s=0.1)
CLOSED = Phase(name="closed", model=LoadModel.CLOSED, users=4, duration_s=1, warmup_s=0.1)


def driven(
    folder: Path, url: str, phase: Phase, *, scenario: Scenario | None = None, workers: int = 1,
    stop: drive.Stop | None = None, on_start: Callable[[], None] = lambda: None,
    told: list[Progress] | None = None,
) -> PhaseHits:  # fmt: skip
    """One phase, driven and read back. `on_start` is called when the measured time begins."""
    scenario = scenario or single(url)
    drive.drive(
        scenario, (phase,), url, folder, workers=workers,
        on_second=(told if told is not None else []).append, on_measure_start=lambda _phase: on_start(),
        on_measure_end=lambda _phase: None, stop=stop or drive.Stop(),
    )  # fmt: skip
    (found,) = hits.read(folder, (phase,), tuple(route.name for route in scenario.routes))
    assert found.planned.sum() == found.response.count.sum() + found.failures.count.sum() or not found.finished
    return found


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one request before the load isn't waited for long."""
    monkeypatch.setattr(reach, "PATIENCE_S", 0.2)


def quantile_ms(found: PhaseHits, q: float, *, corrected: bool = True) -> float:
    return histogram.quantile_ns(histogram.fold(found.response if corrected else found.service), q) / 1e6


def kinds(found: PhaseHits) -> Counter[FailureKind]:
    every, counted = list(FailureKind), Counter[FailureKind]()
    for kind, count in zip(found.failures.kind, found.failures.count, strict=True):
        counted[every[kind]] += int(count)
    return counted


def test_a_stall_is_not_omitted(tmp_path: Path) -> None:
    """One stall of 1 s in a run of 5 s: the requests it kept from being sent are in the P99 that counts."""
    stalled = threading.Event()

    async def stalls_once(_head: bytes, writer: asyncio.StreamWriter) -> None:
        if time.monotonic() > began + 2.5 and not stalled.is_set():
            stalled.set()
            time.sleep(1)  # noqa: ASYNC251 - the whole service stands still
        writer.write(OK)

    with target(stalls_once) as service:
        began = time.monotonic()
        found = driven(tmp_path, service.url, replace(OPEN, rate_per_s=200, duration_s=5, max_connections=2))
    assert stalled.is_set()
    assert quantile_ms(found, 0.99) >= 500
    assert quantile_ms(found, 0.99, corrected=False) < 200
    assert (found.health.backlog_peak, found.failures.count.sum()) >= (10, 0)
    assert found.planned.sum() == 1000


def test_a_known_delay_is_measured(tmp_path: Path) -> None:
    """A service that takes 20 ms is seen to take 20 ms, in the corrected time as in the other."""
    with target(says(OK, wait_s=0.020)) as service:
        found = driven(tmp_path, service.url, replace(OPEN, rate_per_s=50))
    for corrected in (True, False):
        assert 20 <= quantile_ms(found, 0.10, corrected=corrected) < 22
        assert 20 <= quantile_ms(found, 0.50, corrected=corrected) < 24


def test_two_modes_are_both_seen(tmp_path: Path) -> None:
    """A service that takes 5 ms nine times and 80 ms once has a P50 and a P95 that say so."""
    turn = iter(range(100_000))

    async def bimodal(_head: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.080 if next(turn) % 10 == 0 else 0.005)
        writer.write(OK)

    with target(bimodal) as service:
        found = driven(tmp_path, service.url, OPEN)
    assert 5 <= quantile_ms(found, 0.50) < 20
    assert 80 <= quantile_ms(found, 0.95) < 110


def test_a_closed_user_s_wait_to_connect_is_in_its_time(tmp_path: Path) -> None:
    """A service that closes after each answer: the closed user's clock runs while it connects anew."""
    closing = says(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok", then="close")
    with target(closing) as service:
        hit = driven(tmp_path, service.url, CLOSED)
    response, service_time = (histogram.mean_ns(histogram.fold(each)) for each in (hit.response, hit.service))
    assert response > service_time
    assert hit.planned.sum() == hit.sent.sum()
    assert not kinds(hit)


def test_the_warm_up_is_not_counted(tmp_path: Path) -> None:
    """What is slow in the warm-up alone leaves no trace; the live view is told that it was the warm-up."""
    began = time.monotonic()
    told: list[Progress] = []

    async def cold(_head: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.3 if time.monotonic() < began + 0.6 else 0)
        writer.write(OK)

    with target(cold) as service:
        found = driven(tmp_path, service.url, replace(OPEN, warmup_s=1), told=told)
        assert len(service.asked) > 400
    assert found.planned.sum() == found.sent.sum() == 400
    assert quantile_ms(found, 1.0) < 300
    assert [each.warming_up for each in told[:2]] == [True, False]
    assert told[0].sent_per_s > 100


@pytest.mark.parametrize("arrivals", [Arrivals.CONSTANT, Arrivals.POISSON])
def test_two_workers_share_a_rate(tmp_path: Path, arrivals: Arrivals) -> None:
    """Two processes together send the rate asked for: to the request when it is constant, to chance when Poisson."""
    with target(says(OK)) as service:
        found = driven(tmp_path, service.url, replace(OPEN, rate_per_s=301, arrivals=arrivals), workers=2)
    off = abs(int(found.planned.sum()) - 301)
    assert off <= (0 if arrivals is Arrivals.CONSTANT else 5 * 301**0.5)
    assert found.planned.sum() == found.sent.sum() == found.response.count.sum()
    assert (found.health.workers, found.finished) == (2, True)


def test_two_workers_share_the_users(tmp_path: Path) -> None:
    """Five users are five connections, however many processes there are; a process without a user isn't started."""
    with target(says(OK, wait_s=0.01)) as service:
        found = driven(tmp_path, service.url, replace(CLOSED, users=5), workers=2)
        (alone := tmp_path / "alone").mkdir()
        single_user = driven(alone, service.url, replace(CLOSED, users=1), workers=2)
    assert (found.health.connections_peak, found.health.workers) == (5, 2)
    assert (single_user.health.connections_peak, single_user.health.workers) == (1, 1)
    assert found.planned.sum() == found.sent.sum() == found.response.count.sum()


def test_a_target_that_dies_is_counted_to_the_end(tmp_path: Path) -> None:
    """The service dies in the middle: the rest of the plan fails at the planned rate, and the run ends on time."""
    with target(says(OK)) as service:
        began = time.monotonic()
        dying = threading.Timer(0.5, service.end)
        found = driven(tmp_path, service.url, OPEN, on_start=dying.start)
        dying.join()
    assert time.monotonic() - began < 8
    assert found.planned.sum() == 400
    assert 50 < kinds(found).total() < 260  # it dies half a second after the measured time is said to have begun
    assert set(kinds(found)) <= {FailureKind.CONNECT, FailureKind.RESET}
    assert found.finished


def generators() -> list[psutil.Process]:
    running = (each for each in psutil.Process().children() if each.status() != psutil.STATUS_ZOMBIE)
    return [each for each in running if "spawn_main" in " ".join(each.cmdline())]


def test_a_killed_worker_ends_the_run_and_keeps_the_evidence(tmp_path: Path) -> None:
    """One of two processes is killed: the other drains, the run says that it did not finish, what was counted stays."""

    def kill_one() -> None:
        os.kill(generators()[0].pid, signal.SIGKILL)

    killer = threading.Timer(1.3, kill_one)
    with target(says(OK)) as service:
        began = time.monotonic()
        found = driven(tmp_path, service.url, replace(OPEN, duration_s=20), workers=2, on_start=killer.start)
    assert time.monotonic() - began < 10
    assert (found.finished, found.health.workers_lost) == (False, 1)
    assert found.response.count.sum() > 150
    assert not generators()


@pytest.mark.parametrize("model", list(LoadModel))
def test_an_interrupted_run_drains_and_keeps_the_evidence(tmp_path: Path, model: LoadModel) -> None:
    """Ctrl-C once: no new requests, those in flight are waited for, the evidence stays, and it says: not finished."""
    stop = drive.Stop()
    interrupt = threading.Timer(0.6, stop.drain)
    phase = replace(OPEN if model is LoadModel.OPEN else CLOSED, duration_s=20)
    with target(says(OK, wait_s=0.05)) as service:
        began = time.monotonic()
        found = driven(tmp_path, service.url, phase, stop=stop, on_start=interrupt.start)
        ended_s = time.monotonic() - began
    assert ended_s < 6
    assert not found.finished
    assert not kinds(found)
    assert found.planned.sum() == found.sent.sum() == found.response.count.sum() > 20
    assert 1 <= found.seconds <= 3


@pytest.mark.usefixtures("impatient")
def test_an_interrupted_run_cuts_off_what_never_ends(tmp_path: Path) -> None:
    """What a silent service still owes two seconds after Ctrl-C is cut off, and each request of it is counted so."""
    stop = drive.Stop()
    interrupt = threading.Timer(0.5, stop.drain)
    with target(says(b"")) as service:
        phase = replace(OPEN, duration_s=20, max_connections=5)
        found = driven(tmp_path, service.url, phase, stop=stop, on_start=interrupt.start)
    assert kinds(found)[FailureKind.ABORTED] == found.planned.sum() == kinds(found).total() > 50


def test_an_interrupt_in_the_warm_up_measures_nothing(tmp_path: Path) -> None:
    """A run that ends before its measured time has no seconds and no hits, and is quick to say so."""
    stop = drive.Stop()
    with target(says(OK)) as service:
        threading.Timer(1.5, stop.drain).start()
        began = time.monotonic()
        found = driven(tmp_path, service.url, replace(OPEN, warmup_s=20), stop=stop)
    assert time.monotonic() - began < 6
    assert (found.seconds, found.finished, found.response.count.sum(), found.health.cpu_ratio) == (0, False, 0, None)


@pytest.mark.usefixtures("impatient")
def test_an_interrupt_repeated_stops_at_once(tmp_path: Path) -> None:
    """Ctrl-C twice: the workers are gone at once, whatever is in flight."""
    stop = drive.Stop()
    interrupt = threading.Timer(0.6, stop.now)
    with target(says(b"")) as service:
        began: list[float] = []

        def start() -> None:
            began.append(time.monotonic())
            interrupt.start()

        found = driven(tmp_path, service.url, replace(OPEN, duration_s=20), stop=stop, on_start=start)
    assert time.monotonic() - began[0] < 3
    assert not found.finished
    assert not generators()


def test_nginx_is_asked_for_routes_by_weight(tmp_path: Path, nginx: StartNginx) -> None:
    """Routes come in the shares their weights say, with parameters filled in; nginx answers all of them."""
    url = nginx("location /a/ { return 200 a; } location /b/ { return 200 bb; } location / { return 404; }")
    ids = Parameter(name="id", distribution="zipf", low=1, high=100, exponent=1.0)
    routes = (Route(name="a", method="GET", path="/a/{id}", weight=3), Route(name="b", method="GET", path="/b/{id}"))
    scenario = Scenario(name="s", file=None, routes=routes, parameters=(ids,), default_phase=OPEN)
    found = driven(tmp_path, url, replace(CLOSED, warmup_s=0), scenario=scenario)
    by_route = np.bincount(found.response.route, weights=found.response.count)
    total = by_route.sum()
    assert found.statuses == {200: total}
    assert abs(by_route[0] / total - 0.75) < 5 * (0.75 * 0.25 / total) ** 0.5
    assert found.planned.sum() == found.sent.sum() == total


def test_what_is_not_there_or_not_http_is_refused_before_any_load(tmp_path: Path) -> None:
    """Nothing listens, a name that means nothing, or another protocol: one clear error, and no log is begun."""
    with target(says(b"220 mail.example ESMTP\r\n")) as mail, pytest.raises(TargetUnreachable, match="does not speak"):
        driven(tmp_path, mail.url, OPEN)
    with pytest.raises(TargetUnreachable, match="nothing listens"):
        driven(tmp_path, mail.url, OPEN)
    with pytest.raises(TargetUnreachable, match="does not resolve"):
        reach.resolve("no-such-host.invalid", 80)
    with target(says(b"", then="reset")) as rude, pytest.raises(TargetUnreachable):
        driven(tmp_path, rude.url, OPEN)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("impatient")
def test_a_slow_service_is_loaded_all_the_same() -> None:
    """Silence is a finding, not an error: only what can't be connected to is refused."""
    with target(says(b"")) as silent:
        reach.arrive(parse(silent.url), single(silent.url))


def test_a_query_gives_a_parameter_its_values(postgres_url: str) -> None:
    """A parameter's query is read once, read-only, at most `limit` rows; NULL is no value."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE users AS SELECT nullif(n, 3) AS id FROM generate_series(1, 10) n")
    asked = Parameter(name="id", distribution="query", query="SELECT id FROM users ORDER BY id NULLS FIRST", limit=4)
    assert feed.values_of(asked, postgres_url) == ("1", "2", "4")
    like = replace(asked, query="SELECT 'a%b' WHERE 'x' LIKE '%x'")
    assert feed.values_of(like, postgres_url) == ("a%b",)
    for query, said in (
        ("SELECT id FROM nothing", "failed"), ("DELETE FROM users", "failed"), ("SELECT 1 WHERE false", "no values"),
        ("SELECT NULL", "no values"), ("CREATE TABLE t ()", "failed"),
    ):  # fmt: skip
        with pytest.raises(BadInput, match=said):
            feed.values_of(replace(asked, query=query), postgres_url)
    with pytest.raises(SourceRefused):
        feed.values_of(asked, postgres_url + "_gone")


def test_a_query_that_takes_too_long_is_refused(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database isn't held for a parameter: a slow query is ended and named, not taken for a refusal."""
    monkeypatch.setattr(feed, "QUERY_TIMEOUT_MS", 1000)
    slow = Parameter(name="id", distribution="query", query="SELECT pg_sleep(20)")
    with pytest.raises(BadInput, match="took over 1 s") as refused:
        feed.values_of(slow, postgres_url)
    assert not isinstance(refused.value, SourceRefused)
