"""
What holds an event loop up: a place in a callback that waits, or that computes for long, while nothing else can run.

Waiting at a place is wall time there less processor time there, each by its own sampler.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from headway.diagnose import profiled, profiled_routes
from headway.diagnose.windows import answered
from headway.evidence.stacks import CPU, WALL
from headway.load import histogram
from headway.thresholds.rules import (
    BLOCKING_HOLD_MIN_NS,
    BLOCKING_MIN_LOOP_RATIO,
    BLOCKING_MIN_WALL_SAMPLES,
    BLOCKING_WAIT_DEVIATIONS,
    BLOCKING_WAIT_RATIO,
)

if TYPE_CHECKING:
    from headway.diagnose.profiled import Place
    from headway.evidence.stacks import Profile
    from headway.model import Evidence, PhaseHits


@dataclass(frozen=True, kw_only=True)
class Held:
    """
    One place that held a loop up. Seconds of one phase; `loops` is how many loops there are, `looks` on the wall clock.

    `a_request_ns` is held time over the requests of `routes`, else over all: then each call holds it for longer.
    """

    place: Place
    process: str
    wall_s: float
    cpu_s: float
    watched_s: float
    looks: int
    loops: int
    routes: tuple[str, ...]
    a_request_ns: float | None
    hold_ns: float | None  # of one call, where it is long enough to be told
    had_core_ratio: float  # of the time it was ready to run
    others_cores: float  # what other threads of the same processes used meanwhile: they may have held the GIL

    @property
    def waited_s(self) -> float:
        return max(0.0, self.wall_s - self.cpu_s)

    @property
    def share_ratio(self) -> float:
        """Of the loops' time, in which they could do nothing else."""
        return min(1.0, self.wall_s / (self.watched_s * self.loops))


def waits(evidence: Evidence, profile: Profile, hits: PhaseHits) -> list[Held]:
    """Places at which a loop waited inside a callback."""
    return [
        each
        for each in _held(evidence, profile, hits)
        if _waiting(each, profile) and each.waited_s / (each.watched_s * each.loops) >= BLOCKING_MIN_LOOP_RATIO
    ]


def holds(evidence: Evidence, profile: Profile, hits: PhaseHits) -> list[Held]:
    """Places at which a loop computed for so long that other requests had to wait."""
    return [
        _with_a_core(each)
        for each in _held(evidence, profile, hits)
        if not _waiting(each, profile)
        and each.cpu_s / (each.watched_s * each.loops) >= BLOCKING_MIN_LOOP_RATIO
        # Waiting for a core is the machine's doing, not the code's.
        and max(each.a_request_ns or 0.0, each.hold_ns or 0.0) * each.had_core_ratio >= BLOCKING_HOLD_MIN_NS
    ]


def _waiting(held: Held, profile: Profile) -> bool:
    """Whether most of its time was waiting, and more of it than the two samplers differ by anyhow."""
    wall, cpu = (profile.rates_per_s[each] for each in (WALL, CPU))
    deviation_s = (held.wall_s / wall + held.cpu_s / cpu) ** 0.5  # looks are Poisson: seconds / rate is their variance
    least_s: float = max(BLOCKING_WAIT_RATIO * held.wall_s, BLOCKING_WAIT_DEVIATIONS * deviation_s)
    return held.waited_s >= least_s


def _with_a_core(held: Held) -> Held:
    """What it would have held up on a machine with a core for it."""
    ratio = held.had_core_ratio
    return replace(
        held,
        a_request_ns=None if held.a_request_ns is None else held.a_request_ns * ratio,
        hold_ns=None if held.hold_ns is None else held.hold_ns * ratio,
    )


def _held(evidence: Evidence, profile: Profile, hits: PhaseHits) -> list[Held]:
    phase, found = hits.phase.name, []
    watched_s = profile.watched_s.get(phase, 0.0)
    walls = profiled.loop_threads(profile, profile.of(WALL, phase))
    running = profile.of(CPU, phase)
    for process in dict.fromkeys(each.process for each in walls):
        own = [each for each in walls if each.process == process]
        names = {(each.pid, each.thread) for each in own}
        on_loop = [each for each in running if (each.pid, each.thread) in names]
        pids = {each.pid for each in own}
        others_s = sum(each.whole_s for each in running if each.pid in pids and (each.pid, each.thread) not in names)
        had = profiled.had_core_ratio(evidence, profile, hits, process)
        spent = {each.function: each.seconds for each in profiled.places(profile, on_loop, loop_only=True)}
        for place in profiled.places(profile, own, loop_only=True) if watched_s else ():
            if place.seconds * profile.rates_per_s[WALL] < BLOCKING_MIN_WALL_SAMPLES:
                continue
            routes = routes_of(evidence, profile, place)
            hold_s = profiled.hold_s(profile, own, place)
            requests = requests_of(evidence, hits, routes) * min(1.0, watched_s / max(1, hits.seconds))
            found.append(
                Held(
                    place=place, process=process, wall_s=place.seconds, cpu_s=spent.get(place.function, 0.0),
                    watched_s=watched_s, looks=round(place.seconds * profile.rates_per_s[WALL]), loops=len(names),
                    routes=routes, a_request_ns=place.seconds * 1e9 / requests if requests else None,
                    hold_ns=None if hold_s is None else hold_s * 1e9, had_core_ratio=had,
                    others_cores=others_s / watched_s,
                )
            )  # fmt: skip
    return found


def routes_of(evidence: Evidence, profile: Profile, place: Place) -> tuple[str, ...]:
    """The routes whose requests were in a place; none where that can't be told of all its time."""
    told = profiled_routes.told(evidence, profile)
    routes = dict.fromkeys(
        told.of(profile, stack[profiled.after_loop(profile, stack) or 0 :])
        for samples in profile.of(WALL)
        for stack in samples.stacks
        if place.frames.intersection(stack) and profiled.innermost_own(profile, stack) in place.frames
    )
    return tuple(sorted(each for each in routes if each)) if None not in routes else ()


def requests_of(evidence: Evidence, hits: PhaseHits, routes: tuple[str, ...]) -> int:
    """Good answers of these routes in a phase; without routes, all answers."""
    if not routes:
        return answered(hits)
    return sum(
        int(histogram.fold(hits.service, index).sum())
        for index, name in enumerate(evidence.routes)
        if any(profiled_routes.same_route(name, route) for route in routes)
    )
