"""The [parameters] and [feeds] of a scenario: what each `{name}` stands for."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from headway.errors import BadInput
from headway.load import feed
from headway.load.places import key_at, value_at
from headway.load.sheet import PAGE
from headway.model import Hot, Order, Parameter

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from headway.load.sheet import Sheet

LARGEST_NUMBER = 1 << 61
LARGEST_ZIPF = 1 << 50
"""Above it a floating-point number no longer tells neighbouring keys apart."""
RANGES = {"uniform": (), "zipf": ("exponent",), "hot": ("keys", "requests"), "sequential": (), "once": ()}
LISTS = ("values", "csv", "json_lines", "query")
CHOICES = ("exponent", "hot", "order")
FEED_KEYS = ("csv", "json_lines", "query", "limit", *CHOICES)
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Feed:
    """A [feeds.NAME] table: `column` makes the parameter that one of its columns is."""

    name: str
    base: Parameter

    def column(self, name: str) -> Parameter:
        """The parameter; whether the feed has that column is known when it is read."""
        return replace(self.base, name=f"{self.name}.{name}", csv_column=name)


def parameter(sheet: Sheet, tables: Mapping[str, Any], name: str, *, made_later: bool = False) -> Parameter:
    """
    One `[parameters.name]` table.

    Args:
        sheet: the file.
        tables: its [parameters].
        name: the key.
        made_later: a setup command may make the files: they are looked at when the load is made.

    Raises:
        BadInput: not exactly one source, or one that means nothing.
    """
    table = _table(sheet, tables, name, f"[parameters.{name}]")
    sheet.known(table, (*RANGES, *LISTS, *CHOICES), f"[parameters.{name}]")
    sources = [key for key in LISTS if key in table]
    if not sources:
        sources = [key for key in RANGES if key in table]
    elif others := [key for key in RANGES if key in table and key != "hot"]:
        sources += others
    if len(sources) != 1:
        raise sheet.refuse(
            f"[parameters.{name}] has {len(sources)} sources",
            next_act=f"give it one of {', '.join((*RANGES, *LISTS))}",
            at=key_at(tables, name),
        )
    if sources[0] in RANGES:
        return _range(sheet, table, name, sources[0])
    base = Parameter(name=name, distribution=sources[0], **_choice(sheet, table))
    made = _listed(sheet, table, base)
    return made if made_later else _looked_at(sheet, table, made, sources[0])


def one_feed(sheet: Sheet, tables: Mapping[str, Any], name: str, *, made_later: bool = False) -> Feed:
    """
    One `[feeds.name]` table.

    Raises:
        BadInput: not exactly one source, or one that means nothing.
    """
    table = _table(sheet, tables, name, f"[feeds.{name}]")
    sheet.known(table, FEED_KEYS, f"[feeds.{name}]")
    sources = [key for key in ("csv", "json_lines", "query") if key in table]
    if len(sources) != 1:
        raise sheet.refuse(
            f"[feeds.{name}] has {len(sources)} sources", next_act="give it one of csv, json_lines, query",
            at=key_at(tables, name),
        )  # fmt: skip
    source = sources[0]
    said = sheet.text(table, source) or ""
    base = Parameter(name=name, distribution=source, feed=name, **_choice(sheet, table))
    if source == "query":
        made = replace(base, query=said, limit=sheet.whole(table, "limit", base.limit) or base.limit)
    elif "limit" in table:
        raise sheet.wrong(table, "limit", "is for a query", next_act="remove it")
    else:
        made = replace(base, csv_file=sheet.file.parent / said)
        if not made_later:
            _looked_at(sheet, table, replace(made, feed=None), source)
    return Feed(name=name, base=made)


def looked_up(sheet: Sheet, feeds: Mapping[str, Feed], used: Collection[str], *, made_later: bool) -> list[Parameter]:
    """
    The columns of feeds that routes use, as parameters; a column that a file lacks is refused.

    Args:
        sheet: the file.
        feeds: its feeds.
        used: names in its routes, "feed.column" among them.
        made_later: files are looked at when the load is made.
    """
    found = []
    for name in sorted(used):
        source, dot, column = name.partition(".")
        if not dot or source not in feeds:
            continue
        each = feeds[source].column(column)
        if each.csv_file is not None and not made_later:
            try:
                feed.values_of(each, None)
            except BadInput as exc:
                raise sheet.refuse(exc.what, next_act=exc.next_act, near=name) from exc
        found.append(each)
    return found


def _table(sheet: Sheet, tables: Mapping[str, Any], name: str, where: str) -> Any:
    if not _NAME.fullmatch(name):
        raise sheet.refuse(f"{where}: a name is letters, digits and _", next_act="rename it", at=key_at(tables, name))
    table = tables[name]
    if not isinstance(table, dict):
        raise sheet.refuse(f"{where} is not a table", next_act=f"see {PAGE}", at=value_at(tables, name))
    return table


def _choice(sheet: Sheet, table: Mapping[str, Any]) -> dict[str, Any]:
    """How a list is drawn: at most one way is said."""
    said = [key for key in CHOICES if key in table]
    if len(said) > 1:
        raise sheet.refuse(f"{said[0]} stands beside {said[1]}", next_act="say one of them", at=key_at(table, said[1]))
    if "hot" in table:
        detail = sheet.table(table, "hot", example="hot = { keys = 0.05, requests = 0.85 }")
        sheet.known(detail, ("keys", "requests"), "hot")
        return {"hot": _hot(sheet, table, detail)}
    if "order" in table:
        return {"order": Order(sheet.choice(table, "order", [each.value for each in Order], "random"))}
    return {"exponent": sheet.number(table, "exponent", None)}


def _hot(sheet: Sheet, table: Mapping[str, Any], detail: Mapping[str, Any]) -> Hot:
    for key in ("keys", "requests"):
        if key not in detail:
            raise sheet.wrong(table, "hot", f"has no {key}", next_act="say { keys = 0.05, requests = 0.85 }")
        value = detail[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
            raise sheet.wrong(detail, key, "is not a share between 0 and 1", next_act="5% of the keys is 0.05")
    return Hot(keys_ratio=float(detail["keys"]), requests_ratio=float(detail["requests"]))


def _range(sheet: Sheet, table: Mapping[str, Any], name: str, kind: str) -> Parameter:
    for key in CHOICES:
        if key in table and key != kind:
            raise sheet.refuse(
                f"{name}: {key} beside {kind}",
                next_act="write zipf = { low = 1, high = 1000, exponent = 1.1 }",
                at=key_at(table, key),
            )
    example = "{ low = 1, high = 1000 }" if kind != "hot" else "{ low = 1, high = 1000, keys = 0.05, requests = 0.85 }"
    detail = sheet.table(table, kind, example=f"{kind} = {example}")
    sheet.known(detail, ("low", "high", *RANGES[kind]), f"{name}: {kind}")
    if "high" not in detail:
        raise sheet.refuse(f"{name}: {kind} has no high", next_act=f"say {example}", at=value_at(table, kind))
    low = sheet.whole(detail, "low", 1, least=-LARGEST_NUMBER)
    high = sheet.whole(detail, "high", None, least=-LARGEST_NUMBER)
    if low is None or high is None or not low <= high <= LARGEST_NUMBER:
        raise sheet.refuse(f"{name}: low..high is not a range", next_act=f"say {example}", at=value_at(table, kind))
    if kind == "zipf" and high - low >= LARGEST_ZIPF:
        raise sheet.refuse(
            f"{name}: over {LARGEST_ZIPF:,} keys", next_act="use uniform, or fewer keys", at=value_at(table, kind)
        )
    return Parameter(
        name=name, distribution=kind, low=low, high=high,
        exponent=(sheet.number(detail, "exponent", 1.0) or 1.0) if kind == "zipf" else None,
        hot=_hot(sheet, table, detail) if kind == "hot" else None,
        order=Order(kind) if kind in {"sequential", "once"} else Order.RANDOM,
    )  # fmt: skip


def _listed(sheet: Sheet, table: Mapping[str, Any], base: Parameter) -> Parameter:
    kind = base.distribution
    if kind == "values":
        rows = sheet.rows(table, kind, example='values = ["a", "b"]')
        for number, each in enumerate(rows):
            if not isinstance(each, str | int | float):
                raise sheet.refuse(
                    f"{base.name}: {each!r} is no value", next_act='say values = ["a", "b"]', at=value_at(rows, number)
                )
        if not rows:
            raise sheet.wrong(table, kind, "has no value", next_act='say values = ["a", "b"]')
        return replace(base, values=tuple(_text(each) for each in rows))
    wanted = ("sql", "limit") if kind == "query" else ("file", "column")
    detail = sheet.table(table, kind, example=f"{kind} = {{ {wanted[0]} = ... }}")
    sheet.known(detail, wanted, f"{base.name}: {kind}")
    said = sheet.text(detail, wanted[0])
    if said is None:
        raise sheet.refuse(
            f"{base.name}: {kind} has no {wanted[0]}", next_act=f"it has {' and '.join(wanted)}",
            at=value_at(table, kind),
        )  # fmt: skip
    if kind == "query":
        return replace(base, query=said, limit=sheet.whole(detail, "limit", base.limit) or base.limit)
    return replace(base, csv_file=sheet.file.parent / said, csv_column=sheet.text(detail, "column"))


def _text(value: str | float) -> str:
    """As a person would have written it: true and false in small letters."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _looked_at(sheet: Sheet, table: Mapping[str, Any], made: Parameter, kind: str) -> Parameter:
    """The parameter, when its file has what it asks for; a query is asked only when the load is made."""
    if made.csv_file is None:
        return made
    try:
        feed.values_of(made, None)
    except BadInput as exc:
        raise sheet.refuse(exc.what, next_act=exc.next_act, at=value_at(table, kind)) from exc
    return made
