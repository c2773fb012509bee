"""What dropping an index is worth and how it is done: shared by the rules that advise it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headway.diagnose.words import quoted
from headway.diagnose.written import entries
from headway.model import Remedy, RemedyKind
from headway.thresholds.rules import INDEX_WRITE_NS

if TYPE_CHECKING:
    from headway.model import Evidence, Index, PhaseHits


def dropped(index: Index, *, because: str) -> Remedy:
    """The remedy: DROP INDEX CONCURRENTLY, names quoted; `because` says what makes it needless."""
    schema = index.table.rpartition(".")[0]
    name = ".".join(quoted(each) for each in (schema, index.name) if each)
    return Remedy(
        kind=RemedyKind.DROP_INDEX,
        title=f"drop the index {index.name} of {index.table}: {because}",
        act=f"DROP INDEX CONCURRENTLY {name}",
        parameters={
            "table": index.table, "schema": schema, "index": index.name, "definition": index.definition,
            "sql": f"DROP INDEX CONCURRENTLY {name}",
        },
    )  # fmt: skip


def writes(evidence: Evidence, hits: PhaseHits, index: Index) -> int:
    """Entries that the phase's statements wrote to the index."""
    own = [each for each in evidence.statements if each.phase == hits.phase.name]
    columns = [each.name for each in evidence.columns if each.table == index.table]
    return entries(own, index.table, index.definition.partition(" USING ")[2], columns)


def share(evidence: Evidence, hits: PhaseHits, calls: int) -> float:
    """The share of database time that keeping one index is thought to take, for so many writes."""
    own = (each for each in evidence.statements if each.phase == hits.phase.name and not each.nested)
    total_ns = sum(each.total_ns for each in own)
    return min(1.0, calls * INDEX_WRITE_NS / total_ns) if total_ns else 0.0


def busiest(evidence: Evidence, index: Index) -> tuple[PhaseHits, int] | None:
    """The phase that wrote most to the index, and how often; None: the run has no phase."""
    found = [(hits, writes(evidence, hits, index)) for hits in evidence.phases]
    return max(found, key=lambda each: each[1], default=None)
