"""
Reads that are asked for again and again, change seldom, and take long to make: a cache would answer them.

For: the keys that the load asked for come again before they change. Against: what changes often, what is one person's
own, large values with little reuse, what takes no longer than a look-up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headway.diagnose import cache_choice, route_keys
from headway.diagnose.windows import answered
from headway.diagnose.words import fingerprint, one_line
from headway.errors import HeadwayError
from headway.load import histogram
from headway.model import Confidence, Estimate, Finding, Location, Remedy, RemedyKind, Subject
from headway.promises.spoken import duration_text
from headway.thresholds.rules import (
    CACHE_MIN_HIT_RATIO,
    CACHE_MIN_READS,
    CACHE_MIN_SERVICE_NS,
    CACHE_MIN_SHARE_RATIO,
    CACHE_STALE_MAX_RATIO,
    SYMPTOM_WEIGHT_RATIO,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.diagnose.cache_choice import Choice
    from headway.diagnose.route_keys import RouteKeys
    from headway.model import Answer, Evidence, PhaseHits

RULE = "cacheable-reads"
LARGE_BYTES = 256 << 10
ASKED_RATIO = 0.3
"""Look-ups of the service's cache a request from which it may be that a route is cached already."""
LOOK_UP_NS = 500_000


@dataclass(frozen=True, kw_only=True)
class _Case:
    """One route in one phase, with what is known of it."""

    evidence: Evidence
    hits: PhaseHits
    route: str
    reads: int
    mean_ns: float
    time_ratio: float  # of all requests' service time
    answer: Answer | None


def find(evidence: Evidence) -> Iterator[Finding]:
    """One finding a phase and route that a cache would serve better. None where the requests are not known."""
    if evidence.imported is not None:
        return
    for hits in evidence.phases:
        cases = [case for case in _cases(evidence, hits) if _unfit(case) is None]
        if not cases:
            continue
        try:
            keys = route_keys.of_phase(evidence, hits)
        except HeadwayError:
            continue  # `why_not_route` says so
        for case in cases:
            choice = _chosen(case, keys.get(case.route))
            if choice is not None and _not_worth(case, choice) is None:
                yield _finding(case, keys[case.route], choice)


def why_not_route(evidence: Evidence, route: str) -> str | None:
    """Why a route has no finding; None: it has one, or there is no such route."""
    for hits in evidence.phases[-1:]:
        for case in _cases(evidence, hits):
            if case.route == route:
                return _why_not(case)
    return None


def _why_not(case: _Case) -> str | None:
    unfit = _unfit(case)
    if unfit is not None:
        return unfit
    unknown = route_keys.why_not(case.evidence, case.hits)
    if unknown is not None:
        return f"which keys it read is not known: {unknown}"
    choice = _chosen(case, route_keys.of_phase(case.evidence, case.hits).get(case.route))
    return "it was not read" if choice is None else _not_worth(case, choice)


def _chosen(case: _Case, keys: RouteKeys | None) -> Choice | None:
    size = case.answer.body_bytes if case.answer is not None and case.answer.whole else None
    return None if keys is None else cache_choice.chosen(keys, size)


def _cases(evidence: Evidence, hits: PhaseHits) -> list[_Case]:
    answers = {each.route: each for each in evidence.answers}
    counts = [histogram.fold(hits.service, number) for number in range(len(evidence.scenario.routes))]
    times = [histogram.mean_ns(each) * float(each.sum()) if each.sum() else 0.0 for each in counts]
    total = sum(times) or 1.0
    return [
        _Case(
            evidence=evidence,
            hits=hits,
            route=route.name,
            reads=int(counts[number].sum()),
            mean_ns=times[number] / max(1, int(counts[number].sum())),
            time_ratio=times[number] / total,
            answer=answers.get(route.name),
        )
        for number, route in enumerate(evidence.scenario.routes)
        if route.method == "GET"
    ]


