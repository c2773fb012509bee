"""Values to be used once, shared out among the phases of a run, so that no phase begins again where another began."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from headway.errors import BadInput
from headway.load import template
from headway.load.shape import Shape
from headway.model import LoadModel, Order

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headway.model import Parameter, Phase, Scenario


def portion(
    scenario: Scenario, phases: Sequence[Phase], number: int, values: Mapping[str, tuple[str, ...]]
) -> tuple[tuple[Parameter, ...], Mapping[str, tuple[str, ...]]]:
    """
    What one phase draws from: of values to be used once its own share, of others all.

    The shares are as what the phases need, as far as that is known before: an open phase makes so many starts, a closed
    one as many as the service lets it, unless its iterations are counted. Where it is not known they are alike.

    Args:
        scenario: the traffic.
        phases: all of the run.
        number: the phase's, from 0.
        values: what `feed.values` gave.

    Returns:
        Its parameters and their values.

    Raises:
        BadInput: the phases need more than there is: the load would run dry.
    """
    once = [each for each in scenario.parameters if each.order is Order.ONCE]
    if not once:
        return scenario.parameters, values
    starts = [_starts(each) for each in phases]
    mine: dict[str, Parameter] = {each.name: each for each in scenario.parameters}
    found = dict(values)
    for each in once:
        listed = values.get(each.name, ())
        size = len(listed) or (each.high or 0) - (each.low or 0) + 1
        share = _share_of_starts(scenario, each)
        begin, end = _bounds(each, size, [None if count is None else count * share for count in starts], number)
        if listed:
            found[each.name] = listed[begin:end]
        else:
            low = each.low or 0
            mine[each.name] = replace(each, low=low + begin, high=low + end - 1)
    return tuple(mine.values()), found


def _starts(phase: Phase) -> float | None:
    """How many starts a phase makes, the warm-up's included; None: as many as the service lets it."""
    if phase.model is LoadModel.CLOSED:
        if phase.iterations is None:
            return None
        return float(phase.iterations * (phase.users or 1) if phase.iterations_each else phase.iterations)
    if phase.replay is not None:
        return None
    return Shape(phase).total(phase.whole_seconds)


def _share_of_starts(scenario: Scenario, parameter: Parameter) -> float:
    """The share of all starts that draw it."""
    uses = [parameter.name in template.route_names(route) for route in scenario.routes]
    weights = [(route.weight, used) for route, used in zip(scenario.routes, uses, strict=True)]
    weights += [(each.weight, any(uses[step.route] for step in each.steps)) for each in scenario.journeys]
    return sum(weight for weight, used in weights if used) / sum(weight for weight, _ in weights)


def _bounds(parameter: Parameter, size: int, needs: Sequence[float | None], number: int) -> tuple[int, int]:
    known = [need for need in needs if need is not None]
    name = f"the feed {parameter.feed}" if parameter.feed else parameter.name
    act = 'give it more, load less, or say order = "sequential", which begins again at its end'
    if sum(known) > size:
        raise BadInput(
            f"{name} has {size:,} values to be used once each, and the load needs about {math.ceil(sum(known)):,}",
            next_act=act,
        )
    even = len(known) < len(needs) or not sum(known)
    weights = [1.0] * len(needs) if even else known
    begin, end = (round(size * sum(weights[:upto]) / sum(weights)) for upto in (number, number + 1))
    if begin == end and weights[number]:
        raise BadInput(f"{name} has {size:,} values to be used once each, fewer than phases", next_act=act)
    return begin, max(end, begin + 1)
