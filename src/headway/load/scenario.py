"""A scenario file (TOML) to a Scenario. Every refusal names the file, the line and what could be said instead."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from headway.errors import BadInput
from headway.load import feed, phases, template
from headway.load.sheet import Sheet, opened
from headway.model import Route, Scenario

if TYPE_CHECKING:
    from headway.model import Parameter

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
ROUTE_KEYS = ("name", "method", "path", "weight", "headers", "body", "expect_status")


def read(path: Path) -> Scenario:
    """
    Read a scenario file.

    Raises:
        BadInput: the file is missing, is not TOML, or says something that means nothing; with the line.
    """
    sheet, tables = opened(path)
    sheet.known(tables, ("name", "load", "parameters", "routes"), "the scenario")
    for key, kind in (("name", str), ("load", dict), ("parameters", dict), ("routes", list)):
        if not isinstance(tables.get(key, kind()), kind):
            raise sheet.refuse(f"{key} has the wrong form", next_act="see docs/load.md for the form", near=key)
    parameters = tuple(feed.parameter(sheet, name, table) for name, table in tables.get("parameters", {}).items())
    routes = tuple(_route(sheet, number, table) for number, table in enumerate(tables.get("routes", []), start=1))
    _check(sheet, routes, parameters)
    name = tables.get("name", path.stem)
    load = phases.phase(sheet, tables.get("load", {}), [each.name for each in routes])
    return Scenario(name=name, file=path, routes=routes, parameters=parameters, default_phase=load)


def single(url: str, *, method: str = "GET") -> Scenario:
    """One request, the URL as it stands, at an ordinary 50/s: what is loaded when no scenario says otherwise."""
    path = target_path(url)
    phase = phases.phase(Sheet(Path("(no scenario)"), ""), {}, [])
    route = Route(name=f"{method} {path.partition('?')[0]}", method=method, path=path.replace("{", "%7B"))
    return Scenario(name="single", file=None, routes=(route,), parameters=(), default_phase=phase)


def split_url(url: str) -> tuple[str, int, str]:
    """
    Host, port and path with query of an `http://` URL.

    Raises:
        BadInput: another scheme, no host, no port, credentials, or control characters.
    """
    example = "say, for example, http://127.0.0.1:8000"
    if not url.isascii() or any(ord(each) <= 32 for each in url):
        raise BadInput(f"the target {url!r} has characters no URL has", next_act=f"percent-encode them; {example}")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        raise BadInput(f"the target {url!r} is not a URL: {exc}", next_act=example) from exc
    if parts.scheme == "https":
        raise BadInput(f"the target {url} is HTTPS, which this version does not speak", next_act=f"{example}")
    if parts.scheme != "http" or not parts.hostname:
        raise BadInput(f"the target {url!r} is not an http:// URL", next_act=example)
    if parts.username or parts.password:
        raise BadInput("the target's URL holds credentials", next_act="send them as a header in the scenario")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return parts.hostname, port or 80, path


def target_path(url: str) -> str:
    """The path and query of a target."""
    return split_url(url)[2]


def _route(sheet: Sheet, nth: int, table: Any) -> Route:
    if not isinstance(table, dict):
        raise sheet.refuse("routes is not a list of tables", next_act="write [[routes]]", near="routes")
    sheet.known(table, ROUTE_KEYS, f"route {nth}")
    path = table.get("path")
    if not isinstance(path, str) or not path.startswith("/") or not path.isascii() or re.search(r"[\s\x00-\x1f]", path):
        raise sheet.refuse(
            f"route {nth} has path = {path!r}", next_act='say path = "/users/{user_id}"', near="path", nth=nth
        )
    method = sheet.choice(table, "method", METHODS, "GET")
    headers = table.get("headers", {})
    if not isinstance(headers, dict) or not all(_is_header(name, value) for name, value in headers.items()):
        raise sheet.refuse(
            f"route {nth} has headers that are not text = text on one line", next_act="mend them", near="headers"
        )
    statuses = table.get("expect_status", [])
    if not isinstance(statuses, list) or not all(isinstance(each, int) and 100 <= each <= 599 for each in statuses):
        raise sheet.refuse("expect_status is not a list of statuses", next_act="say [200, 404]", near="expect_status")
    body = table.get("body")
    if body is not None and not isinstance(body, str):
        raise sheet.refuse(f"route {nth} has a body that is not text", next_act="quote it", near="body")
    return Route(
        name=str(table.get("name", f"{method} {path.partition('?')[0]}")),
        method=method,
        path=path,
        weight=sheet.number(table, "weight", 1.0) or 1.0,
        headers=tuple(headers.items()),
        body=body,
        expect_status=tuple(statuses),
    )


def _is_header(name: str, value: object) -> bool:
    return (
        re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) is not None
        and isinstance(value, str)
        and re.search(r"[\r\n\x00]", value) is None
        and name.lower() not in {"content-length", "transfer-encoding", "connection"}
    )


def _check(sheet: Sheet, routes: tuple[Route, ...], parameters: tuple[Parameter, ...]) -> None:
    if not routes:
        raise sheet.refuse("the scenario has no routes", next_act='add [[routes]] with path = "/..."')
    names = [route.name for route in routes]
    for name in names:
        if names.count(name) > 1:
            raise sheet.refuse(f"two routes are named {name!r}", next_act="give each its own name", near="name")
    declared = {each.name for each in parameters}
    used: set[str] = set()
    for route in routes:
        named = template.names(route.path)
        for missing in sorted(named - declared):
            raise sheet.refuse(
                f"{route.name} asks for {{{missing}}}, which no [parameters.{missing}] defines",
                next_act=f"add [parameters.{missing}]",
                near=missing,
            )
        used |= named
        for text in (route.body or "", *(value for _, value in route.headers)):
            used |= template.names(text) & declared
    for unused in sorted(declared - used):
        raise sheet.refuse(f"no route uses the parameter {unused}", next_act="use it or remove it", near=unused)
