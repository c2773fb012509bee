"""How much load, in k6's words: an executor for each phase, one after the other, warm-up apart."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from headway.errors import BadInput
from headway.model import Arrivals, LoadModel, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from headway.model import Phase, Scenario

WARMUP = "warmup_"
LONGEST_UNIT_S = 1000
MOST_RATE = 1_000_000
SHORTEST_S = 1.0


def scenarios(scenario: Scenario, phases: Sequence[Phase], notes: list[str]) -> dict[str, dict[str, Any]]:
    """
    k6's `options.scenarios`.

    Args:
        scenario: the traffic.
        phases: in the order in which they are driven.
        notes: gets a sentence for everything that k6 cannot do.

    Raises:
        BadInput: recorded arrivals, which no executor of k6 plays.
    """
    found: dict[str, dict[str, Any]] = {}
    at_s = 0.0
    for phase in (_long_enough(each, notes) for each in phases):
        if phase.warmup_s > 0 and (phase.users or phase.rate_per_s):
            found[WARMUP + slug(phase.name)] = _timed(_warming(scenario, phase), at_s, phase)
        at_s += phase.warmup_s
        if phase.iterations is not None:
            notes.append(f"{phase.name}: ends after its iterations, {phase.duration_s:g} s at the most")
        found[slug(phase.name)] = _timed(_executor(scenario, phase, notes), at_s, phase)
        at_s += phase.duration_s + phase.timeout_s  # the last answers of one phase are not the load of the next
    return found


def _long_enough(phase: Phase, notes: list[str]) -> Phase:
    """k6 refuses to run anything for less than a second."""
    warmup_s = max(SHORTEST_S, phase.warmup_s) if phase.warmup_s > 0 else 0.0
    if warmup_s != phase.warmup_s:
        notes.append(f"{phase.name}: k6 runs nothing for less than {SHORTEST_S:g} s, so its warm-up is longer")
    return replace(phase, warmup_s=warmup_s, duration_s=float(phase.whole_seconds))


def slug(name: str) -> str:
    """A phase's name as k6 allows one: letters, digits, - and _."""
    return re.sub(r"[^0-9A-Za-z]+", "_", name.replace(",", "").replace(".", "_")).strip("_") or "load"


def _timed(executor: dict[str, Any], at_s: float, phase: Phase) -> dict[str, Any]:
    timed = {**executor, "startTime": seconds(at_s)}
    if executor["executor"] != "externally-controlled":  # has no end of its own to be graceful about
        timed["gracefulStop"] = seconds(phase.timeout_s)
    return timed


def seconds(value: float) -> str:
    """A duration as k6 reads it."""
    return f"{value:.10g}s" if value >= 0.001 or value == 0 else f"{value * 1000:.10g}ms"


def _warming(scenario: Scenario, phase: Phase) -> dict[str, Any]:
    """The level with which the phase begins, as long as its warm-up."""
    if phase.model is LoadModel.CLOSED:
        return {"executor": "constant-vus", "vus": phase.users or 1, "duration": seconds(phase.warmup_s)}
    return _constant_rate(scenario, phase, phase.rate_per_s or 0.0, phase.warmup_s)


def stages_of(phase: Phase) -> tuple[Stage, ...]:
    """The phase's stages; after the last its level stays where it is."""
    left_s = phase.duration_s - sum(each.duration_s for each in phase.stages)
    return (*phase.stages, Stage(duration_s=left_s, target=phase.stages[-1].target)) if left_s > 0 else phase.stages


def _executor(scenario: Scenario, phase: Phase, notes: list[str]) -> dict[str, Any]:
    if phase.replay is not None or phase.arrivals is Arrivals.REPLAY:
        raise BadInput(
            f"{phase.name} replays recorded arrivals, and no executor of k6 can",
            next_act="export a scenario with a rate, or replay it with headway run",
        )
    if phase.model is LoadModel.CLOSED:
        return _closed(phase)
    if phase.arrivals is Arrivals.POISSON:
        notes.append(f"{phase.name}: k6 has no Poisson arrivals; it sends at even distances, without traffic's bursts")
    if phase.arrivals is Arrivals.BURSTS:
        notes.append(
            f"{phase.name}: k6 has no bursts of {phase.burst_size}; it sends at even distances at the same mean rate"
        )
    if not phase.stages:
        return _constant_rate(scenario, phase, phase.rate_per_s or 1.0, phase.duration_s)
    stages = stages_of(phase)
    levels = [phase.rate_per_s or 0.0, *(stage.target for stage in stages)]
    unit_s = unit_for(levels)
    rates = [round(level * unit_s) for level in levels]
    return {
        "executor": "ramping-arrival-rate",
        "startRate": rates[0],
        "timeUnit": seconds(unit_s),
        "stages": [
            {"duration": seconds(stage.duration_s), "target": rate}
            for stage, rate in zip(stages, rates[1:], strict=True)
        ],
        **_visitors(scenario, phase, max(levels)),
    }


def _constant_rate(scenario: Scenario, phase: Phase, rate_per_s: float, duration_s: float) -> dict[str, Any]:
    unit_s = unit_for([rate_per_s])
    return {
        "executor": "constant-arrival-rate",
        "rate": max(1, round(rate_per_s * unit_s)),
        "timeUnit": seconds(unit_s),
        "duration": seconds(duration_s),
        **_visitors(scenario, phase, rate_per_s),
    }


def unit_for(rates_per_s: Sequence[float]) -> int:
    """Seconds over which all the rates are whole numbers, as k6 wants them, to one in 1000 if not exactly."""
    exact = math.lcm(*(Fraction(rate).limit_denominator(LONGEST_UNIT_S).denominator for rate in rates_per_s))
    largest = max(rates_per_s)
    return max(1, min(exact, LONGEST_UNIT_S, math.floor(MOST_RATE / largest) if largest > 0 else 1))


def _visitors(scenario: Scenario, phase: Phase, rate_per_s: float) -> dict[str, int]:
    """One VU has one request in flight; while it thinks it holds its place, so journeys need more of them."""
    total = sum(each.weight for each in scenario.routes) + sum(each.weight for each in scenario.journeys)
    thinking_s = sum(
        journey.weight * sum(_mean_s(step.think) for step in journey.steps) for journey in scenario.journeys
    )
    more = math.ceil(rate_per_s * thinking_s / total) if total else 0
    return {"preAllocatedVUs": phase.max_connections + more, "maxVUs": phase.max_connections + more}


def _mean_s(think: Any) -> float:
    if think is None:
        return 0.0
    return float(think.low_s if think.exponential else (think.low_s + think.high_s) / 2)


def _closed(phase: Phase) -> dict[str, Any]:
    users = phase.users or 1
    if phase.control_file is not None:
        return {
            "executor": "externally-controlled", "vus": users, "maxVUs": phase.max_connections,
            "duration": seconds(phase.duration_s),
        }  # fmt: skip
    if phase.iterations is not None:
        return {
            "executor": "per-vu-iterations" if phase.iterations_each else "shared-iterations",
            "vus": users, "iterations": phase.iterations, "maxDuration": seconds(phase.duration_s),
        }  # fmt: skip
    if phase.stages:
        return {"executor": "ramping-vus", "startVUs": users if phase.users else 0, "stages": list(_stages(phase))}
    return {"executor": "constant-vus", "vus": users, "duration": seconds(phase.duration_s)}


def _stages(phase: Phase) -> Iterator[dict[str, Any]]:
    for stage in stages_of(phase):
        yield {"duration": seconds(stage.duration_s), "target": round(stage.target)}
