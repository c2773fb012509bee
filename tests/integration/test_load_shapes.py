"""Shapes of load, seen from the service: what arrives, and when."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from headway.load import drive, hits
from headway.load.scenario import read
from headway.model import PhaseHits
from load_target import OK, target

ROUTES = """
[[routes]]
name = "user"
path = "/users/{id}"
[[routes]]
name = "search"
path = "/search"
[parameters.id]
uniform = { low = 1, high = 9 }
"""


def sent(tmp_path: Path, load: str, *, workers: int = 1) -> tuple[PhaseHits, list[tuple[float, str]]]:
    """A run of a scenario with this [load], and what the service was asked: seconds since the first, and the path."""
    asked: list[tuple[float, str]] = []

    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        asked.append((time.monotonic(), head.split(b" ", 2)[1].decode()))
        writer.write(OK)

    file = tmp_path / "s.toml"
    file.write_text(f"[load]\nwarmup_s = 0\n{load}\n{ROUTES}")
    scenario = read(file)
    phase = replace(scenario.default_phase, name="shape")
    with target(answer) as service:
        drive.drive(
            scenario, (phase,), service.url, tmp_path, workers=workers, on_second=lambda _second: None,
            on_measure_start=lambda _phase: None, on_measure_end=lambda _phase: None, stop=drive.Stop(),
        )  # fmt: skip
    (found,) = hits.read(tmp_path, (phase,), ("user", "search"))
    assert found.finished
    assert found.planned.sum() == found.sent.sum() == found.good.sum() == len(asked) - 1  # the one before the load
    first_s = asked[1][0]
    return found, [(at_s - first_s, path) for at_s, path in asked[1:]]


def test_a_recording_is_sent_again_path_by_path(tmp_path: Path) -> None:
    """Every recorded request arrives once, with its own path and query, at its own time over the speed."""
    rng = np.random.default_rng(1)
    moments = np.sort(rng.uniform(0, 3, 300)).round(4)
    moments[0] = 0
    names = [("user", f"/users/{n}") if n % 3 else ("search", f"/search?q=%C3%BC&n={n}") for n in range(300)]
    lines = [
        json.dumps({"at_s": float(at), "route": route, "path": path})
        for at, (route, path) in zip(moments, names, strict=True)
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    load = 'arrivals = "replay"\nreplay = { file = "a.jsonl", speed = 2 }'
    found, asked = sent(tmp_path, load, workers=2)
    assert sorted(path for _, path in asked) == sorted(path for _, path in names)
    assert found.seconds == 2
    counted = np.bincount(found.response.route, weights=found.response.count, minlength=2)
    assert counted.tolist() == [200, 100]
    came = {path: at for at, path in asked}
    late = np.array([came[path] - at / 2 for at, (_, path) in zip(moments, names, strict=True)])
    assert np.quantile(np.abs(late), 0.9) < 0.1


def test_a_ramp_arrives_as_a_ramp(tmp_path: Path) -> None:
    """From 0 to 200/s in 2 s: a quarter of the requests in the first half, and the planned seconds say the same."""
    load = 'arrivals = "constant"\nrate_per_s = 0\nshape = { ramp = { to = 200, over_s = 2 } }'
    found, asked = sent(tmp_path, load, workers=2)
    assert found.planned.tolist() == [50, 150]
    early = sum(at < 1 for at, _ in asked)
    assert abs(early - 50) < 25  # a busy machine sends late, never early


def test_bursts_arrive_together(tmp_path: Path) -> None:
    """Twenty at once, five times a second: the service sees clumps with pauses between them."""
    load = 'arrivals = "bursts"\nburst_size = 20\nrate_per_s = 100\nduration_s = 1'
    found, asked = sent(tmp_path, load)
    assert found.planned.tolist() == [100]
    gaps = np.diff([at for at, _ in asked])
    assert np.sum(gaps > 0.08) == 4


def test_users_ramp_and_iterations_end(tmp_path: Path) -> None:
    """k6's shared iterations: so many requests arrive, no more, and the run is over before its longest duration."""
    began = time.monotonic()
    load = 'executor = "shared-iterations"\nvus = 3\niterations = 120\nmaxDuration = "30s"'
    found, asked = sent(tmp_path, load, workers=2)
    assert len(asked) == 120
    assert found.good.sum() == 120
    assert time.monotonic() - began < 15
