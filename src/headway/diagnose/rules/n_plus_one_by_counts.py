"""
A statement that was called as often as another returned rows, by a key that names its table: N+1 without traces.

For: a page of users read once and then posts by user_id once for each row leaves just these counts, whatever language
or mapper wrote it. Against: counts of a whole run can agree by chance, and don't say which request made the calls; ask
the route for pages of two sizes (headway scale) before the code is changed. Only time in the database is counted: the
round trips, which are most of what an N+1 costs, are not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headway.diagnose.batch_remedy import Asked, of_statement
from headway.diagnose.batching import chosen_key, names_table
from headway.diagnose.rules import n_plus_one
from headway.diagnose.statement_shape import Kind, canonical, shape, table_of
from headway.diagnose.words import fingerprint, one_line
from headway.model import Confidence, Estimate, Finding, Location, Subject
from headway.promises.spoken import duration_text
from headway.thresholds import DATABASE_MIN_CALLS
from headway.thresholds.rules import N_PLUS_ONE_COUNTS_MAX_RATIO, N_PLUS_ONE_FOLLOWING_MIN_CALLS, N_PLUS_ONE_MIN_CALLS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.model import Evidence, PhaseHits, Remedy, Statement

RULE = "n-plus-one-by-counts"
WEIGHT_RATIO = 0.5
"""Of its share of database time: what is inferred goes behind what is seen."""


@dataclass(frozen=True, kw_only=True)
class Counted:
    """A statement called for each row of `source`, or only often: then that is None. `route`: where it seems to be."""

    statement: Statement
    source: Statement | None
    route: str | None
    calls_each: float  # calls for each time the source was read; without one, for each request
    also: tuple[str, ...] = ()  # routes with as many answers: each of their requests may have made one call


def find(evidence: Evidence) -> Iterator[Finding]:
    """A finding for each such statement that no spans speak of, in the phase where it was called most."""
    traced = {
        canonical(each.repeated.statement)
        for each in n_plus_one.told(evidence.folder, n_plus_one.windows(evidence))
    }  # fmt: skip
    best: dict[str, tuple[int, Finding]] = {}
    for hits in evidence.phases:
        for each in counted(evidence, hits):
            known = best.get(each.statement.id)
            if canonical(each.statement.text) in traced or (known and known[0] >= each.statement.calls):
                continue
            best[each.statement.id] = each.statement.calls, _finding(evidence, hits, each)
    yield from (finding for _, finding in best.values())


def why_not(evidence: Evidence, statement_id: str) -> str | None:
    """Why a statement's counts are no N+1; None: they are, or there is no such statement."""
    own = [each for each in evidence.statements if each.id == statement_id]
    if not own or any(
        each.statement.id == statement_id for hits in evidence.phases for each in counted(evidence, hits)
    ):
        return None
    if not any(_could_be(each) for each in own):
        return "it is not called often to read a few rows by a key"
    return "no statement returned as many rows as it was called, and no request on average called it five times"


def counted(evidence: Evidence, hits: PhaseHits) -> Iterator[Counted]:
    """The statements of one phase that were called as an N+1 is."""
    own = [each for each in evidence.statements if each.phase == hits.phase.name and not each.nested]
    requests = int(hits.sent.sum())  # those that failed may have called it too
    for statement in own:
        if not _could_be(statement):
            continue
        source = _source(statement, own)
        if source is not None:
            routes = _routes(hits, evidence.routes, source.calls)
            route = routes[0] if len(routes) == 1 else None
            each = statement.calls / source.calls
            also = tuple(_routes(hits, evidence.routes, statement.calls))
            yield Counted(statement=statement, source=source, route=route, calls_each=each, also=also)
        elif requests and statement.calls >= N_PLUS_ONE_MIN_CALLS * requests:
            yield Counted(statement=statement, source=None, route=None, calls_each=statement.calls / requests)


def _could_be(statement: Statement) -> bool:
    described = shape(statement.text)
    paged = described.offset or described.after
    reads = described.kind is Kind.READ and bool(described.keys) and not described.locks
    return reads and not paged and not described.many_keys and statement.calls >= DATABASE_MIN_CALLS


