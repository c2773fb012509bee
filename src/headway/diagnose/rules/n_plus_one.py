"""
One statement asked once for each row of something, where one could ask for all: N+1, of SQL and of Redis.

For: each call waits for a round trip, a connection and a plan of its own; together they grow with the page. Against:
calls made at the same time overlap, so that batching them frees connections more than it shortens the answer; an answer
that a cache gives most of the time seldom pays.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from headway.conventions import SPANS_FILE
from headway.diagnose import command_shape, traced_repeats
from headway.diagnose.batch_remedy import of_command, of_repeated
from headway.diagnose.repeats import Manner
from headway.diagnose.repetition import Cause, Judged, judge
from headway.diagnose.statement_shape import canonical, table_of
from headway.diagnose.traced_repeats import Window, opened
from headway.diagnose.words import fingerprint, one_line
from headway.model import Finding, Location, Subject
from headway.promises.spoken import duration_text
from headway.thresholds.rules import N_PLUS_ONE_MIN_SHARE_RATIO

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from headway.diagnose.traced_repeats import Repeated
    from headway.model import Evidence, Remedy, Statement

RULE = "n-plus-one"
CACHED_RATIO = 0.5
"""Share of the route's requests that repeat the statement, below which it is said that most don't."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """One repeated statement of one route and phase, and what it is."""

    repeated: Repeated
    judged: Judged

    @property
    def speaks(self) -> bool:
        """Whether it is worth a finding: an N+1 with a share of its route's time."""
        return self.judged.cause is Cause.N_PLUS_ONE and self.repeated.shares()[0] >= N_PLUS_ONE_MIN_SHARE_RATIO


def find(evidence: Evidence) -> Iterator[Finding]:
    """A finding for each statement that requests of a route repeat, phase by phase. Without spans there is none."""
    for each in told(evidence.folder, windows(evidence)):
        if each.speaks:
            yield _finding(evidence, each)


def why_not(evidence: Evidence, statement_id: str) -> str | None:
    """Why a statement is no N+1, as far as the spans say; None where they say nothing of it, or it is one."""
    text = next((each.text for each in evidence.statements if each.id == statement_id), None)
    if text is None:
        return None
    same = [each for each in told(evidence.folder, windows(evidence)) if _same(each.repeated.statement, text)]
    if not same or any(each.speaks for each in same):
        return None
    worst = max(same, key=lambda each: each.repeated.seen.typical)
    where = f"{one_line(worst.repeated.route, 60)} asks it up to {max(worst.repeated.seen.calls):,} times a request"
    if worst.judged.cause is Cause.N_PLUS_ONE:
        return f"no N+1 worth a line: {where}, {worst.repeated.shares()[0]:.1%} of its time"
    because = f" ({worst.judged.because})" if worst.judged.because else ""
    return f"no N+1: {where}, but {worst.judged.cause.value}{because}"


def windows(evidence: Evidence) -> tuple[Window, ...]:
    """The run's phases as stretches of the clock that spans are written by."""
    return tuple(
        Window(
            name=each.phase.name,
            begin_ns=int(each.started_at_s * 1e9),
            end_ns=int((each.started_at_s + each.seconds) * 1e9),
        )
        for each in evidence.phases
    )


def told(folder: Path, phases: Sequence[Window]) -> tuple[Told, ...]:
    """Every repeated statement of a run's spans, judged; none where there are no spans."""
    file = folder / SPANS_FILE
    if not phases or not file.exists():
        return ()
    return _told(folder, file.stat().st_mtime_ns, tuple(phases))


@lru_cache(maxsize=2)
def _told(folder: Path, _changed_ns: int, phases: tuple[Window, ...]) -> tuple[Told, ...]:
    # Several rules ask the same; what is kept of a run is small.
    with opened(folder) as connection:
        found = list(traced_repeats.read(connection, phases))
    return tuple(Told(repeated=each, judged=judge(each.seen, each.shape)) for each in found)


def statement_of(evidence: Evidence, text: str) -> Statement | None:
    """The statement that pg_stat_statements counted under another normal form, the dearest where several fit."""
    wanted = canonical(text)
    same = [each for each in evidence.statements if not each.nested and canonical(each.text) == wanted]
    return max(same, key=lambda each: each.total_ns, default=None)


def _same(one: str, other: str) -> bool:
    return canonical(one) == canonical(other)


