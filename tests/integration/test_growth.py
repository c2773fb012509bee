"""A step of the growth, measured on a small lab."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from headway import breakpoint as search
from headway import growth
from headway.evidence import reading
from headway.lab import Lab
from headway.model import State

if TYPE_CHECKING:
    from pathlib import Path


def test_a_step_is_measured(tmp_path: Path, lab_state: Path) -> None:
    """
    A try too short to be called holds nothing, and the step says so; what is told of a rate that held is what its run
    left behind; the lab is down afterwards.
    """
    said: list[str] = []
    step = growth.STEPS[1]
    effort = growth.Effort(duration_s=1, warmup_s=0.2, allowed_s=90, start_per_s=60, most_per_s=60)
    grown = growth.measure(root=tmp_path, state=lab_state, scale=0.002, steps=[step], effort=effort, say=said.append)
    (reached,) = grown.steps
    assert (reached.rate_per_s, reached.p95_ms, reached.confirmed) == (None, None, False)
    assert said[0].startswith("step 2") and said[1].startswith("tries of 1 s;") and "too few seconds" in said[2]
    assert [(each.form, each.requests) for each in grown.pages] == [("naive", 5)]
    assert not Lab(lab_state).status().running

    searched = search.shown_again(tmp_path, None)
    evidence = reading.read(searched.folder)
    probes = tuple(replace(each, state=State.KEPT) for each in searched.found.probes)
    told = growth.reached(step, replace(searched.found, holds_per_s=60, probes=probes), evidence)
    assert told.p50_ms is not None and told.p95_ms is not None and told.p99_ms is not None
    assert 0 < told.p50_ms <= told.p95_ms <= told.p99_ms
    assert told.queries_per_s is not None and told.queries_per_s > 30, "nine in ten requests are a query or more"
    assert told.edge_ratio is None and told.cache_ratio is None, "stage 2 has neither"
    assert told.cores is not None and set(told.cores) == {"app", "postgres"}
    assert told.failed_ratio == 0
