"""The breakpoint of a real service whose capacity is known: one server, a fixed service time."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from headway import breakpoint as search
from headway import line
from headway.errors import BadInput
from headway.gate.breakpoint import Stopped
from headway.load.scenario import read
from headway.model import Sources
from headway.promises import increment
from load_target import OK, target

SERVICE_S = 0.02
SPEC = """---
increment: 0001-t
title: T
---
# T
- [ ] **AC-US1-01**: API response time <400ms (P95) (P1)
"""


def test_the_breakpoint_of_a_single_server_is_its_capacity(tmp_path: Path) -> None:
    """One server of 20 ms does 50 requests/s: 30/s holds, 60/s breaks, and the search says which promise."""
    busy = asyncio.Lock()

    async def queue(_head: bytes, writer: asyncio.StreamWriter) -> None:
        async with busy:
            await asyncio.sleep(SERVICE_S)
        writer.write(OK)

    folder = tmp_path / ".specweave/increments/0001-t"
    folder.mkdir(parents=True)
    (folder / "spec.md").write_text(SPEC)
    file = tmp_path / "s.toml"
    file.write_text('[load]\narrivals = "constant"\nwarmup_s = 0.5\n[[routes]]\npath = "/"\n')
    said: list[str] = []
    with target(queue) as service:
        found = search.find(
            increment.read(folder), read(file), Sources(target_url=service.url), root=tmp_path, means=line.Means(),
            start_per_s=30, most_per_s=1000, duration_s=10, within_ratio=1.0, say=said.append,
        )  # fmt: skip
    assert found.stopped is Stopped.SERVICE, found
    assert (found.holds_per_s, found.breaks_per_s) == (30, 60)
    assert "AC-US1-01" in found.why
    assert len(said) == len(found.probes)
    last = tmp_path / ".headway/runs" / found.probes[-1].run
    kept = json.loads((last / "breakpoint.json").read_text())
    assert kept["holds_per_s"] == 30
    assert [each["run"] for each in kept["probes"]] == sorted(path.name for path in last.parent.iterdir())


def test_a_promise_without_latency_has_no_breakpoint(tmp_path: Path) -> None:
    """Nothing to judge is an error before any load, not a rate that holds."""
    folder = tmp_path / "0002-t"
    folder.mkdir()
    (folder / "spec.md").write_text(SPEC.replace("API response time <400ms (P95)", "Database queries indexed"))
    file = tmp_path / "s.toml"
    file.write_text('[[routes]]\npath = "/"\n')
    with pytest.raises(BadInput, match="promises no latency"):
        search.find(
            increment.read(folder), read(file), Sources(target_url="http://127.0.0.1:9"), root=tmp_path,
            means=line.Means(), start_per_s=1, most_per_s=2, duration_s=1, within_ratio=1.0, say=print,
        )  # fmt: skip
