"""The journeys of a scenario: what one visitor asks, step by step, and how long it thinks in between."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from headway.load.places import Place, key_at, value_at, without
from headway.load.routes import ROUTE_KEYS, Headers, route
from headway.model import Journey, Step, Think

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headway.load.sheet import Sheet
    from headway.model import Route

JOURNEY_KEYS = ("name", "weight", "steps")
STEP_KEYS = ("route", "think_s", *(key for key in ROUTE_KEYS if key != "weight"))
LONGEST_THINK_S = 24 * 3600.0
_EXAMPLE = 'steps = [{ route = "login", think_s = 1.5 }, { path = "/cart" }]'


class Journeys:
    """
    Reads journeys. Steps that are routes of their own are put behind the others, with weight 0.

    Args:
        sheet: the file.
        routes: the routes with names; their tables, for refusals.
        tables: of the routes, in the same order.
        auth: headers of the steps that are routes of their own.
    """

    def __init__(self, sheet: Sheet, routes: list[Route], tables: list[Mapping[str, Any]], auth: Headers) -> None:
        self._sheet = sheet
        self._auth = auth
        self.routes = routes
        self.tables = tables

    def read(self, rows: list[Any]) -> tuple[Journey, ...]:
        """
        All of them.

        Raises:
            BadInput: one has no name or no steps, or a step names no route; with the line.
        """
        found: list[Journey] = []
        for number, row in enumerate(rows):
            journey = self._one(row, number + 1, value_at(rows, number))
            if any(each.name == journey.name for each in found):
                raise self._sheet.refuse(
                    f"two journeys are named {journey.name!r}", next_act="give each its own name",
                    at=value_at(row, "name"),
                )  # fmt: skip
            found.append(journey)
        return tuple(found)

    def _one(self, table: Any, nth: int, at: Place | None) -> Journey:
        sheet = self._sheet
        if not isinstance(table, dict):
            raise sheet.refuse("journeys is not a list of tables", next_act="write [[journeys]]", at=at)
        sheet.known(table, JOURNEY_KEYS, f"journey {nth}")
        name = sheet.text(table, "name")
        if name is None:
            raise sheet.refuse(f"journey {nth} has no name", next_act='say name = "buy"', at=at)
        rows = sheet.rows(table, "steps", example=_EXAMPLE)
        if not rows:
            raise sheet.refuse(f"journey {name} has no steps", next_act=f"say {_EXAMPLE}", at=at)
        steps = tuple(self._step(rows, number, name) for number in range(len(rows)))
        return Journey(name=name, weight=sheet.number(table, "weight", 1.0) or 1.0, steps=steps)

    def _step(self, rows: list[Any], number: int, journey: str) -> Step:
        sheet, row, at = self._sheet, rows[number], value_at(rows, number)
        where = f"journey {journey}, step {number + 1}"
        if isinstance(row, str):
            return Step(route=self._index(where, row, at))
        if not isinstance(row, dict):
            raise sheet.refuse(f"{where} is not a table", next_act=f"say {_EXAMPLE}", at=at)
        sheet.known(row, STEP_KEYS, where)
        think = _think(sheet, row) if "think_s" in row else None
        if "route" in row:
            for key in row:
                if key not in {"route", "think_s"}:
                    raise sheet.refuse(
                        f"{where} has {key} beside route", next_act="say it at the route, or leave route out",
                        at=key_at(row, key),
                    )  # fmt: skip
            return Step(route=self._index(where, sheet.text(row, "route") or "", value_at(row, "route")), think=think)
        made = route(sheet, where, without(row, "think_s"), self._auth, at=at, weight=0.0)
        if any(each.name == made.name for each in self.routes):
            raise sheet.refuse(
                f"{where} is named {made.name!r}, as another route is",
                next_act="name it otherwise, or ask that one by route = ...", at=value_at(row, "name"),
            )  # fmt: skip
        self.routes.append(made)
        self.tables.append(row)
        return Step(route=len(self.routes) - 1, think=think)

    def _index(self, where: str, name: str, at: Place | None) -> int:
        names = [each.name for each in self.routes]
        if name in names:
            return names.index(name)
        import difflib

        near = difflib.get_close_matches(name, names, 1, 0.5)
        act = f"did you mean {near[0]!r}?" if near else "name one of the routes"
        raise self._sheet.refuse(f"{where} asks for the route {name!r}, which is none", next_act=act, at=at)


def _think(sheet: Sheet, row: Mapping[str, Any]) -> Think:
    """`1.5`, `{ uniform = [0.5, 2] }` or `{ exponential = 1 }`, in seconds."""
    value = row["think_s"]
    act = "say 1.5, { uniform = [0.5, 2] } or { exponential = 1 }"
    if _is_pause(value):
        return Think(low_s=float(value), high_s=float(value))
    if isinstance(value, dict) and len(value) == 1:
        sheet.known(value, ("uniform", "exponential"), "think_s")
        ((kind, detail),) = value.items()
        if kind == "exponential" and _is_pause(detail):
            return Think(low_s=float(detail), high_s=float(detail), exponential=True)
        if (
            kind == "uniform" and isinstance(detail, list) and len(detail) == 2
            and all(map(_is_pause, detail)) and detail[0] <= detail[1]
        ):  # fmt: skip
            return Think(low_s=float(detail[0]), high_s=float(detail[1]))
    raise sheet.wrong(row, "think_s", "is no pause", next_act=act)


def _is_pause(value: object) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and 0 <= value <= LONGEST_THINK_S
    )
