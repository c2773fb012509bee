"""
What a statement writes, and which indexes pay for it.

An INSERT writes every index, for each row. An UPDATE writes none that hold no column it sets, as long as the row's page
has room (heap-only tuples). A DELETE writes none: VACUUM does, later, for all of them at once.

Source: PostgreSQL manual, 66.7 Heap-Only Tuples; README.HOT.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from headway.diagnose.accesses import name_of, read_sql

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from headway.model import Statement


@dataclass(frozen=True, kw_only=True)
class Write:
    """`columns` are those an UPDATE sets; None: all, as a row is new."""

    table: str  # schema-qualified unless public
    columns: frozenset[str] | None = None

    def pays(self, table: str, columns: Iterable[str]) -> bool:
        """Whether an index of these columns is written."""
        return self.table == table and (self.columns is None or not self.columns.isdisjoint(columns))


def writes(text: str) -> tuple[Write, ...]:
    """What a statement inserts and updates; nothing where it can't be parsed."""
    tree = read_sql(text)
    if tree is None:
        return ()
    found = []
    for each in tree.find_all(exp.Insert, exp.Update):
        table = each.find(exp.Table)
        if table is not None:
            found.append(Write(table=name_of(table), columns=_set(each) if isinstance(each, exp.Update) else None))
    return tuple(found)


def changed_tables(text: str) -> frozenset[str]:
    """The tables that a statement inserts into, updates or deletes from."""
    tree = read_sql(text)
    if tree is None:
        return frozenset()
    found = (each.find(exp.Table) for each in tree.find_all(exp.Insert, exp.Update, exp.Delete))
    return frozenset(name_of(table) for table in found if table is not None)


def entries(statements: Iterable[Statement], table: str, said: str, columns: Collection[str]) -> int:
    """
    How many entries an index gets from these statements: one a row, whether in one call or many.

    Args:
        statements: of one phase.
        table: the index's.
        said: the index's keys, included columns and condition, as SQL.
        columns: the table's.
    """
    held = [each for each in columns if re.search(rf"(?<!\w){re.escape(each)}(?!\w)", said)]
    return sum(
        max(each.calls, each.rows)
        for each in statements
        if not each.nested and any(write.pays(table, held) for write in writes(each.text))
    )


def _set(update: Any) -> frozenset[str]:
    """The columns that an UPDATE sets, `(a, b) = (...)` too."""
    left = (each.this for each in update.args.get("expressions") or () if isinstance(each, exp.EQ))
    return frozenset(column.name for each in left for column in each.find_all(exp.Column))
