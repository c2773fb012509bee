"""
How a condition compares a column, or an expression of one, and whether an index could hold what is compared.

The text is pg_stat_statements': constants are `$1`, with higher numbers than the parameters that the service itself
sends, so that in `$2 || $1` the constant comes first.

Source: PostgreSQL manual, 11.2 Index Types, 11.7 Indexes on Expressions, F.35 pg_trgm; pg_stat_statements' notes on
normalised texts.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from headway.diagnose.words import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    Node = Any  # sqlglot's stubs name several bases for what is one tree

_SWAPPED = {exp.GT: exp.LT, exp.GTE: exp.LTE, exp.LT: exp.GT, exp.LTE: exp.GTE, exp.EQ: exp.EQ}
_RANGES = (exp.GT, exp.GTE, exp.LT, exp.LTE)
_IMMUTABLE = (exp.Lower, exp.Upper, exp.Length, exp.MD5, exp.Abs, exp.Trim, exp.Reverse)
"""Functions of one column that depend on no setting."""
_ANYWHERE = (exp.ILike, exp.RegexpLike, exp.RegexpILike)
"""Patterns that no B-tree serves, however they begin."""
_DOCUMENTS = (exp.JSONExtractScalar, exp.JSONBExtractScalar)


class How(StrEnum):
    """How a column, or an expression of one, is compared."""

    EQUAL = "="
    ANY = "= ANY"  # one of several values: the rows come in no order
    RANGE = "range"
    PREFIX = "prefix"  # LIKE 'x%'
    INSIDE = "inside"  # LIKE '%x%', ILIKE, ~
    LIKE = "like"  # a pattern that isn't known
    CONTAINS = "@>"  # arrays, jsonb
    NULL = "is null"
    NOT_NULL = "is not null"
    TRUE = "is true"
    FALSE = "is false"
    JOIN = "join"  # equal to another table's column


@dataclass(frozen=True, kw_only=True)
class Predicate:
    """`key` is the column, quoted where it must be, or an expression over columns as SQL; `column` its first column."""

    how: How
    key: str
    column: str
    other: str | None = None  # of a join: the other table's alias

    @property
    def plain(self) -> bool:
        """A column itself, not an expression of it."""
        return self.key == quoted(self.column)


def sides(condition: Node) -> Iterator[tuple[Node, Node, type[Node]]]:
    """(what is compared, with what, how): each side in turn where they can be swapped."""
    kind = type(condition)
    if isinstance(condition, (exp.Column, exp.Not)):
        inner = condition.this if isinstance(condition, exp.Not) else condition
        if isinstance(inner, exp.Is) and isinstance(inner.expression, exp.Null):
            yield inner.this.unnest(), None, kind
        elif isinstance(inner, exp.Column):
            yield inner, None, kind
        return
    if isinstance(condition, exp.Binary):
        yield condition.this.unnest(), condition.expression, kind
        if kind in _SWAPPED:
            yield condition.expression.unnest(), condition.this, _SWAPPED[kind]
    elif isinstance(condition, (exp.Between, exp.In)):
        yield condition.this.unnest(), None, kind


def how_of(condition: Node, kind: type[Node], rest: Node) -> How | None:  # noqa: PLR0911
    """How a condition compares; None: in no way that an index serves."""
    if isinstance(condition, exp.Column):
        return How.TRUE
    if isinstance(condition, exp.Not):
        return How.NOT_NULL if isinstance(condition.this, exp.Is) else How.FALSE
    if isinstance(condition, exp.Is):
        found = How.NOT_NULL if condition.args.get("negate") else How.NULL
        return found if isinstance(rest, exp.Null) else None
    if isinstance(condition, exp.In) or (kind is exp.EQ and isinstance(rest, exp.Any)):
        several = not isinstance(condition, exp.In) or len(condition.expressions) != 1
        return How.ANY if several else How.EQUAL
    if kind is exp.EQ:
        return How.EQUAL
    if kind in _RANGES or isinstance(condition, exp.Between):
        return How.RANGE
    if isinstance(condition, (exp.Like, *_ANYWHERE)):
        return _pattern(condition, rest)
    return How.CONTAINS if isinstance(condition, exp.ArrayContainsAll) else None


def _pattern(condition: Node, rest: Node) -> How:
    """What the pattern is made of: `$1 || '%'` is a prefix, `'%' || $1` is not; a whole `$1` can't be told."""
    if isinstance(condition, _ANYWHERE):
        return How.INSIDE
    if isinstance(rest, exp.Literal):
        return How.INSIDE if str(rest.this).startswith(("%", "_")) else How.PREFIX
    parts = list(rest.flatten()) if isinstance(rest, exp.DPipe) else []
    if len(parts) < 2:
        return How.LIKE
    numbers = [int(each.this.name) for each in parts[:2] if _numbered(each)]
    constant_first = len(numbers) == 2 and numbers[0] > numbers[1]
    wild = isinstance(parts[0], exp.Literal) and str(parts[0].this).startswith(("%", "_"))
    return How.INSIDE if len(parts) > 2 or constant_first or wild else How.PREFIX


def _numbered(part: Node) -> bool:
    return isinstance(part, exp.Parameter) and isinstance(part.this, exp.Literal) and part.this.name.isdecimal()


def predicate(how: How, side: Node, column: exp.Column) -> Predicate | None:
    """A condition on what stands on one side of it; None: no index could hold that."""
    if isinstance(side, exp.Column):
        return plain(how, side)
    key = None if how in {How.NULL, How.NOT_NULL, How.CONTAINS} else expression(side)
    return None if key is None else Predicate(how=how, key=key, column=column.name)


def expression(side: Node) -> str | None:
    """
    A column or an expression of one, as an index would have it; None: no index may hold it, or it isn't known whole.

    Of those that are common only these depend on no setting. What constant stands in one is known only where plans were
    logged (fixed.py): the text leaves it out.
    """
    if isinstance(side, exp.Column):
        return quoted(side.name)
    of = side.this if isinstance(side, (*_IMMUTABLE, *_DOCUMENTS, exp.Coalesce)) else None
    if isinstance(of, exp.Cast) and of.to.is_type(*exp.DataType.TEXT_TYPES):
        of = of.this  # to text of a text is nothing
    if not isinstance(of, exp.Column) or side.find(exp.Parameter, exp.Placeholder) is not None:
        return None
    if isinstance(side, exp.Coalesce) and len(list(side.find_all(exp.Column))) > 1:
        return None  # which of the columns is compared the rest can't tell
    bare = side.copy()
    bare.set("this", exp.column(of.this.copy()))
    text = str(bare.sql("postgres", normalize_functions="lower"))
    return text if isinstance(side, _IMMUTABLE) else f"({text})"


def plain(how: How, column: exp.Column, *, other: str | None = None) -> Predicate:
    """A condition on a column itself."""
    return Predicate(how=how, key=quoted(column.name), column=column.name, other=other)