def _finding(evidence: Evidence, each: Told) -> Finding:
    repeated, seen = each.repeated, each.repeated.seen
    share, middle, slow = repeated.shares()
    all_ns = sum(time.total_ns for time in repeated.phase_times)
    counted = None if _is_redis(repeated) else statement_of(evidence, repeated.statement)
    manner = seen.manners.most_common(1)[0][0]
    times = "command" if _is_redis(repeated) else "statement"
    return Finding(
        rule=RULE,
        phase=repeated.phase,
        line=(
            f"{one_line(repeated.route, 60)} asks one {times} {_times(repeated)} a request, {manner.value}:"
            f" {one_line(repeated.statement)}; {share:.0%} of its time, {duration_text(repeated.cost_ns)} a request"
        ),
        explains=(Subject.LATENCY, Subject.THROUGHPUT),
        share_ratio=share,
        share_of=f"the time of {one_line(repeated.route, 60)}",
        weight_ratio=min(1.0, repeated.cost_ns * repeated.time.requests / all_ns) if all_ns else share,
        fingerprint=fingerprint(RULE, repeated.route, canonical(repeated.statement)),
        details=_details(repeated, middle, slow),
        location=Location(
            route=repeated.route, statement_id=counted.id if counted else None, statement=repeated.statement,
            table=_table(repeated), code=seen.code,
            key=command_shape.template(repeated.statement) if _is_redis(repeated) else None,
        ),
        confidence=each.judged.confidence,
        cost_ns=repeated.cost_ns,
        reasons_for=_reasons_for(each, manner),
        reasons_against=_reasons_against(repeated, manner),
        remedies=_remedies(evidence, repeated, counted),
    )  # fmt: skip


def _times(repeated: Repeated) -> str:
    low, high = min(repeated.seen.calls), max(repeated.seen.calls)
    return f"{low:,} times" if low == high else f"{repeated.calls_a_request:,.0f} times ({low:,} to {high:,})"


def _details(repeated: Repeated, middle: float, slow: float) -> tuple[str, ...]:
    seen = repeated.seen
    lines = [f"{middle:.0%} of the time of its requests around the median, {slow:.0%} of that of the slowest 5%"]
    if seen.source is not None:
        lines.append(f"read before it: {one_line(seen.source)}")
    else:
        lines.append("nothing was read before it: its keys come with the request, or from what no span shows")
    if seen.requests < repeated.requests - 0.5:
        lines.append(f"from {seen.requests:,} requests, drawn from about {repeated.requests:,.0f} that repeat it")
    return tuple(lines)


def _reasons_for(each: Told, manner: Manner) -> tuple[str, ...]:
    repeated, seen = each.repeated, each.repeated.seen
    mean_ns = sum(seen.total_ns) / sum(seen.calls)
    waits = f"{_times(repeated)} {duration_text(mean_ns)} on average, as the service sees it"
    how = waits if manner is Manner.CONCURRENT else f"{waits}: each waits until the one before has answered"
    return tuple(text for text in (each.judged.because, how) if text)


def _reasons_against(repeated: Repeated, manner: Manner) -> tuple[str, ...]:
    seen, reasons = repeated.seen, []
    if manner is Manner.CONCURRENT:
        reasons.append("the calls overlap: one for all frees connections more than it shortens the answer")
    if repeated.requests < CACHED_RATIO * repeated.time.requests:
        reasons.append(f"only {repeated.requests / repeated.time.requests:.0%} of the route's requests repeat it")
    if all(each is None for each in seen.distinct):
        reasons.append("values are not in the spans: were they always the same, keeping the answer would be the cure")
    if len(repeated.shape.keys) > 1:
        names = ", ".join(one_line(each.column, 30) for each in repeated.shape.keys)
        reasons.append(f"which of {names} differs from call to call is told by their names only")
    if _is_redis(repeated):
        reasons.append("in a cluster the keys of one MGET must be in one slot")
    return tuple(reasons)


def _remedies(evidence: Evidence, repeated: Repeated, counted: Statement | None) -> tuple[Remedy, ...]:
    made = of_command(repeated) if _is_redis(repeated) else of_repeated(evidence, repeated, counted)
    return () if made is None else (made,)


def _table(repeated: Repeated) -> str | None:
    if _is_redis(repeated) or not repeated.shape.keys:
        return None
    return table_of(repeated.statement, repeated.shape.keys[-1])


def _is_redis(repeated: Repeated) -> bool:
    return repeated.system in command_shape.SYSTEMS
