"""One run, one numbering: what `headway diagnose` calls 1 is what `headway prove` calls 1."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from headway import diagnose, diagnosing, proving
from headway.conventions import COLUMNS_FILE, STATEMENTS_FILE, TABLES_FILE, VERDICT_FILE
from headway.evidence import columns, runfile
from headway.evidence.machine import machine
from headway.interchange import bundle, k6_results
from headway.model import Column, Finding, Location, Remedy, RemedyKind, Sources, Statement, Subject, Table
from headway.prove.room import Wish

READ = "SELECT title FROM posts WHERE user_id = $1"
SECONDS = 20


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A judged run on disk: a third of the requests never went out; one read has no index and costs 12 of 5 ms."""
    text = io.StringIO()
    rng = np.random.default_rng(1)
    for number in range(SECONDS * 20):
        at = f"2026-11-23T22:00:{number // 20:02}.{number % 20 * 50:03}Z"
        tags = {"name": "GET /a", "method": "GET", "status": "200", "expected_response": "true", "scenario": "main"}
        data = {"time": at, "value": float(rng.gamma(4, 2.5)), "tags": tags}
        text.write(_point("http_req_duration", data))
        if number % 2 == 0:
            text.write(_point("dropped_iterations", {"time": at, "value": 1, "tags": {}}))
    points = tmp_path / "points.json"
    points.write_text('{"type":"Metric","data":{"name":"http_reqs"},"metric":"http_reqs"}\n' + text.getvalue())
    folder = bundle.write(tmp_path, k6_results.read(points), name="t", target_url="", accepted=True)
    kept = runfile.read(folder)
    runfile.write(
        folder, replace(kept, machine=replace(machine(), cores=8))
    )  # another tool's results don't say whose cores were busy
    phase = kept.phases[0].name
    statement = Statement(
        phase=phase, id="7", text=READ, calls=400, rows=4_000, total_ns=4.8e9, mean_ns=12e6, stddev_ns=1e5,
        share_ratio=0.9,
    )  # fmt: skip
    table = Table(
        phase=phase, name="posts", rows=1e6, size_bytes=1 << 27, indexes=1, sequential_scans=400,
        sequential_rows=4 * 10**8, index_scans=0,
    )  # fmt: skip
    names = ("id", "user_id", "title")
    columns.write(
        folder / STATEMENTS_FILE, Statement, [statement], leave_out=frozenset({"plan", "plan_error", "logged", "live"})
    )
    columns.write(folder / TABLES_FILE, Table, [table])
    columns.write(
        folder / COLUMNS_FILE, Column,
        [Column(table="posts", name=name, type="int4", not_null=True, distinct=1e5) for name in names],
    )  # fmt: skip
    limit = {"clause": {"subject": "latency", "side": "client", "route": None, "limit": 5e6}}
    (folder / VERDICT_FILE).write_text(json.dumps({"judgements": [limit]}), encoding="utf-8")
    return folder


def _point(metric: str, data: dict[str, object]) -> str:
    """A line of k6's own."""
    return json.dumps({"metric": metric, "type": "Point", "data": data}, separators=(",", ":")) + "\n"


def test_diagnose_and_prove_number_findings_alike(run: Path, tmp_path: Path) -> None:
    """By what they cost the promise: not by the order in which the rules were asked, nor by their own weights."""
    found = diagnosing.diagnosis(tmp_path, None)
    told = proving.prove(tmp_path, None, (), Sources(target_url=""), Wish(), say=lambda _text: None)
    numbers = {each.finding.fingerprint: each.number for each in found.ranked}
    assert found.ranked[0].finding.rule == "missing-index"
    assert diagnose.find(found.evidence)[0].rule != "missing-index"
    assert {each.finding.fingerprint: each.number for each in told.todo} == {
        each.finding.fingerprint: each.number for each in found.ranked if each.finding.remedies
    }
    chosen = proving.prove(tmp_path, None, ("1",), Sources(target_url=""), Wish(), say=lambda _text: None)
    assert {each.finding.fingerprint for each in chosen.todo} == {found.chosen("1").finding.fingerprint}
    assert numbers[chosen.todo[0].finding.fingerprint] == 1
    assert run == found.evidence.folder


def test_a_statement_is_said_once_by_what_mends_it(run: Path, tmp_path: Path) -> None:
    """Its missing index stands for "it takes 90% of database time"; without such a cause that is said."""
    found = diagnosing.diagnosis(tmp_path, None)
    everything = diagnose.find(found.evidence)
    assert {"missing-index", "dominant-statement"} <= {each.rule for each in everything}
    assert "dominant-statement" not in {each.finding.rule for each in found.ranked}
    alone = replace(found.evidence, columns=())
    assert "dominant-statement" in {each.finding.rule for each in diagnosing.ranked(diagnose.find(alone), None, {})}
    assert run.exists()


def test_a_finding_that_speaks_of_no_statement_is_never_left_out() -> None:
    """Nor one about another statement: only what a remedy's own statements take is not said twice."""
    remedy = Remedy(kind=RemedyKind.INDEX, title="x", act="x", parameters={"statement_ids": ["1", "2"]})
    made = Finding(
        rule="a", phase="p", line="", explains=(Subject.LATENCY,), share_ratio=0.5, share_of="x", fingerprint="f"
    )
    cause = replace(made, remedies=(remedy,), location=Location(statement_id="1"))
    second, third = (replace(made, location=Location(statement_id=each)) for each in ("2", "3"))
    assert diagnose.told_once((made, second, third, cause)) == (made, third, cause)
