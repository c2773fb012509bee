"""
Scenarios as Python: the same words as in a file, made into the same `headway.model.Scenario` by the same reader.

    from headway.load import Scenario, get, journey, post, think, zipf

    scenario = Scenario(
        parameters={"user_id": zipf(1, 200_000, exponent=1.1)},
        routes=[get("/users/{user_id}", weight=6)],
        journeys=[
            journey(
                "buy",
                post("/login", json={"user": "{user_id}"}, extract={"token": {"json": "$.token"}}),
                think(uniform=(0.5, 2)),
                post("/orders", headers={"authorization": "Bearer {token}"}, expect_status=[201]),
            ),
        ],
        load={"rate_per_s": 200, "duration_s": 30},
    )

Keys are those of docs/scenarios.md, and so are the refusals, which name the line of the Python file.
"""

from __future__ import annotations

import json as _json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headway.errors import BadInput
from headway.load import scenario as _scenario
from headway.load.places import Place, Rows, Table
from headway.load.sheet import Sheet

if TYPE_CHECKING:
    from headway import model

__all__ = [
    "Scenario", "bare", "csv", "delete", "get", "head", "hot", "journey", "json_lines", "once", "options",
    "patch", "post", "put", "query", "rows", "sequential", "think", "uniform", "values", "zipf",
]  # fmt: skip

_BARE = re.compile(r'"\\ue000([A-Za-z_][\w.-]*)\\ue000"')


class _Think(Table):
    """A pause, for the step before it."""


def Scenario(
    *,
    routes: Iterable[Table] = (),
    journeys: Iterable[Table] = (),
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
    feeds: Mapping[str, Mapping[str, Any]] | None = None,
    load: Mapping[str, Any] | None = None,
    http: Mapping[str, Any] | None = None,
    auth: Mapping[str, Any] | None = None,
    setup: str | Sequence[str] = (),
    teardown: str | Sequence[str] = (),
    name: str | None = None,
) -> model.Scenario:
    """
    A scenario. Files are relative to the file that calls this.

    Args:
        routes: `get(...)`, `post(...)`, ...: asked alone, by weight.
        journeys: `journey(...)`.
        parameters: name -> `uniform(...)`, `zipf(...)`, `csv(...)`, ...
        feeds: name -> `rows(...)`.
        load: as the file's [load]: `{"rate_per_s": 200, "duration_s": 30}`.
        http: as the file's [http].
        auth: as the file's [auth].
        setup: commands run before the load.
        teardown: commands run after it.
        name: what the run is called; the file's when there is none.

    Raises:
        BadInput: something means nothing; with the line of the Python file.
    """
    at = _caller()
    said = {
        "name": name, "load": load, "http": http, "auth": auth, "parameters": parameters, "feeds": feeds,
        "routes": list(routes), "journeys": list(journeys), "setup": setup, "teardown": teardown,
    }  # fmt: skip
    tables = _placed({key: value for key, value in said.items() if value not in (None, [], ())}, at)
    return _scenario.built(Sheet(Path(at.file or "scenario.py"), ""), tables, None)


def get(path: str, **keys: Any) -> Table:
    """GET. Keys: name, weight, headers, expect_status, extract, checks, auth; body, json or form as well."""
    return _route("GET", path, keys)


def head(path: str, **keys: Any) -> Table:
    """HEAD; keys as of `get`."""
    return _route("HEAD", path, keys)


def options(path: str, **keys: Any) -> Table:
    """OPTIONS; keys as of `get`."""
    return _route("OPTIONS", path, keys)


def post(path: str, **keys: Any) -> Table:
    """POST; keys as of `get`."""
    return _route("POST", path, keys)


def put(path: str, **keys: Any) -> Table:
    """PUT; keys as of `get`."""
    return _route("PUT", path, keys)


def patch(path: str, **keys: Any) -> Table:
    """PATCH; keys as of `get`."""
    return _route("PATCH", path, keys)


def delete(path: str, **keys: Any) -> Table:
    """DELETE; keys as of `get`."""
    return _route("DELETE", path, keys)


def bare(name: str) -> str:
    """In `json=`: the value of `{name}` without quotes around it, as a number stands there."""
    return f"\ue000{name}\ue000"


def journey(name: str, *steps: Table | str, weight: float = 1.0) -> Table:
    """
    What one visitor does.

    Args:
        name: of the journey.
        steps: routes, names of routes, and `think(...)` after those.
        weight: its share of the starts.

    Raises:
        BadInput: a pause has no step before it, or two follow one another.
    """
    at = _caller()
    found: list[Table] = []
    for each in steps:
        if not isinstance(each, _Think):
            found.append(_placed({"route": each}, at) if isinstance(each, str) else Table({**each}, *_places(each)))
        elif found and "think_s" not in found[-1]:
            found[-1]["think_s"] = each["think_s"]
        else:
            raise BadInput(
                f"journey {name} has a think with no step before it", next_act="put it after a route",
                file=at.file, line=at.line,
            )  # fmt: skip
    return _table({"name": name, "weight": weight, "steps": found}, at)


