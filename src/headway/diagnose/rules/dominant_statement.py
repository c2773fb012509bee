"""
Statements that take a large share of the database's time, and how: what they scan, how often a request calls them.

For: fixing one statement moves the whole. Against: a large share of little time is little, so it weighs only as much as
the database could keep the machine busy: sessions executing at once over cores.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from headway.diagnose.windows import answered
from headway.diagnose.words import fingerprint, one_line
from headway.model import Confidence, Finding, Location, Subject
from headway.promises.spoken import duration_text
from headway.thresholds import INDEXED_MIN_CALLS, INDEXED_MIN_TABLE_ROWS
from headway.thresholds.rules import DATABASE_IDLE_MAX_SESSIONS, DOMINANT_STATEMENT_MIN_RATIO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.model import Evidence, PhaseHits, Statement

RULE = "dominant-statement"
COSTS = (Subject.LATENCY, Subject.THROUGHPUT, Subject.ERROR_RATE, Subject.AVAILABILITY)


def find(evidence: Evidence) -> Iterator[Finding]:
    """A finding for each statement with its share, phase by phase."""
    calls = Counter[str]()
    for statement in evidence.statements:
        calls[statement.id] += statement.calls
    for hits in evidence.phases:
        for statement in evidence.statements:
            own = statement.phase == hits.phase.name and not statement.is_utility and not statement.nested
            if own and statement.share_ratio >= DOMINANT_STATEMENT_MIN_RATIO:
                finding = _finding(hits, statement, often=calls[statement.id] > INDEXED_MIN_CALLS)
                if Subject.INDEXED in finding.explains or _busy(evidence, hits) >= DATABASE_IDLE_MAX_SESSIONS:
                    yield replace(
                        finding,
                        reasons_against=_against(evidence, hits),
                        weight_ratio=finding.share_ratio * min(1.0, _busy(evidence, hits) / evidence.machine.cores),
                    )


def _busy(evidence: Evidence, hits: PhaseHits) -> float:
    """Statements executing at once, on average over the phase."""
    total_ns = sum(each.total_ns for each in evidence.statements if each.phase == hits.phase.name and not each.nested)
    return total_ns / 1e9 / max(1, hits.seconds)


def _finding(hits: PhaseHits, statement: Statement, *, often: bool) -> Finding:
    scans = [scan for scan in statement.plan.scans if not scan.stops_early] if statement.plan else []
    large = [scan for scan in scans if scan.rows > INDEXED_MIN_TABLE_ROWS]
    parts = [f"{statement.share_ratio:.0%} of database time is one statement: {one_line(statement.text)}"]
    parts += [f"sequential scan of {scan.rows:,.0f} rows of {one_line(scan.table, 60)}" for scan in large]
    parts.append(
        f"{duration_text(statement.mean_ns)} on average, {statement.calls:,} calls{_per_request(hits, statement)}"
    )
    return Finding(
        rule=RULE,
        phase=hits.phase.name,
        line="; ".join(parts),
        explains=(*COSTS, Subject.INDEXED) if large and often else COSTS,
        share_ratio=statement.share_ratio,
        share_of="database time",
        fingerprint=fingerprint(RULE, statement.text),
        location=Location(statement_id=statement.id, statement=statement.text),
        confidence=Confidence.CERTAIN,
        reasons_for=(f"{statement.calls:,} calls took {duration_text(statement.total_ns)} of the server's time",),
        details=tuple(f"filter: {one_line(scan.filter)}" for scan in large if scan.filter),
    )


def _against(evidence: Evidence, hits: PhaseHits) -> tuple[str, ...]:
    busy = _busy(evidence, hits)
    if busy >= evidence.machine.cores:
        return ()
    return (
        f"the database executed {busy:.2g} statements at once on average on {evidence.machine.cores} cores:"
        " a large share of little is little",
    )


def _per_request(hits: PhaseHits, statement: Statement) -> str:
    requests = answered(hits)
    ratio = statement.calls / requests if requests else 0.0
    return f", {ratio:.1f} a request" if ratio >= 1.5 else ""
