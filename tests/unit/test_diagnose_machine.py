"""Rules about the machine, its processes, large answers and bursts of failures; and the budget of known requests."""

from __future__ import annotations

import secrets
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headway.diagnose import budget
from headway.diagnose.rules import error_bursts, one_process, payload, saturated_host
from headway.errors import BundleDamaged
from headway.model import (
    BudgetPart,
    Evidence,
    FailureCells,
    FailureKind,
    HostSecond,
    Machine,
    PhaseHits,
    ProcessSecond,
    RemedyKind,
    Statement,
)
from made.judged import made_evidence, made_hits
from profiled_run import put_spans

HITS = made_hits([[50.0] * 100] * 20)
MACHINE = Machine(cpu_model="x", cores=8, memory_bytes=2**33, kernel="Linux")


def _host(**given: Any) -> tuple[HostSecond, ...]:
    quiet: dict[str, Any] = dict.fromkeys(("cpu_ratio", "iowait_ratio", "steal_ratio", "memory_used_ratio"), 0.1) | (
        dict.fromkeys(("disk_read_bytes", "disk_write_bytes", "network_sent_bytes", "network_received_bytes"), 0)
    )
    return tuple(HostSecond(at_s=1000.0 + second, **(quiet | given)) for second in range(20))


@pytest.mark.parametrize(
    ("given", "resource"),
    [
        ({"cpu_ratio": 0.97}, "CPU"),
        ({"memory_used_ratio": 0.97}, "memory"),
        ({"memory_used_ratio": 0.5, "memory_pressure_ratio": 0.3}, "memory"),
        ({"disk_busy_ratio": 0.96, "io_pressure_ratio": 0.5}, "disk"),
        ({"network_used_ratio": 0.9, "network_dropped": 4}, "network"),
        ({}, None),
        ({"disk_busy_ratio": 0.99, "io_pressure_ratio": 0.0}, None),  # busy, and nobody waits: it serves many at once
        ({"disk_busy_ratio": None, "network_used_ratio": None, "io_pressure_ratio": 0.9}, None),
    ],
)
def test_each_resource_is_named_when_it_is_used_up_and_only_then(given: dict[str, Any], resource: str | None) -> None:
    """Utilisation and saturation of each resource are judged; what the machine does not say is no finding."""
    found = list(saturated_host.find(made_evidence(HITS, host=_host(**given))))
    assert [each.share_of for each in found] == ([f"the machine's {resource}"] if resource else [])
    for each in found:
        assert {remedy.title for remedy in each.remedies} == {
            "a larger machine (scale up)", "more machines (scale out)",
        }  # fmt: skip
        assert each.reasons_for
        assert each.reasons_against


def _used(name: str, cores: float) -> tuple[ProcessSecond, ...]:
    return tuple(
        ProcessSecond(at_s=1000.0 + s, name=name, cpu_cores=cores, resident_bytes=2**27, open_files=9, threads=4)
        for s in range(20)
    )


@pytest.mark.parametrize(
    ("name", "cores", "busy", "found"),
    [
        ("app", 0.98, 0.2, True),
        ("app", 0.98, 0.95, False),  # no idle core to run on
        ("app", 0.40, 0.2, False),
        ("app", 2.40, 0.4, False),  # it does use more
        ("valkey", 0.99, 0.2, False),  # one thread by design
    ],
)
def test_one_full_core_beside_idle_ones_is_found(name: str, cores: float, busy: float, found: bool) -> None:
    """A service at the end of one core while others idle is told to run more processes, as many as have cores."""
    evidence = replace(made_evidence(HITS, host=_host(cpu_ratio=busy), processes=_used(name, cores)), machine=MACHINE)
    rows = list(one_process.find(evidence))
    assert bool(rows) is found
    if found:
        (remedy,) = rows[0].remedies
        assert remedy.kind is RemedyKind.PROCESSES
        assert remedy.parameters == {"process": "app", "processes": 7}


