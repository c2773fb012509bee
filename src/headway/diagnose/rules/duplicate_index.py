"""
Indexes whose every read another index of the table could serve: the same keys, or a prefix of its keys.

Use when: the table is written; two that say the same are written twice. Don't drop what enforces a key; a short index
is smaller than a long one, which counts where it fits into memory and the long one doesn't.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headway.diagnose.dropping import busiest, dropped, share
from headway.diagnose.index_keys import keys, serves_as_well
from headway.diagnose.words import fingerprint, one_line
from headway.model import Confidence, Finding, Location, Subject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.model import Evidence, Index

RULE = "duplicate-index"
COSTS = (Subject.LATENCY, Subject.THROUGHPUT)


def find(evidence: Evidence) -> Iterator[Finding]:
    """One finding an index that could go; of two alike one stays."""
    gone: set[tuple[str, str]] = set()
    for index in sorted(evidence.indexes, key=lambda each: (each.scans, each.table, each.name)):
        keeper = next((each for each in evidence.indexes if _replaces(each, index, gone)), None)
        if keeper is None:
            continue
        finding = _finding(evidence, index, keeper)
        if finding is not None:
            gone.add((index.table, index.name))
            yield finding


def _replaces(keeper: Index, index: Index, gone: set[tuple[str, str]]) -> bool:
    if keeper.name == index.name or keeper.table != index.table or (keeper.table, keeper.name) in gone:
        return False
    if index.primary or index.constraint or not index.valid:
        return False
    if index.unique and not (keeper.unique and keys(keeper) == keys(index)):
        return False  # it keeps values unique, and the other doesn't
    return serves_as_well(keeper, index)


def _finding(evidence: Evidence, index: Index, keeper: Index) -> Finding | None:
    place = busiest(evidence, index)
    if place is None:
        return None
    hits, writes = place
    same = keys(index) == keys(keeper)
    how = "has the same keys as" if same else "has the first keys of"
    size = f"{index.size_bytes / (1 << 20):,.1f} MiB"
    taken = share(evidence, hits, writes)
    against = [] if same else [f"{one_line(keeper.name, 60)} is larger: {keeper.size_bytes / (1 << 20):,.1f} MiB"]
    return Finding(
        rule=RULE,
        phase=hits.phase.name,
        line=(
            f"the index {one_line(index.name, 60)} of {one_line(index.table, 60)}, {size}, {how}"
            f" {one_line(keeper.name, 60)}, which can serve all its reads"
        ),
        explains=COSTS,
        share_ratio=taken,
        share_of="database time",
        fingerprint=fingerprint(RULE, index.table, index.name, keeper.name),
        details=(one_line(index.definition), one_line(keeper.definition)),
        location=Location(table=index.table),
        confidence=Confidence.CERTAIN if same else Confidence.LIKELY,
        reasons_for=(f"{size} of disk and memory", f"the run wrote {writes:,} entries to it"),
        reasons_against=(*against, f"its {index.scans:,} reads so far would go to the other: measure them"),
        remedies=(dropped(index, because=f"{keeper.name} serves its reads"),),
    )
