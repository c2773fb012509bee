"""A scenario as TOML."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headway.model import Parameter, Route, Scenario


def dumps(scenario: Scenario) -> str:
    """The scenario as a file that `scenario.read` takes."""
    phase = scenario.default_phase
    lines = [f"name = {_said(scenario.name)}", "", "[load]", f"model = {_said(phase.model.value)}"]
    lines.append(f"arrivals = {_said(phase.arrivals.value)}")
    if phase.replay is not None:
        lines.append(f"replay = {{ file = {_said(str(phase.replay.file))}, speed = {phase.replay.speed:g} }}")
    if phase.rate_per_s is not None and phase.replay is None:
        lines.append(f"rate_per_s = {phase.rate_per_s:g}")
    lines += [f"duration_s = {phase.duration_s:g}", f"warmup_s = {phase.warmup_s:g}"]
    for each in scenario.parameters:
        if each.feed is None:
            lines += ["", f"[parameters.{each.name}]", *_parameter(each)]
    for feed, file in dict.fromkeys((each.feed, each.csv_file) for each in scenario.parameters if each.feed):
        lines += ["", f"[feeds.{feed}]", f"csv = {_said(str(file))}"]
    for route in scenario.routes:
        lines += ["", "[[routes]]", *_route(route)]
    for journey in scenario.journeys:
        lines += ["", "[[journeys]]", f"name = {_said(journey.name)}", f"weight = {journey.weight:g}", "steps = ["]
        for step in journey.steps:
            think = "" if step.think is None else f", think_s = {step.think.low_s:g}"
            lines.append(f"    {{ route = {_said(scenario.routes[step.route].name)}{think} }},")
        lines.append("]")
    return "\n".join(lines) + "\n"


def _parameter(each: Parameter) -> list[str]:
    more = [] if each.exponent is None or each.distribution == "zipf" else [f"exponent = {each.exponent:g}"]
    if each.distribution == "values":
        return [f"values = [{', '.join(map(_said, each.values))}]", *more]
    if each.distribution == "csv":
        return [f"csv = {{ file = {_said(str(each.csv_file))}, column = {_said(str(each.csv_column))} }}", *more]
    return [f"{each.distribution} = {{ low = {each.low}, high = {each.high} }}", *more]


def _route(route: Route) -> list[str]:
    lines = [f"name = {_said(route.name)}"]
    if route.method != "GET":
        lines.append(f"method = {_said(route.method)}")
    lines += [f"path = {_said(route.path)}", f"weight = {route.weight:g}"]
    if route.headers:
        lines.append(f"headers = {{ {', '.join(f'{_said(name)} = {_said(value)}' for name, value in route.headers)} }}")
    if route.body is not None:
        lines.append(f"body = {_said(route.body)}")
    if route.expect_status:
        lines.append(f"expect_status = {list(route.expect_status)}")
    if route.extract:
        lines += ["", "[routes.extract]"]
        lines += [f"{each.name} = {{ {each.source} = {_said(each.expression)} }}" for each in route.extract]
    return lines


def _said(text: str) -> str:
    return json.dumps(text, ensure_ascii=True)
