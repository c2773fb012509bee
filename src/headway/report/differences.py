"""A comparison for the terminal and for a program: every figure with its interval, then what it comes to."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text

from headway.compare.calls import TOO_WIDE, Call, Measure
from headway.model import ExitCode
from headway.promises.spoken import duration_text, percent_text, rate_text
from headway.report.terminal import PIPED_WIDTH, printed, wrapped
from headway.report.visible import one_line
from headway.report.words import NOTHING, ns_text
from headway.thresholds import SETTLE_MOST_TIMES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from headway.compare.calls import Difference, PhaseDifferences, RouteShift
    from headway.compare.comparison import Comparison
    from headway.compare.sample import Run

SCHEMA = "headway.comparison/1"
EVERY_ROUTE = "all routes"
CALLS = {
    Measure.LATENCY: {Call.WORSE: "slower", Call.BETTER: "faster", Call.NOT_WORSE: "no slower"},
    Measure.THROUGHPUT: {Call.WORSE: "lower", Call.BETTER: "higher", Call.NOT_WORSE: "no lower"},
    Measure.ERRORS: {Call.WORSE: "more errors", Call.BETTER: "fewer errors", Call.NOT_WORSE: "no more errors"},
}
MEANINGS = {
    ExitCode.KEPT: "B is no worse than A by as much as matters",
    ExitCode.BROKEN: "B is worse than A",
    ExitCode.INCONCLUSIVE: "it can't be told whether B is worse than A",
    ExitCode.INVALID: "the runs can't be compared",
}


def call_text(each: Difference) -> str:
    """ "slower", "fewer errors", "no difference that matters", "can't tell"."""
    return CALLS[each.measure].get(each.call, each.call.value)


def takes_text(each: Difference) -> str:
    """What would settle it, as far as the estimate goes; empty where nothing known would."""
    if each.call is not Call.OPEN or each.more is None or each.more >= SETTLE_MOST_TIMES:
        return ""
    return f": takes {each.more:.1f}× the load"


def figure_text(each: Difference) -> str:
    """ "p99.9", "throughput", "error rate"."""
    return each.measure.value if each.quantile is None else f"p{each.quantile * 100:.10g}"


def value_text(each: Difference, value: float) -> str:
    """One side's value in its unit."""
    if math.isnan(value):
        return NOTHING
    if each.measure is Measure.LATENCY:
        return ns_text(value)
    return rate_text(value) if each.measure is Measure.THROUGHPUT else percent_text(value)


def change_text(each: Difference, change: float) -> str:
    """ "+3.1%"; of error rates "+0.12 points"; no bound where there is none."""
    if math.isnan(change):
        return NOTHING
    if math.isinf(change) or change > 1e6:
        return "no bound"
    if each.measure is Measure.ERRORS:
        return f"{change * 100:+.2f} points"
    return f"{change * 100:+.1f}%" if change < 10 else f"×{1 + change:,.3g}"


def interval_text(each: Difference) -> str:
    """Both ends; a dash when nothing bounds it."""
    if math.isinf(each.low) and math.isinf(each.high):
        return NOTHING
    return f"{change_text(each, each.low)} to {change_text(each, each.high)}"


def reason_text(each: Difference) -> str:
    """Why the call isn't plain from the numbers."""
    return "" if each.reason == TOO_WIDE else each.reason


def shift_text(each: RouteShift) -> str:
    """The effect of all requests, in a sentence."""
    found = each.superiority
    p = "below 0.001" if found.p < 0.001 else f"{found.p:.3f}"
    return (
        f"{each.route or EVERY_ROUTE}: a request of B is slower than one of A in {found.slower_ratio:.1%} of pairs"
        f" ({found.low:.1%} to {found.high:.1%}; 50% is no difference): Cliff's delta {found.delta:+.2f}, {found.size};"
        f" Mann-Whitney p {p}, reckoned by blocks"
    )


def verdict_line(found: Comparison) -> str:
    """The whole answer in one line, with the exit code."""
    code = found.exit_code
    every = [each for phase in found.phases for each in phase.differences]
    parts = []
    for call in (Call.WORSE, Call.OPEN, Call.BETTER):
        told = [each for each in every if each.call is call]
        for each in told[:3]:
            parts.append(
                f"{figure_text(each)} of {each.route or EVERY_ROUTE} {call_text(each)}"
                + ("" if call is Call.OPEN else f" ({interval_text(each)})")
            )
        if len(told) > 3:
            parts.append(f"{len(told) - 3} more {call.value}")
    said = f": {', '.join(parts)}" if parts else ""
    return f"{MEANINGS[code]}{said}. Exit code {int(code)}."


def as_text(found: Comparison, *, color: bool = False) -> str:
    """For a person."""
    return printed(_lines(found), color=color)


def sides(found: Comparison) -> tuple[tuple[str, str], ...]:
    """(A or B, the run or the rounds) of each side."""
    return tuple((name, _side_text(runs)) for name, runs in (("A", found.a), ("B", found.b)))


def _side_text(runs: Sequence[Run]) -> str:
    first = runs[0]
    named = f"run {first.id}" if len(runs) == 1 else f"{len(runs)} rounds, {first.id} to {runs[-1].id}"
    against = f" against {first.target_url}" if first.target_url else ""
    return one_line(f"{named}{' (pinned)' if first.pinned else ''}{against}")


