"""
The index that would serve an access, or why none would: equalities first, then the order of the rows, or one range.

Source: PostgreSQL manual, 11.3 Multicolumn Indexes, 11.4 Indexes and ORDER BY, 11.8 Partial Indexes, 11.9 Covering
Indexes; Winand, "SQL Performance Explained", ch. 2.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from headway.diagnose.comparing import How
from headway.diagnose.words import quoted
from headway.thresholds import INDEXED_MIN_TABLE_ROWS
from headway.thresholds.rules import INDEX_FEW_ROWS, INDEX_MOST_MATCHING_RATIO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headway.diagnose.accesses import Access, Ordered
    from headway.diagnose.catalog import Catalog
    from headway.diagnose.comparing import Predicate
    from headway.model import Index

MOST_KEYS = 5
COVERED_BYTES = 64
COVERED_COLUMNS = 2
COVERED_MOST_CORRELATION = 0.9
"""From here on the rows of one value lie on neighbouring pages, and there is little to spare."""
_CAST = re.compile(r"('(?:[^']|'')*')::[a-z]+(?: [a-z]+)*")
"""PostgreSQL writes a definition's `'token'` as `'token'::text`."""
_FOLLOWED = frozenset({How.EQUAL, How.JOIN})
_WHOLE = frozenset({How.NULL, How.NOT_NULL, How.TRUE, How.FALSE})
_CONDITIONS = {How.NULL: "{} IS NULL", How.NOT_NULL: "{} IS NOT NULL", How.TRUE: "{}", How.FALSE: "NOT {}"}
_NULLS = frozenset({How.NULL, How.NOT_NULL})
_AROUND = {
    How.NULL: ("", " IS NULL"), How.NOT_NULL: ("", " IS NOT NULL"), How.TRUE: ("", ""), How.FALSE: ("NOT ", ""),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """
    An index that an access wants.

    `equal` may stand in any order among themselves, `then` follows as it is. `ratio` is the share of the table's rows
    that are left to look at.
    """

    table: str
    equal: tuple[str, ...]
    then: tuple[str, ...] = ()
    where: str | None = None
    method: str = "btree"
    included: tuple[str, ...] = ()
    ratio: float
    rows: float
    sorts: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        """All of them, in order."""
        return (*self.equal, *self.then)


def wanted(access: Access, catalog: Catalog, *, rows_a_call: float | None, driven_ratio: float | None) -> Wanted | str:
    """
    The index an access wants, or in words why it wants none.

    Args:
        access: of one table.
        catalog: what is known of the tables.
        rows_a_call: rows the statement gave a call on average, where they are this access's own; else None.
        driven_ratio: the share of the table's rows that another table's rows ask for by a join; None: all of them.
    """
    rows = catalog.rows(access.table)
    if rows is None or rows <= INDEXED_MIN_TABLE_ROWS or access.alternatives:
        return _unfit(access, rows)
    found = _of(access, catalog, rows, driven_ratio)
    if found is None:
        return _nothing(access)
    ratio = found.ratio
    if rows_a_call is not None and not found.sorts:
        given = min(1.0, rows_a_call / rows)  # at least so many are left by what an index could hold
        ratio = given if _open(access) else max(ratio, given)
    if ratio > INDEX_MOST_MATCHING_RATIO and not found.sorts:
        return f"its conditions leave {ratio:.0%} of the rows of {access.table}: reading it whole is as fast"
    found = replace(found, ratio=ratio)
    serving = served(found, catalog)
    if serving is not None:
        return f"the index {serving.name} serves it"
    return replace(found, included=_covering(access, catalog, found, rows_a_call))


def served(found: Wanted, catalog: Catalog) -> Index | None:
    """An index that is there and does as much, or leaves so few rows that more would save nothing."""
    for index in catalog.indexes(found.table):
        if index.method != found.method or (index.predicate is not None and not _same(index.predicate, found.where)):
            continue
        if found.where is not None and index.predicate is None and not found.equal:
            continue  # it would be read from end to end for the few rows of the condition
        if found.method != "btree":
            if _bare(index.columns[0]) in {_bare(each) for each in found.keys}:
                return index
            continue
        keys = [_bare(each) for each in index.columns]
        equal = {_bare(each) for each in found.equal}
        leading = next((n for n, each in enumerate(keys) if each not in equal), len(keys))
        if index.unique and leading == len(keys):
            return index
        whole = leading == len(equal) and _follows(index, leading, found.then)
        if whole or (leading and _left(found, keys[:leading], catalog) <= INDEX_FEW_ROWS):
            return index
    return None


def merged(wants: Sequence[Wanted]) -> list[tuple[Wanted, tuple[int, ...]]]:
    """
    As few indexes as serve all: one whose keys another's begin with is left out.

    Returns:
        Each index with the positions in `wants` that it serves.
    """
    order = sorted(range(len(wants)), key=lambda place: (-len(wants[place].keys), wants[place].keys))
    kept: list[tuple[Wanted, list[int]]] = []
    for place in order:
        want = wants[place]
        for number, (longer, serving) in enumerate(kept):
            both = _together(longer, want)
            if both is not None:
                kept[number] = (both, [*serving, place])
                break
        else:
            kept.append((want, [place]))
    return [(want, tuple(sorted(serving))) for want, serving in kept]


def _together(longer: Wanted, shorter: Wanted) -> Wanted | None:
    """The longer one with its equalities so ordered that it serves the shorter as well; None: it can't."""
    if (longer.table, longer.method, longer.where) != (shorter.table, shorter.method, shorter.where):
        return None
    included = tuple(dict.fromkeys((*longer.included, *shorter.included)))
    if not set(shorter.equal) <= set(longer.equal):
        return None
    if shorter.then:
        same = set(shorter.equal) == set(longer.equal) and longer.then[: len(shorter.then)] == shorter.then
        return replace(longer, included=included) if same else None
    equal = (*shorter.equal, *(each for each in longer.equal if each not in shorter.equal))
    return replace(longer, equal=equal, included=included)


def _of(access: Access, catalog: Catalog, rows: float, driven_ratio: float | None) -> Wanted | None:
    """The keys, without a look at whether they are worth it."""
    special = _special(access, catalog, rows)
    equal = _equal(access, catalog, driven_ratio)
    if special is not None and not equal:
        return special
    ratio = math.prod(catalog.ratio(access.table, each) for each in equal if each.how is not How.JOIN)
    if driven_ratio is not None and any(each.how is How.JOIN for each in equal):
        ratio = min(ratio, driven_ratio)
    several = any(each.how is How.ANY for each in equal)
    then, sorts = _then(access, several=several)
    where, left = _where(access, catalog, keys=bool(equal or then))
    if where is not None and equal and ratio * rows <= INDEX_FEW_ROWS:
        where, left = None, 1.0  # the equalities alone leave few
    ranges = [each for each in access.predicates if each.how in {How.RANGE, How.PREFIX}]
    if ranges and not sorts:
        ratio *= min(catalog.ratio(access.table, each) for each in ranges)
    keys = tuple(dict.fromkeys(each.key for each in equal))[:MOST_KEYS]
    if not keys and not then and where is None:
        return None
    then = tuple(each for each in then if _bare(each) not in {_bare(key) for key in keys})
    if not keys and not then:
        then = (next(iter(_primary(access.table, catalog)), access.predicates[0].key),)
    return Wanted(
        table=access.table, equal=keys, then=then[: MOST_KEYS - len(keys)], where=where, ratio=ratio * left, rows=rows,
        sorts=sorts,
    )  # fmt: skip


def _equal(access: Access, catalog: Catalog, driven_ratio: float | None) -> list[Predicate]:
    """Equalities, the one that leaves least first; a join's where another table asks for few of the rows."""
    found = [each for each in access.predicates if each.how in {How.EQUAL, How.ANY}]
    joins = [each for each in access.predicates if each.how is How.JOIN]
    if driven_ratio is not None and driven_ratio <= INDEX_MOST_MATCHING_RATIO:
        found += joins[:1]
    found.sort(key=lambda each: (each.how is How.ANY, catalog.ratio(access.table, each), each.key))
    if len(found) > 1:  # a condition that most rows meet is no key: it would only make the index larger
        found = [each for each in found if catalog.ratio(access.table, each) <= 0.5] or found[:1]
    return found


def _then(access: Access, *, several: bool) -> tuple[tuple[str, ...], bool]:
    """What follows the equalities, and whether it is the rows' order."""
    ranges = [each for each in access.predicates if each.how is How.RANGE and each.plain]
    prefixes = [each for each in access.predicates if each.how is How.PREFIX and each.plain]
    order = access.order
    fits = not ranges or (order and all(each.column == order[0].column for each in ranges))
    if order and access.limited and not several and fits and not prefixes and all(each.nulls_default for each in order):
        return tuple(_sorted(order)), True
    if prefixes:
        return (f"{prefixes[0].key} text_pattern_ops",), False
    return ((ranges[0].key,), False) if ranges else ((), False)


def _sorted(order: Sequence[Ordered]) -> list[str]:
    """Keys in the rows' order; an index is read backwards as well, so directions matter only where they differ."""
    mixed = len({each.descending for each in order}) > 1
    return [f"{each.key}{' DESC' if mixed and each.descending else ''}" for each in order]


def _where(access: Access, catalog: Catalog, *, keys: bool) -> tuple[str | None, float]:
    """A partial index's condition, where it leaves less than half of the rows; and the share it leaves."""
    conditions, left = [], 1.0
    for each in access.predicates:
        if each.how not in _WHOLE or not each.plain:
            continue
        ratio = catalog.ratio(access.table, each)
        known = catalog.column(access.table, each.column)
        if each.how in _NULLS and (known is None or known.null_ratio is None or ratio > 0.5):
            continue
        if each.how not in _NULLS and not keys:
            continue  # a boolean alone: which of its values is rare is not known
        conditions.append(_CONDITIONS[each.how].format(each.key))
        left *= ratio
    return (" AND ".join(conditions) or None), left


def _special(access: Access, catalog: Catalog, rows: float) -> Wanted | None:
    """Trigrams for a pattern that begins anywhere, GIN for members of arrays and documents."""
    for each in access.predicates:
        trigrams = each.how is How.INSIDE or (each.how is How.LIKE and not _patterned(access.table, each, catalog))
        if trigrams:
            return Wanted(
                table=access.table, equal=(f"{each.key} gin_trgm_ops",), method="gin", rows=rows,
                ratio=catalog.ratio(access.table, each),
            )  # fmt: skip
        if each.how is How.CONTAINS:
            return Wanted(
                table=access.table, equal=(each.key,), method="gin", rows=rows, ratio=catalog.ratio(access.table, each)
            )
    return None


def _patterned(table: str, predicate: Predicate, catalog: Catalog) -> bool:
    """Whether an index is there that some pattern on the column could use: then that one may be what is used."""
    made = (index.definition for index in catalog.indexes(table) if _bare(predicate.key) in map(_bare, index.columns))
    return any("pattern_ops" in each or "_trgm_ops" in each for each in made)


def _covering(access: Access, catalog: Catalog, found: Wanted, rows_a_call: float | None) -> tuple[str, ...]:
    """One or two narrow columns that would spare the table's pages, where many rows from many pages are read a call."""
    read = found.ratio * found.rows if rows_a_call is None and not access.limited and not _open(access) else rows_a_call
    if access.selected is None or found.method != "btree" or (read or 0.0) < INDEX_FEW_ROWS:
        return ()
    first = catalog.column(access.table, found.keys[0].strip('"'))
    if first is not None and abs(first.correlation or 0.0) >= COVERED_MOST_CORRELATION:
        return ()
    keys = {_bare(each) for each in found.keys}
    extra = [each for each in access.selected if _bare(quoted(each)) not in keys]
    known = [catalog.column(access.table, each) for each in extra]
    width = sum((each.average_bytes or COVERED_BYTES) if each is not None else COVERED_BYTES for each in known)
    return tuple(quoted(each) for each in extra) if len(extra) <= COVERED_COLUMNS and width <= COVERED_BYTES else ()


def _unfit(access: Access, rows: float | None) -> str:
    if rows is None:
        return f"the size of {access.table} is not known"
    if rows <= INDEXED_MIN_TABLE_ROWS:
        return f"{access.table} has {rows:,.0f} rows: read whole it is as fast"
    return "its conditions have an OR, which one index cannot serve; two SELECTs with UNION could each have theirs"


def _nothing(access: Access) -> str:
    if access.functions:
        return f"its condition {access.functions[0]} is on an expression that no index can hold as it is written"
    if any(each.how is How.JOIN for each in access.predicates):
        return f"it joins most rows of {access.table}: reading it whole is as fast"
    return f"it has no condition on {access.table} that an index could serve"


def _open(access: Access) -> bool:
    """Whether how much its conditions leave is not known from statistics."""
    return any(each.how in {How.RANGE, How.PREFIX, How.INSIDE, How.LIKE, How.CONTAINS} for each in access.predicates)


def _left(found: Wanted, keys: Sequence[str], catalog: Catalog) -> float:
    """Rows left by equality of these keys."""
    ratio = 1.0
    for each in keys:
        distinct = catalog.distinct(found.table, each.strip('"'))
        ratio *= 1 / max(distinct, 1.0) if distinct else 1.0
    return ratio * found.rows


def _follows(index: Index, after: int, then: Sequence[str]) -> bool:
    """Whether an index goes on with these keys, in this direction or all of them reversed."""
    rest = [_bare(each) for each in index.columns[after : after + len(then)]]
    if rest != [_bare(each) for each in then]:
        return False
    descending = list(index.descending[after : after + len(then)]) or [False] * len(then)
    asked = [each.endswith(" DESC") for each in then]
    return descending in (asked, [not each for each in asked])


def _primary(table: str, catalog: Catalog) -> tuple[str, ...]:
    return next((each.columns[:1] for each in catalog.indexes(table) if each.primary), ())


def _bare(key: str) -> str:
    """A key without direction, operator class, casts of constants and case: to compare one with another."""
    key = _CAST.sub(r"\1", key)
    return key.removesuffix(" DESC").removesuffix(" text_pattern_ops").removesuffix(" gin_trgm_ops").strip("()").lower()


def _same(one: str, other: str | None) -> bool:
    return other is not None and _bare(one).replace(" ", "") == _bare(other).replace(" ", "")
