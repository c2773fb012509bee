"""What must hold, in k6's words: thresholds that fail where Headway's gate says broken, and on empty metrics too."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING

from headway.gate.plan import phase_of
from headway.gate.routes import index_of
from headway.interchange.k6_load import slug, stages_of
from headway.model import LoadModel, Side, Subject
from headway.promises.spoken import clause_text
from headway.thresholds import DELIVERED_MIN_RATIO, THROUGHPUT_MAX_ERROR_RATIO

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headway.model import Clause, Phase, Promise, Scenario


def thresholds(
    scenario: Scenario, phases: Sequence[Phase], promise: Promise | None, notes: list[str]
) -> dict[str, list[str]]:
    """
    k6's `options.thresholds`.

    Args:
        scenario: the traffic.
        phases: what the script drives.
        promise: whose client-side clauses become thresholds; None: only that every route was asked.
        notes: gets a sentence for every criterion that k6 cannot see or that was not understood.
    """
    found: dict[str, list[str]] = defaultdict(list)
    for phase in phases:
        asked = sorted(
            {index for index, route in enumerate(scenario.routes) if route.weight > 0}
            | {step.route for journey in scenario.journeys for step in journey.steps}
        )
        for index in asked:
            # k6 passes any threshold on a metric that has no value: an empty run must not pass.
            found[selector("http_reqs", phase.name, scenario, index)].append("count>0")
        planned = _planned(phase)
        if planned is not None:
            most = math.floor((1 - DELIVERED_MIN_RATIO) * planned)
            found[selector("dropped_iterations", phase.name)].append(f"count<={most}")
    by_name = {phase.name: phase for phase in phases}
    for criterion in promise.criteria if promise else ():
        if not criterion.clauses:
            notes.append(f"{criterion.id} was not understood, and is no threshold: {criterion.text}")
        for clause in criterion.clauses:
            why = _add(found, clause, scenario, by_name)
            if why is not None:
                notes.append(f"{criterion.id} is no threshold: {why} ({clause_text(clause)})")
    return {key: list(dict.fromkeys(conditions)) for key, conditions in found.items()}


def selector(metric: str, phase: str, scenario: Scenario | None = None, route: int | None = None) -> str:
    """`metric{scenario:...,name:...}`; a route whose name k6 would misread is selected by its number."""
    tags = f"scenario:{slug(phase)}"
    if scenario is not None and route is not None:
        name = scenario.routes[route].name
        plain = name.isascii() and not set(name) & set(",:\"'\\") and name == name.strip()
        tags += f",name:{name}" if plain else f",route:r{route}"
    return f"{metric}{{{tags}}}"


def _planned(phase: Phase) -> float | None:
    """Iterations that an open phase is to start."""
    if phase.model is LoadModel.CLOSED:
        return None
    if not phase.stages:
        return (phase.rate_per_s or 0.0) * phase.whole_seconds
    level, total = phase.rate_per_s or 0.0, 0.0
    for stage in stages_of(phase):
        total += (level + stage.target) / 2 * stage.duration_s
        level = stage.target
    return total


def _add(found: dict[str, list[str]], clause: Clause, scenario: Scenario, phases: Mapping[str, Phase]) -> str | None:
    """One clause; why not, when k6 cannot see it."""
    if clause.side is not Side.CLIENT or clause.subject in {Subject.MONITORING, Subject.ALERTS, Subject.INDEXED}:
        return "k6 sees the service from outside only"
    if clause.limit is None or clause.comparison is None:
        return "it has no limit"
    name = phase_of(clause, scenario)[0]
    route = None if clause.route is None else index_of(clause.route, tuple(each.name for each in scenario.routes))
    if (clause.route is not None and route is None) or name not in phases:
        return f"no one route of the scenario is {clause.route}"
    duration_s = phases[name].whole_seconds

    def put(metric: str, condition: str) -> None:
        found[selector(metric, name, scenario, route)].append(condition)

    sign, limit = clause.comparison.value, clause.limit
    if clause.subject is Subject.LATENCY:
        return _latency(clause, put)
    if clause.subject is Subject.ERROR_RATE:
        put("headway_failed", f"rate{sign}{limit:.10g}")
        put("http_req_failed", f"rate{sign}{limit:.10g}")
    elif clause.subject is Subject.AVAILABILITY:
        turned = {">": "<", ">=": "<=", "<": ">", "<=": ">="}[sign]
        put("headway_failed", f"rate{turned}{1 - limit:.10g}")
    elif clause.subject is Subject.THROUGHPUT:
        put("headway_good", f"count{sign}{math.ceil(limit * duration_s)}")
        put("headway_failed", f"rate<={THROUGHPUT_MAX_ERROR_RATIO:g}")
    else:
        return "k6 cannot measure it"
    return None


def _latency(clause: Clause, put: _Put) -> str | None:
    statistic, sign, limit = clause.statistic, clause.comparison, clause.limit
    if statistic is None or sign is None or limit is None:
        return "it names no statistic"
    if clause.windows_ratio is not None:
        return "k6 judges a run as a whole, not by windows"
    within = f"{sign.value}{limit / 1e6:.10g}"
    if statistic.quantile is not None:
        put("headway_response", f"p({statistic.quantile * 100:.10g}){within}")
    elif statistic.maximum:
        put("headway_response", f"max{within}")
    else:
        # An average of the few that got through flatters: it holds only when few failed.
        put("http_req_duration", f"avg{within}")
        put("headway_failed", f"rate<={THROUGHPUT_MAX_ERROR_RATIO:g}")
    return None


if TYPE_CHECKING:
    from collections.abc import Callable

    _Put = Callable[[str, str], None]
