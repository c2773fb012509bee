"""The profile of a real service with planted faults: what is found in it, and what is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import psutil
import pytest

from headway.conventions import PROFILE_FILE
from headway.diagnose import budget, profiled, profiled_routes
from headway.diagnose.rules import blocking_call, hot_code
from headway.errors import SourceRefused
from headway.evidence import perf, pyspy, reading, stacks
from headway.evidence.profile import Profiler
from headway.model import BudgetPart, Confidence, LoadModel, Phase, Presence
from headway.report import flame
from headway.servers import postgres
from profiled_run import drive, planted, put_spans, spans_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.model import Evidence, Finding

SPEEDSCOPE = json.loads((Path(__file__).parents[1] / "made" / "speedscope.schema.json").read_text())
WEIGHTS = {"/sleeps": 1.0, "/asks": 1.0, "/json": 0.4, "/computes": 1.5, "/waits-well": 1.0}


@pytest.fixture(scope="module")
def database_url(postgres_server: postgres.Postgres) -> Iterator[str]:
    """A database for the planted service."""
    yield postgres.create_database(postgres_server, "planted")
    postgres.drop_database(postgres_server, "planted")


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory, database_url: str) -> Evidence:
    """One run on asyncio's own loop, with the spans the service would have sent."""
    folder = tmp_path_factory.mktemp("planted")
    with planted(folder, database_url) as (url, pid, log):
        run = drive(folder, url, pid, WEIGHTS, rate_per_s=16, duration_s=10)
        put_spans(run, spans_of(log))
    return reading.read(run)


def _of(found: list[Finding], function: str) -> Finding:
    (one,) = [each for each in found if (each.location.code or "").endswith(f" in {function}")]
    return one


def test_blocking_calls_are_found_at_their_line_and_the_good_handler_is_not(evidence: Evidence) -> None:
    """time.sleep and a synchronous driver in async handlers are named with file, line and cure; what awaits is not."""
    found = list(blocking_call.find(evidence))
    asleep = _of(found, "sleeps")
    assert "time.sleep(0.06)" in asleep.line
    assert asleep.location.code == f"tests/planted_service.py:{_line('time.sleep(0.06)')} in sleeps"
    assert "asyncio.sleep" in asleep.remedies[0].act
    assert asleep.confidence is Confidence.CERTAIN
    assert asleep.location.route in (None, "GET /sleeps")
    asked = _of(found, "asks")
    assert "AsyncConnection" in asked.remedies[0].act
    assert not [each for each in found if "waits_well" in (each.location.code or "")]
    assert all(each.reasons_for and each.reasons_against for each in found)


def test_a_large_answer_and_a_hot_loop_that_hold_the_loop_are_found(evidence: Evidence) -> None:
    """Making 5 MB of JSON on the loop is named as computing there; a hot loop is, here or as hot code."""
    found = [*blocking_call.find(evidence), *hot_code.find(evidence)]
    assert "computes" in _of(found, "writes_json").line
    loop = range(_line("for number in range"), _line("total += number") + 1)
    assert _of(found, "spin").location.code in {f"tests/planted_service.py:{line} in spin" for line in loop}
    asleep = [each for each in hot_code.find(evidence) if "sleeps" in (each.location.code or "")]
    assert not asleep, "what waits is not hot"


def test_time_waited_is_what_was_planted(evidence: Evidence) -> None:
    """The seconds a profile gives to calls of known length are those, within four deviations of so few looks."""
    profile = profiled.load(evidence.folder)
    assert profile is not None
    walls = profiled.places(profile, profile.of(stacks.WALL), loop_only=True)
    (asleep,) = [each for each in walls if each.function[1] == "sleeps"]
    cells = evidence.phases[0].service
    expected = float(cells.count[cells.route == 0].sum()) * 0.06 * profile.rates_per_s[stacks.WALL]
    looks = asleep.seconds * profile.rates_per_s[stacks.WALL]
    assert abs(looks - expected) <= 4 * expected**0.5


def test_functions_are_given_to_their_routes_by_time_alone(evidence: Evidence) -> None:
    """A function that works for one route only is given to that one or to none, never to another."""
    profile = profiled.load(evidence.folder)
    assert profile is not None
    told = profiled_routes.told(evidence, profile)
    wanted = {
        "sleeps": "/sleeps",
        "asks": "/asks",
        "writes_json": "/json",
        "computes": "/computes",
        "spin": "/computes",
    }
    assert told.route_of
    for (_, function), route in told.route_of.items():
        assert route == f"GET {wanted[function]}", (function, route)
    assert 0 < told.coverage_ratio <= 1


def test_the_file_is_speedscope_s_and_names_no_machine_s_path(evidence: Evidence) -> None:
    """The profile keeps to speedscope's file format: its types, its indices, as many weights as samples."""
    content = json.loads((evidence.folder / PROFILE_FILE).read_bytes())
    jsonschema.validate(content, SPEEDSCOPE)
    frames = content["shared"]["frames"]
    for profile in content["profiles"]:
        assert len(profile["samples"]) == len(profile["weights"])
        assert all(0 <= index < len(frames) for stack in profile["samples"] for index in stack)
        assert profile["endValue"] == pytest.approx(sum(profile["weights"]))
    assert not [each for each in frames if each["file"].startswith("/")]