def _unfit(case: _Case) -> str | None:
    """Why a route is not looked at further; None: it is."""
    if case.reads < CACHE_MIN_READS:
        return f"it was read {case.reads:,} times, and {CACHE_MIN_READS} are needed to tell a hit rate"
    if case.mean_ns < CACHE_MIN_SERVICE_NS:
        return f"it takes {duration_text(case.mean_ns)}, not much longer than a look-up in a cache"
    if case.time_ratio < CACHE_MIN_SHARE_RATIO:
        return f"it takes {case.time_ratio:.1%} of all requests' time: no cache of it could save more"
    said = "" if case.answer is None else case.answer.headers.get("cache-control", "").lower()
    if "no-store" in said:
        return f"the service says of it: cache-control: {one_line(said, 60)}"
    return None


def _not_worth(case: _Case, choice: Choice) -> str | None:
    """Why a cache is not advised though the keys are known; None: it is."""
    if choice.hit < CACHE_MIN_HIT_RATIO:
        return f"a cache would hit {choice.hit:.0%} of its reads: its keys seldom come again before they change"
    if case.time_ratio * choice.hit < CACHE_MIN_SHARE_RATIO:
        return f"a cache would save {case.time_ratio * choice.hit:.1%} of all requests' time"
    if not choice.forget_on_write and choice.stale > CACHE_STALE_MAX_RATIO:
        return f"{choice.stale:.1%} of its reads would be stale"
    return None


def _finding(case: _Case, keys: RouteKeys, choice: Choice) -> Finding:
    share = case.time_ratio * choice.hit * max(0.0, 1 - LOOK_UP_NS / case.mean_ns)
    what = f"a TTL of {_ttl_text(choice)}" + (", dropped by writes," if choice.forget_on_write else "")
    return Finding(
        rule=RULE,
        phase=case.hits.phase.name,
        line=(
            f"{one_line(case.route)} makes the same answers again: {case.reads:,} reads of {choice.distinct:,} keys,"
            f" {duration_text(case.mean_ns)} each; a cache with {what} and {choice.entries:,} entries"
            f" would hit {choice.hit:.0%}{_staleness(choice)}"
        ),
        explains=(Subject.LATENCY, Subject.THROUGHPUT, Subject.HIT_RATE),
        share_ratio=share,
        share_of="all requests' time",
        weight_ratio=share * (SYMPTOM_WEIGHT_RATIO if _all_alike(case) else 1.0),
        fingerprint=fingerprint(RULE, case.route),
        details=(*cache_choice.told(choice), f"keys: {keys.known_by}"),
        location=Location(route=case.route, key=_template(case)),
        confidence=_confidence(case, choice),
        cost_ns=choice.hit * max(0.0, case.mean_ns - LOOK_UP_NS),
        reasons_for=_for(case, keys, choice),
        reasons_against=_against(case, keys, choice),
        remedies=(_remedy(case, choice),),
    )


def _ttl_text(choice: Choice) -> str:
    if math.isinf(choice.ttl_s):
        return "none"
    return duration_text(choice.ttl_s * 1e9)


def _staleness(choice: Choice) -> str:
    if choice.stale_possible < 0.0005:
        return ""
    if choice.forget_on_write or choice.stale_possible - choice.stale >= 0.0005:
        return f", {choice.stale:.1%} to {choice.stale_possible:.1%} of the reads stale"
    return f", {choice.stale:.1%} of the reads stale"


def _template(case: _Case) -> str:
    return next(f"{each.method} {each.path}" for each in case.evidence.scenario.routes if each.name == case.route)


def _all_alike(case: _Case) -> bool:
    """Whether most other requests take as long, within a quarter: a queue they share, not the work of each."""
    alike = others = 0
    for number, name in enumerate(case.evidence.routes):
        counts = histogram.fold(case.hits.service, number)
        count = int(counts.sum())
        if count and name != case.route:
            others += count
            alike += count if abs(histogram.mean_ns(counts) / case.mean_ns - 1) < 0.25 else 0
    return alike > others / 2


def _confidence(case: _Case, choice: Choice) -> Confidence:
    if _all_alike(case) or choice.stale_possible > 0.2:
        return Confidence.POSSIBLE
    if _asked_already(case) or (case.answer is not None and _own(case.answer)):
        return Confidence.POSSIBLE
    return Confidence.LIKELY if abs(choice.che_hit - choice.hit) < 0.1 else Confidence.POSSIBLE


