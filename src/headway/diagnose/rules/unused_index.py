"""
Indexes that nothing has read since this server began to count.

Use when: the statistics span all that the service does, month's ends too. Don't drop what enforces a key, what a
replica reads (each server counts its own), or what was made yesterday.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from headway.diagnose.dropping import busiest, dropped, share
from headway.diagnose.words import fingerprint, one_line
from headway.model import Confidence, Finding, Location, Subject
from headway.thresholds.rules import UNUSED_INDEX_MIN_BYTES, UNUSED_INDEX_MIN_DAYS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.model import Evidence, Index

RULE = "unused-index"
COSTS = (Subject.LATENCY, Subject.THROUGHPUT)


def find(evidence: Evidence) -> Iterator[Finding]:
    """One finding an index, in the phase that wrote most to its table."""
    for index in evidence.indexes:
        if spared(evidence, index) is None:
            finding = _finding(evidence, index)
            if finding is not None:
                yield finding


def spared(evidence: Evidence, index: Index) -> str | None:
    """Why an index is not called unused; None: it is."""
    if index.unique or index.primary or index.constraint:
        return "it keeps values unique or a key true"
    if index.scans:
        return f"it was used {index.scans:,} times"
    if not index.valid or index.size_bytes < UNUSED_INDEX_MIN_BYTES:
        return "it is smaller than 1 MiB" if index.valid else "it is being built, or its building failed"
    days = counted_days(evidence, index)
    if days is not None and days >= UNUSED_INDEX_MIN_DAYS:
        return None
    return f"its use has been counted for {'an unknown time' if days is None else f'{days:.1f} days'} only"


def counted_days(evidence: Evidence, index: Index) -> float | None:
    """How long its use had been counted when the run ended."""
    if index.counted_since is None:
        return None
    until, since = (_moment(each) for each in (evidence.finished_at or evidence.started_at, index.counted_since))
    return (until - since).total_seconds() / 86_400


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _finding(evidence: Evidence, index: Index) -> Finding | None:
    place = busiest(evidence, index)
    if place is None:
        return None
    hits, writes = place
    days, size = counted_days(evidence, index) or 0.0, f"{index.size_bytes / (1 << 20):,.1f} MiB"
    taken = share(evidence, hits, writes)
    replicas = max((each.replicas for each in evidence.databases), default=0)
    against = ["a replica counts its own reads: look at idx_scan there before it is dropped"]
    if replicas:
        against = [f"{replicas} servers stream from this one and count their own reads: ask idx_scan of each first"]
    return Finding(
        rule=RULE,
        phase=hits.phase.name,
        line=(
            f"the index {one_line(index.name, 60)} of {one_line(index.table, 60)}, {size}, has not been read once in"
            f" {days:,.0f} days of counting"
        ),
        explains=COSTS,
        share_ratio=taken,
        share_of="database time",
        fingerprint=fingerprint(RULE, index.table, index.name),
        details=(one_line(index.definition),),
        location=Location(table=index.table),
        confidence=Confidence.POSSIBLE if replicas else Confidence.LIKELY,
        reasons_for=(f"{size} of disk and memory", f"the run wrote {writes:,} entries to it"),
        reasons_against=(
            *against, "when it was made is not known: an index made yesterday has had no time to be read",
            "what a yearly report reads is not in so many days",
        ),
        remedies=(dropped(index, because="nothing reads it"),),
    )  # fmt: skip
