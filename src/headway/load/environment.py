"""`${NAME}` in a scenario: read from the environment when the load is made, and never written down."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from headway.errors import BadInput
from headway.load import template
from headway.load.places import searched
from headway.model import Parameter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headway.model import Scenario

GIVEN = "given"


def filled(scenario: Scenario, environment: Mapping[str, str] = os.environ) -> Scenario:
    """
    The scenario with the environment's values as parameters, called "$NAME".

    Raises:
        BadInput: one is not set; with the line that asks for it.
    """
    named = {each.name for each in scenario.parameters}
    wanted = {name for route in scenario.routes for name in template.route_names(route) if name.startswith("$")}
    found = []
    for name in sorted(wanted - named):
        if name[1:] not in environment:
            raise _unset(scenario, name)
        found.append(given(name, environment[name[1:]]))
    return replace(scenario, parameters=(*scenario.parameters, *found)) if found else scenario


def given(name: str, *values: str) -> Parameter:
    """A parameter whose values come from outside the scenario, and are left out of what is written down."""
    return Parameter(name=name, distribution=GIVEN, values=values)


def _unset(scenario: Scenario, name: str) -> BadInput:
    written = f"${{{name[1:]}}}"
    route = next(each.name for each in scenario.routes if name in template.route_names(each))
    line, column = searched(scenario.file, written)
    return BadInput(
        f"{route} asks for {written}, and the environment has no {name[1:]}", next_act=f"export {name[1:]}=...",
        file=scenario.file, line=line, column=column,
    )  # fmt: skip
