"""A browser's recording to a first scenario: one journey, with the pauses the person made."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from headway.errors import BadInput
from headway.load.drafts import figures, har_file
from headway.load.drafts.correlation import Correlation
from headway.load.drafts.draft import ORDINARY_RATE_PER_S, WRITES, Draft, several
from headway.load.drafts.har_steps import Recorded, Steps
from headway.model import Arrivals, Journey, LoadModel, Phase, Route, Scenario, Step, Think
from headway.promises.proposals import Proposal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from headway.load.drafts.har_file import Exchange, Visit

SHORTEST_PAUSE_S = 0.1
"""A gap between an answer and the next request below this is the browser's work, not a person's pause."""
LONGEST_PAUSE_S = 60.0
"""Nobody thinks longer; the person went for coffee."""
LEAST_FOR_P95 = 20
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


def draft(file: Path, *, name: str | None, host: str | None, writes: bool) -> Draft:
    """
    Make the draft.

    Args:
        file: the archive.
        name: of the service; None takes the host's.
        host: which of the archive's hosts; None takes the first page's.
        writes: whether the journey has the requests that write.

    Raises:
        BadInput: no archive; nothing of that host in it; nothing but writes.
    """
    visit = har_file.read(file)
    origin = _origin(visit, host)
    others = Counter(each.origin for each in visit.exchanges if each.origin != origin)
    mine = [each for each in visit.exchanges if each.origin == origin and each.method in METHODS]
    written = [each for each in mine if each.method in WRITES]
    kept = (mine if writes else [each for each in mine if each.method not in WRITES])[: har_file.MOST_STEPS]
    if not kept:
        raise BadInput(f"has nothing but writes to {origin}", next_act="say --writes to repeat them", file=file)
    correlation = Correlation()
    steps = Steps(correlation)
    recorded = []
    for number, each in enumerate(kept):
        recorded.append(steps.take(each))
        correlation.remember(number, each)
    routes, places, remarks = _routes(recorded, correlation)
    service = name or origin.partition("://")[2].partition(":")[0]
    journey = Journey(name="visit", weight=1.0, steps=_with_pauses(kept, places))
    pauses = sum(each.think.low_s for each in journey.steps if each.think is not None)
    remarks["load"] = (
        f"Visits begun each second, of {several(len(kept), 'request')} each. One visit says nothing of how many come: "
        "this rate is where to begin.",
    )
    remarks |= {f"parameters.{each}": words for each, words in steps.remarks.items()}
    return Draft(
        scenario=Scenario(
            name=service,
            file=None,
            routes=routes,
            parameters=tuple(steps.parameters.values()),
            journeys=(journey,),
            default_phase=Phase(
                name="scenario", model=LoadModel.OPEN, arrivals=Arrivals.POISSON,
                rate_per_s=figures.rate(ORDINARY_RATE_PER_S / len(kept)),
                duration_s=30.0, warmup_s=5.0,
            ),
        ),
        found=f"{file.name}, saved by {visit.creator}, {several(len(kept), 'request')} to {origin}",
        notes=_notes(visit, others, written if not writes else [], kept, mine, steps, correlation, pauses),
        remarks=remarks,
        proposals=_proposals(kept),
        baselines=(_baseline(kept),),
        target_url=origin,
    )  # fmt: skip


def _origin(visit: Visit, host: str | None) -> str:
    if host is None:
        pages = [each for each in visit.exchanges if "html" in each.answer_media and each.status < 400]
        return (pages or visit.exchanges)[0].origin
    origins = list(dict.fromkeys(each.origin for each in visit.exchanges))
    for origin in origins:
        if host in {origin, origin.partition("://")[2], origin.partition("://")[2].partition(":")[0]}:
            return origin
    named = ", ".join(each.partition("://")[2] for each in origins[:8])
    raise BadInput(f"has no request to {host!r}", next_act=f"it has: {named}", file=visit.file)


def _routes(
    recorded: Sequence[Recorded], correlation: Correlation
) -> tuple[tuple[Route, ...], list[int], dict[str, tuple[str, ...]]]:
    """The different routes, the place among them of each step, and remarks."""
    routes: list[Route] = []
    places = []
    remarks: dict[str, tuple[str, ...]] = {}
    for number, each in enumerate(recorded):
        route = replace(each.route, extract=tuple(correlation.extractions.get(number, ())), weight=0.0)
        same = next((place for place, one in enumerate(routes) if _alike(one, route)), None)
        if same is None:
            names = {one.name for one in routes}
            wanted, count = route.name, 2
            while route.name in names:
                route, count = replace(route, name=f"{wanted} ({count})"), count + 1
            routes.append(route)
            same = len(routes) - 1
            if each.remarks:
                remarks[route.name] = each.remarks
        places.append(same)
    return tuple(routes), places, remarks


def _alike(one: Route, other: Route) -> bool:
    return replace(one, name="") == replace(other, name="")


def _with_pauses(kept: Sequence[Exchange], places: Sequence[int]) -> tuple[Step, ...]:
    """The steps; after each the time that passed until the next request, where it is a person's."""
    steps = []
    ended = 0.0
    for (now, then), place in zip(pairwise([*kept, None]), places, strict=True):
        ended = max(ended, now.end_s if now is not None else 0.0)
        gap = 0.0 if then is None else then.start_s - ended
        pause = round(min(gap, LONGEST_PAUSE_S), 3)
        steps.append(Step(route=place, think=Think(low_s=pause, high_s=pause) if pause >= SHORTEST_PAUSE_S else None))
    return tuple(steps)


