"""A step of the growth, measured on a small lab."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headway import growth
from headway.evidence import reading

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.alone
def test_a_step_is_measured(tmp_path: Path, lab_state: Path) -> None:
    """Rate, quantiles, queries, the page and the cores of a step are those of its run; the lab is down afterwards."""
    said: list[str] = []
    step = growth.STEPS[1]
    effort = growth.Effort(duration_s=2, warmup_s=0.2, allowed_s=90, start_per_s=90, most_per_s=90)
    grown = growth.measure(root=tmp_path, state=lab_state, scale=0.002, steps=[step], effort=effort, say=said.append)
    (reached,) = grown.steps
    evidence = reading.read(next((tmp_path / ".headway" / "runs").glob(f"{reached.run}*")))
    tried = {each.phase.rate_per_s or 0.0 for each in evidence.phases}
    assert reached.rate_per_s is not None
    assert reached.rate_per_s in tried and max(tried) <= 90
    assert reached.p50_ms is not None and reached.p95_ms is not None and reached.p99_ms is not None
    assert 0 < reached.p50_ms <= reached.p95_ms <= reached.p99_ms
    assert reached.p95_ms < 100, "a rate that is said to hold keeps the promise"
    assert reached.queries_per_s is not None and reached.queries_per_s > 0.5 * reached.rate_per_s
    assert reached.edge_ratio is None and reached.cache_ratio is None, "stage 2 has neither"
    assert reached.cores is not None and set(reached.cores) == {"app", "postgres"}
    assert [(each.form, each.requests) for each in grown.pages] == [("naive", 5)]
    assert said[0].startswith("step 2")
