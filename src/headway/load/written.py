"""A Scenario as the TOML file that reads back as that Scenario."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from headway.load.environment import GIVEN
from headway.model import LoadModel, Order, Wire

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from headway.model import Check, Extraction, Journey, Parameter, Phase, Route, Scenario, Step, Think

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_PLAIN = re.compile(r"[^\x00-\x1f\x7f']*")


def dumps(scenario: Scenario) -> str:
    """
    The file's text. Files it names are written relative to `scenario.file`'s folder where they are under it.

    What came from outside (the environment, a setup command) is left out, and so is the phase's name.
    """
    folder = None if scenario.file is None else scenario.file.parent
    lines = [f"name = {text(scenario.name)}"]
    for key in ("setup", "teardown"):
        if getattr(scenario, key):
            lines.append(f"{key} = {_list(map(text, getattr(scenario, key)))}")
    lines += ["", "[load]", *_load(scenario.default_phase, folder)]
    if scenario.wire != Wire():
        lines += ["", "[http]", *_http(scenario.wire, folder)]
    feeds: dict[str, Parameter] = {}
    for each in scenario.parameters:
        if each.feed is not None:
            feeds.setdefault(each.feed, each)
        elif each.distribution != GIVEN:
            lines += ["", f"[parameters.{each.name}]", *_parameter(each, folder)]
    for name, each in feeds.items():
        lines += ["", f"[feeds.{name}]", *_feed(each, folder)]
    for route in scenario.routes:
        lines += ["", "[[routes]]", *_route(route)]
    for journey in scenario.journeys:
        lines += ["", "[[journeys]]", *_journey(journey, scenario.routes)]
    return "\n".join(lines) + "\n"


def text(value: str) -> str:
    """A TOML string: as it is between ' where that is easier to read, else escaped between \"."""
    if ('"' in value or "\\" in value) and _PLAIN.fullmatch(value):
        return f"'{value}'"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def number(value: float) -> str:
    """The shortest text that reads back as that number; whole numbers without a point."""
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(value)


def _truth(value: bool) -> str:
    return "true" if value else "false"


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else json.dumps(name, ensure_ascii=False).replace("\x7f", "\\u007f")


def _list(items: Iterable[str]) -> str:
    return f"[{', '.join(items)}]"


def _file(file: Path, folder: Path | None) -> str:
    return text(str(file.relative_to(folder) if folder is not None and file.is_relative_to(folder) else file))


def _load(phase: Phase, folder: Path | None) -> list[str]:
    opened = phase.model is LoadModel.OPEN
    lines = [f"model = {text(phase.model.value)}"]
    if opened:
        lines.append(f"arrivals = {text(phase.arrivals.value)}")
    if phase.rate_per_s is not None:
        lines.append(f"rate_per_s = {number(phase.rate_per_s)}")
    if phase.users is not None:
        lines.append(f"users = {phase.users}")
    if phase.burst_size != 1:
        lines.append(f"burst_size = {phase.burst_size}")
    if phase.replay is not None:
        file, speed = _file(phase.replay.file, folder), number(phase.replay.speed)
        lines.append(f"replay = {{ file = {file}, speed = {speed} }}")
    if phase.iterations is not None:
        lines.append(f"iterations = {phase.iterations}")
    if phase.iterations_each:
        lines.append("iterations_each = true")
    if phase.control_file is not None:
        lines.append(f"control_file = {_file(phase.control_file, folder)}")
    if phase.stages:
        target = "rate_per_s" if opened else "users"
        rows = [f"{{ duration_s = {number(s.duration_s)}, {target} = {number(s.target)} }}" for s in phase.stages]
        lines += ["stages = [", *(f"    {row}," for row in rows), "]"]
    else:
        lines.append(f"duration_s = {number(phase.duration_s)}")
    return [
        *lines,
        f"warmup_s = {number(phase.warmup_s)}",
        f"max_connections = {phase.max_connections}",
        f"timeout_s = {number(phase.timeout_s)}",
        f"seed = {phase.seed}",
    ]


