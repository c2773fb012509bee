"""
Cache headers, tried: an nginx in front of the user's service keeps the route's answers as the policy would let an edge.

No code changes. The run's own GET requests are made again, at the run's rate, through an nginx that passes everything
on and through one that keeps, in turns. Writes are left out: they would change the real system's data.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from headway.errors import BadInput
from headway.evidence.edge import FROM_CACHE
from headway.load import histogram, intervals
from headway.load.drive import Stop, drive
from headway.load.hits import read
from headway.model import Arrivals, Effect, FailureKind, LoadModel, Price, ProofState
from headway.prove import borrowed, fronting, outcome
from headway.thresholds import COMPARE_MATTERS_NS, COMPARE_MATTERS_RATIO
from headway.thresholds.rules import CACHE_STALE_MAX_RATIO

if TYPE_CHECKING:
    from pathlib import Path

    from headway.model import Evidence, Finding, Phase, PhaseHits, Proof, Remedy, Scenario
    from headway.prove.grounds import Grounds

Q = 0.95
SIDES = (False, True, True, False)
SHORTEST_S, LONGEST_S = 5.0, 20.0
OVERHEAD_S = 3.0
"""Of a turn: its generator starts, warms up and drains."""
WARMUP_S = 1.0


@dataclass(frozen=True, kw_only=True)
class _Turns:
    """Both sides' phases, and the cache's answers to the route by status."""

    without: list[PhaseHits]
    with_: list[PhaseHits]
    asked: list[bool]  # each request of the route through the cache: whether it was served from it
    scenario: Scenario


def prove(finding: Finding, remedy: Remedy, grounds: Grounds) -> Proof:
    """
    Measure the route with and without a cache in front.

    Raises:
        LabFailed: there is no nginx to be started.
        TargetUnreachable: the service does not answer any more.
    """
    wanted = remedy.parameters
    route = next((each for each in grounds.evidence.scenario.routes if each.name == wanted["route"]), None)
    if route is None:
        return outcome.unproven(finding, remedy, grounds, f"the run's scenario has no route {wanted['route']}")
    if not wanted.get("public") or float(wanted["ttl_s"]) <= 0:
        return outcome.unproven(
            finding, remedy, grounds, "it is a browser's to act on: a cache in front shows nothing of it"
        )
    try:
        scenario = reads_alone(grounds.evidence.scenario, route.name)
        turns = _driven(
            grounds, scenario, _phase(grounds, scenario, str(wanted["phase"])), route.name, remedy, finding.fingerprint
        )
    except BadInput as exc:
        return outcome.unproven(finding, remedy, grounds, f"{exc.what}; {exc.next_act}")
    return _judged(finding, remedy, grounds, turns)


def reads_alone(scenario: Scenario, route: str) -> Scenario:
    """
    The scenario without what may change anything: other methods than GET and HEAD, journeys that have one, commands.

    Raises:
        BadInput: nothing asks for the route then.
    """
    safe = [each.method in {"GET", "HEAD"} for each in scenario.routes]
    routes = tuple(
        each if good else replace(each, weight=0.0) for each, good in zip(scenario.routes, safe, strict=True)
    )
    journeys = tuple(each for each in scenario.journeys if all(safe[step.route] for step in each.steps))
    asked = {step.route for each in journeys for step in each.steps}
    if not any(each.name == route and (each.weight or place in asked) for place, each in enumerate(routes)):
        raise BadInput(f"{route} is asked for only in journeys that write", next_act="prove it on a staging service")
    return replace(scenario, routes=routes, journeys=journeys, setup=(), teardown=())


def _phase(grounds: Grounds, scenario: Scenario, name: str) -> Phase:
    """The run's phase, shorter, with the share of its rate that the reads had."""
    evidence = grounds.evidence
    phase = next((each.phase for each in evidence.phases if each.phase.name == name), evidence.phases[0].phase)
    kept = scenario_weight(scenario) / scenario_weight(evidence.scenario)
    seconds = max(SHORTEST_S, min(LONGEST_S, grounds.budget_s / len(SIDES) - OVERHEAD_S))
    rate = phase.rate_per_s
    if phase.model is LoadModel.OPEN and not rate:
        sent = next(each for each in evidence.phases if each.phase == phase)
        rate = float(sent.planned.sum()) / max(1, sent.seconds)
    return replace(
        phase, duration_s=seconds, warmup_s=WARMUP_S, stages=(), replay=None, iterations=None, control_file=None,
        rate_per_s=None if rate is None else max(rate * kept, 1.0), seed=phase.seed + 1 + grounds.seed,
        arrivals=phase.arrivals if phase.replay is None else Arrivals.POISSON,
    )  # fmt: skip


