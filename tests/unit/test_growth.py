"""The growth table: what it says of what was measured, and of what was not."""

from __future__ import annotations

import json
from dataclasses import replace

from headway import growth
from headway.growth import Growth, Reached
from headway.growth_page import Page
from headway.growth_table import as_json, as_text

HELD = Reached(
    step=growth.STEPS[0], rate_per_s=28.4, limit_ms=500.0, promised_why="P95 120 ms at 8 req/s", breaks_per_s=33.0,
    confirmed=True, stopped="the service", p50_ms=12.0, p95_ms=88.25, p99_ms=140.0, failed_ratio=0.0,
    queries_per_s=31.0, query_ms=41.5, cpu_ratio=0.86, cores={"app": 0.2, "postgres": 1.4},
)  # fmt: skip
OPEN = Reached(
    step=growth.STEPS[2], rate_per_s=None, breaks_per_s=500.0, confirmed=False, stopped="the time it may take",
    limit_ms=100.0,
)  # fmt: skip
GROWN = Growth(
    scale=0.5, cores=2, steps=(HELD, OPEN),
    pages=(Page(form="naive", what="one statement a user", median_ms=731.0, slowest_ms=800.0, requests=5),),
)  # fmt: skip


def row(text: str, start: str) -> str:
    """The first line that starts so, its words one space apart."""
    return " ".join(next(line for line in text.splitlines() if line.startswith(start)).split())


def test_what_was_not_measured_is_a_dash() -> None:
    """A stage at which no rate held has dashes and a reason, never a zero or the story's figure in their place."""
    text = as_text(GROWN)
    assert row(text, "1 ") == "1 500 ms 28 33 12 88.2 140 0% 31 41.5 – – 86% 100 req/s"
    assert row(text, "3 ") == "3 100 ms – 500 – – – – – – – – – 5,000 req/s"
    assert "Stage 3: no rate is known to hold; the search was stopped by the time it may take." in text
    assert "Stage 1: no rate is known to hold by the promise itself: P95 120 ms at 8 req/s" in text
    assert HELD.promised_per_s == 0, "the next stage begins with no rate that the promise was broken at"
    assert "app 0.20, postgres 1.40" in text
    assert "shared 2 cores" in text


def test_a_rate_that_holds_without_one_that_breaks_says_what_ended_the_search() -> None:
    """A dash in "broke at" is not read as "nothing breaks it"; where both ends are known nothing is added."""
    unbroken = replace(HELD, breaks_per_s=None, stopped="the time it may take")
    text = as_text(replace(GROWN, steps=(unbroken,)))
    assert "Stage 1: no rate is known to break; the search was stopped by the time it may take." in text
    assert "Stage 1: no rate is known to break" not in as_text(GROWN)


def test_the_page_stands_beside_the_storys_own_figure() -> None:
    """The measured time and the story's are in columns of their own."""
    assert row(as_text(GROWN), "naive ") == "naive one statement a user 731 800 5 5,000 ms"


def test_the_storys_figures_are_not_among_the_measured() -> None:
    """A program that reads the JSON cannot take one for the other."""
    read = json.loads(as_json(GROWN))
    assert read["story"]["per_s"] == {"1": 100.0, "3": 5000.0}
    assert read["measured"]["steps"][0]["p95_ms"] == 88.25
    assert read["measured"]["steps"][1]["rate_per_s"] is None
    assert "story" not in json.dumps(read["measured"])
