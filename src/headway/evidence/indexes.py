"""Which indexes there are, how often they were used, and what the planner knows of the columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headway.conventions import COLUMNS_FILE, INDEXES_FILE
from headway.evidence import columns
from headway.evidence.collector import Collector, absent, present
from headway.evidence.tables import qualified
from headway.model import Column, Index

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from headway.evidence.session import Session
    from headway.model import SourceState


class Indexes(Collector):
    """
    pg_index and pg_stats, asked once when the load is over. No value of a column is read.

    A role that may not read a table sees no statistics of its columns: those are None.
    """

    name = "indexes"

    def __init__(self, session: Session | None) -> None:
        super().__init__()
        self._session = session
        self.indexes: list[Index] = []
        self.columns: list[Column] = []

    def check(self) -> SourceState:
        if self._session is None:
            return absent(self.name, "--database-url")
        return present(self.name, f"indexes and column statistics of {self._session.place}")

    def finish(self) -> None:
        if self._session is None:
            return
        self.indexes = [_index(row) for row in self._session.rows("indexes")]
        self.columns = [_column(row) for row in self._session.rows("indexes_columns")]
        unknown = len({each.table for each in self.columns if each.distinct is None})
        unknown -= len({each.table for each in self.columns if each.distinct is not None})
        if unknown > 0:
            self.remark = f"{unknown} tables were never analysed, or this role may not read them"

    def write(self, folder: Path) -> None:
        if self._session is not None:
            columns.write(folder / INDEXES_FILE, Index, self.indexes)
            columns.write(folder / COLUMNS_FILE, Column, self.columns)


def _index(row: Mapping[str, Any]) -> Index:
    since = row["counted_since"]
    return Index(
        table=qualified(row["schema"], row["table_name"]), name=row["name"], columns=tuple(row["columns"]),
        definition=row["definition"], method=row["method"], unique=row["is_unique"], primary=row["is_primary"],
        constraint=row["is_constraint"], valid=row["is_valid"], size_bytes=row["size_bytes"], scans=row["scans"],
        included=tuple(row["included"]), descending=tuple(row["descending"]), predicate=row["predicate"],
        counted_since=None if since is None else since.isoformat(timespec="seconds"),
    )  # fmt: skip


def _column(row: Mapping[str, Any]) -> Column:
    return Column(
        table=qualified(row["schema"], row["table_name"]), name=row["name"], type=row["type"],
        not_null=row["not_null"], null_ratio=_number(row["null_frac"]), distinct=_number(row["n_distinct"]),
        commonest_ratio=_number(row["commonest"]), correlation=_number(row["correlation"]),
        average_bytes=row["avg_width"],
    )  # fmt: skip


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)
