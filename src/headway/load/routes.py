"""The routes of a scenario: what is asked, what a good answer says, what is taken out of it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from headway.load import check, extract
from headway.load.places import Place, key_at, value_at
from headway.model import Check, Extraction, Route

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headway.load.sheet import Sheet

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
ROUTE_KEYS = (
    "name", "method", "path", "weight", "headers", "body", "expect_status", "extract", "checks", "auth",
)  # fmt: skip
OWN_HEADERS = frozenset({"content-length", "transfer-encoding", "connection"})
"""Those that Headway sets itself: a request must be as long as it says."""
_PATH = re.compile(r"/[!-~]*")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
Headers = tuple[tuple[str, str], ...]


def route(sheet: Sheet, where: str, table: Any, auth: Headers, *, at: Place | None, weight: float = 1.0) -> Route:
    """
    One route.

    Args:
        sheet: the file.
        where: what refusals call it: "route 2".
        table: its table.
        auth: headers it gets unless it has its own, or says auth = false.
        at: where it stands.
        weight: when it says none.

    Raises:
        BadInput: a key or a value means nothing; with the line.
    """
    if not isinstance(table, dict):
        raise sheet.refuse(f"{where} is not a table", next_act='say { path = "/users/{user_id}" }', at=at)
    sheet.known(table, ROUTE_KEYS, where)
    path = table.get("path")
    if not isinstance(path, str) or not _PATH.fullmatch(path):
        raise sheet.refuse(
            f"{where} has path = {path!r}", next_act='say path = "/users/{user_id}"', at=value_at(table, "path") or at
        )
    method = sheet.choice(table, "method", METHODS, "GET")
    headers = _headers(sheet, where, table)
    if sheet.truth(table, "auth", default=True):
        own = {name.lower() for name, _ in headers}
        headers = (*headers, *(each for each in auth if each[0] not in own))
    body = table.get("body")
    if body is not None and not isinstance(body, str):
        raise sheet.wrong(table, "body", "is not text", next_act="quote it")
    share = sheet.number(table, "weight", weight, above=-1e-9)
    return Route(
        name=sheet.text(table, "name") or f"{method} {path.partition('?')[0]}",
        method=method,
        path=path,
        weight=weight if share is None else max(share, 0.0),
        headers=headers,
        body=body,
        expect_status=_statuses(sheet, table),
        extract=_extractions(sheet, where, table),
        checks=_checks(sheet, where, table),
    )


def authorization(sheet: Sheet, tables: Mapping[str, Any]) -> Headers:
    """
    The header that [auth] gives every route.

    Raises:
        BadInput: not exactly one way of it.
    """
    table = sheet.table(tables, "auth", example='[auth] bearer = "{token}"')
    if "auth" not in tables:
        return ()
    sheet.known(table, ("bearer", "basic"), "[auth]")
    if len(table) != 1:
        raise sheet.refuse(
            f"[auth] says {len(table)} ways", at=key_at(tables, "auth"),
            next_act='say bearer = "..." or basic = { user = "...", password = "..." }',
        )  # fmt: skip
    if "bearer" in table:
        value = f"Bearer {sheet.text(table, 'bearer')}"
    else:
        example = 'basic = { user = "load", password = "${PASSWORD}" }'
        basic = sheet.table(table, "basic", example=example)
        sheet.known(basic, ("user", "password"), "basic")
        user, password = sheet.text(basic, "user"), basic.get("password")
        if user is None or not isinstance(password, str):
            raise sheet.wrong(table, "basic", "lacks user or password", next_act=f"say {example}")
        if ":" in user:
            raise sheet.wrong(basic, "user", "has a colon, which ends the name", next_act="mend it")
        value = f"Basic {user}:{password}"  # sent in base64: see template
    if not is_header("authorization", value):
        raise sheet.refuse("[auth] is not text on one line", next_act="mend it", at=key_at(tables, "auth"))
    return (("authorization", value),)


def is_header(name: str, value: object) -> bool:
    """Whether it can be sent as a header, and is not one of those that Headway sets."""
    return (
        _HEADER.fullmatch(name) is not None
        and isinstance(value, str)
        and re.search(r"[\r\n\x00]", value) is None
        and name.lower() not in OWN_HEADERS
    )


def _headers(sheet: Sheet, where: str, table: Mapping[str, Any]) -> Headers:
    headers = sheet.table(table, "headers", example='headers = { accept = "text/html" }')
    for name, value in headers.items():
        if name.lower() in OWN_HEADERS:
            raise sheet.refuse(
                f"{where} has a header {name}, which Headway sets itself",
                next_act="remove it",
                at=key_at(headers, name),
            )
        if not is_header(name, value):
            raise sheet.refuse(
                f"{where} has headers that are not text = text on one line", next_act="mend them",
                at=value_at(headers, name),
            )  # fmt: skip
    if len({name.lower() for name in headers}) < len(headers):
        raise sheet.refuse(
            f"{where} has a header twice", next_act="keep one: case does not tell them apart",
            at=value_at(table, "headers"),
        )  # fmt: skip
    return tuple(headers.items())


def _statuses(sheet: Sheet, table: Mapping[str, Any]) -> tuple[int, ...]:
    statuses = sheet.rows(table, "expect_status", example="expect_status = [200, 404]")
    for each in statuses:
        if isinstance(each, bool) or not isinstance(each, int) or not 100 <= each <= 599:
            raise sheet.wrong(table, "expect_status", "is not a list of statuses", next_act="say [200, 404]")
    return tuple(statuses)


def _extractions(sheet: Sheet, where: str, table: Mapping[str, Any]) -> tuple[Extraction, ...]:
    example = '{ token = { json = "$.token" } }'
    found = []
    asked = sheet.table(table, "extract", example=f"extract = {example}")
    for name, how in asked.items():
        at = value_at(asked, name)
        if not _NAME.fullmatch(name):
            raise sheet.refuse(
                f"{where} extracts {name!r}: a name is letters, digits and _", next_act="rename it",
                at=key_at(asked, name),
            )  # fmt: skip
        if not isinstance(how, dict) or len(how) != 1:
            raise sheet.refuse(f"{where} extracts {name} in no one way", next_act=f"say {example}", at=at)
        sheet.known(how, extract.SOURCES, f"{where}: extract {name}")
        (source,) = how
        each = Extraction(name=name, source=source, expression=sheet.text(how, source) or "")
        try:
            extract.compiled(each)
        except ValueError as exc:
            raise sheet.refuse(f"{where} extracts {name}: {exc}", next_act="mend it", at=value_at(how, source)) from exc
        found.append(each)
    return tuple(found)


def _checks(sheet: Sheet, where: str, table: Mapping[str, Any]) -> tuple[Check, ...]:
    example = '[{ json = "$.id", equals = "{user_id}" }]'
    found = []
    rows = sheet.rows(table, "checks", example=f"checks = {example}")
    for number, row in enumerate(rows):
        at = value_at(rows, number)
        if not isinstance(row, dict):
            raise sheet.refuse(f"{where}: a check is not a table", next_act=f"say {example}", at=at)
        sheet.known(row, (*check.SOURCES, "equals"), f"{where}: a check")
        sources = [key for key in row if key != "equals"]
        if len(sources) != 1:
            raise sheet.refuse(f"{where}: a check of {len(sources)} things", next_act=f"say {example}", at=at)
        source = sources[0]
        if source == "max_bytes":
            expression = str(sheet.whole(row, source, None, least=0))
        else:
            expression = sheet.text(row, source) or ""
        each = Check(source=source, expression=expression, equals=_equals(sheet, row))
        try:
            check.compiled(each)
        except ValueError as exc:
            place = key_at(row, "equals") if "no equals" in str(exc) else value_at(row, source)
            raise sheet.refuse(f"{where}: {exc}", next_act="mend it", at=place) from exc
        found.append(each)
    return tuple(found)


def _equals(sheet: Sheet, row: Mapping[str, Any]) -> str | None:
    """Text as it is; numbers, true and false as JSON writes them."""
    value = row.get("equals")
    if value is None and "equals" not in row:
        return None
    if not isinstance(value, str | int | float) or value in {float("inf"), float("-inf")} or value != value:  # noqa: PLR0124 - NaN
        raise sheet.wrong(
            row, "equals", "is no value that can be compared", next_act="say text, a number, true or false"
        )
    return value if isinstance(value, str) else json.dumps(value)
