"""The breakpoint of a real service whose capacity is known: one server, a fixed service time."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from headway import breakpoint as search
from headway import line
from headway.errors import BadInput
from headway.evidence import reading
from headway.gate.breakpoint import Stopped
from headway.load.scenario import read
from headway.model import Scenario, Sources
from headway.promises import increment
from keyboard import HEADWAY
from load_target import OK, Answer, target

SERVICE_S = 0.01
SPEC = """---
increment: 0001-t
title: T
---
# T
- [ ] **AC-US1-01**: API response time <400ms (P95) (P1)
"""


def increment_in(root: Path, spec: str = SPEC) -> Path:
    """An increment's folder and a scenario of even arrivals, `s.toml`."""
    folder = root / ".specweave/increments/0001-t"
    folder.mkdir(parents=True)
    (folder / "spec.md").write_text(spec)
    (root / "s.toml").write_text('[load]\narrivals = "constant"\nwarmup_s = 0.5\n[[routes]]\npath = "/"\n')
    return folder


def single_server() -> Answer:
    """One at a time, SERVICE_S each."""
    busy = asyncio.Lock()

    async def queue(_head: bytes, writer: asyncio.StreamWriter) -> None:
        async with busy:
            await asyncio.sleep(SERVICE_S)
        writer.write(OK)

    return queue


def test_the_breakpoint_of_a_single_server_is_its_capacity(tmp_path: Path) -> None:
    """One server of 10 ms does 100 requests/s: 60/s holds, 120/s breaks, both twice, and it says which promise."""
    folder = increment_in(tmp_path)
    promise, traffic = increment.read(folder), read(tmp_path / "s.toml")
    bounds = search.bounds(promise, traffic, start_per_s=60, most_per_s=1000, duration_s=10, within_ratio=1.0)
    said: list[str] = []
    began_s = time.monotonic()
    with target(single_server()) as service:
        searched = search.find(
            promise, traffic, Sources(target_url=service.url), root=tmp_path, means=line.Means(), bounds=bounds,
            say=said.append,
        )  # fmt: skip
    assert time.monotonic() - began_s < bounds.longest_s
    found = searched.found
    assert found.stopped is Stopped.SERVICE, found
    assert (found.holds_per_s, found.breaks_per_s, found.confirmed) == (60, 120, True)
    assert re.search(r"AC-US1-01 .*P95 .*\(.* to .*\), promised < 400 ms", found.why)
    assert len(said) == len(found.probes)
    (run,) = (tmp_path / ".headway/runs").iterdir()
    kept = json.loads((run / "breakpoint.json").read_text())
    assert (kept["run"], kept["holds_per_s"], kept["exit_code"]) == (run.name, 60, 0)
    evidence = reading.read(run)
    assert [each.phase.name for each in evidence.phases] == [each.phase for each in found.probes]
    assert json.loads((run / "verdict.json").read_text())["state"] == "kept"
    assert "60 req/s" in (run / "report.html").read_text()
    again = search.shown_again(tmp_path, None)
    assert search.as_text(again.found) == search.as_text(found)


def test_an_interrupt_keeps_the_tries_that_were_made(tmp_path: Path) -> None:
    """Ctrl-C in the second try: exit code 5, the first try is in the answer, and the search can be shown again."""
    increment_in(tmp_path)
    with target(single_server()) as service:
        process = subprocess.Popen(
            [*HEADWAY, "breakpoint", "0001", "--against", service.url, "--scenario", "s.toml", "--from", "30",
             "--duration", "2", "--format", "json"],
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stderr is not None
        for text in process.stderr:
            if text.startswith("60 req/s"):
                process.send_signal(signal.SIGINT)
                break
        out, err = process.communicate(timeout=60)
    assert process.returncode == 5, err
    answer = json.loads(out)
    assert answer["stopped"] == "an interrupt"
    assert answer["probes"][0]["rate_per_s"] == 30
    assert answer["probes"][-1]["interrupted"]
    shown = subprocess.run(
        [*HEADWAY, "breakpoint", "0001", "--run", "latest"], cwd=tmp_path, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert shown.returncode == 5
    assert "what was measured so far is kept" in shown.stdout


def test_a_promise_without_latency_has_no_breakpoint(tmp_path: Path) -> None:
    """Nothing to judge is an error before any load, not a rate that holds."""
    folder = increment_in(tmp_path, SPEC.replace("API response time <400ms (P95)", "Database queries indexed"))
    traffic = read(tmp_path / "s.toml")
    with pytest.raises(BadInput, match="promises no latency"):
        find_nothing(tmp_path, folder, traffic)


def test_values_to_be_used_once_are_refused(tmp_path: Path) -> None:
    """How many a search needs is not known before: refused with what to say instead, before any load."""
    folder = increment_in(tmp_path)
    file = tmp_path / "once.toml"
    file.write_text('[[routes]]\npath = "/{id}"\n[parameters.id]\nonce = { low = 1, high = 9 }\n')
    with pytest.raises(BadInput, match="to be used once"):
        find_nothing(tmp_path, folder, read(file))
    assert not (tmp_path / ".headway").exists()


@pytest.mark.parametrize(("start", "minutes", "why"), [(9, None, "above --to"), (1, 0.1, "too few")])
def test_a_search_that_cannot_be_is_refused(tmp_path: Path, start: float, minutes: float | None, why: str) -> None:
    """A range that falls, or time for not even one try, is said before any load."""
    promise = increment.read(increment_in(tmp_path))
    with pytest.raises(BadInput, match=why):
        search.bounds(
            promise, read(tmp_path / "s.toml"), start_per_s=start, most_per_s=5, duration_s=10, within_ratio=0.1,
            allowed_s=None if minutes is None else minutes * 60,
        )  # fmt: skip


def find_nothing(root: Path, folder: Path, traffic: Scenario) -> None:
    """A search that ends before it asks anything."""
    promise = increment.read(folder)
    search.find(
        promise, traffic, Sources(target_url="http://127.0.0.1:9"), root=root, means=line.Means(),
        bounds=search.bounds(promise, traffic, start_per_s=1, most_per_s=2, duration_s=1, within_ratio=1.0), say=print,
    )  # fmt: skip
