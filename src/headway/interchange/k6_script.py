"""A scenario, and what a promise asks of it, as a script that k6 runs. What k6 cannot do is said, never left out."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from headway import __version__
from headway.conventions import USER_AGENT
from headway.errors import BadInput
from headway.gate.plan import ORDINARY, plan
from headway.interchange import k6_load, k6_thresholds
from headway.load import feed
from headway.model import Order, Promise

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from headway.model import Check, Extraction, Parameter, Route, Scenario, Wire

INLINE_CHARS = 2_000
"""A list of values longer than this goes into a file beside the script, read once for all VUs."""
SAFE_NUMBER = (1 << 53) - 1
_STEP = re.compile(r"\.([A-Za-z_][\w-]*)|\[(-?\d+)\]|\['([^']*)'\]|\[\"([^\"]*)\"\]")
_IMPORTS = """\
import http from 'k6/http';
import { check, sleep } from 'k6';
import { SharedArray } from 'k6/data';
import { Counter, Rate, Trend } from 'k6/metrics';
"""


@dataclass(frozen=True, kw_only=True)
class Script:
    """The script, the data it opens (None: it opens none), and what k6 does otherwise than Headway."""

    text: str
    data: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...]


def write(
    scenario: Scenario,
    *,
    promise: Promise | None = None,
    target_url: str = "",
    database_url: str | None = None,
    duration_s: float | None = None,
    data_file: str | None = None,
) -> Script:
    """
    Make the script.

    Args:
        scenario: the traffic; its own load, or the loads that the promise needs.
        promise: becomes thresholds.
        target_url: the service; "": named when k6 runs, by `-e TARGET=URL`.
        database_url: where parameters given by a query are read, now.
        duration_s: of every phase; None takes the scenario's.
        data_file: name beside the script of the file that `Script.data` will be written to.

    Raises:
        BadInput: recorded arrivals, a Unix socket, a range beyond 2**53; a parameter that cannot be read; long lists
            and no `data_file`.
    """
    notes: list[str] = []
    asked = promise or Promise(id="", title="", folder=None, criteria=())
    phases = plan(asked, scenario, duration_s=duration_s).phases
    options = {
        "scenarios": k6_load.scenarios(scenario, phases, notes),
        "thresholds": k6_thresholds.thresholds(scenario, phases, promise, notes),
        "summaryTrendStats": ["avg", "min", "med", "max", "p(90)", "p(95)", "p(99)", "p(99.9)", "count"],
        "userAgent": USER_AGENT,
        **_wire(scenario.wire, notes),
    }
    for name in ("setup", "teardown"):
        if getattr(scenario, name):
            notes.append(f"{name} is a command, and k6 runs none: run it yourself")
    lists = {each.name: feed.values_of(each, database_url) for each in scenario.parameters if _listed(each)}
    apart = {name: values for name, values in lists.items() if len(json.dumps(values)) > INLINE_CHARS}
    apart |= {each.name: lists[each.name] for each in scenario.parameters if each.distribution == "csv"}
    if apart and data_file is None:
        raise BadInput(f"the values of {', '.join(apart)} need a file beside the script", next_act="say -o FILE")
    ordinary = next(each for each in phases if each.name == ORDINARY)
    parts = [
        _IMPORTS,
        f"const DEFAULT_TARGET = {js(target_url)};",
        f"const TIMEOUT = {js(k6_load.seconds(ordinary.timeout_s))};",
        f"const REDIRECTS = {scenario.wire.redirects};",
        f"\nexport const options = {pretty(options)};",
        f"\nconst DRAWS = {{{''.join(_draw(each, lists, apart, data_file) for each in scenario.parameters)}\n}};",
        f"\nconst ROUTES = {pretty([_route(index, each, scenario) for index, each in enumerate(scenario.routes)])};",
        f"\nconst JOURNEYS = {pretty(_journeys(scenario))};\n",
        resources.files("headway.interchange").joinpath("k6_runtime.js").read_text("utf-8"),
    ]
    head = [f"Made by headway {__version__} from the scenario {scenario.name}"]
    head += [f"and increment {promise.id}"] if promise else []
    said = [f"// Not as in Headway: {_one_line(note)}" for note in notes]
    top = [f"// {_one_line(' '.join(head))}.", "// Run it: k6 run -e TARGET=http://127.0.0.1:8000 THIS_FILE", *said]
    return Script(text="\n".join((*top, "", *parts)), data=apart, notes=tuple(notes))


def js(value: object) -> str:
    """A value as JavaScript has it; nothing in it can end the script's line."""
    return json.dumps(value, ensure_ascii=True)


def pretty(value: object) -> str:
    """The same over several lines."""
    return json.dumps(value, ensure_ascii=True, indent=2)


def _one_line(text: str) -> str:
    return re.sub(r"[^\x20-\x7e]", lambda found: " " if found[0].isspace() else f"\\u{ord(found[0]):04x}", text)


def _wire(wire: Wire, notes: list[str]) -> dict[str, Any]:
    if wire.unix_socket is not None:
        raise BadInput("k6 cannot reach a Unix socket", next_act="let the service listen on a port as well")
    if wire.ca_file is not None:
        notes.append(f"k6 takes a CA from the environment only: SSL_CERT_FILE={wire.ca_file} k6 run ...")
    if not wire.http2:
        notes.append(
            "over https:// k6 speaks HTTP/2 where the service offers it; GODEBUG=http2client=0 keeps it at 1.1"
        )
    found: dict[str, Any] = {}
    if not wire.keep_alive:
        found["noConnectionReuse"] = True
    if wire.insecure:
        found["insecureSkipTLSVerify"] = True
    if wire.connect_to is not None:
        notes.append(f"k6 connects by name: add hosts = {{ 'the URL's host': {wire.connect_to!r} }} to its options")
    return found


