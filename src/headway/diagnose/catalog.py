"""What is known of the tables: rows, columns, indexes, and what a condition leaves of the rows."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from typing import TYPE_CHECKING

from headway.diagnose.comparing import How
from headway.thresholds.rules import UNKNOWN_EQUALITY_RATIO, UNKNOWN_PATTERN_RATIO, UNKNOWN_RANGE_RATIO

if TYPE_CHECKING:
    from headway.diagnose.comparing import Predicate
    from headway.model import Column, Evidence, Index

SEVERAL = 5
"""How many values `= ANY` is taken to have."""


class Catalog:
    """The user tables of one run."""

    def __init__(self, evidence: Evidence) -> None:
        self._rows: dict[str, float] = {}
        for table in evidence.tables:
            self._rows[table.name] = max(self._rows.get(table.name, 0.0), table.rows)
        self._columns: dict[str, dict[str, Column]] = defaultdict(dict)
        for column in evidence.columns:
            self._columns[column.table][column.name] = column
        self._indexes: dict[str, list[Index]] = defaultdict(list)
        for index in evidence.indexes:
            self._indexes[index.table].append(index)

    @cached_property
    def columns(self) -> dict[str, frozenset[str]]:
        """Table -> its columns' names."""
        return {table: frozenset(known) for table, known in self._columns.items()}

    def rows(self, table: str) -> float | None:
        """How many it has; None: not known."""
        return self._rows.get(table)

    def column(self, table: str, name: str) -> Column | None:
        """What the planner knows of it."""
        return self._columns.get(table, {}).get(name)

    def indexes(self, table: str) -> list[Index]:
        """Those that can be used."""
        return [each for each in self._indexes.get(table, ()) if each.valid]

    def distinct(self, table: str, name: str) -> float | None:
        """How many different values a column has; None: not known."""
        column, rows = self.column(table, name), self.rows(table)
        if column is None or column.distinct is None:
            return None
        return column.distinct if column.distinct >= 0 else -column.distinct * (rows or 0.0)

    def ratio(self, table: str, predicate: Predicate) -> float:
        """
        The share of the rows that a condition leaves.

        Of one value: the rows that aren't NULL over the different values. Others as the planner takes them unseen.
        """
        column = self.column(table, predicate.column)
        nulls = (column.null_ratio or 0.0) if column is not None else 0.0
        match predicate.how:
            case How.EQUAL | How.JOIN | How.ANY:
                distinct = self.distinct(table, predicate.column) if predicate.plain else None
                one = (1 - nulls) / max(distinct, 1.0) if distinct else UNKNOWN_EQUALITY_RATIO
                return min(1.0, one * (SEVERAL if predicate.how is How.ANY else 1))
            case How.NULL:
                return nulls
            case How.NOT_NULL:
                return 1 - nulls
            case How.TRUE | How.FALSE:
                return 0.5
            case How.RANGE:
                return UNKNOWN_RANGE_RATIO
            case _:
                return UNKNOWN_PATTERN_RATIO