def test_large_answers_are_found_whole_or_by_route(tmp_path: Path) -> None:
    """Without spans the mean over all; with spans that say sizes, the route's own, and small routes are not named."""
    assert not list(payload.find(made_evidence(replace(HITS, received_bytes=2000 * 3_000))))
    large = replace(HITS, received_bytes=2000 * 300_000)
    (whole,) = payload.find(made_evidence(large))
    assert "300 kB" in whole.line
    evidence = replace(made_evidence(large), folder=tmp_path)
    rows = [_server(n, "GET /list" if n % 2 else "GET /one", body=5_000_000 if n % 2 else 900) for n in range(20)]
    put_spans(tmp_path, rows)
    (found,) = payload.find(evidence)
    assert found.location.route == "GET /list"
    assert "5.0 MB" in found.line
    (tmp_path / "spans.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(BundleDamaged, match=r"spans\.parquet"):
        list(payload.find(evidence))


def _failing(per_second: list[int], kind: FailureKind = FailureKind.RESET) -> PhaseHits:
    counts = np.array(per_second, dtype=np.int64)
    seconds = np.flatnonzero(counts)
    cells = FailureCells(
        second=seconds, route=np.zeros(len(seconds), dtype=np.int64),
        kind=np.full(len(seconds), list(FailureKind).index(kind)), count=counts[seconds],
    )  # fmt: skip
    return replace(HITS, failures=cells)


@pytest.mark.parametrize(
    ("per_second", "words"),
    [
        ([0] * 8 + [30, 25] + [0] * 10, "55 of 55 failures came in 1 burst: 55 in 2 s at 8 s"),
        ([1] * 8 + [40] + [1] * 11, "40 of 59 failures came in 1 burst: 40 in 1 s at 8 s"),
        ([0, 0, 20] + [0] * 9 + [20] + [0] * 7, "40 of 40 failures came in 2 bursts"),
        ([10] * 20, None),  # it is how it is
        ([0] * 10 + [5] + [0] * 9, None),  # too few
        ([30] * 10 + [0] * 10, None),  # half of the run is no burst
    ],
)
def test_failures_that_come_at_once_are_told_from_those_that_always_come(
    per_second: list[int], words: str | None
) -> None:
    """A burst has its moment, its length and its share; a steady rate of failures, and a handful, are none."""
    found = list(error_bursts.find(made_evidence(_failing(per_second))))
    assert [words in each.line for each in found if words] == ([True] if words else [])
    assert bool(found) is bool(words)


def test_the_generator_s_own_failures_make_no_burst() -> None:
    """Running out of ports here, or being cut off by the end of the run, is not the service's doing."""
    for kind in (FailureKind.EXHAUSTED, FailureKind.ABORTED, FailureKind.UNSENT):
        assert not list(error_bursts.find(made_evidence(_failing([0] * 10 + [99] + [0] * 9, kind))))
    overload = _failing([0] * 19 + [999], FailureKind.TIMEOUT)
    assert not list(error_bursts.find(made_evidence(overload))), "what times out after the end is counted at the end"


def _server(number: int, route: str, *, ms: float = 40.0, body: int | None = None) -> dict[str, Any]:
    return {
        "trace_id": number.to_bytes(16, "big"), "span_id": b"root" + number.to_bytes(4, "big"), "service": "s",
        "name": route, "kind": 2, "start_ns": int(1005e9) + number * 1_000_000, "duration_ns": int(ms * 1e6),
        "skewed": False, "error": False, "route": route, "status": 200, "body_bytes": body,
    }  # fmt: skip


def _call(root: dict[str, Any], at_ms: float, ms: float, *, system: str | None, name: str = "SELECT") -> dict[str, Any]:
    return {
        "trace_id": root["trace_id"], "span_id": secrets.token_bytes(8), "parent_id": root["span_id"], "service": "s",
        "name": name, "kind": 1 if system is None else 3, "start_ns": root["start_ns"] + int(at_ms * 1e6),
        "duration_ns": int(ms * 1e6), "skewed": False, "error": False, "system": system,
    }  # fmt: skip


def _traced(tmp_path: Path) -> Evidence:
    """200 requests of 60 ms from intent, 50 ms from sending, 40 ms at the server: 5 pool, 20 database, 8 cache."""
    rows = []
    for number in range(200):
        root = _server(number, "GET /users/{user_id}")
        rows += [
            root,
            _call(root, 1, 5, system=None, name="connection pool"),
            _call(root, 6, 20, system="postgresql"),
            _call(root, 10, 10, system="postgresql"),  # at the same time as the one before
            _call(root, 28, 8, system="redis", name="GET"),
        ]
    put_spans(tmp_path, rows)
    hits = made_hits([[60.0] * 10] * 20, service=[[50.0] * 10] * 20)
    return replace(made_evidence(hits), folder=tmp_path)


def test_the_budget_of_known_requests_is_what_they_were_made_of(tmp_path: Path) -> None:
    """Each part to 1%, two queries at once counted once and said, p50 and the slowest 5% both, nothing left over."""
    found = budget.budgets(_traced(tmp_path))
    whole = next(each for each in found if each.route is None)
    assert [band.band for band in whole.bands] == ["p50", "slowest 5%"]
    for band in whole.bands:
        parts = {each.part: each.ns / 1e6 for each in band.parts}
        assert parts == pytest.approx(
            {
                BudgetPart.QUEUE: 10, BudgetPart.ARRIVAL: 10, BudgetPart.POOL: 5, BudgetPart.DATABASE: 20,
                BudgetPart.CACHE: 8, BudgetPart.OWN: 7,
            },
            rel=0.01,
        )  # fmt: skip
        assert band.overlap_ns == pytest.approx(10e6)
        assert band.measured_ns == pytest.approx(60e6, rel=0.001)
        assert abs(band.residue_ns) < 0.01 * band.measured_ns


def test_a_server_that_says_more_than_the_client_leaves_a_residue_below_zero(tmp_path: Path) -> None:
    """Spans longer than the whole request cannot be true of it: the residue says so, no part is bent to fit."""
    put_spans(tmp_path, [_server(number, "GET /", ms=90) for number in range(200)])
    evidence = replace(made_evidence(made_hits([[60.0] * 10] * 20)), folder=tmp_path)
    (band, _) = budget.budgets(evidence)[0].bands
    assert band.residue_ns == pytest.approx(-30e6, rel=0.01)


def test_without_traces_statements_give_a_coarser_budget_that_says_so(tmp_path: Path) -> None:
    """Means only: the database's execution time a request, the rest in one, and a note of what could not be told."""
    statement = Statement(
        phase="scenario", id="s", text="SELECT 1", calls=4000, rows=1, total_ns=40e9, mean_ns=10e6, stddev_ns=0.0,
        share_ratio=1.0,
    )  # fmt: skip
    evidence = replace(made_evidence(HITS, statements=(statement,)), folder=tmp_path)
    (found,) = budget.budgets(evidence)
    (band,) = found.bands
    assert (found.by, band.band, found.route) == ("statements", "mean", None)
    parts = {each.part: each.ns for each in band.parts}
    assert parts[BudgetPart.DATABASE] == pytest.approx(20e6)
    assert band.residue_ns == pytest.approx(30e6, rel=0.01)
    assert "no traces" in found.notes[0]
    assert budget.budgets(replace(made_evidence(HITS), folder=tmp_path)) == ()
