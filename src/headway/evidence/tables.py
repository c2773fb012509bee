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

COUNTED = (
    "seq_scan", "seq_tup_read", "idx_scan", "n_tup_ins", "n_tup_upd", "n_tup_hot_upd", "n_tup_del", "blks_hit",
    "blks_read",
)  # fmt: skip
PAGE_BYTES = 8_192
PAGE_HEAD_BYTES = 24
ROW_HEAD_BYTES = 28  # of each row: its header (23, aligned to 24) and its pointer (4)
BLOAT_LEAST_BYTES = 1 << 20
"""Below this a few half-empty pages would look like bloat."""
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
        inserted=added["n_tup_ins"],
        updated=added["n_tup_upd"],
        hot_updated=added["n_tup_hot_upd"],
        deleted=added["n_tup_del"],
        blocks_hit=added["blks_hit"],
        blocks_read=added["blks_read"],
        dead_rows=after["n_dead_tup"],
        bloat_ratio=bloat_ratio(rows(after), after["row_bytes"], after["heap_bytes"], after["fillfactor"]),
    )
    return table, reset


def qualified(schema: str, name: str) -> str:
    """A table's name, with its schema unless that is public."""
    return name if schema == "public" else f"{schema}.{name}"


def rows(row: Mapping[str, Any]) -> float:
    """The planner's count of a table's rows; the live-row counter's when the table was never analysed (-1)."""
    return float(row["reltuples"]) if row["reltuples"] >= 0 else float(row["n_live_tup"] or 0)


def bloat_ratio(count: float, row_bytes: float | None, heap_bytes: int, fillfactor: int) -> float | None:
    """
    A hint at how much of a table's pages its rows don't need: dead rows, and room that was never used again.

    From the planner's rows and the columns' mean widths: alignment, and values kept out of line, are not known, so it
    is off by some ten points either way, and by more where wide values are.

    Args:
        count: rows.
        row_bytes: mean width of their values; None: never analysed, or not this role's to see.
        heap_bytes: the table's own pages.
        fillfactor: percent of a page that INSERT fills.

    Returns:
        A ratio 0..1; None when it can't be told, or the table is too small for it to mean something.
    """
    if row_bytes is None or heap_bytes < BLOAT_LEAST_BYTES or count < 0:
        return None
    per_row = ROW_HEAD_BYTES + -(-row_bytes // 8) * 8
    per_page = max(1, int((PAGE_BYTES - PAGE_HEAD_BYTES) * fillfactor / 100 / per_row))
    needed = -(-count // per_page) * PAGE_BYTES
    return max(0.0, 1 - needed / heap_bytes)
