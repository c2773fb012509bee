"""Which runs may be compared, what is pinned and comes back, and what adds up over releases."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compared import LIKENESS, MACHINE, run, sample
from headway.cli.compared import check_asked
from headway.compare import baseline, comparison, likeness, side, trend
from headway.compare.calls import Call
from headway.compare.margin import Margin
from headway.errors import BadInput, BundleDamaged, RunInvalid
from headway.model import Arrivals, ExitCode, LoadModel, Phase, Route, Scenario, Wire
from headway.report import differences as shown
from headway.report import differences_page
from headway.report import trends as shown_trends

ROUTES = (Route(name="GET /a", method="GET", path="/a"),)
PHASE = Phase(name="scenario", model=LoadModel.OPEN, duration_s=30, warmup_s=1, rate_per_s=100)


def pair(**differing: object) -> comparison.Comparison:
    random = np.random.default_rng(1)
    a, b = run("a", sample(random)), run("b", sample(random), **differing)
    return comparison.compare([a], [b], margin=Margin())


@pytest.mark.parametrize(
    ("differing", "said"),
    [
        ({"likeness": {**LIKENESS, "routes": "other"}}, "the routes or their weights"),
        ({"likeness": {**LIKENESS, "load": "other"}, "loads": {"scenario": "200 req/s"}}, "100 req/s against"),
        ({"machine": replace(MACHINE, cores=8)}, "cores 4 and 8"),
        ({"headway_version": "2"}, "by Headway 1 and 2"),
        ({"tool": "k6"}, "Headway made one load and k6 the other"),
        ({"ailments": ("it was interrupted; run it to its end",)}, "run b says nothing: it was interrupted"),
    ],
)
def test_runs_that_were_not_asked_the_same_are_not_compared(differing: dict[str, object], said: str) -> None:
    """Other traffic, load, machine, generator, or an invalid run: no number is given, and exit code 5."""
    found = pair(**differing)
    assert found.exit_code is ExitCode.INVALID
    assert found.phases == ()
    assert any(said in each for each in found.not_comparable), found.not_comparable
    assert "not comparable" in shown.as_text(found)


def test_one_machine_is_believed_only_when_it_is_shown() -> None:
    """Another boot, or none known: a warning, and with --same-runner a refusal."""
    random = np.random.default_rng(1)
    a = run("a", sample(random))
    for machine, said in (
        (replace(MACHINE, boot="b2"), "started anew between"),
        (replace(MACHINE, id="m2", boot="b2"), "alike, and not the same one"),
        (replace(MACHINE, boot=None), "nothing shows"),
    ):
        b = run("b", sample(random), machine=machine)
        lax = comparison.compare([a], [b], margin=Margin())
        assert lax.exit_code is not ExitCode.INVALID
        assert any(said in each for each in lax.warnings), lax.warnings
        strict = comparison.compare([a], [b], margin=Margin(), same_runner=True)
        assert strict.exit_code is ExitCode.INVALID
        assert any(said in each for each in strict.not_comparable)
    sure = comparison.compare([a], [run("b", sample(random))], margin=Margin(), same_runner=True)
    assert sure.exit_code is not ExitCode.INVALID


def test_a_run_is_no_match_for_itself_and_rounds_are_as_many() -> None:
    """The same run twice, rounds without partners, two rounds: refused, not reckoned."""
    random = np.random.default_rng(1)
    runs = [run(str(number), sample(random)) for number in range(4)]
    for a, b in ((runs[:1], runs[:1]), (runs[:2], runs[2:3]), (runs[:2], runs[2:])):
        with pytest.raises(BadInput):
            comparison.compare(a, b, margin=Margin())


def test_what_makes_runs_alike_leaves_out_seed_target_and_steady_length() -> None:
    """A longer run with other keys against another port was asked the same; another weight, rate or ramp was not."""

    def parts(phase: Phase = PHASE, routes: tuple[Route, ...] = ROUTES, wire: Wire = Wire()) -> dict[str, str]:  # noqa: B008 frozen
        scenario = Scenario(name="s", file=None, routes=routes, parameters=(), default_phase=phase, wire=wire)
        return likeness.parts(scenario, (phase,))

    assert parts() == parts(replace(PHASE, seed=9, duration_s=60))
    assert parts() == parts(wire=Wire(host="b.example", connect_to="127.0.0.1:9"))
    assert parts()["load"] != parts(replace(PHASE, rate_per_s=101))["load"]
    assert parts()["load"] != parts(replace(PHASE, arrivals=Arrivals.POISSON))["load"]
    assert parts()["routes"] != parts(routes=(replace(ROUTES[0], weight=2.0),))["routes"]
    assert parts()["wire"] != parts(wire=Wire(http2=True))["wire"]


def test_a_pinned_run_comes_back_as_it_was(tmp_path: Path) -> None:
    """Every request, failed ones too, in a small file, without the run's folder; percentiles are the same."""
    phase = sample(np.random.default_rng(2), seconds=120, rate=200, failed=0.01, routes=3)
    one = run("one", phase)
    file = tmp_path / ".headway/baseline.json"
    assert baseline.pin(file, one) == 0
    back = baseline.pinned(file, one).run
    assert back.pinned
    assert file.stat().st_size < 200_000
    assert replace(back, samples={}, pinned=False) == replace(one, samples={})
    for route in (None, 0, 1, 2):
        was, now = side.of_run(phase, route), side.of_run(back.samples["scenario"], route)
        assert [was.quantile_ns(q) for q in (0.5, 0.95, 0.99)] == [now.quantile_ns(q) for q in (0.5, 0.95, 0.99)]
        assert was.requests == now.requests


