"""
Failures that come in bursts: something happened then, and the rest of the run does not show it.

For: a burst has a moment, and logs have that moment too. Against: a burst at the very end may be the run's own end, and
few failures make no burst.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from headway.diagnose.words import fingerprint, one_line
from headway.model import Confidence, FailureKind, Finding, Location, Remedy, RemedyKind, Subject
from headway.thresholds.rules import BURST_GAP_S, BURST_MIN_FAILURES, BURST_MIN_SHARE_RATIO, BURST_RATIO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from headway.model import Evidence, PhaseHits

    IntArray = NDArray[np.int64]

RULE = "error-bursts"
NOT_THEIRS = frozenset({FailureKind.EXHAUSTED, FailureKind.ABORTED, FailureKind.UNSENT})
"""Failures of the generator's own, those the end of the run makes, and those of a queue, which give up all at once."""
WEIGHT = 0.9
"""Below the finding of all failures together, of which this says when."""
FEW_SECONDS = 0.25
"""Of the phase: failures that fill more of it are no burst but how it is."""
TOLD = 3


@dataclass(frozen=True, kw_only=True)
class Burst:
    """Seconds [start, end) of a phase, since its warm-up ended."""

    start: int
    end: int
    failed: int


def find(evidence: Evidence) -> Iterator[Finding]:
    """One finding a phase whose failures fell into few of its seconds."""
    for hits in evidence.phases:
        failed = per_second(hits)
        found = bursts(failed)
        held = sum(each.failed for each in found)
        long = sum(each.end - each.start for each in found)
        total = int(failed.sum())
        if found and held >= BURST_MIN_SHARE_RATIO * total and long <= FEW_SECONDS * len(failed):
            yield _finding(evidence, hits, found, held, total)


def per_second(hits: PhaseHits) -> IntArray:
    """(s,) failures of the service's by the second they ended in; those of answers after the last are in the last."""
    kinds = list(FailureKind)
    length = max(1, hits.seconds)
    theirs = np.array([kind not in NOT_THEIRS for kind in kinds])[hits.failures.kind]
    # What waits for its timeout when the load ends is counted then: an end, and no burst.
    theirs &= (hits.failures.kind != kinds.index(FailureKind.TIMEOUT)) | (hits.failures.second < length - 1)
    seconds = np.clip(hits.failures.second[theirs], 0, length - 1)
    return np.bincount(seconds, weights=hits.failures.count[theirs], minlength=length).astype(np.int64)


def bursts(failed: IntArray) -> list[Burst]:
    """
    Stretches of seconds that fail much more than all others together.

    Args:
        failed: (s,) failures by second.

    Returns:
        In order; each with BURST_MIN_FAILURES at least, and BURST_RATIO times the rate outside of all of them.
    """
    total, length = int(failed.sum()), len(failed)
    if total < BURST_MIN_FAILURES or length < 4:
        return []
    # The line is drawn by what is left outside it, so that a great burst doesn't hide itself in its own mean.
    order = np.sort(failed)
    quiet = float(order[: max(1, int(length * (1 - FEW_SECONDS)))].mean())
    hot = np.flatnonzero(failed > max(BURST_RATIO * quiet, 1.0))
    found: list[Burst] = []
    for second in hot.tolist():
        if found and second - found[-1].end < BURST_GAP_S:
            last = found.pop()
            found.append(Burst(start=last.start, end=second + 1, failed=int(failed[last.start : second + 1].sum())))
        else:
            found.append(Burst(start=second, end=second + 1, failed=int(failed[second])))
    return [each for each in found if each.failed >= BURST_MIN_FAILURES]


def _finding(evidence: Evidence, hits: PhaseHits, found: list[Burst], held: int, total: int) -> Finding:
    kinds, routes = _what(evidence, hits, found)
    planned = int(hits.planned.sum())
    when = ", ".join(
        f"{each.failed:,} in {each.end - each.start} s at {each.start} s"
        for each in sorted(found, key=lambda each: -each.failed)[:TOLD]
    )
    share = held / planned if planned else 0.0
    return Finding(
        rule=RULE,
        phase=hits.phase.name,
        line=f"{held:,} of {total:,} failures came in {len(found)} burst{'s' * (len(found) > 1)}: {when}; {kinds}",
        explains=(Subject.ERROR_RATE, Subject.AVAILABILITY),
        share_ratio=min(1.0, share),
        weight_ratio=min(1.0, share) * WEIGHT,
        share_of="planned requests",
        fingerprint=fingerprint(RULE),
        details=(*_meanwhile(evidence, hits, found), *(one_line(each) for each in hits.error_samples)),
        location=Location(route=routes[0] if len(routes) == 1 else None),
        confidence=Confidence.CERTAIN,
        reasons_for=(f"outside of them {total - held:,} failed in {hits.seconds - _length(found)} s",),
        reasons_against=("a burst seen once is no pattern: run again, and longer, before it is called a cause",),
        remedies=(
            Remedy(
                kind=RemedyKind.CODE,
                title="look at what happened then",
                act=f"read the service's and the database's logs from {_clock(hits, found[0].start)} on: restarts,"
                " timers, exhausted pools, lock waits",
            ),
        ),
    )


def _length(found: list[Burst]) -> int:
    return sum(each.end - each.start for each in found)


def _what(evidence: Evidence, hits: PhaseHits, found: list[Burst]) -> tuple[str, list[str]]:
    cells, kinds = hits.failures, list(FailureKind)
    seconds = np.clip(cells.second, 0, hits.seconds - 1)
    inside = np.zeros(len(cells.second), dtype=bool)
    for each in found:
        inside |= (seconds >= each.start) & (seconds < each.end)
    counts = np.bincount(cells.kind[inside], weights=cells.count[inside], minlength=len(kinds))
    words = [f"{int(counts[i]):,} {kinds[i].value}" for i in np.argsort(-counts).tolist() if counts[i]]
    routes = [evidence.routes[index] for index in np.unique(cells.route[inside]).tolist()]
    where = f", all of {one_line(routes[0])}" if len(routes) == 1 and len(evidence.routes) > 1 else ""
    return ", ".join(words) + where, routes


def _meanwhile(evidence: Evidence, hits: PhaseHits, found: list[Burst]) -> tuple[str, ...]:
    """What the machine did in the bursts beside what it did else."""
    inside: list[float] = []
    outside: list[float] = []
    for each in evidence.host:
        at = each.at_s - hits.started_at_s
        if 0 <= at < hits.seconds:
            (inside if any(burst.start <= at < burst.end + 1 for burst in found) else outside).append(each.cpu_ratio)
    if not inside or not outside:
        return ()
    return (f"the machine was {np.mean(inside):.0%} busy in the bursts and {np.mean(outside):.0%} else",)


def _clock(hits: PhaseHits, second: int) -> str:
    from datetime import UTC, datetime

    return f"{datetime.fromtimestamp(hits.started_at_s + second, UTC):%H:%M:%S} UTC"