def _source(statement: Statement, others: list[Statement]) -> Statement | None:
    """The statement whose rows it was called for: as many in all, several a time, of a table that its key names."""
    key = chosen_key(shape(statement.text), None)
    found = [
        each
        for each in others
        if each.id != statement.id
        and shape(each.text).kind is Kind.READ
        and each.calls * N_PLUS_ONE_FOLLOWING_MIN_CALLS <= each.rows
        and abs(each.rows - statement.calls) <= N_PLUS_ONE_COUNTS_MAX_RATIO * statement.calls
        and key is not None
        and names_table(key, statement.text, each.text)
    ]
    return min(found, key=lambda each: abs(each.rows - statement.calls), default=None)


def _routes(hits: PhaseHits, routes: tuple[str, ...], calls: int) -> list[str]:
    """Routes whose good answers are as many as the calls: each of their requests made one."""
    cells = hits.response
    answers = {name: int(cells.count[cells.route == number].sum()) for number, name in enumerate(routes)}
    return [name for name, n in answers.items() if n and abs(n - calls) <= N_PLUS_ONE_COUNTS_MAX_RATIO * calls]


def _finding(evidence: Evidence, hits: PhaseHits, each: Counted) -> Finding:
    statement, source = each.statement, each.source
    cost_ns = each.calls_each * statement.mean_ns
    where = f", in {one_line(each.route, 60)}" if each.route else ""
    if source is not None:
        often = (
            f"{each.calls_each:,.1f} times for each {one_line(source.text, 60)}: as often as that returned rows{where}"
        )
    else:
        often = f"{each.calls_each:,.1f} times for each request sent, whichever made the calls"
    return Finding(
        rule=RULE,
        phase=hits.phase.name,
        line=f"{one_line(statement.text)} is called {often}; {statement.share_ratio:.0%} of database time",
        explains=(Subject.LATENCY, Subject.THROUGHPUT),
        share_ratio=statement.share_ratio,
        share_of="database time",
        weight_ratio=statement.share_ratio * WEIGHT_RATIO * min(1.0, _busy(evidence, hits) / evidence.machine.cores),
        fingerprint=fingerprint(RULE, canonical(statement.text)),
        location=Location(
            route=each.route, statement_id=statement.id, statement=statement.text,
            table=table_of(statement.text, shape(statement.text).keys[-1]),
        ),
        confidence=Confidence.LIKELY if source is not None and not each.also else Confidence.POSSIBLE,
        cost_ns=cost_ns,
        reasons_for=_reasons_for(each, cost_ns),
        reasons_against=_reasons_against(each),
        remedies=_remedies(evidence, each, cost_ns),
    )  # fmt: skip


def _busy(evidence: Evidence, hits: PhaseHits) -> float:
    """Statements executing at once, on average over the phase."""
    total_ns = sum(each.total_ns for each in evidence.statements if each.phase == hits.phase.name and not each.nested)
    return total_ns / 1e9 / max(1, hits.seconds)


def _reasons_for(each: Counted, cost_ns: float) -> tuple[str, ...]:
    time = f"{duration_text(cost_ns)} of execution each time, round trips not counted"
    if each.source is None:
        return (f"{each.statement.calls:,} calls, more than {N_PLUS_ONE_MIN_CALLS} for each request sent", time)
    agree = f"{each.statement.calls:,} calls, and {each.source.rows:,} rows of {one_line(each.source.text, 60)}"
    return (f"{agree} in {each.source.calls:,} calls", time)


def _reasons_against(each: Counted) -> tuple[str, ...]:
    also = [f"{one_line(name, 60)} was answered as often: each of its requests may make one call" for name in each.also]
    return (
        *also,
        "no traces were seen: that one request makes the calls is inferred from counts of the whole phase",
        "an N+1 grows with the page: headway scale asks for two sizes and counts",
    )


def _remedies(evidence: Evidence, each: Counted, cost_ns: float) -> tuple[Remedy, ...]:
    estimate = Estimate(
        metric="calls of it", before=each.calls_each, after=1.0, unit="queries a request", by="statement counts"
    )
    parameters = {
        "system": "postgresql", "route": each.route or "", "calls": max(2, min(1_000, round(each.calls_each))),
        "executing_ns": cost_ns,
    }  # fmt: skip
    made = of_statement(
        evidence,
        Asked(
            text=each.statement.text, source=each.source.text if each.source else None, system="postgresql",
            counted=each.statement, parameters=parameters, estimate=estimate,
        ),
    )  # fmt: skip
    return () if made is None else (made,)