def test_each_traffic_has_its_own_pin(tmp_path: Path) -> None:
    """Pinning one scenario leaves another's pin; a run without a pin of its own is told what to do."""
    file = tmp_path / "baseline.json"
    random = np.random.default_rng(3)
    one, two = run("one", sample(random)), run("two", sample(random), likeness={**LIKENESS, "routes": "other"})
    with pytest.raises(BadInput, match="headway compare --pin"):
        baseline.pinned(file, one)
    baseline.pin(file, one)
    with pytest.raises(BadInput, match="no baseline for the traffic"):
        baseline.pinned(file, two)
    baseline.pin(file, two)
    assert baseline.pinned(file, one).run.id == "one"


def test_nothing_ill_is_pinned_and_nothing_damaged_is_read(tmp_path: Path) -> None:
    """A baseline from an invalid run would make every later one look good; a broken file is named."""
    file = tmp_path / "baseline.json"
    phase = sample(np.random.default_rng(3))
    with pytest.raises(RunInvalid, match="can't be pinned"):
        baseline.pin(file, run("one", phase, ailments=("it was interrupted",)))
    baseline.pin(file, run("one", phase))
    content = json.loads(file.read_text())
    for pin in content["pins"].values():
        pin["run"]["samples"]["scenario"]["cells"][0][3] = "nonsense"
    file.write_text(json.dumps(content))
    with pytest.raises(BundleDamaged):
        baseline.pinned(file, run("two", phase))
    for text in ("", "[]", '{"format": 99, "pins": {}}'):
        file.write_text(text)
        with pytest.raises(BundleDamaged):
            baseline.pinned(file, run("two", phase))


def test_small_steps_are_found_against_the_pin_though_each_is_within_tolerance(tmp_path: Path) -> None:
    """+4% a release, 5% mattering: no release is worse than the one before, the third is worse than the pin."""
    random = np.random.default_rng(4)
    releases = [
        run(f"release {number}", sample(random, seconds=600, rate=150, spread=0.2, swing=0.03, scale=1.04**number))
        for number in range(4)
    ]
    file = tmp_path / "baseline.json"
    baseline.pin(file, releases[0])
    for before, after in pairwise(releases):
        step = comparison.compare([before], [after], margin=Margin())
        assert step.exit_code is not ExitCode.BROKEN
    last = comparison.compare([baseline.pinned(file, releases[3]).run], [releases[3]], margin=Margin())
    assert last.exit_code is ExitCode.BROKEN
    (middle,) = [each for each in trend.trends(releases, Margin()) if each.quantile == 0.5]
    assert middle.creeping
    assert "together they do" in shown_trends.sentence(middle)


def test_who_pins_anew_at_each_release_is_shown_the_whole_way(tmp_path: Path) -> None:
    """The figures of earlier pins stay in the file: re-pinning does not hide that the service is 12% slower."""
    random = np.random.default_rng(5)
    file = tmp_path / "baseline.json"
    for number in range(3):
        assert baseline.pin(file, run(f"r{number}", sample(random, rate=200, scale=1.04**number))) == number
    now = run("r3", sample(random, rate=200, scale=1.04**3))
    said = baseline.drift(baseline.pinned(file, now), now, Margin())
    assert any("r0, the first of 3 pins" in each for each in said)
    unchanged = run("r4", sample(random, rate=200))
    assert baseline.drift(baseline.pinned(file, unchanged), unchanged, Margin()) == ()


def rising(a_run: float, runs: int, noise: float, seed: int = 0) -> trend.Trend:
    random = np.random.default_rng(seed)
    values = tuple(1e8 * (1 + a_run) ** number * math.exp(random.normal(0, noise)) for number in range(runs))
    return trend.of_values("scenario", 0.95, tuple(map(str, range(runs))), values, Margin())


