"""A person at the keyboard: the command line as a process, and a target of one's own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from keyboard import HEADWAY, Headway, Target

INCREMENT = """\
# Increment 0001: Small
## Acceptance Criteria
- [ ] **AC-US1-01**: API response time <100ms (P95) (P1)
- [ ] **AC-US1-02**: Error rate < 5% (P1)
"""


@pytest.fixture
def increment(tmp_path: Path) -> Path:
    """A folder with one small increment, 0001, that a healthy service keeps."""
    folder = tmp_path / ".specweave/increments/0001-small"
    folder.mkdir(parents=True)
    (folder / "spec.md").write_text(INCREMENT)
    return folder


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    """Half a minute at most, 50 requests a second."""
    file = tmp_path / "scenario.toml"
    file.write_text(
        '[load]\nmodel = "open"\narrivals = "constant"\nrate_per_s = 50\n'
        'duration_s = 12\nwarmup_s = 1\ntimeout_s = 2\n[[routes]]\npath = "/"\n'
    )
    return file


@pytest.fixture
def headway(tmp_path: Path) -> Headway:
    """Run `headway ...` in an empty folder and wait for it."""

    def run(*words: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "100"}
        return subprocess.run(
            [*HEADWAY, *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    return run


@pytest.fixture
def target() -> Iterator[Target]:
    """Start a target with one behaviour; gives its URL and its process, ended with the test."""
    started: list[subprocess.Popen[str]] = []

    def start(behaviour: str) -> tuple[str, subprocess.Popen[str]]:
        script = Path(__file__).with_name("target.py")
        process = subprocess.Popen([sys.executable, script, behaviour], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        return f"http://127.0.0.1:{int(process.stdout.readline())}/", process

    yield start
    for process in started:
        process.kill()
        process.communicate()
