"""What is kept of a calibration, and what a verdict says of the generator."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headway.gate.health import unaccounted, unwell
from headway.gate.health_notes import age_text, notes
from headway.load import calibration
from headway.load.calibration import Calibration
from headway.model import FailureKind
from made.judged import HEALTHY, MS, PHASE, made_evidence, made_hits

STEADY = [[10.0] * 100] * 20


def calibrated(**changes: Any) -> Calibration:
    made = Calibration(
        machine=calibration.machine_key(), measured_at_s=time.time() - 3 * 86_400, workers=2, one_per_s=30_000,
        all_per_s=50_000, floor_p50_ns=100_000, floor_p99_ns=400_000, cpu_ratio=0.99,
    )  # fmt: skip
    return replace(made, **changes)


def test_a_calibration_is_kept_by_machine_and_not_for_ever(tmp_path: Path) -> None:
    """One machine's doesn't replace another's; one that is too old, of the future, or damaged is none."""
    file = tmp_path / "folder" / "calibration.json"
    assert calibration.known(file) is None
    assert calibration.keep(calibrated(machine="another"), file)
    assert calibration.known(file) is None
    assert calibration.keep(calibrated(), file)
    found = calibration.known(file)
    assert found is not None
    assert found.all_per_s == 50_000
    assert set(json.loads(file.read_text())) == {"another", calibration.machine_key()}
    for age_s in (31 * 86_400, -60):
        calibration.keep(calibrated(measured_at_s=time.time() - age_s), file)
        assert calibration.known(file) is None
    for damaged in ("", "[]", "{", json.dumps({calibration.machine_key(): {"all_per_s": 1}})):
        file.write_text(damaged)
        assert calibration.known(file) is None
    assert calibration.keep(calibrated(), file)
    assert not calibration.keep(calibrated(), Path("/dev/null/calibration.json"))


def test_more_workers_than_were_measured_promise_no_more() -> None:
    """Half the workers reach half, one at least what one did; four are not said to reach twice what two did."""
    assert [calibrated().per_s(workers) for workers in (1, 2, 4)] == [30_000, 50_000, 50_000]


def test_a_disturbed_calibration_serves_an_hour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was measured while something else ran is said, not kept for long, and replaces nothing better; without leave
    nothing is measured."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    disturbed = calibrated(cpu_ratio=0.5, measured_at_s=time.time() - 60)
    monkeypatch.setattr(calibration, "measure", lambda **_named: disturbed)
    assert calibration.for_run(measure_now=False) is None
    assert calibration.for_run(measure_now=True) == calibration.known() == disturbed
    assert "disturbed       a worker had only 50% of its core" in calibration.as_text(disturbed)
    assert json.loads(calibration.as_json(disturbed))["disturbed"] is True
    calibration.keep(replace(disturbed, measured_at_s=time.time() - 3_700))
    assert calibration.known() is None
    assert calibration.keep(calibrated())
    assert not calibration.keep(disturbed)
    assert calibration.known() != disturbed


@pytest.mark.parametrize(
    ("health", "words"),
    [
        ({}, "not calibrated on this machine"),
        ({"start_skew_ns": 0}, "a cluster's machines can reach is not measured"),
        ({"calibrated_per_s": 5e4, "calibrated_at_s": 1000 - 2 * 86_400}, "reaches 50,000 req/s on this machine, "
         "measured 2 days before"),
        ({"calibrated_per_s": 120}, "100 req/s were asked of a generator calibrated at 120: above 80%"),
        ({"floor_p50_ns": 6 * MS}, "near the generator's own floor of 6 ms"),
        ({"files_peak": 950, "files_allowed": 1000}, "950 of 1,000 file descriptors"),
        ({"ports_peak": 25_000, "ports_allowed": 28_232}, "25,000 of 28,232 local ports"),
        ({"steal_ratio": 0.05}, "the hypervisor gave 5.0% of"),
        ({"workers": 4, "start_skew_ns": 3 * MS}, "4 workers began within 3 ms"),
        ({"workers": 4, "workers_lost": 1, "workers_tolerated": 1, "load_lost_ratio": 0.1}, "10.0% of the load"),
    ],
)  # fmt: skip
def test_what_a_verdict_says_of_the_generator(health: dict[str, Any], words: str) -> None:
    """Near a limit, near its floor, beyond its share, short of a worker: said, and the run is valid."""
    found = made_hits(STEADY, health=replace(HEALTHY, **health))
    assert any(words in each for each in notes(made_evidence(found)))
    assert not unwell(found)


