"""How much of a run its traces show, in words: a sentence a phase, and what makes it less or more than it seems."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headway.diagnose.coverage import coverages
from headway.promises.spoken import duration_text
from headway.report.visible import one_line
from headway.thresholds import TRACES_CLOCK_MAX_NS, TRACES_MIN_RATIO

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from headway.model import Evidence, TraceCoverage

MOST_ROUTES = 5


def lines(evidence: Evidence) -> list[str]:
    """What to print of a run; nothing where it has no spans."""
    found = coverages(evidence)
    out: list[str] = []
    for whole in (each for each in found if each.route is None):
        routes = [each for each in found if each.phase == whole.phase and each.route is not None]
        out.append(_sentence(whole, evidence, several=len(evidence.phases) > 1))
        out += [f"  {note}" for note in _notes(whole, routes)]
    return out + ([f"  {note}" for note in _receivers_notes(evidence)] if found else [])


def data(evidence: Evidence) -> list[dict[str, object]]:
    """The same for a program: a phase or a route of it each."""
    return [
        {
            "phase": each.phase, "route": each.route, "answered": each.answered, "traced": each.traced,
            "ratio": each.ratio,
            **({"spans": each.spans, "orphans": each.orphans, "database_spans": each.database_spans,
                "with_text": each.with_text, "text_ratio": each.text_ratio, "by_edge": each.by_edge,
                "pools": _pools(evidence)} if each.route is None else {}),
        }
        for each in coverages(evidence)
    ]  # fmt: skip


def _sentence(whole: TraceCoverage, evidence: Evidence, *, several: bool) -> str:
    where = f"{one_line(whole.phase)}: " if several else ""
    of = f"{whole.traced:,} of {whole.answered:,}"
    seen = f"saw traces for {_percent(whole.ratio)} of requests ({of} answered)"
    text = (
        f"SQL text in {_percent(whole.text_ratio)} of {whole.database_spans:,} database spans"
        if whole.database_spans
        else "no database spans"
    )
    pools = _pools(evidence)
    return f"{where}{seen}, {text}, pool metrics: {', '.join(map(one_line, pools[:3])) if pools else 'no'}"


def _notes(whole: TraceCoverage, routes: Sequence[TraceCoverage]) -> Iterator[str]:
    more = whole.traced - whole.answered
    if more > 0:
        yield f"{more:,} more requests were traced than answered: the phase's edges, tries again, or others asking too"
    if whole.by_edge:
        yield f"{whole.by_edge:,} answers were a cache's in front of the service: it never saw them"
    if whole.traced + (whole.by_edge or 0) < TRACES_MIN_RATIO * whole.answered:
        yield (
            "the others were sampled away, lost in the SDK (OTEL_BSP_MAX_QUEUE_SIZE), or served by a process that"
            " sends none"
        )
    poor = [each for each in routes if each.ratio is not None and each.ratio < TRACES_MIN_RATIO]
    poor.sort(key=lambda each: each.traced - each.answered)
    for each in poor[:MOST_ROUTES]:
        yield f"of {one_line(each.route or '', 60)} {each.traced:,} of {each.answered:,} were traced"
    if len(poor) > MOST_ROUTES:
        yield f"and {len(poor) - MOST_ROUTES} more routes have less than {TRACES_MIN_RATIO:.0%}"
    unmatched = whole.traced - sum(each.traced for each in routes)
    if unmatched > 0:
        yield f"traced requests that are of no route of the scenario, by their name: {unmatched:,}"
    if whole.orphans:
        yield f"{whole.orphans:,} spans name a parent that never came: some were lost on their way"


def _receivers_notes(evidence: Evidence) -> Iterator[str]:
    received = evidence.received
    if received is None:
        return
    for reason, count in received.dropped.items():
        yield f"{count:,} spans were received and not kept: {one_line(reason)}"
    if received.ahead_ns > TRACES_CLOCK_MAX_NS:
        yield f"the service's clock is {duration_text(received.ahead_ns)} ahead: its spans may lie in another phase"
    if received.ended_early:
        yield f"{one_line(received.ended_early)}: later spans are missing"


def _pools(evidence: Evidence) -> list[str]:
    return [each.name for each in evidence.received.pools] if evidence.received is not None else []


def _percent(ratio: float | None) -> str:
    """Rounded down: 99.9% is not all."""
    return "none" if ratio is None else f"{int(ratio * 100)}%"