def test_a_trend_is_found_through_noise_and_none_where_there_is_none() -> None:
    """+3% a run through 3% noise over 10 runs rises; none is seen in level runs but for one in twenty."""
    up = rising(0.03, 10, 0.03)
    assert up.call is Call.WORSE
    assert up.low is not None
    assert up.high is not None
    assert up.low < 0.03 < up.high
    assert up.p is not None
    assert up.p < 0.05
    level = [rising(0, 10, 0.03, seed) for seed in range(100)]
    assert sum(each.p is not None and each.p < 0.05 for each in level) <= 10
    assert sum(each.call is Call.WORSE for each in level) <= 5
    assert trend.exit_code([up]) is ExitCode.BROKEN


def test_one_bad_run_is_no_trend_and_few_runs_are_none() -> None:
    """An outlier moves neither slope nor test; four runs can't be told."""
    values = (1e8,) * 5 + (9e8,) + (1e8,) * 4
    calm = trend.of_values("scenario", 0.95, tuple(map(str, range(10))), values, Margin())
    assert calm.a_run == 0
    assert calm.call is not Call.WORSE
    assert rising(0.2, 4, 0).call is Call.OPEN
    assert "takes 5 runs" in shown_trends.sentence(rising(0.2, 4, 0))
    assert trend.exit_code([]) is ExitCode.INCONCLUSIVE


def test_a_trend_into_failures_is_no_number() -> None:
    """A percentile that falls among failed requests has no slope; it is shown as failed, and nothing is kept."""
    failed = trend.of_values("scenario", 0.99, tuple("abcde"), (1e8, 1e8, 1e8, 1e8, math.inf), Margin())
    assert failed.call is Call.OPEN
    assert "failed" in shown_trends.as_text([failed])
    assert json.loads(shown_trends.as_json([failed]))["trends"][0]["values_ns"][-1] is None


@given(st.lists(st.floats(1e6, 1e9), min_size=5, max_size=12))
def test_theil_and_sen_turn_round_with_the_series(values: list[float]) -> None:
    """Read backwards a series falls by as much as it rose, and its test says the same."""
    logs = np.log(np.array(values))
    forward, back = trend.slope(logs), trend.slope(logs[::-1].copy())
    assert math.log1p(forward[0]) == pytest.approx(-math.log1p(back[0]), abs=1e-9)
    assert forward[1] <= forward[0] <= forward[2]
    assert trend.kendall(logs) == pytest.approx(trend.kendall(logs[::-1].copy()))


def test_a_comparison_is_told_to_people_and_to_programs() -> None:
    """Text, JSON and page say the same calls; JSON holds no infinity; the page asks nothing of a network."""
    random = np.random.default_rng(6)
    a, b = run("a", sample(random, rate=200, routes=2)), run("b", sample(random, rate=200, routes=2, failed=0.06))
    found = comparison.compare([a], [b], margin=Margin())
    text, told, page = shown.as_text(found), json.loads(shown.as_json(found)), differences_page.page(found)
    assert told["exit_code"] == int(found.exit_code) == 3
    assert "more errors" in text
    assert "Cliff's delta" in text
    for row in told["phases"][0]["differences"]:
        assert row["call"] in text
    assert "://" not in page.replace("http://a", "")
    assert "GET /b" in page


@pytest.mark.parametrize(
    ("modes", "sides", "start", "runs"),
    [
        ({"--pin": "x", "--trend": True}, {}, None, ()),
        ({}, {}, None, ("a",)),
        ({}, {}, None, ()),
        ({"--pin": "x"}, {}, None, ("a",)),
        ({"--baseline": True}, {}, None, ("a", "b")),
        ({"--interleave": Path("s")}, {}, None, ()),
        ({"--interleave": Path("s")}, {"--a": "u", "--b-rev": "r"}, None, ()),
        ({"--interleave": Path("s")}, {"--a-rev": "u", "--b-rev": "r"}, None, ()),
        ({"--interleave": Path("s")}, {"--a": "u", "--b": "r"}, "serve {port}", ()),
        ({}, {"--a": "u", "--b": "r"}, None, ("a", "b")),
    ],
)
def test_options_that_do_not_belong_together_are_refused(
    modes: dict[str, object], sides: dict[str, str | None], start: str | None, runs: tuple[str | None, ...]
) -> None:
    """What is missing or too much is said; nothing is listened to in part."""
    with pytest.raises(BadInput):
        check_asked(modes, sides=sides, start=start, runs=runs)