def scenario_weight(scenario: Scenario) -> float:
    """The weights of all that can be started."""
    return sum(each.weight for each in scenario.routes) + sum(each.weight for each in scenario.journeys)


def _driven(grounds: Grounds, scenario: Scenario, phase: Phase, route: str, remedy: Remedy, fingerprint: str) -> _Turns:
    """Four turns through both servers of one nginx."""
    wire, url = scenario.wire, grounds.sources.target_url
    proved = next(each for each in scenario.routes if each.name == route)
    ttl_s = float(remedy.parameters["ttl_s"])
    plain = replace(scenario, wire=replace(
        wire, host=None, connect_to=None, unix_socket=None, http2=False, insecure=False, ca_file=None
    ))  # fmt: skip
    sides: dict[bool, list[PhaseHits]] = {False: [], True: []}
    asked: list[bool] = []
    with borrowed.front(2, lambda room, ports, log: fronting.caching(url, wire, proved, ttl_s, room, ports, log)) as it:
        for number, kept in enumerate(SIDES):
            grounds.say(f"{route}: turn {number + 1} of {len(SIDES)}, {'with' if kept else 'without'} a cache in front")
            folder = grounds.work / f"http-cache-{fingerprint}-{number}"
            folder.mkdir(parents=True, exist_ok=True)
            mine = replace(phase, name=f"turn-{number}", seed=phase.seed + number)
            drive(
                plain, (mine,), it.urls[kept], folder, database_url=grounds.sources.database_url, workers=1,
                on_second=lambda _progress: None, on_measure_start=lambda _phase: None,
                on_measure_end=lambda _phase: None, stop=Stop(),
            )  # fmt: skip
            sides[kept] += read(folder, (mine,), tuple(each.name for each in plain.routes))
        asked = served(it.log, fronting.path_expression(proved))
    return _Turns(without=sides[False], with_=sides[True], asked=asked, scenario=plain)


def served(log: Path, expression: str) -> list[bool]:
    """Whether the cache answered, of each line whose path is the route's. Lines cut short are passed over."""
    import re

    path = re.compile(expression)
    found = []
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            told = json.loads(line)
            uri, status = str(told["uri"]), str(told["upstream_cache_status"])
        except (ValueError, KeyError, TypeError):
            continue
        if path.fullmatch(uri):
            found.append(status in FROM_CACHE)
    return found


def p95(phases: list[PhaseHits], route: int | None) -> intervals.Interval | None:
    """P95 of the response time over several turns, failures beyond all others; None without requests."""
    counts = [histogram.fold(hits.response, route) for hits in phases]
    failed = [_failures(hits, route) for hits in phases]
    whole, lost = np.sum(counts, axis=0), int(sum(each.sum() for each in failed))
    if not int(whole.sum()) + lost:
        return None
    limit = histogram.quantile_ns(whole, Q, lost)
    values = histogram.highest_ns(np.arange(len(whole)))
    above, totals = [], []
    for hits, each in zip(phases, failed, strict=True):
        for second in range(hits.seconds):
            one = histogram.fold(hits.response, route, slice(second, second + 1))
            totals.append(float(one.sum()) + float(each[second]))
            above.append(float(one[values > limit].sum()) + float(each[second]))
    return intervals.quantile(whole, Q, lost, np.array(above), np.array(totals))


def _failures(hits: PhaseHits, route: int | None) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """(seconds,) failed requests, those after the last second in it; what the end of a turn cut off is no failure."""
    cells = hits.failures
    mine = cells.kind != list(FailureKind).index(FailureKind.ABORTED)
    if route is not None:
        mine &= cells.route == route
    place = np.clip(cells.second[mine], 0, max(0, hits.seconds - 1))
    return np.bincount(place, weights=cells.count[mine], minlength=max(1, hits.seconds)).astype(np.int64)