def _lines(found: Comparison) -> Iterator[Text]:
    for name, said in sides(found):
        yield from wrapped(f"{name}: {said}", PIPED_WIDTH, indent=0, hang=3)
    yield Text("")
    for phase in found.phases:
        yield from _phase_lines(found, phase)
    for why in found.not_comparable:
        yield from wrapped(f"✗ not comparable: {one_line(why)}", PIPED_WIDTH, indent=0, hang=2, style="bold magenta")
    for warning in found.warnings:
        yield from wrapped(f"! {one_line(warning)}", PIPED_WIDTH, indent=0, hang=2, style="yellow")
    yield from wrapped(verdict_line(found), PIPED_WIDTH, indent=0, hang=2, style="bold")


def _phase_lines(found: Comparison, phase: PhaseDifferences) -> Iterator[Text]:
    yield from wrapped(f"Phase {one_line(phase.phase)}: {found.b[0].loads.get(phase.phase, '')}", PIPED_WIDTH, indent=0)
    yield from wrapped(basis_text(found, phase), PIPED_WIDTH, indent=2, style="dim")
    rows = [("ROUTE", "FIGURE", "A", "B", "CHANGE", "95% INTERVAL", "")]
    for each in phase.differences:
        rows.append(
            (
                one_line(each.route or EVERY_ROUTE)[:36], figure_text(each), value_text(each, each.a),
                value_text(each, each.b), change_text(each, each.change), interval_text(each),
                call_text(each) + takes_text(each),
            )
        )  # fmt: skip
    sizes = [max(cell_len(row[column]) for row in rows) for column in range(7)]
    for number, row in enumerate(rows):
        cells = [
            cell + " " * (size - cell_len(cell)) if column in (0, 1, 6) else " " * (size - cell_len(cell)) + cell
            for column, (cell, size) in enumerate(zip(row, sizes, strict=True))
        ]
        yield Text("  " + "  ".join(cells), style="" if number else "bold")
        if number and (why := reason_text(phase.differences[number - 1])):
            yield from wrapped(f"→ {one_line(why)}", PIPED_WIDTH, indent=6, hang=2, style="dim")
    for shift in phase.shifts[:1]:  # of all routes; those of single ones are in the JSON
        yield from wrapped(one_line(shift_text(shift)), PIPED_WIDTH, indent=2, hang=2)
    if phase.left_out:
        left = f"too few requests to compare: {one_line('; '.join(phase.left_out))}"
        yield from wrapped(left, PIPED_WIDTH, indent=2, hang=2, style="dim")
    yield Text("")


def basis_text(found: Comparison, phase: PhaseDifferences) -> str:
    """What the intervals rest on, and from where a difference matters."""
    margin = found.margin
    if not phase.shifts:
        return phase.basis
    return (
        f"{phase.basis}; the intervals of latencies and throughput hold together with 95% (each alone"
        f" {phase.level:.1%}); what matters: {margin.ratio * 100:.3g}% of A"
        f" and {duration_text(margin.latency_ns)}, errors {margin.errors_ratio * 100:.3g} points"
    )


def as_json(found: Comparison) -> str:
    """For a program: ns, per second, ratios; what has no bound is null, and said to be open."""
    return json.dumps(
        {
            "schema": SCHEMA,
            "exit_code": int(found.exit_code),
            "line": verdict_line(found),
            "a": [_run(each) for each in found.a],
            "b": [_run(each) for each in found.b],
            "matters": {
                "ratio": found.margin.ratio, "latency_ns": found.margin.latency_ns,
                "errors_ratio": found.margin.errors_ratio,
            },
            "not_comparable": list(found.not_comparable),
            "warnings": list(found.warnings),
            "phases": [_phase(each) for each in found.phases],
        },
        indent=2, allow_nan=False,
    )  # fmt: skip


def _run(run: Run) -> dict[str, object]:
    return {
        "id": run.id, "started_at": run.started_at, "target": run.target_url, "headway_version": run.headway_version,
        "fingerprint": run.fingerprint, "pinned": run.pinned, "loads": dict(run.loads),
    }  # fmt: skip


def _phase(phase: PhaseDifferences) -> dict[str, object]:
    return {
        "phase": phase.phase,
        "basis": phase.basis,
        "level_of_each": phase.level,
        "differences": [_difference(each) for each in phase.differences],
        "shifts": [
            {
                "route": each.route, "slower_ratio": each.superiority.slower_ratio, "low": each.superiority.low,
                "high": each.superiority.high, "cliffs_delta": each.superiority.delta, "size": each.superiority.size,
                "mann_whitney_p": each.superiority.p, "requests": list(each.requests),
            }
            for each in phase.shifts
        ],
        "left_out": list(phase.left_out),
    }  # fmt: skip


def _difference(each: Difference) -> dict[str, object]:
    numbers = {name: getattr(each, name) for name in ("a", "b", "change", "low", "high", "matters")}
    return {
        "route": each.route,
        "figure": figure_text(each),
        **{name: value if math.isfinite(value) else None for name, value in numbers.items()},
        "a_failed": math.isinf(each.a),
        "b_failed": math.isinf(each.b),
        "call": call_text(each),
        "reason": each.reason,
        "more_load": None if each.more is None else round(each.more, 2),
        "said": {"a": value_text(each, each.a), "b": value_text(each, each.b), "interval": interval_text(each)},
    }
