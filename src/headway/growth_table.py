"""The growth as a table for a person, and as JSON for a program."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from headway import growth
from headway.report.words import NOTHING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headway.growth import Growth, Reached
    from headway.growth_page import Page

HEADS = (
    "stage", "P95 <", "req/s", "broke at", "P50 ms", "P95 ms", "P99 ms", "failed", "queries/s", "query ms", "edge",
    "cache", "CPU", "the story",
)  # fmt: skip


def as_json(grown: Growth) -> str:
    """Everything measured, and the story's figures under their own name."""
    story = {
        "per_s": {each.step.name: each.step.story_per_s for each in grown.steps},
        "before": growth.STORY_BEFORE, "after": growth.STORY_AFTER, "page_ms": growth.STORY_PAGE_MS,
    }  # fmt: skip
    measured = asdict(grown)
    for each in measured["steps"]:
        each["step"].pop("story_per_s")
    return json.dumps({"measured": measured, "story": story}, indent=2)


def as_text(grown: Growth) -> str:
    """The table, where the cores went, the N+1 page, and what the figures are."""
    lines = [
        f"Highest rate at which P95 stayed below the limit and at most 1% failed (data at scale {grown.scale:g}), each"
        " stage adding to the one before:",
        "",
        *_table(HEADS, [_row(each) for each in grown.steps]),
        "",
        "Cores busy at that rate:",
        *(f"  {each.step.name:<8} {_cores(each)}" for each in grown.steps),
        "",
        *_page_lines(grown.pages),
        f"The story's figures were measured by nobody here: before {growth.STORY_BEFORE}; after {growth.STORY_AFTER}.",
        f"Generator, nginx, app servers, caches and databases shared {grown.cores} cores; one stage's database is as"
        " near as another's.",
    ]
    lines += [
        f"Stage {each.step.name}: no rate is known to hold by the promise itself: {each.promised_why}"
        for each in grown.steps
        if each.promised_why
    ]
    lines += [
        f"Stage {each.step.name}: {_why_open(each)}"
        for each in grown.steps
        if not each.confirmed or not each.rate_per_s or not each.breaks_per_s
    ]
    return "\n".join(lines)


def _row(each: Reached) -> tuple[str, ...]:
    return (
        each.step.name, _limit(each), _number(each.rate_per_s), _number(each.breaks_per_s), _fine(each.p50_ms),
        _fine(each.p95_ms), _fine(each.p99_ms), _failed(each.failed_ratio), _number(each.queries_per_s),
        _fine(each.query_ms), _percent(each.edge_ratio), _percent(each.cache_ratio), _percent(each.cpu_ratio),
        f"{each.step.story_per_s:,.0f} req/s",
    )  # fmt: skip


def _page_lines(pages: Sequence[Page]) -> list[str]:
    if not pages:
        return []
    rows = [
        (each.form, each.what, _fine(each.median_ms), _fine(each.slowest_ms), str(each.requests),
         f"{growth.STORY_PAGE_MS[each.form]:,.0f} ms")
        for each in pages
    ]  # fmt: skip
    heads = ("page of 20 users", "how", "median ms", "slowest", "requests", "the story")
    return ["The N+1 page, one request at a time:", "", *_table(heads, rows), ""]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as they need be; text to the left, figures to the right."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    left = [any(row[at][:1].isalpha() for row in rows) or at == 0 for at in range(len(heads))]
    return [
        "  ".join(
            cell.ljust(width) if to_left else cell.rjust(width)
            for cell, width, to_left in zip(row, widths, left, strict=True)
        ).rstrip()
        for row in (heads, *rows)
    ]  # fmt: skip


def _cores(each: Reached) -> str:
    if not each.cores:
        return NOTHING
    return ", ".join(f"{name} {busy:.2f}" for name, busy in each.cores.items())


def _why_open(each: Reached) -> str:
    told = "no rate is known to hold" if each.rate_per_s is None else "not confirmed by another try"
    if each.confirmed and each.rate_per_s is not None:
        told = "no rate is known to break"
    return f"{told}; the search was stopped by {each.stopped}" + (f": {each.why}" if each.why else ".")


def _limit(each: Reached) -> str:
    return NOTHING if each.limit_ms is None else f"{each.limit_ms:g} ms"


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:,.0f}"


def _fine(value: float | None) -> str:
    return NOTHING if value is None else f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"


def _percent(value: float | None) -> str:
    return NOTHING if value is None else f"{100 * value:.0f}%"


def _failed(ratio: float | None) -> str:
    return NOTHING if ratio is None else f"{100 * ratio:.3g}%"