def _asked_already(case: _Case) -> float:
    """Look-ups of the service's own cache a request, when they are many; else 0."""
    requests = answered(case.hits)
    used = next((each for each in case.evidence.caches if each.phase == case.hits.phase.name), None)
    ratio = (used.hits + used.misses) / requests if used is not None and requests else 0.0
    return ratio if ratio >= ASKED_RATIO else 0.0


def _own(answer: Answer) -> bool:
    """Whether the answer may be one person's own."""
    said = answer.headers.get("cache-control", "").lower()
    return answer.credentials or "private" in said or "set-cookie" in answer.headers


def _for(case: _Case, keys: RouteKeys, choice: Choice) -> tuple[str, ...]:
    written = int(keys.stream.write.sum())
    found = [
        f"read often: {case.reads:,} reads, {case.reads / choice.distinct:.1f} a key",
        f"slow to make: {duration_text(case.mean_ns)}, {case.time_ratio:.0%} of all requests' time",
    ]
    if keys.writers and not choice.forget_on_write:
        found.append(f"seldom changed: {written:,} writes of its keys in the load")
    elif not (keys.writers or keys.possible_writers or keys.collection_writers):
        found.append("the load has no write of it")
    if case.answer is not None and case.answer.body_bytes:
        found.append(f"small: {choice.entries:,} answers of {case.answer.body_bytes:,} bytes")
    return tuple(found)


def _against(case: _Case, keys: RouteKeys, choice: Choice) -> tuple[str, ...]:
    found = []
    if choice.forget_on_write:
        found.append(
            f"it changes: by TTL alone over {CACHE_STALE_MAX_RATIO:.0%} of the reads would be stale; drop the key when"
            f" {', '.join(keys.writers)} writes it"
        )
    if keys.possible_writers:
        found.append(
            f"{', '.join(keys.possible_writers)} may change it, and then {choice.stale_possible:.1%} of the reads would"
            f" be stale; when it drops the key as well, {choice.hit_all_forget:.0%} of the reads hit"
        )
    if keys.collection_writers:
        found.append(f"each {', '.join(keys.collection_writers)} may change every answer of it")
    found.append("writes that the load does not make, from jobs or other services, are in no figure here")
    if case.answer is not None and _own(case.answer):
        found.append(
            "asked with credentials or answered with a cookie: the key must name the user, and users other than the"
            " load's make it hit less"
        )
    if asked := _asked_already(case):
        found.append(f"the service asks a cache {asked:.1f} times a request already; this may be one of them")
    if case.answer is not None and case.answer.body_bytes > LARGE_BYTES:
        found.append(f"large values: {case.answer.body_bytes:,} bytes each take room from others")
    if _all_alike(case):
        found.append(
            "most other requests take about as long: they wait for one another, and how long this one takes by itself"
            " is not known; mend first what makes them wait"
        )
    if choice.compulsory > 0.3:
        found.append(f"{choice.compulsory:.0%} of the reads are the first of their key: little reuse in the tail")
    return tuple(one_line(each, 300) for each in found)


def _remedy(case: _Case, choice: Choice) -> Remedy:
    key = _template(case)
    size = None if case.answer is None or not case.answer.whole else case.answer.body_bytes
    ttl_s = min(choice.ttl_s, 3600.0)
    drop = "; on a write of it: DEL the key" if choice.forget_on_write or choice.stale_possible > 0 else ""
    return Remedy(
        kind=RemedyKind.CACHE,
        title=f"cache {one_line(case.route)} for {_ttl_text(choice)}",
        act=f"on a read: GET the key of {one_line(key)}; on a miss: make it, then SET ... EX {ttl_s:.0f}{drop}",
        parameters={
            "route": case.route,
            "phase": case.hits.phase.name,
            "key": key,
            "ttl_s": ttl_s,
            "entries": choice.entries,
            "value_bytes": size or 0,
            "forget_on_write": choice.forget_on_write,
            "stale_ratio": choice.stale,
            "stale_possible_ratio": choice.stale_possible,
            "hit_all_forget": choice.hit_all_forget,
        },
        estimate=Estimate(
            metric="hit rate", before=0.0, after=choice.hit, unit="ratio",
            by=f"stack distances and TTL of {case.reads:,} reads",
        ),
    )  # fmt: skip
