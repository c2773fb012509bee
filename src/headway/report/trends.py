"""How one traffic's percentiles have gone over the runs, for the terminal and for a program."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from rich.text import Text

from headway.compare import trend
from headway.compare.calls import Call
from headway.model import ExitCode
from headway.report.terminal import PIPED_WIDTH, printed, wrapped
from headway.report.visible import one_line
from headway.report.words import ns_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from headway.compare.trend import Trend

SCHEMA = "headway.trend/1"
SHOWN = 8
MEANINGS = {
    ExitCode.KEPT: "no percentile went up by as much as matters",
    ExitCode.BROKEN: "a percentile went up by more than matters",
    ExitCode.INCONCLUSIVE: "it can't be told whether a percentile went up",
}
CALLS = {Call.WORSE: "rises", Call.BETTER: "falls", Call.NOT_WORSE: "does not rise", Call.SAME: "stays"}


def as_text(found: Sequence[Trend]) -> str:
    """For a person; the last line says what it comes to."""
    return printed(lines(found, verdict=True), color=False)


def lines(found: Sequence[Trend], *, verdict: bool) -> Iterator[Text]:
    """A paragraph for each percentile."""
    for each in found:
        values = " → ".join(ns_text(value) for value in each.values_ns[-SHOWN:])
        more = f"{len(each.values_ns) - SHOWN} before, " if len(each.values_ns) > SHOWN else ""
        head = f"{each.phase} p{each.quantile * 100:.10g} over {len(each.runs)} runs: {more}{values}"
        yield from wrapped(one_line(head), PIPED_WIDTH, indent=0, hang=2)
        yield from wrapped(sentence(each), PIPED_WIDTH, indent=2, hang=2)
    if verdict:
        code = trend.exit_code(found)
        if not found:
            yield Text("There are no two valid runs of this traffic and load up to this one.")
        yield Text(f"{MEANINGS[code]}. Exit code {int(code)}.", style="bold")


def sentence(each: Trend) -> str:
    """What the series does."""
    said = f"{CALLS.get(each.call, each.call.value)}; since the first {_percent(each.since_first)}"
    if each.a_run is None or each.low is None or each.high is None or each.p is None:
        said += f"; a slope takes {trend.FEWEST_RUNS} runs"
    else:
        said += (
            f"; {_percent(each.a_run)} a run ({_percent(each.low)} to {_percent(each.high)}, Theil-Sen;"
            f" Mann-Kendall p {each.p:.3f})"
        )
    if each.creeping:
        said += (
            f"; no step was larger than {_percent(each.largest_step)}, which does not matter by itself, and together"
            f" they do: more than {each.matters:.1%}"
        )
    return said


def as_json(found: Sequence[Trend]) -> str:
    """For a program: ns and ratios."""
    return json.dumps(
        {
            "schema": SCHEMA,
            "exit_code": int(trend.exit_code(found)),
            "trends": [
                {
                    "phase": each.phase, "quantile": each.quantile, "runs": list(each.runs),
                    "values_ns": [value if math.isfinite(value) else None for value in each.values_ns],
                    "a_run": each.a_run, "low": each.low, "high": each.high, "mann_kendall_p": each.p,
                    "since_first": each.since_first if math.isfinite(each.since_first) else None,
                    "matters": each.matters, "creeping": each.creeping, "call": CALLS.get(each.call, each.call.value),
                }
                for each in found
            ],
        },
        indent=2, allow_nan=False,
    )  # fmt: skip


def _percent(ratio: float) -> str:
    return "no bound" if not math.isfinite(ratio) else f"{ratio * 100:+.1f}%"
