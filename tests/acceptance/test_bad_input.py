"""Bad input gets one clear error; bad luck in the middle of a run loses nothing."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from pathlib import Path

import psycopg
import pytest

from headway.model import ExitCode
from keyboard import HEADWAY, Headway, Target


def one_error(result: subprocess.CompletedProcess[str], code: ExitCode, *words: str) -> None:
    """One line on stderr that says all of `words`, nothing on stdout, no stack trace, and the right exit code."""
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    assert result.returncode == code, result.stderr
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("headway: ")
    assert result.stdout == ""
    for word in words:
        assert word in lines[0]


def run_folder(root: Path) -> Path:
    """The one run under `root`."""
    (folder,) = (root / ".headway/runs").iterdir()
    return folder


def states(root: Path) -> dict[str, str]:
    """Criterion id -> state, from the run's verdict file."""
    verdict = json.loads((run_folder(root) / "verdict.json").read_text())
    return {each["criterion"]: each["state"] for each in verdict["judgements"]}


def test_a_missing_increment_is_named_with_what_there_is(headway: Headway, increment: Path) -> None:
    """The error names the increment asked for and lists the one that exists."""
    one_error(headway("validate", "0099", "--against", "http://127.0.0.1:9"), ExitCode.USAGE, "0099", increment.name)


def test_a_malformed_increment_is_named_with_file_and_line(headway: Headway, increment: Path) -> None:
    """Broken front matter gives file and line."""
    (increment / "spec.md").write_text("---\nincrement: [unclosed\ntitle: x\n---\n" + "# x\n")
    result = headway("validate", "0001", "--against", "http://127.0.0.1:9")
    one_error(result, ExitCode.USAGE)
    assert re.search(r"spec\.md:\d+:", result.stderr)


def test_an_increment_without_criteria_is_refused(headway: Headway, increment: Path) -> None:
    """Nothing promised is nothing kept."""
    (increment / "spec.md").write_text("# Increment 0001: Empty\n\nNothing here.\n")
    one_error(headway("validate", "0001", "--against", "http://127.0.0.1:9"), ExitCode.USAGE, "spec.md")


def test_an_unknown_criterion_is_inconclusive_and_named_with_its_line(
    headway: Headway, target: Target, increment: Path, scenario: Path, tmp_path: Path
) -> None:
    """What isn't understood fails the gate as inconclusive, with file and line; it isn't skipped."""
    with (increment / "spec.md").open("a") as spec:
        spec.write("- [ ] **AC-US1-03**: Users feel happy (P1)\n")
    url, _ = target("good")
    result = headway("validate", "0001", "--against", url, "--scenario", str(scenario))
    assert result.returncode == ExitCode.INCONCLUSIVE, result.stdout + result.stderr
    assert states(tmp_path) == {"AC-US1-01": "kept", "AC-US1-02": "kept", "AC-US1-03": "inconclusive"}
    assert re.search(r"spec\.md:5", result.stdout.replace("\n", ""))


def test_a_target_nobody_listens_at_is_one_error(headway: Headway, increment: Path, scenario: Path) -> None:
    """No run, no verdict: exit 5 and the address."""
    result = headway("validate", "0001", "--against", "http://127.0.0.1:9/", "--scenario", str(scenario))
    one_error(result, ExitCode.INVALID, "127.0.0.1:9")


def test_a_target_that_is_not_http_is_one_error(
    headway: Headway, target: Target, increment: Path, scenario: Path
) -> None:
    """Something listens, and doesn't speak HTTP."""
    url, _ = target("not-http")
    one_error(headway("validate", "0001", "--against", url, "--scenario", str(scenario)), ExitCode.INVALID, "HTTP")


def test_a_malformed_target_is_one_error(headway: Headway, increment: Path, scenario: Path) -> None:
    """A URL with no scheme is a usage error that shows what to say."""
    result = headway("validate", "0001", "--against", "localhost:80", "--scenario", str(scenario))
    one_error(result, ExitCode.USAGE, "http://")


def test_neither_target_nor_lab_is_one_error(headway: Headway, increment: Path) -> None:
    """It says which two options there are."""
    one_error(headway("validate", "0001"), ExitCode.USAGE, "--against", "--lab")


