"""
Most of a busy database's time is reads, which a replica could answer.

Use when: the primary is at its end, statements and indexes are as good as they get, and readers can bear to see what
was true a moment ago. Don't: for a read that must see its own user's write, inside a transaction that writes, or where
a cache or an index takes the same load for less; a replica is a server more to run, and fails over on a day of its own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from headway.diagnose import sessions
from headway.diagnose.rules import missing_index
from headway.diagnose.statement_shape import Kind, shape
from headway.diagnose.words import fingerprint
from headway.diagnose.written import changed_tables
from headway.model import Confidence, Finding, Remedy, RemedyKind, Subject
from headway.promises.spoken import duration_text
from headway.thresholds import INDEXED_MIN_CALLS
from headway.thresholds.rules import (
    REPLICA_MIN_BUSY_RATIO,
    REPLICA_MIN_READS_RATIO,
    REPLICA_WRITING_MAX_RATIO,
    STALE_TOLERABLE_RATIO,
    SYMPTOM_WEIGHT_RATIO,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from headway.model import Evidence, PhaseHits, Statement

RULE = "replica-opportunity"
LAG_MS = 100
KEYS = (100, 100_000)
_CHANGES = re.compile(r"\b(nextval|setval|set_config|pg_advisory\w*|pg_try_advisory\w*|txid_current|lo_\w+)\s*\(", re.I)
_BEGINS = re.compile(r"\s*(begin|start\s+transaction)\b", re.I)


def find(evidence: Evidence) -> Iterator[Finding]:
    """One finding a phase."""
    wanting = _wanting_an_index(evidence)
    for hits in evidence.phases:
        own = [each for each in evidence.statements if each.phase == hits.phase.name and not each.nested]
        whole = sum(each.total_ns for each in own)
        reads = [each for each in own if can_move(each)]
        share = sum(each.total_ns for each in reads) / whole if whole else 0.0
        rows = sessions.active(evidence, hits.phase.name)
        busy = sum(each.sessions for each in rows) - sessions.locked(rows)  # nobody looked: nothing is concluded
        if whole:
            busy *= 1 - sum(each.total_ns for each in own if each.id in wanting) / whole
        enough = share >= REPLICA_MIN_READS_RATIO and busy >= REPLICA_MIN_BUSY_RATIO * evidence.machine.cores
        if _each_may_write(evidence, hits, own):
            continue
        if enough and sum(each.calls for each in reads) > INDEXED_MIN_CALLS:
            yield _finding(evidence, hits, own, reads, share, busy)


def _wanting_an_index(evidence: Evidence) -> frozenset[str]:
    """Statements that want an index first: what they keep busy is not a replica's to take."""
    found = missing_index.find(evidence)
    named = (remedy.parameters.get("statement_ids") or () for each in found for remedy in each.remedies)
    return frozenset(str(identity) for ids in named for identity in ids)


def _each_may_write(evidence: Evidence, hits: PhaseHits, own: Sequence[Statement]) -> bool:
    """
    Whether about as many transactions wrote as there were: then the reads were made by transactions that write. A read
    outside of any is a transaction of its own. How many wrote is told by the ids given out, which is the most it can
    be: savepoints and other databases get some too. Where they weren't seen, by the statement that writes most often.
    """
    counted = sessions.database(evidence, hits.phase.name)
    if counted is None:
        return False
    often = max((each.calls for each in own if changed_tables(each.text)), default=0)
    wrote = often if counted.written_transactions is None else counted.written_transactions
    return wrote >= REPLICA_WRITING_MAX_RATIO * (counted.commits + counted.rollbacks) > 0


def can_move(statement: Statement) -> bool:
    """Whether another server could answer it: it reads tables, locks nothing, and changes nothing by a function."""
    if statement.is_utility:
        return False
    seen = shape(statement.text)
    return seen.kind is Kind.READ and not seen.locks and not _CHANGES.search(statement.text)


def _finding(
    evidence: Evidence, hits: PhaseHits, own: Sequence[Statement], reads: Sequence[Statement], share: float, busy: float
) -> Finding:
    cores = evidence.machine.cores
    written = frozenset(table for each in own for table in changed_tables(each.text))
    quiet_ns = sum(each.total_ns for each in reads if not written & set(shape(each.text).tables))
    quiet = quiet_ns / sum(each.total_ns for each in reads)
    lags = [each for each in evidence.replicas if each.phase == hits.phase.name]
    counted = sessions.database(evidence, hits.phase.name)
    streams = len(lags) or (counted.replicas if counted else 0)
    lag_ns = max((each.replay_lag_most_ns or 0 for each in lags), default=0)
    there = f"; {streams} replica{'s' * (streams > 1)} of it stream{'s' * (streams == 1)} already" if streams else ""
    return Finding(
        rule=RULE,
        phase=hits.phase.name,
        line=(
            f"{share:.0%} of the primary's statement time are reads that a replica could answer, and {busy:.1f}"
            f" sessions were at work on {cores} cores{there}"
        ),
        explains=(Subject.LATENCY, Subject.THROUGHPUT),
        share_ratio=share,
        share_of="database time",
        weight_ratio=share * min(1.0, busy / cores) * SYMPTOM_WEIGHT_RATIO * 0.9,
        fingerprint=fingerprint(RULE),
        confidence=Confidence.POSSIBLE,
        reasons_for=(
            "sessions at statements that want an index first are not among those at work",
            f"{quiet:.0%} of that time asks tables that nothing wrote in this phase: never stale",
            *((f"the replica there is was {duration_text(lag_ns)} behind at most",) if lag_ns else ()),
        ),
        reasons_against=_against(own),
        remedies=(_remedy(evidence, hits, written, lag_ns, streams),),
    )


def _against(own: Sequence[Statement]) -> tuple[str, ...]:
    begun = sum(each.calls for each in own if _BEGINS.match(each.text))
    inside = f"{begun:,} transactions were begun: reads in one that writes must stay, and which those are isn't counted"
    return (
        *((inside,) if begun else ()),
        f"who may see an answer a moment old only you know; {STALE_TOLERABLE_RATIO:.0%} of stale reads is taken as"
        " tolerable until you say otherwise",
        "an index or a cache may take the same load for less: see what ranks before it",
        "it doubles what there is to run, and helps no write",
    )


def _remedy(evidence: Evidence, hits: PhaseHits, written: frozenset[str], lag_ns: int, streams: int) -> Remedy:
    rows = [each.rows for each in evidence.tables if each.phase == hits.phase.name and each.name in written]
    keys = round(min(max([*rows, KEYS[0]]), KEYS[1]))
    lag_ms = max(1, round(lag_ns / 1e6)) if lag_ns else LAG_MS
    return Remedy(
        kind=RemedyKind.REPLICA,
        title="send these reads to the replica that is there" if streams else "a read replica",
        act=(
            "a second connection string for reads that may lag, chosen where the query is made; the primary answers"
            " when the replica doesn't, and a user's reads for some seconds after their own write"
        ),
        parameters={"lag_ms": lag_ms, "keys": keys, "tolerable_stale_ratio": STALE_TOLERABLE_RATIO},
    )
