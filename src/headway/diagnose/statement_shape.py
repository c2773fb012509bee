"""
What a statement's text says of it: what it reads, by which key, how much, and whether it asks for many keys already.

The text is normalised and from outside: constants may be `?`, placeholders are of any driver's style, its end may be
cut off. What cannot be parsed is read by its words, and says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST = 20_000
"""Characters; a longer text is read by its words: parsing is not linear in what nests."""

_PARTS = re.compile(
    r"(?P<kept>'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|::|/\*.*?\*/|--[^\n]*)"
    r"|(?P<mark>%\(\w+\)s|%s|\$\d+|\?|(?<![\w:]):[A-Za-z_]\w*|(?<!\w)@[A-Za-z_]\w*)",
    re.DOTALL,
)
_WORD = re.compile(r"[a-z]+", re.IGNORECASE)
_EQUALITY = re.compile(r"([\w.\"]+)\s*=\s*\$(\d+)(?!\s*\))", re.IGNORECASE)
_CATALOG = re.compile(r"\b(?:pg_catalog|information_schema)\b|\b(?:pg_(?:class|type|attribute|namespace))\b", re.I)
_WRITES = frozenset({"insert", "update", "delete", "merge", "copy", "upsert", "replace"})
_READS = frozenset({"select", "with", "values", "table"})


class Kind(StrEnum):
    READ = "read"
    WRITE = "write"
    CONTROL = "control"  # BEGIN, SET, FETCH, SELECT 1, the catalog: nothing of the service's tables is asked for


@dataclass(frozen=True, kw_only=True)
class Key:
    """A column that is compared for equality with a parameter: `table` as the text names it, None where it doesn't."""

    column: str
    table: str | None
    parameter: int  # in the numbering of `numbered`


@dataclass(frozen=True, kw_only=True)
class Shape:
    """
    One statement, described.

    `keys` stand in the text's order. `many_keys`: it asks for several keys at once (`= ANY`, `IN` with several).
    `offset` and `after`: it takes one page after another, by count or from a key on. `parsed`: not by its words only.
    """

    kind: Kind
    keys: tuple[Key, ...] = ()
    tables: tuple[str, ...] = ()
    many_keys: bool = False
    limited: bool = False
    offset: bool = False
    after: bool = False
    locks: bool = False
    aggregates: bool = False
    parsed: bool = False


def numbered(text: str) -> str:
    """The text with every placeholder as `$1`, `$2` in order of appearance; the same name or number stays the same."""
    seen: dict[str, int] = {}

    def put(found: re.Match[str]) -> str:
        mark = found.group("mark")
        if mark is None:
            return found.group("kept")
        name = f"{mark} {len(seen)}" if mark in {"?", "%s"} else mark
        return f"${seen.setdefault(name, len(seen) + 1)}"

    return _PARTS.sub(put, text)


def parsed(text: str) -> exp.Expression | None:
    """The statement as a tree, or None: too long, cut off, more than one, or of another language."""
    return None if len(text) > LONGEST else tree_of(numbered(text))


def tree_of(text: str) -> exp.Expression | None:
    """The same of a text whose placeholders are `$1` already, with its own numbers."""
    if len(text) > LONGEST:
        return None
    try:
        trees = sqlglot.parse(text, read="postgres")
    except (SqlglotError, RecursionError, ValueError):
        return None
    return trees[0] if len(trees) == 1 and isinstance(trees[0], exp.Expression) else None


@lru_cache(maxsize=4_096)
def shape(text: str) -> Shape:
    """What one SQL statement is like."""
    word = _first_word(text)
    if word in _WRITES:
        return Shape(kind=Kind.WRITE, parsed=True)
    if word not in _READS or _CATALOG.search(text):
        return Shape(kind=Kind.CONTROL, parsed=True)
    tree = parsed(text)
    return _by_words(text) if tree is None or isinstance(tree, exp.Command) else _by_tree(tree)


def table_of(text: str, key: Key) -> str | None:
    """The table that a key's column is of, schema-qualified unless public; None when the text leaves it open."""
    tree = parsed(text)
    tables = [] if tree is None else [each for each in tree.find_all(exp.Table) if each.name]
    if key.table is None:
        names = {_name(each) for each in tables}
        return names.pop() if len(names) == 1 else None
    return next((_name(each) for each in tables if each.alias_or_name == key.table), None)