def test_an_endless_body_is_a_failure_not_a_hang(
    headway: Headway, target: Target, increment: Path, scenario: Path, tmp_path: Path
) -> None:
    """A server whose body never ends breaks the error promise; the run ends on time."""
    scenario.write_text(scenario.read_text().replace("rate_per_s = 50", "rate_per_s = 5\nmax_connections = 8"))
    url, _ = target("endless")
    result = headway("validate", "0001", "--against", url, "--scenario", str(scenario), seconds=60)
    if result.returncode == ExitCode.INVALID and not (tmp_path / ".headway/runs").exists():
        one_error(result, ExitCode.INVALID, "HTTP")  # refused before the load is an honest answer too
        return
    assert result.returncode in {ExitCode.BROKEN, ExitCode.INVALID}, result.stdout + result.stderr
    assert "kept" not in states(tmp_path).values()


def test_a_target_that_dies_in_the_middle_breaks_the_promise_and_keeps_the_evidence(
    headway: Headway, target: Target, increment: Path, scenario: Path, tmp_path: Path
) -> None:
    """Requests to a dead service are failures at the planned rate, not a short run."""
    url, process = target("good")
    with subprocess.Popen(
        [*HEADWAY, "validate", "0001", "--against", url, "--scenario", str(scenario)],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as running:  # fmt: skip
        time.sleep(6)
        process.kill()
        out, err = running.communicate(timeout=60)
    assert running.returncode == ExitCode.BROKEN, out + err
    assert states(tmp_path)["AC-US1-02"] == "broken"
    assert (run_folder(tmp_path) / "report.html").exists()


def test_a_wrong_password_is_one_error_before_any_load(
    headway: Headway, target: Target, increment: Path, scenario: Path, postgres_url: str, tmp_path: Path
) -> None:
    """A source that was named and refuses costs no load, and the password is not printed."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        info = connection.info
        place = f"{info.host}:{info.port}/{info.dbname}"
    url, _ = target("good")
    wrong = f"postgresql://nobody-such:secret-word@{place}"
    result = headway("validate", "0001", "--against", url, "--scenario", str(scenario), "--database-url", wrong)
    one_error(result, ExitCode.USAGE, "nobody-such")
    assert "secret-word" not in result.stderr
    assert not list(tmp_path.glob(".headway/runs/*"))


def test_a_database_without_pg_stat_statements_is_said_and_the_rest_is_judged(
    headway: Headway, target: Target, increment: Path, scenario: Path, postgres_url: str, tmp_path: Path
) -> None:
    """Only what needs the extension is inconclusive, and the cure is printed."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("DROP EXTENSION IF EXISTS pg_stat_statements")
    with (increment / "spec.md").open("a") as spec:
        spec.write("- [ ] **AC-US1-03**: Database queries <50ms (P1)\n")
    url, _ = target("good")
    result = headway("validate", "0001", "--against", url, "--scenario", str(scenario), "--database-url", postgres_url)
    assert result.returncode == ExitCode.INCONCLUSIVE, result.stdout + result.stderr
    assert states(tmp_path) == {"AC-US1-01": "kept", "AC-US1-02": "kept", "AC-US1-03": "inconclusive"}
    assert "CREATE EXTENSION pg_stat_statements" in " ".join(result.stdout.split())


@pytest.mark.parametrize(("times", "behaviour"), [(1, "good"), (2, "good"), (2, "silent")])
def test_ctrl_c_keeps_the_evidence_and_the_verdict_is_invalid(
    target: Target, increment: Path, scenario: Path, tmp_path: Path, times: int, behaviour: str
) -> None:
    """Once drains, twice stops at once; both keep what was collected, and neither says 'kept'."""
    url, _ = target(behaviour)
    with subprocess.Popen(
        [*HEADWAY, "validate", "0001", "--against", url, "--scenario", str(scenario)],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as running:  # fmt: skip
        time.sleep(10 if behaviour == "silent" else 6)
        asked = time.monotonic()
        for _ in range(times):
            running.send_signal(signal.SIGINT)
            time.sleep(0.3)
        out, err = running.communicate(timeout=20)
    assert running.returncode == ExitCode.INVALID, out + err
    assert time.monotonic() - asked < 8
    assert set(states(tmp_path).values()) == {"invalid"}
    assert (run_folder(tmp_path) / "hits.hlog").stat().st_size > 0
