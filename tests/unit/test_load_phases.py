"""The [load] table: what it means, in our words and in k6's, and how it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from headway.errors import BadInput
from headway.load import scenario, shape
from headway.load.durations import seconds_of
from headway.model import Arrivals, LoadModel, Phase, Stage

ROUTES = '[[routes]]\nname = "home"\npath = "/"\n'


def read(tmp_path: Path, load: str) -> Phase:
    """The phase of a scenario with this [load]."""
    file = tmp_path / "s.toml"
    file.write_text(f"[load]\n{load}\n{ROUTES}")
    return scenario.read(file).default_phase


def levels(phase: Phase, *moments: float) -> list[float]:
    """The phase's level at moments of its measured time."""
    return [shape.Shape(phase).level(at_s) for at_s in moments]


def test_stages_ramp_from_the_rate_on(tmp_path: Path) -> None:
    """Straight lines between levels, a jump where a stage takes no time, the warm-up at the first level."""
    found = read(
        tmp_path,
        "rate_per_s = 10\nstages = [{ duration_s = 10, rate_per_s = 110 }, { duration_s = 0, rate_per_s = 5 },"
        ' { duration_s = "1m", rate_per_s = 5 }]',
    )
    assert found.duration_s == 70
    assert levels(found, -1, 0, 5, 9.999, 10, 40, 80) == pytest.approx([10, 10, 60, 109.99, 5, 5, 5])
    assert shape.peak(found) == 110


def test_shapes_have_names(tmp_path: Path) -> None:
    """ramp, steps, spike and soak are stages that one need not write."""
    ramp = read(tmp_path, 'rate_per_s = 0\nshape = { ramp = { to = 100, over_s = 10, hold_s = "20s" } }')
    assert levels(ramp, 0, 5, 10, 29) == [0, 50, 100, 100]
    steps = read(tmp_path, "rate_per_s = 100\nshape = { steps = { to = 300, count = 2, each_s = 10 } }")
    assert steps.duration_s == 30
    assert levels(steps, 0, 9, 10, 19, 20, 29) == [100, 100, 200, 200, 300, 300]
    spike = read(tmp_path, "users = 5\nshape = { spike = { to = 50, before_s = 3, hold_s = 2, after_s = 4 } }")
    assert spike.model is LoadModel.CLOSED
    assert [shape.users_at(spike, at) for at in (0, 2.9, 3, 4.9, 5, 8)] == [5, 5, 50, 50, 5, 5]
    assert read(tmp_path, 'rate_per_s = 7\nshape = { soak = { for_s = "8h" } }').duration_s == 8 * 3600


@pytest.mark.parametrize(
    ("load", "model", "level", "duration_s", "stages"),
    [
        ('executor = "constant-arrival-rate"\nrate = 600\ntimeUnit = "1m"\nduration = "30s"\npreAllocatedVUs = 20',
         LoadModel.OPEN, 10, 30, ()),
        ('executor = "ramping-arrival-rate"\nstartRate = 5\nstages = [{ target = 50, duration = "10s" }]\nmaxVUs = 9',
         LoadModel.OPEN, 5, 10, (Stage(duration_s=10, target=50),)),
        ('executor = "constant-vus"\nvus = 7\nduration = "1m30s"', LoadModel.CLOSED, 7, 90, ()),
        ('executor = "ramping-vus"\nstartVUs = 0\nstages = [{ target = 8, duration = "4s" }]',
         LoadModel.CLOSED, 0, 4, (Stage(duration_s=4, target=8),)),
        ('executor = "shared-iterations"\nvus = 3\niterations = 100\nmaxDuration = "20s"', LoadModel.CLOSED, 3, 20, ()),
        ('executor = "per-vu-iterations"\nvus = 3\niterations = 10', LoadModel.CLOSED, 3, 600, ()),
        ('executor = "externally-controlled"\nvus = 3\nduration = "9s"\ncontrol_file = "users.txt"',
         LoadModel.CLOSED, 3, 9, ()),
    ],
)  # fmt: skip
def test_k6_executors_mean_what_they_mean_there(
    tmp_path: Path, load: str, model: LoadModel, level: float, duration_s: float, stages: tuple[Stage, ...]
) -> None:
    """All seven names, with k6's own keys; its arrivals are evenly spaced."""
    found = read(tmp_path, load)
    assert (found.model, found.duration_s, found.stages) == (model, duration_s, stages)
    assert (found.rate_per_s if model is LoadModel.OPEN else found.users) == level
    if model is LoadModel.OPEN:
        assert found.arrivals is Arrivals.CONSTANT
    assert found.iterations == (100 if "shared" in load else 10 if "per-vu" in load else None)
    assert found.iterations_each == ("per-vu" in load)
    assert (found.control_file == tmp_path / "users.txt") == ("externally" in load)