def canonical(text: str) -> str:
    """The text in a form that is the same whoever normalised it: placeholders and constants alike, lists as one."""
    plain = re.sub(r"/\*.*?\*/", " ", numbered(text), flags=re.DOTALL)
    plain = re.sub(r"\$\d+|'(?:[^']|'')*'|(?<![\w.])\d+(?:\.\d+)?", "?", plain)
    plain = re.sub(r"\(\s*\?(?:\s*,\s*\?)*(?:\s*,?\s*/\*.*?\*/|\s*,\s*\.\.\.)?\s*\)", "(?)", plain)
    return "".join(plain.lower().split()).replace('"', "")


def _first_word(text: str) -> str:
    bare = re.sub(r"/\*.*?\*/|--[^\n]*(?:\n|$)", " ", text, flags=re.DOTALL).lstrip(" \t\r\n(")
    found = _WORD.match(bare)
    return found.group().lower() if found else ""


def _by_tree(tree: exp.Expression) -> Shape:
    tables = tuple(dict.fromkeys(_name(each) for each in tree.find_all(exp.Table) if each.name))
    if any(True for _ in tree.find_all(exp.Insert, exp.Update, exp.Delete, exp.Merge)):
        return Shape(kind=Kind.WRITE, tables=tables, parsed=True)
    if not tables:
        return Shape(kind=Kind.CONTROL, parsed=True)
    return Shape(
        kind=Kind.READ,
        keys=tuple(_keys(tree)),
        tables=tables,
        many_keys=_asks_for_many(tree),
        limited=any(True for _ in tree.find_all(exp.Limit, exp.Fetch)),
        offset=any(True for _ in tree.find_all(exp.Offset)),
        after=_goes_on_after(tree),
        locks=any(True for _ in tree.find_all(exp.Lock)),
        aggregates=any(True for _ in tree.find_all(exp.AggFunc)),
        parsed=True,
    )


def _name(table: exp.Table) -> str:
    return f"{table.db}.{table.name}" if table.db and table.db != "public" else table.name


def _keys(tree: exp.Expression) -> Iterator[Key]:
    for equality in tree.find_all(exp.EQ):
        if equality.find_ancestor(exp.Where) is None or equality.find_ancestor(exp.Or, exp.Not) is not None:
            continue
        for one, other in ((equality.this, equality.expression), (equality.expression, equality.this)):
            number = _parameter(other)
            if isinstance(one, exp.Column) and number is not None:
                yield Key(column=one.name, table=one.table or None, parameter=number)


def _parameter(value: exp.Expression | None) -> int | None:
    """Its number when it is a placeholder, bare or cast."""
    while isinstance(value, (exp.Cast, exp.Paren)):
        value = value.this
    if isinstance(value, exp.Parameter) and value.name.isdigit():
        return int(value.name)
    return None


def _asks_for_many(tree: exp.Expression) -> bool:
    lists = any(len(each.expressions) > 1 for each in tree.find_all(exp.In))
    return lists or any(True for _ in tree.find_all(exp.Any, exp.Unnest, exp.Values))


def _goes_on_after(tree: exp.Expression) -> bool:
    """Whether it reads from a key on, in that key's order: keyset paging."""
    if tree.find(exp.Limit, exp.Fetch) is None:
        return False
    ordered = {column.name for order in tree.find_all(exp.Ordered) for column in order.find_all(exp.Column)}
    ranges = tree.find_all(exp.GT, exp.LT, exp.GTE, exp.LTE)
    return any(
        column.name in ordered
        for each in ranges
        if each.find(exp.Parameter) is not None
        for column in each.find_all(exp.Column)
    )


def _by_words(text: str) -> Shape:
    plain = numbered(text)
    lower = f" {' '.join(plain.lower().split())} "
    start = lower.find(" where ")
    keys = tuple(
        Key(column=found.group(1).rpartition(".")[2].strip('"'), table=None, parameter=int(found.group(2)))
        for found in _EQUALITY.finditer(lower[start:] if start >= 0 else "")
    )
    tables = tuple(dict.fromkeys(found.replace('"', "") for found in re.findall(r" (?:from|join) ([\w.\"]+)", lower)))
    return Shape(
        kind=Kind.READ if tables else Kind.CONTROL,
        keys=keys,
        tables=tables,
        many_keys=bool(re.search(r"\bany\s*\(|\bin\s*\(\s*\$\d+\s*,|\bunnest\s*\(", lower)),
        limited=" limit " in lower or " fetch first " in lower,
        offset=" offset " in lower,
        locks=bool(re.search(r" for (?:no key )?update| for (?:key )?share", lower)),
    )