@dataclass(frozen=True, kw_only=True)
class _Times:
    """The times the browser saw, ms, ascending."""

    ms: tuple[float, ...]

    @property
    def high(self) -> tuple[str, float]:
        """The name and value of the highest quantile that so few say something about."""
        count = len(self.ms)
        return ("P95", self.ms[-(-count * 95 // 100) - 1]) if count >= LEAST_FOR_P95 else ("slowest", self.ms[-1])


def _times(kept: Sequence[Exchange]) -> _Times:
    return _Times(ms=tuple(sorted((each.end_s - each.start_s) * 1e3 for each in kept)))


def _baseline(kept: Sequence[Exchange]) -> str:
    times = _times(kept)
    name, high = times.high
    middle = figures.ms_words(times.ms[len(times.ms) // 2] * 1e3)
    return (
        f"API response: {figures.ms_words(high * 1e3)} ({name}), {middle} (median) of "
        f"{several(len(kept), 'request')} of one visitor, as the browser timed them"
    )


def _proposals(kept: Sequence[Exchange]) -> tuple[Proposal, ...]:
    name, high = _times(kept).high
    limit, at = figures.limit_ms(high * 1e3), figures.rate_words(ORDINARY_RATE_PER_S)
    load = f"{at} is where to begin: one visit says nothing of how many come."
    return (
        Proposal(
            text=f"API response time P95 < {limit:g} ms at {at}",
            why=f"In the recording the {name} of {several(len(kept), 'request')} is {figures.ms_words(high * 1e3)}, "
            f"the browser's own queue included; proposed with a fifth of room, rounded up. {load}",
        ),
        Proposal(text=f"Error rate < 1% at {at}", why=f"{figures.BEGIN} {load}"),
    )


def _notes(
    visit: Visit, others: Counter[str], written: Sequence[Exchange], kept: Sequence[Exchange],
    mine: Sequence[Exchange], steps: Steps, correlation: Correlation, pauses_s: float,
) -> tuple[str, ...]:  # fmt: skip
    notes = [
        f"One journey of {several(len(kept), 'request')}, {pauses_s:.1f} s of pauses in it. A browser asks several at "
        "once, a journey one after another: a page's time is not the sum of its steps."
    ]
    if others:
        named = ", ".join(f"{origin} ({count})" for origin, count in others.most_common(4))
        notes.append(f"{several(others.total(), 'request')} to other hosts left out: {named}. --host chooses another.")
    if written:
        named = ", ".join(dict.fromkeys(f"{each.method} {each.target.partition('?')[0]}" for each in written))
        notes.append(f"{several(len(written), 'request')} that write left out: {named[:300]}. --writes includes them.")
    elif any(each.method in WRITES for each in kept):
        notes.append("The journey writes (--writes): aim it at data that may be lost.")
    if len(mine) - len(written) > len(kept):
        notes.append(f"Only the first {har_file.MOST_STEPS:,} requests: a journey is no longer.")
    notes += [
        f"{several(count, 'entry').replace('entrys', 'entries')} left out: {why}."
        for why, count in visit.left_out.items()
    ]
    count = sum(map(len, correlation.extractions.values()))
    if count:
        notes.append(f"{several(count, 'value')} that answers gave and later requests sent back are extracted anew.")
    if steps.secrets:
        notes.append(f"Not written down, set in the environment before the run: {', '.join(sorted(steps.secrets))}.")
    if steps.dropped_cookies:
        named = ", ".join(sorted(steps.dropped_cookies)[:6])
        notes.append(f"Cookies the browser brought along and no answer set, left out: {named}.")
    if steps.parameters:
        notes.append("Keys are the visitor's own, one each: a cache looks better than it is. Feed real ones (GUESS).")
    if not any(each.answer for each in visit.exchanges):
        notes.append("The archive has no answers' content: what they gave could not be traced. Save it with content.")
    return tuple(notes)