def test_a_replay_lasts_as_long_as_its_recording(tmp_path: Path) -> None:
    """At twice the speed it takes half the time; a duration that is named cuts it short."""
    (tmp_path / "a.jsonl").write_text(
        '{"at_s": 0, "route": "home", "path": "/"}\n\n{"at_s": 8.5, "route": "home", "path": "/?x=1"}\n'
    )
    found = read(tmp_path, 'arrivals = "replay"\nreplay = { file = "a.jsonl", speed = 2 }')
    assert found.duration_s == 4.25
    assert found.warmup_s == 0
    assert read(tmp_path, 'arrivals = "replay"\nreplay = { file = "a.jsonl" }\nduration_s = 3').duration_s == 3


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ("", "no arrivals to replay"),
        ("{", "is not {"),
        ("[1]", "is not {"),
        ('{"at_s": 0, "route": "home"}', "is not {"),
        ('{"at_s": 2, "route": "home", "path": "/"}\n{"at_s": 1, "route": "home", "path": "/"}', "earlier than"),
        ('{"at_s": -1, "route": "home", "path": "/"}', "no moment"),
        ('{"at_s": NaN, "route": "home", "path": "/"}', "no moment"),
        ('{"at_s": 0, "route": "away", "path": "/"}', "which the scenario does not have"),
        ('{"at_s": 0, "route": "home", "path": "/ HTTP/1.1\\r\\nx: y"}', "no path"),
        ('{"at_s": 0, "route": "home", "path": "http://elsewhere/"}', "no path"),
    ],
)
def test_a_recording_that_is_none_is_refused_at_its_line(tmp_path: Path, lines: str, why: str) -> None:
    """Nothing that could reach another host, or another request's head, gets past; the line is named."""
    (tmp_path / "a.jsonl").write_text(lines)
    with pytest.raises(BadInput) as caught:
        read(tmp_path, 'arrivals = "replay"\nreplay = { file = "a.jsonl" }')
    assert why in str(caught.value)
    assert "a.jsonl" in str(caught.value)
    if lines:
        assert caught.value.line == lines.count("\n") + 1


@pytest.mark.parametrize(
    ("load", "line", "why"),
    [
        ("users = 5\nrate_per_s = 3", 2, "means nothing in an open model"),
        ('model = "closed"', 2, "a closed model needs users"),
        ("iterations = 3", 2, "means nothing in an open model"),
        ("stages = []", 2, "take no time"),
        ("rate_per_s = 1\nstages = [{ duration_s = 1 }]", 3, "a stage without duration_s and rate_per_s"),
        ("stages = [{ duration_s = 1, rate_per_s = 5 }]\nduration_s = 9", 3, "stands beside stages"),
        ("shape = { wave = { to = 3 } }", 2, "is not one shape"),
        ("shape = { ramp = { to = 3 } }", 2, "has no over_s"),
        ("duration_s = \"soon\"", 2, "is not a time"),
        ('arrivals = "bursts"', 2, "belong together"),
        ("burst_size = 4", 2, "belong together"),
        ('arrivals = "replay"', 2, "belong together"),
        ('executor = "constant-vus"\nvus = 3\ngracefulStop = "30s"', 4, "leave it out"),
        ('executor = "constant-vus"\nrate = 3', 3, "unknown key 'rate'"),
        ('executor = "constant-users"', 2, "is unknown"),
        ('executor = "externally-controlled"\nvus = 3', 2, "name it: control_file"),
        ('executor = "constant-vus"\nvus = -3', 3, "is not a whole number"),
    ],
)  # fmt: skip
def test_a_load_that_means_nothing_is_refused_at_its_line(tmp_path: Path, load: str, line: int, why: str) -> None:
    """One error, with the line of what is wrong, also where k6's key was translated."""
    with pytest.raises(BadInput) as caught:
        read(tmp_path, load)
    assert why in str(caught.value)
    assert caught.value.line == line


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("1m30s", 90), ("500ms", 0.5), ("1.5h", 5400), ("", None), ("5", None)]
)
def test_times_are_read_as_people_write_them(text: str, seconds: float | None) -> None:
    """Numbers with units, one after the other; anything else is none."""
    assert seconds_of(text) == seconds
