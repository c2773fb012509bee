"""
One statement for many keys in place of one for each: `= ANY($1)` where that gives the same rows, else a lateral join.

`= ANY` is right for a plain SELECT: the rows of many keys are the rows of each, together. With LIMIT, an aggregate,
DISTINCT and their like the statement must still be answered key by key, and a lateral join does so in one round trip.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlglot import exp

from headway.diagnose.statement_shape import numbered, parsed, shape

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headway.diagnose.statement_shape import Key, Shape

UNKNOWN_TYPE = "bigint"
KEYS = "keys_asked"
"""What a lateral join calls the array: a statement that uses the name itself is left alone."""
_TYPE = re.compile(r"[a-z_][\w .]*(?:\(\d+(?:,\d+)?\))?(?:\[\])?", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """
    `single` with `$n` placeholders and `batched`, where the key's takes an array. `takes`: which of the single one's
    parameters the batched one's first, second ... are, the key's among them.

    `key_at`: which column of a batched row is the key; `key_added`: it isn't one of the single statement's columns.
    """

    single: str
    batched: str
    key: Key
    takes: tuple[int, ...]
    key_at: int
    key_added: bool
    lateral: bool


def chosen_key(described: Shape, source: str | None) -> Key | None:
    """
    Which of the keys goes from row to row. The values aren't seen, so it is told by the names: one that refers to a
    table read before (`user_id` and `users`), else `id`, else the last, as the others usually say whose rows these are.
    """
    if not described.keys:
        return None
    read_before = {name for table in shape(source).tables for name in _names(table)} if source else set()
    for each in described.keys:
        if each.column.lower().endswith("_id") and each.column.lower()[:-3] in read_before:
            return each
    return next((each for each in described.keys if each.column.lower() == "id"), described.keys[-1])


def names_table(key: Key, text: str, source: str) -> bool:
    """
    Whether a key of one statement refers to what another reads: `user_id` and a SELECT of users, or `authors.id` and a
    SELECT with a column author_id in it.
    """
    read = shape(source)
    column = key.column.lower()
    if column.endswith("_id"):
        return column[:-3] in {name for table in read.tables for name in _names(table)}
    own = {f"{name}_id" for table in shape(text).tables for name in _names(table)}
    tree = parsed(source)
    columns = {each.name.lower() for each in tree.find_all(exp.Column)} if tree is not None else set()
    return column == "id" and bool(own & columns)


def batched(text: str, key: Key, *, key_type: str | None = None, unique: bool = False) -> Batch | None:
    """
    The statement for many keys; None when it can't be made from the text.

    Args:
        text: the statement, of PostgreSQL.
        key: the column asked by, of `statement_shape.shape(text)`.
        key_type: its type as PostgreSQL names it; None writes bigint.
        unique: one row at most has a key, so that a LIMIT limits nothing.
    """
    tree = parsed(text)
    if not isinstance(tree, (exp.Select, exp.SetOperation)) or (key_type is not None and not _TYPE.fullmatch(key_type)):
        return None
    if any(True for _ in tree.find_all(exp.Into, exp.Lock, exp.DML)) or KEYS in text.lower():
        return None
    if unique and tree.args.get("limit") is not None and not tree.args.get("offset"):
        tree.set("limit", None)
    takes = _renumbered(tree)
    single, key = numbered(text), replace(key, parameter=takes.index(key.parameter) + 1)
    equality = _plain(tree, key) if isinstance(tree, exp.Select) else None
    if equality is not None and isinstance(tree, exp.Select):
        text_of_many, at, added = _with_any(tree, equality, key)
    else:
        text_of_many, at, added = _with_lateral(tree, key, key_type or UNKNOWN_TYPE), 0, True
    return Batch(
        single=single, batched=text_of_many, key=key, takes=takes, key_at=at,
        key_added=added, lateral=equality is None,
    )  # fmt: skip


def _renumbered(tree: exp.Select | exp.SetOperation) -> tuple[int, ...]:
    """Close the gaps that a LIMIT left behind; gives the old numbers in their new order."""
    marks = [each for each in tree.find_all(exp.Parameter) if each.name.isdigit()]
    old = tuple(sorted({int(each.name) for each in marks}))
    for each in marks:
        each.set("this", exp.Literal.number(old.index(int(each.name)) + 1))
    return old


def _plain(tree: exp.Select, key: Key) -> exp.EQ | None:
    """The key's comparison when the rows of many keys are those of each together; else None."""
    needs_each = ("limit", "offset", "fetch", "group", "having", "distinct", "with_", "with", "windows", "qualify")
    if any(tree.args.get(each) for each in needs_each) or tree.find(exp.AggFunc, exp.Window) is not None:
        return None
    same = [each for each in tree.find_all(exp.Parameter) if each.name == str(key.parameter)]
    where = tree.args.get("where")
    if len(same) != 1 or where is None:
        return None
    found = same[0].find_ancestor(exp.EQ)
    above = found.parent if found is not None else None
    while isinstance(above, (exp.And, exp.Paren)):
        above = above.parent
    return found if found is not None and above is where and _mark(found) is not None else None


