"""How large each user table is and how it was read in each phase: differences of pg_stat_user_tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headway.conventions import TABLES_FILE
from headway.evidence import columns
from headway.evidence.collector import Collector, absent, present
from headway.model import SourceState, Table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from headway.evidence.session import Session
    from headway.model import Phase

COUNTED = ("seq_scan", "seq_tup_read", "idx_scan")
FLUSH = "scan counts lag up to 1 s of traffic at both ends of a phase"


class Tables(Collector):
    """
    pg_stat_user_tables, by phase.

    A busy PostgreSQL session reports its counts once a second; one that goes idle keeps its last second's counts for
    ten more. Waiting a little at the end would therefore gain nothing: the window of a phase is up to a second early at
    both ends, and the remark says so. A session that ends reports at once.

    Source: PostgreSQL, src/backend/utils/activity/pgstat.c, PGSTAT_MIN_INTERVAL and PGSTAT_IDLE_INTERVAL.
    """

    name = "tables"

    def __init__(self, session: Session | None) -> None:
        super().__init__()
        self._session = session
        self._before: dict[int, Mapping[str, Any]] | None = None
        self.tables: list[Table] = []

    def check(self) -> SourceState:
        if self._session is None:
            return absent(self.name, "--database-url")
        tables = self._session.rows("tables_counters")
        return present(self.name, f"{len(tables)} user tables; {FLUSH}")

    def begin(self, phase: Phase, at_s: float) -> None:
        if self._session is not None:
            self._before = {row["relid"]: row for row in self._session.rows("tables_counters")}

    def end(self, phase: Phase, at_s: float) -> None:
        if self._session is None or self._before is None:
            return
        before, self._before = self._before, None
        for row in self._session.rows("tables_sizes"):
            table, reset = _table(phase.name, before.get(row["relid"]), row)
            self.tables.append(table)
            if reset:
                self.lower_bound_phases.add(phase.name)
        if self.lower_bound_phases:
            self.remark = f"counters were reset during {', '.join(sorted(self.lower_bound_phases))}"

    def write(self, folder: Path) -> None:
        if self._session is not None:
            columns.write(folder / TABLES_FILE, Table, self.tables)


def _table(phase: str, before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> tuple[Table, bool]:
    reset = before is not None and any(after[name] < before[name] for name in COUNTED)
    added = {name: after[name] - (before[name] if before and not reset else 0) for name in COUNTED}
    table = Table(
        phase=phase,
        name=qualified(after["schemaname"], after["relname"]),
        rows=rows(after),
        size_bytes=after["size_bytes"],
        indexes=after["indexes"],
        sequential_scans=added["seq_scan"],
        sequential_rows=added["seq_tup_read"],
        index_scans=added["idx_scan"],
    )
    return table, reset


def qualified(schema: str, name: str) -> str:
    """A table's name, with its schema unless that is public."""
    return name if schema == "public" else f"{schema}.{name}"


def rows(row: Mapping[str, Any]) -> float:
    """The planner's count of a table's rows; the live-row counter's when the table was never analysed (-1)."""
    return float(row["reltuples"]) if row["reltuples"] >= 0 else float(row["n_live_tup"] or 0)
