"""
What a statement asks of each table's columns: equalities, ranges, patterns, joins, the order of its rows.

The text is pg_stat_statements' (`$1` for constants) and from outside. Each SELECT of it is looked at by itself; a
column without a table's name is of the only table of its SELECT that has such a column. What can't be told is left out.

Source: PostgreSQL manual, 11 (Indexes), 11.3 Multicolumn Indexes, 11.8 Partial Indexes; sqlglot's syntax tree.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from headway.diagnose.comparing import How, Predicate, expression, how_of, plain, predicate, sides
from headway.diagnose.statement_shape import tree_of
from headway.diagnose.words import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Node = Any  # sqlglot's stubs name several bases for what is one tree

_NUMBER = re.compile(r"\$(\d+)")
_TYPED = re.compile(r"\b(date|time|timestamp|timestamptz|uuid|inet|jsonb?)\s+(\$\d+)", re.IGNORECASE)
"""`date '2026-01-01'` is normalised to `date $1`, which is no SQL."""
_SCOPES = (exp.Select, exp.Update, exp.Delete)


@dataclass(frozen=True, kw_only=True)
class Ordered:
    """One part of the rows' order. `key` is the column, quoted where it must be, or an expression of it as SQL."""

    column: str
    key: str
    descending: bool
    nulls_default: bool  # NULLs where an index has them

    @property
    def plain(self) -> bool:
        """A column itself, not an expression of it."""
        return self.key == quoted(self.column)


@dataclass(frozen=True, kw_only=True)
class Access:
    """
    What one SELECT, UPDATE or DELETE asks of one table.

    `order` is that of its rows, when all of it is this table's and nothing must be grouped first. `alternatives`: it
    has an OR whose sides an index of one of them can't serve. `selected` are the columns it gives back; None: all.
    """

    table: str
    alias: str
    predicates: tuple[Predicate, ...] = ()
    order: tuple[Ordered, ...] = ()
    limited: bool = False
    offset: bool = False
    alternatives: bool = False
    selected: tuple[str, ...] | None = None
    functions: tuple[str, ...] = field(default=())  # conditions on an expression that no index could hold
    writes: bool = False


def accesses(text: str, columns: Mapping[str, frozenset[str]]) -> tuple[Access, ...] | None:
    """
    Every access of a statement; None when it can't be parsed.

    Args:
        text: the normalised statement.
        columns: table, schema-qualified unless public -> its columns.
    """
    tree = read_sql(text)
    if tree is None or isinstance(tree, exp.Command):
        return None
    found: list[Access] = []
    for scope in tree.find_all(*_SCOPES):
        found += _of_scope(scope, columns)
    return tuple(found)


def read_sql(text: str) -> Node | None:
    """A normalised statement's syntax tree, its parameters with their own numbers; None: it can't be parsed."""
    return tree_of(_NUMBER.sub(r"$\1 ", _TYPED.sub(r"CAST(\2 AS \1)", text)))


def _of_scope(scope: Node, columns: Mapping[str, frozenset[str]]) -> Iterator[Access]:
    tables = {each.alias_or_name: name_of(each) for each in _own(scope, exp.Table) if each.name}
    tables = {alias: name for alias, name in tables.items() if name in columns}
    if not tables:
        return
    place = _Place(tables, columns)
    predicates: dict[str, list[Predicate]] = {alias: [] for alias in tables}
    functions: dict[str, list[str]] = {alias: [] for alias in tables}
    torn: set[str] = set()
    for condition in _conditions(scope):
        if isinstance(condition, exp.Or):
            torn |= {alias for column in _own(condition, exp.Column) if (alias := place.of(column)) is not None}
            continue
        for alias, made in _predicates(condition, place):
            if made is None:
                functions[alias].append(condition.sql("postgres"))
            else:
                predicates[alias].append(made)
    alias_of_order, order = _order(scope, place)
    for alias, table in tables.items():
        yield Access(
            table=table, alias=alias, predicates=tuple(predicates[alias]),
            order=order if alias == alias_of_order else (), alternatives=alias in torn,
            limited=scope.args.get("limit") is not None or isinstance(scope.args.get("fetch"), exp.Fetch),
            offset=scope.args.get("offset") is not None, selected=_selected(scope, alias, place),
            functions=tuple(functions[alias]), writes=not isinstance(scope, exp.Select),
        )  # fmt: skip


