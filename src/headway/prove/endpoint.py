"""An endpoint's latency with an index and without, in turns: the same load on the same service over the same copy."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from headway.diagnose.words import one_line
from headway.errors import HeadwayError
from headway.load.drive import Stop, drive
from headway.load.hits import read
from headway.model import Arrivals, Effect, LoadModel, Phase
from headway.prove import service
from headway.prove.quantile import p95

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.model import Finding, PhaseHits, Scenario
    from headway.prove.definition import IndexDefinition
    from headway.prove.grounds import Grounds
    from headway.prove.session import TrialSession

TURNS = 2
SECONDS = 5.0
WARMUP_S = 1.0
USERS = 2


@dataclass(frozen=True, kw_only=True)
class Measured:
    """P95 of the route and of all routes; and why not, where it could not be measured."""

    effects: tuple[Effect, ...] = ()
    notes: tuple[str, ...] = ()


def effects(session: TrialSession, definition: IndexDefinition, finding: Finding, grounds: Grounds) -> Measured:
    """
    The endpoint's P95, when a service can be started against the copy.

    The load is closed, two users, of what `aimed` chooses: a service too slow for the run's rate would only show its
    queue. The index is dropped and built between the turns.
    """
    if grounds.service is None or grounds.staging_url is None:
        return Measured(notes=("the endpoint was not measured: --service-command says how to start the service",))
    folder = grounds.work / f"endpoint-{finding.fingerprint}"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with service.running(grounds.service, grounds.staging_url, folder) as url:
            phases, sides = _phases()
            turns = _switching(phases, sides, session, definition)
            drive(
                aimed(grounds.evidence.scenario, finding.location.route), turns, url, folder,
                database_url=grounds.staging_url, workers=1, on_second=_ignored, on_measure_start=_ignored,
                on_measure_end=_ignored, stop=Stop(),
            )  # fmt: skip
    except HeadwayError as exc:
        return Measured(notes=(f"the endpoint was not measured: {one_line(exc.what, 240)}",))
    finally:
        _have(session, definition, wanted=True)
    found = read(folder, phases, grounds.evidence.routes)
    return _folded(found, sides, finding, grounds.evidence.routes)


def _ignored(_: object) -> None:
    """Nobody watches these turns."""


def aimed(scenario: Scenario, route: str | None) -> Scenario:
    """
    The run's mix; where the finding names a route that is asked alone, that route only, so that its P95 has samples.

    Setup commands are left out: those prepared the real system.
    """
    alone = any(each.name == route and each.weight > 0 for each in scenario.routes)
    if not alone:
        return replace(scenario, setup=(), teardown=())
    routes = tuple(replace(each, weight=1.0 if each.name == route else 0.0) for each in scenario.routes)
    return replace(scenario, setup=(), teardown=(), routes=routes, journeys=())


def _phases() -> tuple[tuple[Phase, ...], tuple[bool, ...]]:
    sides = (False, True, True, False) * (TURNS // 2)
    return tuple(
        Phase(
            name=f"turn-{number}-{'with' if there else 'without'}", model=LoadModel.CLOSED, users=USERS,
            duration_s=SECONDS, warmup_s=WARMUP_S, arrivals=Arrivals.CONSTANT, seed=number // 2,
        )
        for number, there in enumerate(sides)
    ), sides  # fmt: skip


def _switching(
    phases: tuple[Phase, ...], sides: tuple[bool, ...], session: TrialSession, definition: IndexDefinition
) -> Iterator[Phase]:
    """Each phase, when the index is there for it, or gone."""
    for phase, there in zip(phases, sides, strict=True):
        _have(session, definition, wanted=there)
        yield phase


def _have(session: TrialSession, definition: IndexDefinition, *, wanted: bool) -> None:
    there = bool(session.ask("index_state", {"name": definition.qualified}))
    if wanted and not there:
        session.own(definition.create().as_string(session.connection))
    elif there and not wanted:
        session.ask("drop_index", index=[definition.schema, definition.name])


def _folded(
    found: tuple[PhaseHits, ...], sides: tuple[bool, ...], finding: Finding, routes: tuple[str, ...]
) -> Measured:
    named = finding.location.route
    wanted: list[tuple[int | None, str]] = [(None, "all routes")]
    if named is not None and named in routes:
        place = routes.index(named)
        mixed = any((hits.response.route != place).any() for hits in found)
        wanted = [(place, named), *(wanted if mixed else [])]
    made: list[Effect] = []
    notes: list[str] = []
    for route, name in wanted:
        pair = [
            p95([hits for hits, there in zip(found, sides, strict=False) if there is side], route)
            for side in (False, True)
        ]
        if pair[0] is None or pair[1] is None:
            continue
        before, after = pair[0], pair[1]
        if not math.isfinite(before.high + after.high):
            notes.append(f"{name}: {min(before.samples, after.samples)} requests a side are too few for their P95")
            continue
        made.append(Effect(
            metric=f"P95 of {name}", unit="ns", samples=min(before.samples, after.samples),
            before=before.measured, before_low=before.low, before_high=before.high,
            after=after.measured, after_low=after.low, after_high=after.high,
        ))  # fmt: skip
    failed = sum(int(hits.failures.count.sum()) for hits in found)
    notes += [f"{failed} requests failed while the endpoint was measured"] if failed else []
    return Measured(effects=tuple(made), notes=tuple(notes))