def _judged(finding: Finding, remedy: Remedy, grounds: Grounds, turns: _Turns) -> Proof:
    names = [each.name for each in turns.scenario.routes]
    route = str(remedy.parameters["route"])
    effects = [
        effect
        for number, name in ((names.index(route), route), (None, "all GET routes"))
        if (effect := _effect(turns, number, name, decides=number is not None)) is not None
    ]
    hit = _hit_rate(turns.asked)
    if not effects or not effects[0].decides or hit is None:
        return outcome.unproven(finding, remedy, grounds, "no request of the route was measured on both sides")
    state, reason = _state(effects[0], hit, float(remedy.parameters.get("stale_possible_ratio", 0.0)))
    return outcome.proof(
        finding, remedy, grounds, state, reason, effects=(*effects, hit), prices=_prices(remedy, turns),
        notes=_notes(remedy, grounds.evidence, hit), where=f"an nginx in front of {grounds.sources.target_url}",
    )  # fmt: skip


def _effect(turns: _Turns, route: int | None, name: str, *, decides: bool) -> Effect | None:
    before, after = p95(turns.without, route), p95(turns.with_, route)
    if before is None or after is None:
        return None
    return Effect(
        metric=f"P95 of {name}", unit="ns", samples=min(before.samples, after.samples), decides=decides,
        before=before.measured, before_low=before.low, before_high=before.high,
        after=after.measured, after_low=after.low, after_high=after.high,
    )  # fmt: skip


def _hit_rate(asked: list[bool]) -> Effect | None:
    """Of the route through the cache, its order in the log standing for time."""
    parts = [part for part in np.array_split(np.array(asked, dtype=np.float64), 30) if len(part)]
    share = intervals.share(np.array([part.sum() for part in parts]), np.array([float(len(part)) for part in parts]))
    if share is None:
        return None
    return Effect(
        metric="hit rate", unit="ratio", before=0.0, before_low=0.0, before_high=0.0, after=share.measured,
        after_low=share.low, after_high=share.high, samples=share.samples,
    )  # fmt: skip


def _state(p95_: Effect, hit: Effect, stale: float) -> tuple[ProofState, str]:
    matters = max(COMPARE_MATTERS_NS, COMPARE_MATTERS_RATIO * p95_.before)
    said = f"{hit.after:.0%} of its requests were answered in front: P95 {_ms(p95_.before)}, then {_ms(p95_.after)}"
    if stale > CACHE_STALE_MAX_RATIO:
        return ProofState.NOT_WORTH_IT, f"{said}; but up to {stale:.1%} of the reads would be stale"
    if p95_.after_high < p95_.before_low and p95_.before - p95_.after >= matters:
        return ProofState.WORTH_IT, said
    if p95_.before_high - p95_.after_low < matters or p95_.after_low > p95_.before_high:
        return ProofState.NOT_WORTH_IT, f"{said}: no difference that matters"
    return ProofState.UNPROVEN, f"{said}: the intervals leave it open; give it a longer budget"


def _ms(ns: float) -> str:
    return "beyond what was measured" if np.isinf(ns) else f"{ns / 1e6:,.1f} ms"


def _prices(remedy: Remedy, turns: _Turns) -> tuple[Price, ...]:
    kept = sum(1 for each in turns.asked if not each)
    return (
        Price(
            what="stale reads, at most", unit="ratio", before=0.0,
            after=float(remedy.parameters.get("stale_possible_ratio", 0.0)),
        ),
        Price(what="answers fetched from the service, of the route", unit="requests", before=float(len(turns.asked)),
              after=float(kept)),
    )  # fmt: skip


def _notes(remedy: Remedy, evidence: Evidence, hit: Effect) -> tuple[str, ...]:
    notes = ["both sides went through an nginx on this machine: what it adds is in both"]
    if any(each.method not in {"GET", "HEAD"} for each in evidence.scenario.routes):
        notes.append("writes were left out: they would change the service's data; stale reads are estimated")
    if remedy.estimate is not None:
        notes.append(
            f"hit rate estimated {remedy.estimate.after:.1%}, off by {abs(remedy.estimate.after - hit.after):.3f}"
        )
    return tuple(notes)
