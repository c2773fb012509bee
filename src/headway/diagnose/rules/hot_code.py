"""
A function of the service's own that takes a large share of its processor time.

For: the share is sampled, not guessed, and Amdahl bounds what mending it gives. Against: a profile knows processor
time; where requests mostly wait for a database, faster code moves little.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from headway.diagnose import blocked, profiled
from headway.diagnose.words import fingerprint, one_line
from headway.evidence.stacks import CPU
from headway.load import histogram
from headway.load.intervals import Z
from headway.model import Confidence, Finding, Location, Remedy, RemedyKind, Subject
from headway.promises.spoken import duration_text
from headway.thresholds import CONFIDENCE_RATIO
from headway.thresholds.rules import HOT_CODE_MIN_CORES, HOT_CODE_MIN_RATIO, PROFILE_MIN_SAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.diagnose.profiled import Place
    from headway.evidence.stacks import Profile
    from headway.model import Evidence, PhaseHits

RULE = "hot-code"
MOST_LINES = 3
BUSY_CORES = 0.7
"""From here on requests wait for this very processor time, and its share of an answer says little."""


def find(evidence: Evidence) -> Iterator[Finding]:
    """A finding for each function with its share, by phase and watched process."""
    profile = profiled.load(evidence.folder)
    if profile is None:
        return
    for hits in evidence.phases:
        threads = profile.of(CPU, hits.phase.name)
        for process in dict.fromkeys(each.process for each in threads):
            own = [each for each in threads if each.process == process]
            whole_s = sum(each.whole_s for each in own)
            watched_s = profile.watched_s.get(hits.phase.name, 0.0)
            if whole_s * profile.rates_per_s[CPU] < PROFILE_MIN_SAMPLES or not watched_s:
                continue
            held = {each.place.function for each in blocked.holds(evidence, profile, hits)}
            for place in profiled.places(profile, own):
                enough = place.seconds / whole_s >= HOT_CODE_MIN_RATIO
                if enough and place.seconds / watched_s >= HOT_CODE_MIN_CORES and place.function not in held:
                    yield _finding(evidence, profile, hits, process, place, whole_s, watched_s)


def _finding(
    evidence: Evidence, profile: Profile, hits: PhaseHits, process: str, place: Place, whole_s: float, watched_s: float
) -> Finding:
    share = place.seconds / whole_s
    looks = round(whole_s * profile.rates_per_s[CPU])
    low, high = wilson(share, looks)
    routes = blocked.routes_of(evidence, profile, place)
    requests = blocked.requests_of(evidence, hits, routes) * min(1.0, watched_s / max(1, hits.seconds))
    had = profiled.had_core_ratio(evidence, profile, hits, process)
    cost_ns = place.seconds * had * 1e9 / requests if requests else None
    cost = f", {duration_text(cost_ns)} of processor time a request" if cost_ns else ""
    whose = f" of {', '.join(map(one_line, routes))}" if routes else " on average" if cost else ""
    mean_ns = mean_service_ns(hits)
    against = [
        f"an event loop's or a pool's waiting is not in it: {process} used {whole_s * had / watched_s:.2f} cores"
    ]
    if cost_ns and mean_ns and not routes and whole_s / watched_s < BUSY_CORES:
        part = min(cost_ns / mean_ns, 1.0)
        against.append(f"that is {part:.0%} of the mean time to an answer; the rest is waiting, or other code")
    return Finding(
        rule=RULE,
        phase=hits.phase.name,
        line=(
            f"{share:.0%} of {one_line(process, 30)}'s processor time is {one_line(place.code)}"
            f" and library code it calls{cost}{whose}"
        ),
        explains=(Subject.LATENCY, Subject.THROUGHPUT),
        share_ratio=share,
        share_of=f"{one_line(process, 30)}'s processor time",
        weight_ratio=min(1.0, share * min(1.0, whole_s * had / watched_s)),
        fingerprint=fingerprint(RULE, place.function[0], place.function[1]),
        details=details(profile, place),
        location=Location(code=place.code, route=routes[0] if len(routes) == 1 else None),
        confidence=Confidence.CERTAIN if low >= HOT_CODE_MIN_RATIO else Confidence.LIKELY,
        cost_ns=cost_ns,
        reasons_for=(
            f"seen in {round(share * looks):,} of {looks:,} looks at what ran:"
            f" {low:.0%} to {high:.0%} at {CONFIDENCE_RATIO:.0%}",
            f"without it the process needs {1 / (1 - min(share, 0.99)):.1f} times less processor time at best (Amdahl)",
        ),
        reasons_against=tuple(against),
        remedies=(
            Remedy(
                kind=RemedyKind.CODE,
                title="do less there, or do it once",
                act=f"open {one_line(place.code)}: compute it once instead of for each request, use a faster algorithm"
                " or library, or ask for less data",
            ),
        ),
    )


def details(profile: Profile, place: Place) -> tuple[str, ...]:
    """The hottest lines with their source, and the library functions below them."""
    found = []
    for line, seconds in sorted(place.lines.items(), key=lambda each: -each[1])[:MOST_LINES]:
        source = profile.lines.get(f"{place.function[0]}:{line}")
        found.append(f"line {line}: {seconds / place.seconds:.0%}" + (f": {one_line(source)}" if source else ""))
    found += [
        f"below it, {seconds / place.seconds:.0%} in {one_line(name)}"
        for name, seconds in place.below.most_common(MOST_LINES)
    ]
    return tuple(found)


def mean_service_ns(hits: PhaseHits) -> float | None:
    """Mean time from sending a request to the end of its good answer."""
    counts = histogram.fold(hits.service)
    total = int(counts.sum())
    return histogram.mean_ns(counts) if total else None


def wilson(share: float, looks: int) -> tuple[float, float]:
    """
    The 95% interval of a share of independent looks.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    centre = (share + Z * Z / (2 * looks)) / (1 + Z * Z / looks)
    half = Z / (1 + Z * Z / looks) * math.sqrt(share * (1 - share) / looks + Z * Z / (4 * looks * looks))
    return max(0.0, centre - half), min(1.0, centre + half)
