"""A scenario file to a Scenario. Every refusal names the file, line and column, and what could be said instead."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headway.load import known, parameters, phases, template
from headway.load.journeys import Journeys
from headway.load.places import key_at, value_at
from headway.load.routes import METHODS, ROUTE_KEYS, authorization, route
from headway.load.sheet import Sheet, opened
from headway.load.target import split_url, target_path
from headway.load.wire_table import wire
from headway.load.written import dumps
from headway.model import Route, Scenario

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headway.model import Journey, Parameter

__all__ = ["METHODS", "ROUTE_KEYS", "built", "dumps", "read", "single", "split_url", "target_path"]

KEYS = ("name", "load", "http", "auth", "parameters", "feeds", "routes", "journeys", "setup", "teardown")


def read(path: Path) -> Scenario:
    """
    Read a scenario file: TOML, or YAML or Python by its suffix.

    Raises:
        BadInput: the file is missing, is none of them, or says something that means nothing; with line and column.
    """
    if path.suffix == ".py":
        from headway.load import python_file

        return python_file.read(path)
    return built(*opened(path), path)


def built(sheet: Sheet, tables: Mapping[str, Any], file: Path | None) -> Scenario:
    """
    The scenario that a file's tables are.

    Args:
        sheet: the file, for refusals and for the folder that other files are relative to.
        tables: its tables.
        file: what the scenario says it comes from.

    Raises:
        BadInput: something in it means nothing; with line and column.
    """
    sheet.known(tables, KEYS, "the scenario")
    setup, teardown = _commands(sheet, tables, "setup"), _commands(sheet, tables, "teardown")
    made_later = bool(setup)
    auth = authorization(sheet, tables)
    rows = sheet.rows(tables, "routes", example='[[routes]] with path = "/..."')
    singles = [route(sheet, f"route {at + 1}", row, auth, at=value_at(rows, at)) for at, row in enumerate(rows)]
    _named_once(sheet, singles, rows)
    reader = Journeys(sheet, singles, list(rows), auth)
    journeys = reader.read(sheet.rows(tables, "journeys", example='[[journeys]] with name = "..." and steps = [...]'))
    routes = _weighted(sheet, reader, journeys)
    own = _parameters(sheet, tables, routes, made_later=made_later)
    name = sheet.text(tables, "name") or sheet.file.stem
    load = phases.phase(sheet, sheet.table(tables, "load", example="[load]"), [each.name for each in routes])
    found = Scenario(
        name=name, file=file, routes=routes, parameters=own, default_phase=load, journeys=journeys,
        wire=wire(sheet, tables), setup=setup, teardown=teardown,
    )  # fmt: skip
    _every_name_has_a_value(sheet, tables, found, reader)
    return found


def single(url: str, *, method: str = "GET") -> Scenario:
    """One request, the URL as it stands, at an ordinary 50/s: what is loaded when no scenario says otherwise."""
    path = target_path(url)
    phase = phases.phase(Sheet(Path("(no scenario)"), ""), {}, [])
    route = Route(name=f"{method} {path.partition('?')[0]}", method=method, path=path.replace("{", "%7B"))
    return Scenario(name="single", file=None, routes=(route,), parameters=(), default_phase=phase)


def _commands(sheet: Sheet, tables: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """One command, or a list of them."""
    command = tables.get(key)
    if isinstance(command, str) and command.strip():
        return (command,)
    rows = sheet.rows(tables, key, example=f'{key} = ["python seed.py"]')
    for at, each in enumerate(rows):
        if not isinstance(each, str) or not each.strip():
            raise sheet.refuse(f"{key} has {each!r}, which is no command", next_act="quote it", at=value_at(rows, at))
    return tuple(rows)


def _named_once(sheet: Sheet, routes: list[Route], rows: list[Any]) -> None:
    names = [each.name for each in routes]
    for at, name in enumerate(names):
        if name in names[:at]:
            raise sheet.refuse(
                f"two routes are named {name!r}", next_act="give each its own name",
                at=value_at(rows[at], "name" if "name" in rows[at] else "path"),
            )  # fmt: skip


def _weighted(sheet: Sheet, reader: Journeys, journeys: tuple[Journey, ...]) -> tuple[Route, ...]:
    """A step of a journey that says no weight is not asked alone as well."""
    steps = {step.route for journey in journeys for step in journey.steps}
    found = []
    for at, (each, table) in enumerate(zip(reader.routes, reader.tables, strict=True)):
        if "weight" not in table and at in steps:
            found.append(replace(each, weight=0.0))
        elif not each.weight and at not in steps:
            raise sheet.wrong(table, "weight", "and no journey has it: it is never asked", next_act="give it a weight")
        else:
            found.append(each)
    if not found:
        raise sheet.refuse("the scenario has no routes", next_act='add [[routes]] with path = "/..."')
    return tuple(found)


def _parameters(
    sheet: Sheet, tables: Mapping[str, Any], routes: tuple[Route, ...], *, made_later: bool
) -> tuple[Parameter, ...]:
    """Those declared, and the columns of feeds that routes use. What no route uses is refused."""
    declared = sheet.table(tables, "parameters", example="[parameters.user_id]")
    listed = sheet.table(tables, "feeds", example="[feeds.users]")
    own = [parameters.parameter(sheet, declared, name, made_later=made_later) for name in declared]
    feeds = {name: parameters.one_feed(sheet, listed, name, made_later=made_later) for name in listed}
    used: set[str] = set().union(*map(template.route_names, routes))
    for each in own:
        if each.name not in used:
            raise sheet.refuse(
                f"no route uses the parameter {each.name}",
                next_act="use it or remove it",
                at=key_at(declared, each.name),
            )
    for name in feeds:
        if not any(each.startswith(f"{name}.") for each in used):
            raise sheet.refuse(
                f"no route uses the feed {name}", next_act=f"write {{{name}.column}}, or remove it",
                at=key_at(listed, name),
            )  # fmt: skip
    return (*own, *parameters.looked_up(sheet, feeds, used, made_later=made_later))


def _every_name_has_a_value(sheet: Sheet, tables: Mapping[str, Any], found: Scenario, reader: Journeys) -> None:
    for each in known.missing(found):
        if found.setup and not each.later:
            continue  # setup may give it: looked at again when it has
        table = reader.tables[each.route]
        what, act = known.why(found, each)
        at = value_at(table, each.part)
        if each.part == "headers":
            own = table.get("headers", {})
            at = value_at(own, each.header) if each.header in own else key_at(tables, "auth")
        raise sheet.refuse(what, next_act=act, at=at)