def _mark(equality: exp.EQ) -> exp.Expression | None:
    """The side with the placeholder, as one that takes an array: a cast of it is then one to an array."""
    for side in (equality.this, equality.expression):
        if isinstance(side, exp.Parameter):
            return side.copy()
        if isinstance(side, exp.Cast) and isinstance(side.this, exp.Parameter):
            of_many = exp.DataType(this=exp.DataType.Type.ARRAY, expressions=[side.to.copy()], nested=True)
            return exp.Cast(this=side.this.copy(), to=of_many)
    return None


def _with_any(tree: exp.Select, equality: exp.EQ, key: Key) -> tuple[str, int, bool]:
    column = equality.this if isinstance(equality.this, exp.Column) else equality.expression
    equality.replace(exp.EQ(this=column.copy(), expression=exp.Any(this=exp.Paren(this=_mark(equality)))))
    at = next((i for i, each in enumerate(tree.expressions) if _is_column(each, key)), None)
    if at is None:
        tree.set("expressions", [column.copy(), *tree.expressions])
    order = tree.args.get("order")
    if order is not None:
        order.set("expressions", [exp.Ordered(this=column.copy(), nulls_first=False), *order.expressions])
    return tree.sql(dialect="postgres"), at or 0, at is None


def _is_column(projection: exp.Expression, key: Key) -> bool:
    inner = projection.this if isinstance(projection, exp.Alias) else projection
    return isinstance(inner, exp.Column) and inner.name == key.column and (inner.table or None) in {key.table, None}


def _with_lateral(tree: exp.Select | exp.SetOperation, key: Key, key_type: str) -> str:
    each_key = exp.column("key", table=KEYS)
    for mark in [each for each in tree.find_all(exp.Parameter) if each.name == str(key.parameter)]:
        mark.replace(each_key.copy())
    inner = tree.sql(dialect="postgres")
    name = exp.to_identifier(key.column, quoted=not key.column.isidentifier()).sql(dialect="postgres")
    return (  # the key's name is quoted, its type checked, the rest the statement itself, parsed
        f"SELECT {KEYS}.key AS {name}, one.* FROM unnest(${key.parameter}::{key_type}[]) AS {KEYS}(key)"  # noqa: S608
        f" CROSS JOIN LATERAL ({inner}) AS one"
    )


def _names(table: str) -> set[str]:
    """What a column that refers to a table calls it: `user` of users, `author` of shop_author."""
    name = _singular(table)
    return {name, name.partition("_")[2] or name}


def _singular(table: str) -> str:
    name = table.rpartition(".")[2].lower()
    if name.endswith("ies"):
        return f"{name[:-3]}y"
    return name[:-1] if name.endswith("s") and not name.endswith("ss") else name


_CLASS: Mapping[bool, str] = {True: "select_related", False: "prefetch_related"}


def orm_hint(text: str, described: Shape, key: Key, source: str | None) -> str | None:
    """
    What to write where an object-relational mapper makes the statement, told by its style; None when no style is seen.

    Names of classes and relations are guessed from the tables'.
    """
    table = described.tables[0].rpartition(".")[2] if described.tables else ""
    parents = shape(source).tables if source else ()
    parent = parents[0].rpartition(".")[2] if parents else ""
    to_one = key.column.lower() in {"id", "pk", f"{_singular(table)}_id"} or not key.column.lower().endswith("_id")
    if _is_sqlalchemy(text, table):
        owner = _class(parent) if parent else _class(key.column[:-3] if key.column.endswith("_id") else "Parent")
        relation = _singular(table) if to_one else table
        loader = "joinedload" if to_one else "selectinload"
        lazily = ' (or lazy="raise" on the relationship, to find every place)'
        return f"SQLAlchemy: .options({loader}({owner}.{relation})) on the query before{lazily}"
    if re.search(r'^\s*SELECT\s+"(\w+)"\.\*', text):
        return f"Rails: .includes(:{_singular(table) if to_one else table}) on the relation before"
    if re.search(r'^\s*SELECT\s+(?:DISTINCT\s+)?"(\w+)"\."\w+"', text):
        model = re.sub(r"^[a-z0-9]+_", "", table)
        relation = model if to_one else f"{model}_set"
        return f'Django: .{_CLASS[to_one]}("{relation}") on the queryset before (the related_name where there is one)'
    return None


def _is_sqlalchemy(text: str, table: str) -> bool:
    """
    Its columns are all written `table.column`, unquoted, with labels `table_column` (before 2.1) or without, and its
    own lookups have the key's parameter cast (psycopg, asyncpg) or named `pk_1` and `param_1`.
    """
    name = re.escape(table)
    labelled = re.search(rf"\b{name}\.(\w+) AS {name}_\1\b", text)
    plain = re.match(rf"\s*SELECT {name}\.\w+(?:, {name}\.\w+)*\s+FROM {name}\b", text)
    mark = r"(?:\$\d+|\?|%s|%\(\w+\)s|:\w+)"
    cast = re.search(rf"{name}\.\w+ = {mark}::\w+|{mark}::\w+ = {name}\.\w+|\b(?:pk|param)_1\b", text)
    backwards = re.search(rf"{mark} = {name}\.\w+", text)
    return bool(labelled or (plain and (cast or backwards)))


def _class(table: str) -> str:
    return "".join(part.capitalize() for part in _singular(table).split("_"))