def test_a_generator_in_health_says_little() -> None:
    """Far from every limit there is one line: what it was calibrated at."""
    health = replace(
        HEALTHY, calibrated_per_s=5e4, calibrated_at_s=999.0, floor_p50_ns=100_000, files_peak=30, files_allowed=1000,
        ports_peak=20, ports_allowed=28_232, steal_ratio=0.0,
    )  # fmt: skip
    assert len(list(notes(made_evidence(made_hits(STEADY, health=health))))) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"planned": np.full(20, 101)}, "20 planned requests are neither answered nor failed"),
        ({"health": replace(HEALTHY, start_skew_ns=200 * MS)}, "began within 200 ms of one another"),
        ({"health": replace(HEALTHY, workers=4, workers_lost=2, workers_tolerated=1)}, "2 of 4 generator processes"),
        ({"health": replace(HEALTHY, cpu_ratio=0.97, calibrated_per_s=110)}, "were calibrated at 110"),
        ({"health": replace(HEALTHY, cpu_ratio=0.6, cpu_wanted_ratio=0.97)}, "waited 37% of the time for one"),
        ({"health": replace(HEALTHY, lateness_p99_ns=9 * MS, steal_ratio=0.1)}, "the hypervisor gave 10%"),
    ],
)
def test_what_makes_a_load_say_nothing(changes: dict[str, Any], words: str) -> None:
    """Lost count, began apart, lost more workers than tolerated, too much asked: invalid, with the cause it has."""
    assert any(words in why for why in unwell(made_hits(STEADY, **changes)))


def test_exhaustion_outdoes_every_latency() -> None:
    """One request in two thousand that the generator had no port for: the phase is invalid, the cure is named."""
    found = made_hits(STEADY, failed=[1], kind=FailureKind.EXHAUSTED)
    assert "widen net.ipv4.ip_local_port_range" in unwell(found)[0]
    assert unaccounted(found) == 0


def test_requests_that_found_no_connection_near_the_generators_own_limit_blame_nobody() -> None:
    """At most of what the generator reaches, connections that stay busy may be its own doing: invalid. Far below that
    limit they are the service's doing, and no reason to call the run invalid."""
    for calibrated_per_s, invalid in ((120, True), (50_000, False)):
        health = replace(HEALTHY, calibrated_per_s=calibrated_per_s)
        found = made_hits([[10.0] * 50] * 20, failed=[50] * 20, kind=FailureKind.UNSENT, health=health)
        assert any("cannot be told at this rate" in why for why in unwell(found)) is invalid


def test_a_promised_rate_with_a_lost_worker_was_not_offered() -> None:
    """A tolerated loss is no excuse where the rate itself is what was promised."""
    health = replace(HEALTHY, workers=4, workers_lost=1, workers_tolerated=1, load_lost_ratio=0.2)
    found = made_hits(STEADY, health=health, phase=replace(PHASE, name="100 req/s"))
    assert "left 20.0% of it unmade" in unwell(found)[0]


@pytest.mark.parametrize(
    ("age_s", "said"),
    [(5, "less than a minute"), (60, "1 minute"), (7_300, "2 hours"), (86_400 * 3 + 5, "3 days")],
)
def test_an_age_is_said_in_its_largest_unit(age_s: float, said: str) -> None:
    """Minutes, hours, days."""
    assert age_text(age_s) == said