class _Place:
    """Which table of a SELECT a column is of."""

    def __init__(self, tables: Mapping[str, str], columns: Mapping[str, frozenset[str]]) -> None:
        self._tables = tables
        self._columns = columns

    def of(self, column: exp.Column) -> str | None:
        """The table's alias; None: another SELECT's, or it can't be told."""
        if column.table:
            known = column.table in self._tables and column.name in self._columns[self._tables[column.table]]
            return column.table if known else None
        having = [alias for alias, table in self._tables.items() if column.name in self._columns[table]]
        return having[0] if len(having) == 1 else None


def _own(scope: Node, *kinds: type[Node]) -> Iterator[Node]:
    """Nodes of these kinds that are not inside another SELECT."""
    for each in scope.walk(prune=lambda node: node is not scope and isinstance(node, (exp.Select, exp.CTE))):
        if isinstance(each, kinds) and not (each is not scope and isinstance(each, exp.Select)):
            yield each


def _conditions(scope: Node) -> Iterator[Node]:
    """What must all be true: the WHERE, and the ON of inner joins."""
    where = scope.args.get("where")
    if where is not None:
        yield from _parts(where.this)
    for join in scope.args.get("joins") or ():
        if join.args.get("on") is not None:
            yield from _parts(join.args["on"])
        for column in join.args.get("using") or ():
            yield exp.EQ(this=exp.column(column.name, _first(scope)), expression=exp.column(
                column.name, join.this.alias_or_name))  # fmt: skip


def _first(scope: Node) -> str:
    """The alias of a SELECT's first table, which USING compares with."""
    found = scope.args.get("from_") or scope.args.get("from")
    return found.this.alias_or_name if found is not None else ""


def _parts(condition: Node) -> Iterator[Node]:
    condition = condition.unnest()
    if isinstance(condition, exp.And):
        yield from _parts(condition.this)
        yield from _parts(condition.expression)
    else:
        yield condition


def _predicates(condition: Node, place: _Place) -> Iterator[tuple[str, Predicate | None]]:
    """What a condition says of whose column; None: of an expression that no index holds."""
    if isinstance(condition, exp.EQ) and isinstance(condition.this, exp.Column):
        other = condition.expression
        if isinstance(other, exp.Column):
            left, right = place.of(condition.this), place.of(other)
            if left is not None and right is not None and left != right:
                yield left, plain(How.JOIN, condition.this, other=right)
                yield right, plain(How.JOIN, other, other=left)
                return
    for side, rest, kind in sides(condition):
        column = next(iter(_own(side, exp.Column)), None)
        alias = place.of(column) if isinstance(column, exp.Column) else None
        if alias is None or not isinstance(column, exp.Column) or _depends_on(rest, alias, place):
            continue
        how = how_of(condition, kind, rest)
        if how is not None:
            yield alias, predicate(how, side, column)
        return


def _depends_on(rest: Node, alias: str, place: _Place) -> bool:
    """Whether what it is compared with is of the same table: that is known only row by row."""
    return rest is not None and any(place.of(each) == alias for each in _own(rest, exp.Column))


def _order(scope: Node, place: _Place) -> tuple[str | None, tuple[Ordered, ...]]:
    order = scope.args.get("order")
    regrouped = scope.args.get("group") is not None or scope.args.get("distinct") is not None
    if order is None or regrouped or _aggregated(scope):
        return None, ()
    found: list[Ordered] = []
    aliases: set[str | None] = set()
    for each in order.expressions:
        by = each.this if isinstance(each, exp.Ordered) else each
        key = expression(by)
        if key is None:
            return None, ()
        column = by.find(exp.Column)
        aliases.add(place.of(column))
        descending = bool(each.args.get("desc"))
        first = each.args.get("nulls_first")
        found.append(
            Ordered(
                column=column.name, key=key, descending=descending,
                nulls_default=first is None or bool(first) == descending,
            )
        )  # fmt: skip
    (alias, *more) = aliases
    return (alias, tuple(found)) if not more and alias is not None else (None, ())


def _aggregated(scope: Node) -> bool:
    return any(
        isinstance(each, exp.AggFunc) and each.find_ancestor(exp.Window) is None
        for each in _own(scope, exp.AggFunc)
    )  # fmt: skip


def _selected(scope: Node, alias: str, place: _Place) -> tuple[str, ...] | None:
    """The table's columns that are given back or computed with; None: all."""
    if not isinstance(scope, exp.Select):
        return None
    for star in _own(scope, exp.Star):
        if not isinstance(star.parent, exp.AggFunc):
            return None
    columns = (each for each in _own(scope, exp.Column) if isinstance(each, exp.Column))
    return tuple(dict.fromkeys(each.name for each in columns if place.of(each) == alias))


def name_of(table: Node) -> str:
    """A table as the catalog has it: schema-qualified unless public."""
    return f"{table.db}.{table.name}" if table.db and table.db != "public" else str(table.name)
