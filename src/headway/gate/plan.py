"""
Which load the promises need: a phase for each load that a clause names, and one for those that name none.

A clause without a load of its own is judged under the scenario's ordinary load. A throughput is judged by offering it,
and one percent more; "at 2K req/sec" by offering that. Equal rates share a phase.
"""

from __future__ import annotations

import math
import resource
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from headway.model import Arrivals, LoadModel, Phase, Promise, Scenario, Side, Subject
from headway.thresholds import THROUGHPUT_OVERSHOOT_RATIO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.model import Clause

ORDINARY = "scenario"
RESERVED_FILES = 256
"""File descriptors left for everything that is not a connection."""
LONGEST_STEADY_S = 60.0
NO_LIMIT_S = 1.0
"""Latency assumed for Little's law when the increment promises none."""


@dataclass(frozen=True, kw_only=True)
class LoadPlan:
    """The phases to drive, in order; the scenario's own first."""

    phases: tuple[Phase, ...]


def plan(promise: Promise, scenario: Scenario, *, duration_s: float | None = None) -> LoadPlan:
    """
    The phases the promise's clauses need.

    Args:
        promise: what must hold.
        scenario: the traffic and its ordinary load.
        duration_s: measured length of each phase; None takes the scenario's.
    """
    ordinary = replace(scenario.default_phase, name=ORDINARY)
    if duration_s is not None:
        ordinary = replace(ordinary, duration_s=duration_s)
    rates: dict[str, float] = {}
    for clause in clauses(promise):
        name, rate = phase_of(clause, scenario)
        if rate is not None:
            rates[name] = max(rates.get(name, 0.0), rate)
    rated = (
        at_rate(scenario, ordinary, promise, rate, name=name)
        for name, rate in sorted(rates.items(), key=lambda each: each[1])
    )
    return LoadPlan(phases=(ordinary, *rated))


def ordinary_only(promise: Promise, scenario: Scenario) -> Promise:
    """The promise without the criteria that name a load of their own."""
    kept = (each for each in promise.criteria if all(phase_of(clause, scenario)[1] is None for clause in each.clauses))
    return replace(promise, criteria=tuple(kept))


def at_rate(scenario: Scenario, ordinary: Phase, promise: Promise, rate_per_s: float, *, name: str) -> Phase:
    """
    A phase of a steady rate, of requests.

    Args:
        scenario: says how many requests a start leads to.
        ordinary: the scenario's own phase: its length, its kind of arrivals, its time-out.
        promise: bounds the connections.
        rate_per_s: requests per second.
        name: of the phase.
    """
    return replace(
        ordinary, name=name, model=LoadModel.OPEN, users=None, rate_per_s=rate_per_s / scenario.requests_per_start,
        arrivals=_arrivals(ordinary), duration_s=_steady_s(ordinary), stages=(), replay=None, iterations=None,
        iterations_each=False, control_file=None,
        max_connections=connections_for(rate_per_s, promise, ordinary.max_connections),
    )  # fmt: skip


def clauses(promise: Promise) -> Iterator[Clause]:
    """Every clause of every criterion."""
    for criterion in promise.criteria:
        yield from criterion.clauses


def phase_of(clause: Clause, scenario: Scenario) -> tuple[str, float | None]:
    """
    The phase a clause is judged in, and the rate to offer there; None: the scenario's own.

    The rate of one route is reached by offering the whole mix at rate / the route's share of it. Rates are of requests;
    a phase's own rate counts starts, of which a journey is one.
    """
    if clause.subject is Subject.THROUGHPUT and clause.limit is not None:
        promised = clause.limit
        rate = promised * (1 + THROUGHPUT_OVERSHOOT_RATIO)
        if clause.route is not None:
            share = share_of(clause.route, scenario)
            if share is None:
                return ORDINARY, None
            return f"{clause.route} at {promised:,.10g} req/s", rate / share
        return rate_name(promised), rate
    if clause.at_rate_per_s is not None:
        return rate_name(clause.at_rate_per_s), clause.at_rate_per_s
    return ORDINARY, None


def rate_name(rate_per_s: float) -> str:
    """What the phase of a promised rate is called."""
    return f"{rate_per_s:,.10g} req/s"


def share_of(route: str, scenario: Scenario) -> float | None:
    """The route's share of the requests when none fails; None when the scenario has no such route."""
    from headway.gate.routes import index_of

    index = index_of(route, tuple(each.name for each in scenario.routes))
    if index is None:
        return None
    own = scenario.routes[index].weight
    own += sum(each.weight * sum(step.route == index for step in each.steps) for each in scenario.journeys)
    starts = sum(each.weight for each in scenario.routes) + sum(each.weight for each in scenario.journeys)
    return own / (starts * scenario.requests_per_start)


def connections_for(rate_per_s: float, promise: Promise, at_least: int) -> int:
    """
    Connections that let the rate through while latency is what was promised: Little's law, L = rate x latency.

    Bounded by the file descriptors this process may have; the gate holds a shortfall against the generator then.
    """
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    bound = 1 << 16 if allowed == resource.RLIM_INFINITY else allowed - RESERVED_FILES
    return max(1, min(max(at_least, needed_connections(rate_per_s, promise)), bound))


def needed_connections(rate_per_s: float, promise: Promise) -> int:
    """Little's law with the loosest whole-API latency the increment promises."""
    limits = [
        clause.limit / 1e9
        for clause in clauses(promise)
        if clause.subject is Subject.LATENCY
        and clause.side is Side.CLIENT
        and clause.route is None
        and clause.limit is not None
    ]
    return math.ceil(rate_per_s * max(limits, default=NO_LIMIT_S))


def _arrivals(ordinary: Phase) -> Arrivals:
    """A rate is offered as the scenario's own arrivals come, but for those that have no rate."""
    return Arrivals.POISSON if ordinary.arrivals is Arrivals.REPLAY else ordinary.arrivals


def _steady_s(ordinary: Phase) -> float:
    """A scenario that runs until its iterations are done may take long: a rate needs no longer than the usual time."""
    return min(ordinary.duration_s, LONGEST_STEADY_S) if ordinary.iterations else ordinary.duration_s


def load_words(phase: Phase) -> str:
    """The load of a phase in words."""
    if phase.replay is not None:
        return f"{phase.replay.file.name} replayed at {phase.replay.speed:g}x"
    closed = phase.model is LoadModel.CLOSED
    levels = [float((phase.users if closed else phase.rate_per_s) or 0), *(each.target for each in phase.stages)]
    unit = "users" if closed else "req/s"
    said = (
        f"{levels[0]:,.10g} {unit}" if len(set(levels)) == 1 else f"{min(levels):,.10g} to {max(levels):,.10g} {unit}"
    )
    if closed and phase.iterations:
        said += f", {phase.iterations:,} iterations" + (" each" if phase.iterations_each else "")
    if phase.control_file is not None:
        said += f" by {phase.control_file.name}"
    bursts = f" of {phase.burst_size}" if phase.arrivals is Arrivals.BURSTS else ""
    return f"{said}, closed" if closed else f"{said}, {phase.arrivals.value}{bursts}"
