"""How the report says loads, states, exit codes, sizes and durations. Units of clauses are `promises.spoken`'s."""

from __future__ import annotations

import math

from headway.model import Arrivals, ExitCode, LoadModel, Phase, State
from headway.promises.spoken import duration_text, rate_text

NOTHING = "–"
FAILED = "failed"
MARKS = {State.KEPT: "✓", State.BROKEN: "✗", State.INCONCLUSIVE: "?", State.INVALID: "!"}

EXIT_MEANINGS = {
    ExitCode.KEPT: "every promise is kept",
    ExitCode.FAILED: "Headway itself failed",
    ExitCode.USAGE: "the command was not understood",
    ExitCode.BROKEN: "a promise is broken",
    ExitCode.INCONCLUSIVE: "the run cannot decide every promise",
    ExitCode.INVALID: "the run itself is invalid",
}


def load_text(phase: Phase) -> str:
    """The load of a phase: "200 req/s, Poisson arrivals" or "50 users, each waiting for its answer"."""
    if phase.model is LoadModel.CLOSED:
        return f"{count_text(phase.users)} users, each waiting for its answer (closed model)"
    arrivals = "Poisson arrivals" if phase.arrivals is Arrivals.POISSON else "constant arrivals"
    rate = "no rate" if phase.rate_per_s is None else rate_text(phase.rate_per_s)
    return f"{rate}, {arrivals} (open model)"


def count_text(count: float | None) -> str:
    """A whole number with thousands separators; None is a dash."""
    return NOTHING if count is None else f"{count:,.0f}"


def ns_text(value_ns: float | None) -> str:
    """A latency for reading; None is a dash, infinity says that the rank falls among failed requests."""
    if value_ns is None or math.isnan(value_ns):
        return NOTHING
    return FAILED if math.isinf(value_ns) else duration_text(value_ns)


def bytes_text(size: float | None) -> str:
    """1536 -> "1.5 KiB"."""
    if size is None:
        return NOTHING
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:
            return f"{size:.0f} B" if unit == "B" else f"{size:.3g} {unit}"
        size /= 1024
    return f"{size:.3g} TiB" if abs(size) < 1000 else f"{size:,.0f} TiB"


def seconds_text(seconds: float) -> str:
    """90 -> "1 min 30 s"."""
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{seconds:.3g} s" if seconds < 10 else f"{rest} s"
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"