def _listed(parameter: Parameter) -> bool:
    if parameter.distribution in {"uniform", "zipf"}:
        for end in (parameter.low, parameter.high):
            if end is None or abs(end) > SAFE_NUMBER:
                raise BadInput(f"{parameter.name}: {end} is beyond 2**53", next_act="JavaScript has no such number")
        return False
    how = parameter.distribution if parameter.distribution not in {"values", "csv", "query"} else ""
    if parameter.hot is not None or parameter.order is not Order.RANDOM or parameter.feed is not None:
        how = (
            "hot sets"
            if parameter.hot
            else "rows of a feed"
            if parameter.feed
            else f"in order {parameter.order.value!r}"
        )
    if how:
        raise BadInput(
            f"{parameter.name}: the k6 export cannot draw {how}",
            next_act="use uniform, zipf, values, csv or query there, or load with headway run",
        )
    return True


def _draw(
    parameter: Parameter, lists: Mapping[str, tuple[str, ...]], apart: Mapping[str, Any], data_file: str | None
) -> str:
    name, exponent = js(parameter.name), js(parameter.exponent)
    if parameter.distribution == "uniform":
        how = f"uniform({parameter.low}, {parameter.high})"
    elif parameter.distribution == "zipf":
        how = f"zipf({parameter.low}, {parameter.high}, {exponent})"
    elif parameter.name in apart:
        how = f"from(new SharedArray({name}, () => JSON.parse(open({js('./' + str(data_file))}))[{name}]), {exponent})"
    else:
        how = f"from({js(list(lists[parameter.name]))}, {exponent})"
    return f"\n  {name}: {how},"


def _route(index: int, route: Route, scenario: Scenario) -> dict[str, Any]:
    names = {name.lower() for name, _ in route.headers}
    for name, value in route.headers:
        if name.lower() == "authorization" and re.match(r"(?i)basic .*:", value):
            raise BadInput(
                f"{route.name}: the k6 export cannot put {{name}}s into base64",
                next_act="write the header as it is sent, or load with headway run",
            )
    headers = [list(each) for each in route.headers]
    if scenario.wire.host is not None and "host" not in names:
        headers.append(["Host", scenario.wire.host])
    if route.body is not None and "content-type" not in names:
        headers.append(["Content-Type", "application/json"])
    form = any(
        name.lower() == "content-type" and value.startswith("application/x-www-form-urlencoded")
        for name, value in route.headers
    )
    checks = [_check(each, number, route) for number, each in enumerate(route.checks, start=1)]
    extract = [_taken(each, route) for each in route.extract]
    reads = any(each["source"] in {"json", "regex", "text", "max_bytes"} for each in (*checks, *extract))
    return {
        "name": route.name, "tag": f"r{index}", "method": route.method, "path": route.path, "weight": route.weight,
        "headers": headers, "body": route.body, "form": form, "expect": list(route.expect_status),
        "checks": checks, "extract": extract, "reads": reads,
    }  # fmt: skip


def _check(check: Check, number: int, route: Route) -> dict[str, Any]:
    said = f"{route.name}: {check.source} {check.expression}" + (f" is {check.equals}" if check.equals else "")
    return {"name": said or f"check {number}", "equals": check.equals, **_source(check.source, check.expression, route)}


def _taken(extraction: Extraction, route: Route) -> dict[str, Any]:
    return {"name": extraction.name, **_source(extraction.source, extraction.expression, route)}


def _source(source: str, expression: str, route: Route) -> dict[str, Any]:
    found: dict[str, Any] = {"source": source, "expression": expression}
    if source == "regex":
        flags = re.match(r"\(\?([ims]+)\)", expression)
        found["expression"] = re.sub(r"\(\?P<", "(?<", expression[flags.end() :] if flags else expression)
        found["flags"] = flags[1] if flags else ""
    if source == "json":
        found["keys"] = keys_of(expression, route)
    return found


def keys_of(expression: str, route: Route) -> list[str | int]:
    """
    `$.items[0].id` -> ["items", 0, "id"].

    Raises:
        BadInput: wildcards, filters and descents, which the script cannot follow.
    """
    rest, keys = expression.removeprefix("$"), []
    if rest and rest[0] not in ".[":
        rest = f".{rest}"
    at = 0
    while at < len(rest):
        step = _STEP.match(rest, at)
        if step is None:
            raise BadInput(
                f"{route.name}: the k6 export cannot follow {expression!r}",
                next_act="say a plain path such as $.items[0].id",
            )
        name = next((each for each in (step[1], step[3], step[4]) if each is not None), None)
        keys.append(int(step[2]) if name is None else name)
        at = step.end()
    return keys


def _journeys(scenario: Scenario) -> list[dict[str, Any]]:
    return [
        {
            "name": journey.name,
            "weight": journey.weight,
            "steps": [
                {"route": step.route} | ({"think": k6_think(step.think)} if step.think is not None else {})
                for step in journey.steps
            ],
        }
        for journey in scenario.journeys
    ]


def k6_think(think: Any) -> dict[str, Any]:
    """A pause as the script reads it."""
    return {"low_s": think.low_s, "high_s": think.high_s, "exponential": think.exponential}


def beside(script: Path) -> str:
    """The name of the data file of a script."""
    return f"{script.stem}.data.json"
