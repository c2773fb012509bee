"""Which `{name}`s have a value where: in a route that is asked alone, and in each step of a journey."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headway.load import template

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.model import Route, Scenario


@dataclass(frozen=True, kw_only=True)
class Missing:
    """
    A name without a value.

    `part` is "path", "body", "headers", or "checks"; `header` its name. `later`: a step after this one, or another
    journey, extracts it.
    """

    route: int
    part: str
    header: str
    name: str
    journey: str | None
    step: int
    later: bool


def missing(scenario: Scenario) -> Iterator[Missing]:
    """
    Names that would have no value when they are needed.

    In a path and in a header every name must have one. In a body and in a check, braces that nothing names are text;
    but a name that is extracted somewhere must have been extracted before. The environment's names are looked up later.
    """
    declared = {each.name for each in scenario.parameters}
    extracted = {each.name for route in scenario.routes for each in route.extract}
    for number, route in enumerate(scenario.routes):
        if route.weight:
            yield from _of(route, number, declared, extracted, None, 0)
    for journey in scenario.journeys:
        known = set(declared)
        for at, step in enumerate(journey.steps, start=1):
            route = scenario.routes[step.route]
            yield from _of(route, step.route, known, extracted, journey.name, at)
            known |= {each.name for each in route.extract}


def _of(
    route: Route, number: int, known: set[str], extracted: set[str], journey: str | None, step: int
) -> Iterator[Missing]:
    parts = [("path", "", route.path), *(("headers", name, value) for name, value in route.headers)]
    if route.body is not None:
        parts.append(("body", "", route.body))
    parts += [("checks", "", each.equals) for each in route.checks if each.equals is not None]
    # A route's own check sees what the route has just been asked with, not what its answer gives.
    for part, header, text in parts:
        for name in sorted(template.names(text) - known):
            later = name in extracted
            if not name.startswith("$") and (later or part in {"path", "headers"}):
                yield Missing(
                    route=number, part=part, header=header, name=name, journey=journey, step=step, later=later
                )


def why(scenario: Scenario, found: Missing) -> tuple[str, str]:
    """What is wrong, and what to do."""
    name = found.name
    route = scenario.routes[found.route].name
    where = route if found.journey is None else f"{route} (journey {found.journey}, step {found.step})"
    if found.later:
        return (
            f"{where} asks for {{{name}}}, which no step before it extracts",
            "ask it in a journey, after the step that extracts it",
        )
    source, dot, _ = name.partition(".")
    table = f"[feeds.{source}]" if dot else f"[parameters.{name}]"
    return f"{where} asks for {{{name}}}, which no {table} defines", f"add {table}"
