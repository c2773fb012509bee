"""What a worker can start: single requests as bytes, and journeys whose answers are looked into; drawn by weight."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING

import numpy as np

from headway.load import check, draw, extract, template
from headway.load.visit import Course, Leg

if TYPE_CHECKING:
    from headway.load.worker import Assignment
    from headway.model import Route, Step, Think


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One route, ready to be sent: its bytes and what counts as a good answer."""

    render: Callable[[], bytes]
    good: frozenset[int]  # empty: 200 to 399
    head_only: bool


@dataclass(frozen=True, kw_only=True)
class Starts:
    """
    What can be started.

    `draw` gives a batch of indexes, by weight: below len(shots) a single request of that route, above it a course.
    """

    shots: Sequence[Shot]  # one a route
    draw: Callable[[], list[int]]
    courses: Sequence[Course] = ()
    replayed: Mapping[int, Course] = field(default_factory=dict)  # by route: recorded starts whose answers count


def of(mine: Assignment) -> Starts:
    """All that a scenario can start, with this worker's own randomness."""
    rng = np.random.default_rng((mine.phase.seed, mine.worker, 1))
    draws = draw.draws(mine.parameters, mine.values, rng, worker=mine.worker, workers=mine.workers)
    routes = travelling(mine)
    maker = _Maker(mine, routes, draws)
    shots, courses = [], []
    looked_into = {
        number for number, route in enumerate(routes) if route.extract or route.checks or mine.wire.redirects
    }
    replayed = looked_into if mine.recording is not None else ()
    odds = np.zeros(len(routes))
    more: list[float] = []
    for number, route in enumerate(routes):
        shots.append(
            Shot(
                render=template.renderer(route, mine.host, draws), good=frozenset(route.expect_status),
                head_only=route.method == "HEAD",
            )
        )  # fmt: skip
        if route.weight and number in looked_into:
            courses.append(maker.course([(number, None)]))
            more.append(route.weight)
        else:
            odds[number] = route.weight
    for journey in mine.journeys:
        courses.append(maker.course([_taken(step) for step in journey.steps]))
        more.append(journey.weight)
    return Starts(
        shots=shots, draw=_drawer(np.concatenate([odds, more]), rng), courses=courses,
        replayed={number: maker.course([(number, None)]) for number in replayed},
    )  # fmt: skip


def travelling(mine: Assignment) -> list[Route]:
    """The routes as they are sent: without keep-alive each request says so."""
    close = ("connection", "close")
    return [route if mine.wire.keep_alive else replace(route, headers=(*route.headers, close)) for route in mine.routes]


class _Maker:
    """Makes the courses of one worker; they share its streams of values."""

    def __init__(self, mine: Assignment, routes: list[Route], draws: Mapping[str, draw.Draw]) -> None:
        self._host = mine.host
        self._routes = routes
        self._draws = draws
        self._rng = Random(f"{mine.phase.seed} {mine.worker} thinks")  # noqa: S311 - pauses, not secrets

    def course(self, steps: list[tuple[int, Think | None]]) -> Course:
        """A journey: route and pause of each step."""
        routes = [self._routes[number] for number, _ in steps]
        extracted = {each.name for route in routes for each in route.extract}
        used = set().union(*map(template.route_names, routes)) & self._draws.keys()
        expected = {name for route in routes for each in route.checks for name in template.names(each.equals or "")}
        constant = {
            name: text for name in used - extracted if (text := self._draws[name].constant) is not None
        }  # fmt: skip
        legs = tuple(
            Leg(
                route=number,
                render=template.bound(route, self._host, extracted | used, constant),
                good=frozenset(route.expect_status),
                head_only=route.method == "HEAD",
                checks=tuple(check.compiled(each) for each in route.checks),
                extract=tuple((each.name, extract.compiled(each)) for each in route.extract),
                think=think,
            )
            for (number, think), route in zip(steps, routes, strict=True)
        )
        values = draw.together(self._draws, used - (constant.keys() - expected))
        return Course(legs=legs, draw=values, rng=self._rng)


def _taken(step: Step) -> tuple[int, Think | None]:
    return step.route, step.think


def _drawer(weights: np.ndarray[tuple[int], np.dtype[np.float64]], rng: np.random.Generator) -> Callable[[], list[int]]:
    odds = weights / weights.sum()

    def drawn() -> list[int]:
        found: list[int] = rng.choice(len(odds), size=draw.BATCH, p=odds).tolist()
        return found

    return drawn