def test_the_budget_sums_to_what_the_client_measured(evidence: Evidence) -> None:
    """Parts and residue of each band are the measured time; of a route that only waits, own time is nearly all."""
    found = budget.budgets(evidence)
    routes = {each.route for each in found}
    assert {None, "GET /sleeps"} <= routes <= {None, *(f"GET {path}" for path in WEIGHTS)}
    assert found[0].bands[0].band == "p50"
    for each in found:
        for band in each.bands:
            assert sum(part.ns for part in band.parts) + band.residue_ns == pytest.approx(band.measured_ns)
    (asleep,) = [each for each in found if each.route == "GET /sleeps"]
    own = sum(
        part.ns
        for part in asleep.bands[0].parts
        if part.part in (BudgetPart.OWN, BudgetPart.CPU, BudgetPart.OWN_WAITING)
    )
    assert own >= 60e6
    budget.write(evidence.folder, found)
    assert budget.read(evidence.folder) == found


def test_the_report_draws_it_without_a_script(evidence: Evidence) -> None:
    """The flame graph is HTML with a group of radio buttons; nothing in it runs or is fetched."""
    drawn = str(flame.section(evidence))
    assert 'type="radio"' in drawn
    assert "writes_json" in drawn
    assert "<script" not in drawn
    assert "http" not in drawn.replace("http/", "")


def test_a_loop_without_frames_of_its_own_is_known_by_what_starts_it(tmp_path: Path, database_url: str) -> None:
    """On uvloop, which is compiled, a blocking call is found as on asyncio's loop, and idling is no blocking."""
    with planted(tmp_path, database_url, loop="uvloop") as (url, pid, _):
        run = drive(tmp_path, url, pid, {"/sleeps": 1.0, "/waits-well": 1.0}, rate_per_s=16, duration_s=2)
    found = list(blocking_call.find(reading.read(run)))
    assert [each.location.code for each in found] == [f"tests/planted_service.py:{_line('time.sleep(0.06)')} in sleeps"]
    # Two routes and no traces: whose it is can't be told, and is not guessed.
    assert found[0].location.route is None
    assert any("could not be told" in each for each in found[0].reasons_against)


def test_a_process_that_may_not_be_read_is_refused_before_any_load() -> None:
    """Where the right is missing, one error says so and how it is given; no load has been made."""
    if os.geteuid() != 0:
        secret = "import ctypes; ctypes.CDLL(None).prctl(4, 0, 0, 0, 0); print('ready', flush=True); input()"
        with subprocess.Popen(
            [sys.executable, "-c", secret], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as child:  # PR_SET_DUMPABLE 0: nobody but root may read it
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            try:
                with pytest.raises(SourceRefused):
                    Profiler((("app", child.pid),), wanted=True).check()
            finally:
                child.kill()
        return
    # As an account without rights over root's processes. It may not read every interpreter's files either: what the
    # check imports is imported before.
    profiler = Profiler((("app", os.getpid()),), wanted=True)
    profiler.check()
    forked = os.fork()
    if forked == 0:
        os.setgid(65534)
        os.setuid(65534)
        try:
            Profiler((("app", os.getppid()),), wanted=True).check()
        except SourceRefused:
            os._exit(7)
        except BaseException:  # noqa: BLE001 - a child must not go on as the test program
            os._exit(8)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1]) == 7


def test_another_language_is_sampled_by_perf_where_that_can_be_and_said_where_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without perf, a process that runs no Python is named with what to do; with it, its processor time is taken."""
    with subprocess.Popen(["/bin/sh", "-c", "while :; do :; done"]) as child:
        try:
            seen = perf.of(pyspy.family("app", child.pid))
            if seen and perf.why_not(seen[0]) is None:
                profiler = Profiler((("app", child.pid),), wanted=True)
                assert "by perf, processor time alone: app" in profiler.check().detail
                phase = Phase(name="p", model=LoadModel.CLOSED, duration_s=1, warmup_s=0, users=1)
                profiler.begin(phase, time.time())
                time.sleep(1.0)
                profiler.end(phase, time.time())
                profiler.finish()
                profiler.write(tmp_path)
                profiler.close()
                profile = stacks.read(tmp_path / PROFILE_FILE)
                assert sum(each.whole_s for each in profile.of(stacks.CPU)) > 0
            monkeypatch.setattr(perf, "program", lambda: None)
            with pytest.raises(SourceRefused, match="perf is not installed"):
                Profiler((("app", child.pid),), wanted=True).check()
            mixed = Profiler((("app", child.pid), ("worker", os.getpid())), wanted=True).check()
            assert mixed.presence is Presence.PRESENT
            assert "not Python, not profiled: app (perf is not installed)" in mixed.detail
        finally:
            child.kill()


def test_no_sampler_outlives_the_run(evidence: Evidence) -> None:
    """When a run is over no py-spy of ours runs, and its scratch files are gone."""
    left = [each for each in psutil.Process().children(recursive=True) if "py-spy" in _name(each)]
    assert evidence.folder.exists()
    assert not left


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.Error:
        return ""


def _line(text: str) -> int:
    lines: list[Any] = (Path(__file__).parents[1] / "planted_service.py").read_text().splitlines()
    return next(number for number, line in enumerate(lines, start=1) if text in line and '"""' not in line)
