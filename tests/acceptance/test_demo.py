"""The main job at a smaller scale: the demo, as `make demo` runs it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import psutil
import pytest

from keyboard import HEADWAY


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The demo's folder and what it printed."""
    root = tmp_path_factory.mktemp("demo")
    words = [*HEADWAY, "demo", "--scale", "0.05", "--duration", "10", "--state", str(root / "lab")]
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "100"}
    result = subprocess.run(words, cwd=root, env=environment, capture_output=True, text=True, timeout=330, check=False)
    return root, result


def verdicts(root: Path) -> list[dict[str, object]]:
    """The verdicts, oldest first: slow, slow with the indexes that were proven, all settings on."""
    folders = sorted((root / ".headway/runs").iterdir())
    return [json.loads((folder / "verdict.json").read_text()) for folder in folders]


def states(verdict: dict[str, object]) -> dict[str, str]:
    """Criterion id -> state."""
    judgements = verdict["judgements"]
    assert isinstance(judgements, list)
    return {each["criterion"]: each["state"] for each in judgements}


@pytest.mark.timeout(400)
def test_the_demo_ends_and_says_where_its_reports_are(told: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    """Exit 0, and three HTML files that exist."""
    root, result = told
    assert result.returncode == 0, result.stderr
    reports = [Path(line.partition(": ")[2]) for line in result.stdout.splitlines() if line.endswith(".html")]
    assert len(reports) == 3
    assert all((root / report).stat().st_size > 10_000 for report in reports)


@pytest.mark.timeout(400)
def test_the_slow_shop_breaks_and_is_explained(told: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    """The slow form breaks the indexed promise, and the line names the scan, or the index that would spare it."""
    before, *_ = verdicts(told[0])
    assert before["exit_code"] == 3
    assert states(before)["AC-US1-07"] == "broken"
    explanations = [each["explanation"] for each in before["judgements"] if each["explanation"]]  # type: ignore[attr-defined]
    assert any("sequential scan" in line or "no index of" in line for line in explanations), explanations


@pytest.mark.timeout(400)
def test_an_index_is_proven_and_made_and_then_judged(told: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    """Three runs; of the first one proof at least is worth it and applied; the second lacks no index any more."""
    folders = sorted((told[0] / ".headway/runs").iterdir())
    assert len(folders) == 3
    proofs = json.loads((folders[0] / "proofs.json").read_text())
    assert any(each["state"] == "worth it" and each["applied"] for each in proofs["proofs"]), told[1].stderr
    before, between, _ = verdicts(told[0])
    assert states(before)["AC-US1-07"] != "kept"
    assert states(between)["AC-US1-07"] == "kept", states(between)


@pytest.mark.timeout(400)
def test_the_settings_mend_what_they_claim_to_mend(told: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    """With the settings on, the database promises, monitoring and alerts hold."""
    *_, after = verdicts(told[0])
    kept = {name for name, state in states(after).items() if state == "kept"}
    assert {"AC-US1-02", "AC-US1-07", "AC-US1-08", "AC-US1-09"} <= kept, states(after)


@pytest.mark.timeout(400)
def test_the_demo_leaves_no_process(told: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    """Nothing the lab started outlives it."""
    marker = str(told[0])
    left = [p.info for p in psutil.process_iter(["pid", "cmdline"]) if marker in " ".join(p.info["cmdline"] or ())]
    assert left == []