def _http(wire: Wire, folder: Path | None) -> list[str]:
    usual = Wire()
    lines = []
    for key in ("http2", "keep_alive", "insecure", "details"):
        if getattr(wire, key) != getattr(usual, key):
            lines.append(f"{key} = {_truth(getattr(wire, key))}")
    for key in ("ca_file", "unix_socket"):
        if getattr(wire, key) is not None:
            lines.append(f"{key} = {_file(getattr(wire, key), folder)}")
    for key in ("host", "connect_to"):
        if getattr(wire, key) is not None:
            lines.append(f"{key} = {text(getattr(wire, key))}")
    for key in ("streams", "redirects", "max_body_bytes", "max_head_bytes"):
        if getattr(wire, key) != getattr(usual, key):
            lines.append(f"{key} = {getattr(wire, key)}")
    return lines


def _parameter(each: Parameter, folder: Path | None) -> list[str]:
    kind = each.distribution
    if each.low is not None:
        more = f", exponent = {number(each.exponent)}" if each.exponent is not None else ""
        if each.hot is not None:
            more = f", keys = {number(each.hot.keys_ratio)}, requests = {number(each.hot.requests_ratio)}"
        return [f"{kind} = {{ low = {each.low}, high = {each.high}{more} }}"]
    if kind == "values":
        return [f"values = {_list(map(text, each.values))}", *_choice(each)]
    if each.csv_file is not None:
        column = "" if each.csv_column is None else f", column = {text(each.csv_column)}"
        return [f"{kind} = {{ file = {_file(each.csv_file, folder)}{column} }}", *_choice(each)]
    return [f"query = {{ sql = {text(each.query or '')}, limit = {each.limit} }}", *_choice(each)]


def _feed(each: Parameter, folder: Path | None) -> list[str]:
    if each.csv_file is not None:
        return [f"{each.distribution} = {_file(each.csv_file, folder)}", *_choice(each)]
    return [f"query = {text(each.query or '')}", f"limit = {each.limit}", *_choice(each)]


def _choice(each: Parameter) -> list[str]:
    if each.hot is not None:
        keys, requests = number(each.hot.keys_ratio), number(each.hot.requests_ratio)
        return [f"hot = {{ keys = {keys}, requests = {requests} }}"]
    if each.order is not Order.RANDOM:
        return [f"order = {text(each.order.value)}"]
    return [] if each.exponent is None else [f"exponent = {number(each.exponent)}"]


def _route(route: Route) -> list[str]:
    lines = [f"name = {text(route.name)}"]
    if route.method != "GET":
        lines.append(f"method = {text(route.method)}")
    lines += [f"path = {text(route.path)}", f"weight = {number(route.weight)}"]
    if route.headers:
        pairs = (f"{_key(name)} = {text(value)}" for name, value in route.headers)
        lines.append(f"headers = {{ {', '.join(pairs)} }}")
    if route.body is not None:
        lines.append(f"body = {text(route.body)}")
    if route.expect_status:
        lines.append(f"expect_status = {_list(map(str, route.expect_status))}")
    if route.extract:
        lines.append(f"extract = {{ {', '.join(map(_extraction, route.extract))} }}")
    if len(route.checks) == 1:
        lines.append(f"checks = [{_check(route.checks[0])}]")
    elif route.checks:
        lines += ["checks = [", *(f"    {_check(each)}," for each in route.checks), "]"]
    return lines


def _extraction(each: Extraction) -> str:
    return f"{_key(each.name)} = {{ {each.source} = {text(each.expression)} }}"


def _check(each: Check) -> str:
    said = each.expression if each.source == "max_bytes" else text(each.expression)
    equals = "" if each.equals is None else f", equals = {text(each.equals)}"
    return f"{{ {each.source} = {said}{equals} }}"


def _journey(journey: Journey, routes: tuple[Route, ...]) -> list[str]:
    return [
        f"name = {text(journey.name)}",
        f"weight = {number(journey.weight)}",
        "steps = [",
        *(f"    {_step(step, routes)}," for step in journey.steps),
        "]",
    ]


def _step(step: Step, routes: tuple[Route, ...]) -> str:
    think = "" if step.think is None else f", think_s = {_think(step.think)}"
    return f"{{ route = {text(routes[step.route].name)}{think} }}"


def _think(think: Think) -> str:
    if think.exponential:
        return f"{{ exponential = {number(think.low_s)} }}"
    if think.low_s == think.high_s:
        return number(think.low_s)
    return f"{{ uniform = [{number(think.low_s)}, {number(think.high_s)}] }}"