def think(
    seconds: float | None = None, *, uniform: Sequence[float] | None = None, exponential: float | None = None
) -> Table:
    """A pause after the step before it: so long, in [low, high], or exponential with that mean; seconds."""
    said = {key: each for key, each in (("uniform", uniform), ("exponential", exponential)) if each is not None}
    at = _caller()
    if (seconds is not None) + len(said) != 1:
        raise BadInput(
            "think has not exactly one length", next_act="say think(1.5) or think(uniform=(0.5, 2))",
            file=at.file, line=at.line,
        )  # fmt: skip
    found = _placed({"think_s": said or seconds}, at)
    return _Think(found, *_places(found))


def uniform(low: int, high: int) -> Table:
    """Whole numbers in [low, high], all alike."""
    return _table({"uniform": {"low": low, "high": high}}, _caller())


def zipf(low: int, high: int, exponent: float = 1.0) -> Table:
    """Whole numbers; the k-th from `low` with probability k^-exponent / (sum over the range)."""
    return _table({"zipf": {"low": low, "high": high, "exponent": exponent}}, _caller())


def hot(low: int, high: int, *, keys: float, requests: float) -> Table:
    """Whole numbers; `requests` of the draws (a share) fall on the first `keys` (a share) of them."""
    return _table({"hot": {"low": low, "high": high, "keys": keys, "requests": requests}}, _caller())


def sequential(low: int, high: int) -> Table:
    """Whole numbers one after another, then from `low` again."""
    return _table({"sequential": {"low": low, "high": high}}, _caller())


def once(low: int, high: int) -> Table:
    """Whole numbers, each used once; the run ends when there are none left."""
    return _table({"once": {"low": low, "high": high}}, _caller())


def values(*each: str | float, **choice: Any) -> Table:
    """One of a list; `exponent`, `hot` or `order` say how it is drawn."""
    return _table({"values": list(each), **choice}, _caller())


def csv(file: str | Path, column: str | None = None, **choice: Any) -> Table:
    """A column of a CSV file, the first when none is named; `exponent`, `hot` or `order` say how it is drawn."""
    return _table({"csv": {"file": file, **({} if column is None else {"column": column})}, **choice}, _caller())


def json_lines(file: str | Path, column: str | None = None, **choice: Any) -> Table:
    """A member of a file of JSON lines; otherwise as `csv`."""
    return _table({"json_lines": {"file": file, **({} if column is None else {"column": column})}, **choice}, _caller())


def query(sql: str, limit: int | None = None, **choice: Any) -> Table:
    """The first column of a query; `exponent`, `hot` or `order` say how it is drawn."""
    return _table({"query": {"sql": sql, **({} if limit is None else {"limit": limit})}, **choice}, _caller())


def rows(**keys: Any) -> Table:
    """Rows whose columns belong together, used as `{name.column}`; keys as of [feeds.NAME] in a file."""
    return _table(keys, _caller())


def _route(method: str, path: str, keys: dict[str, Any]) -> Table:
    at = _caller(depth=3)
    bodies = [key for key in ("body", "json", "form") if key in keys]
    if len(bodies) > 1:
        raise BadInput(
            f"{method} {path} has {' and '.join(bodies)}", next_act="say one of them", file=at.file, line=at.line
        )
    said = {"method": method, "path": path, **keys}
    if "json" in said:
        said["body"] = _json_body(said.pop("json"), at)
    if "form" in said:
        said["body"] = "&".join(f"{name}={value}" for name, value in dict(said.pop("form")).items())
        said["headers"] = {"content-type": "application/x-www-form-urlencoded", **said.get("headers", {})}
    return _table(said, at)


def _json_body(value: Any, at: Place) -> str:
    try:
        text = _json.dumps(value)
    except (TypeError, ValueError) as exc:
        raise BadInput(f"json= is not JSON: {exc}", next_act="mend it", file=at.file, line=at.line) from exc
    # The name itself is in front of a text's escapes: what is left is plain JSON.
    return _BARE.sub(r"{\1}", text)


def _places(table: Table) -> tuple[Place | None, dict[str, Place], dict[str, Place]]:
    return table.at, table.keys_at, table.values_at


def _table(content: Mapping[str, Any], at: Place) -> Table:
    found: Table = _placed(content, at)
    return found


def _placed(value: Any, at: Place) -> Any:
    """Tables and lists that stand where they were called; those that have a place keep it."""
    if isinstance(value, Table):
        return value
    if isinstance(value, Mapping):
        places = dict.fromkeys(map(str, value), at)
        for key, each in value.items():
            if isinstance(each, Table) and each.at is not None:
                places[str(key)] = each.at
        return Table({str(key): _placed(each, at) for key, each in value.items()}, at, places, dict(places))
    if isinstance(value, list | tuple):
        items = [_placed(each, at) for each in value]
        return Rows(items, at, [each.at if isinstance(each, Table) else at for each in items])
    return str(value) if isinstance(value, Path) else value


def _caller(depth: int = 2) -> Place:
    """The line that called the function that asks."""
    frame = sys._getframe(depth)
    return Place(frame.f_lineno, None, frame.f_code.co_filename)
