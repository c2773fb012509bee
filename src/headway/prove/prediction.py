"""
What a route's P95 should be once the remedies that proved worth it are in place, and what it then was.

Where the endpoint itself was measured on the copy and both sides can be told apart, the run's P95 is scaled by the
ratio seen there. Elsewhere it is scaled by the share of the mean request that the remedies save: the statement's time a
request, times the share saved, over the mean service time. That mean doesn't say which requests had it: the interval
then goes from all of it being saved where P95 is made to nothing being saved there. Waiting in the generator's queue is
left out: it ends with what made it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from headway.diagnose.windows import answered
from headway.load import histogram
from headway.model import FailureKind, Proof, ProofState
from headway.prove.quantile import Q, p95

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from headway.model import Effect, Evidence, Finding, Phase, PhaseHits

    IntArray = NDArray[np.int64]

QUEUED_RATIO = 1.5
"""Response P95 this many times the service's: most of it was waiting for a connection."""
ENDPOINT = "the endpoint, measured on a copy"
STATEMENTS = "the statements' share of the mean request"


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """
    Of one route (None: all together) in one phase. Times in ns; low and high from the proofs' own intervals.

    `remedies` are fingerprints of the findings, `titles` what is done, in the same order.
    """

    phase: str
    load: str  # of that phase: another rate has another P95
    scenario: str
    route: str | None
    before_ns: float
    predicted_ns: float
    low_ns: float
    high_ns: float
    by: str
    remedies: tuple[str, ...]
    titles: tuple[str, ...]
    applied: tuple[bool, ...] = ()
    at_most: bool = False  # the run was overloaded: what waits for less work waits shorter too, by how much isn't known


@dataclass(frozen=True, kw_only=True)
class _Share:
    """What one proof leaves of a route's time: ratios. `saved_ns`: of a request on average, at best."""

    proof: Proof
    left: float
    low: float
    high: float
    by: str
    saved_ns: float = 0.0


def predict(evidence: Evidence, findings: Sequence[Finding], proofs: Sequence[Proof]) -> tuple[Prediction, ...]:
    """One prediction a phase and route that a proof speaks of, and one for all routes."""
    worth = [each for each in proofs if each.state is ProofState.WORTH_IT]
    by_print = {each.fingerprint: each for each in findings}
    found = []
    for hits in evidence.phases:
        for index, route in [(None, None), *enumerate(evidence.routes)]:
            shares = [
                share
                for proof in worth
                if (share := _share(evidence, hits, route, by_print.get(proof.fingerprint), proof)) is not None
            ]
            base = _base(hits, index)
            made = _prediction(evidence, hits, route, base, shares) if shares and base is not None else None
            if made is not None:
                found.append(made)
    return tuple(found)


def measured_ns(evidence: Evidence, prediction: Prediction) -> float | None:
    """P95 of the predicted route and phase in a later run, from the intended send time; None when it has no samples."""
    same = (each for each in evidence.phases if each.phase.name == prediction.phase)
    hits = next((each for each in same if _load(each.phase) == prediction.load), None)
    if hits is None or (prediction.route is not None and prediction.route not in evidence.routes):
        return None
    route = None if prediction.route is None else evidence.routes.index(prediction.route)
    counts = histogram.fold(hits.response, route)
    return histogram.quantile_ns(counts, Q) if counts.any() else None


def _prediction(
    evidence: Evidence, hits: PhaseHits, route: str | None, base: float, shares: Sequence[_Share]
) -> Prediction | None:
    left = 1.0
    index = None if route is None else evidence.routes.index(route)
    seen = p95([hits], index)
    if seen is None or not seen.measured or not math.isfinite(seen.high):
        return None  # too few requests for the run's own P95, which is known only so well as its interval says
    low, high = seen.low / seen.measured, seen.high / seen.measured
    for each in shares:
        left, low, high = left * each.left, low * each.low, high * each.high
    if any(each.by == STATEMENTS for each in shares):
        # A mean doesn't say which requests it is of: those at P95 may have had nothing of it, or all.
        least = least_ns(_counts(hits, index), sum(each.saved_ns for each in shares)) / max(base, 1.0)
        low, high = min(low, least * seen.low / seen.measured), max(high, seen.high / seen.measured)
    return Prediction(
        phase=hits.phase.name, load=_load(hits.phase), scenario=evidence.scenario.name, route=route,
        before_ns=_p95(hits, evidence, route),
        predicted_ns=base * left, low_ns=base * low, high_ns=base * high,
        by=ENDPOINT if all(each.by == ENDPOINT for each in shares) else STATEMENTS,
        remedies=tuple(each.proof.fingerprint for each in shares),
        titles=tuple(each.proof.remedy.title for each in shares),
        applied=tuple(each.proof.applied for each in shares),
        at_most=_overloaded(hits) and any(each.by == STATEMENTS for each in shares),
    )  # fmt: skip


def least_ns(counts: IntArray, saved_ns: float) -> float:
    """
    The lowest P95 that taking `saved_ns` off each request on average can make, were it all taken where it counts.

    Requests above a level are cut down to it, but for the twentieth that may stay above: the level is the lowest for
    which what is cut is no more than was saved.

    Args:
        counts: (b,) histogram of the times, some in it.
        saved_ns: >= 0.
    """
    total = int(counts.sum())
    kept = np.diff(np.minimum(np.cumsum(counts), math.ceil(Q * total)), prepend=0)
    filled = np.flatnonzero(kept)[::-1]
    times, above = histogram.lowest_ns(filled).astype(np.float64), np.cumsum(kept[filled])
    cut = np.cumsum(above * (times - np.append(times[1:], 0.0)))
    place = int(np.searchsorted(cut, saved_ns * total))
    if place == len(cut):
        return 0.0
    before = float(cut[place - 1]) if place else 0.0
    return float(times[place]) - (saved_ns * total - before) / float(above[place])


def _counts(hits: PhaseHits, route: int | None) -> IntArray:
    """Of the times that predictions are of: see `_base`."""
    response, service = histogram.fold(hits.response, route), histogram.fold(hits.service, route)
    queued = histogram.quantile_ns(response, Q) > QUEUED_RATIO * histogram.quantile_ns(service, Q)
    return service if queued else response


def _share(
    evidence: Evidence, hits: PhaseHits, route: str | None, finding: Finding | None, proof: Proof
) -> _Share | None:
    name = f"P95 of {route or 'all routes'}"
    seen = next((each for each in proof.effects if each.metric == name), None)
    # Only where the two sides can be told apart: else noise, multiplied over several proofs, would be the prediction.
    if (
        seen is not None
        and seen.before > 0
        and (seen.after_high < seen.before_low or seen.after_low > seen.before_high)
    ):
        low, high = seen.after_low / max(seen.before_high, 1.0), seen.after_high / max(seen.before_low, 1.0)
        return _Share(proof=proof, left=seen.after / seen.before, low=low, high=high, by=ENDPOINT)
    cost = _cost_ns(evidence, hits, route, finding, proof)
    mean = _mean(hits, None if route is None else evidence.routes.index(route))
    decides = [each for each in proof.effects if each.decides and each.unit == "ns" and each.before > 0]
    if cost is None or mean is None or not decides:
        return None
    part = min(1.0, cost / mean)
    before = sum(each.before for each in decides)
    saved = [
        1 - sum(pick) / before
        for pick in (
            [each.after for each in decides],
            [each.after_high for each in decides],
            [each.after_low for each in decides],
        )
    ]  # fmt: skip
    left, high, low = (1 - part * max(0.0, each) for each in saved)
    return _Share(proof=proof, left=left, low=low, high=high, by=STATEMENTS, saved_ns=cost * max(0.0, saved[2]))


def _cost_ns(
    evidence: Evidence, hits: PhaseHits, route: str | None, finding: Finding | None, proof: Proof
) -> float | None:
    """The mean time a request of the route spends in what the remedy mends; None where that isn't known."""
    if finding is None:
        return None
    if route is not None and finding.location.route == route and finding.cost_ns is not None:
        return finding.cost_ns
    ids = {str(each) for each in proof.remedy.parameters.get("statement_ids") or ()} | {finding.location.statement_id}
    total = sum(each.total_ns for each in evidence.statements if each.phase == hits.phase.name and each.id in ids)
    if not total:
        return None
    if route is None:
        return total / max(1, answered(hits))
    if finding.location.route == route:
        requests = int(histogram.fold(hits.service, evidence.routes.index(route)).sum())
        return total / requests if requests else None
    return None


def _load(phase: Phase) -> str:
    level = phase.users if phase.rate_per_s is None else phase.rate_per_s
    return f"{phase.model.value}, {level:g}" if level is not None else phase.model.value


def _p95(hits: PhaseHits, evidence: Evidence, route: str | None) -> float:
    return histogram.quantile_ns(
        histogram.fold(hits.response, None if route is None else evidence.routes.index(route)), Q
    )


def _base(hits: PhaseHits, route: int | None) -> float | None:
    """Response P95, or the service's where most of the response was waiting for a connection."""
    if not histogram.fold(hits.response, route).any() or not histogram.fold(hits.service, route).any():
        return None
    return histogram.quantile_ns(_counts(hits, route), Q)


def _overloaded(hits: PhaseHits) -> bool:
    """Whether requests waited for a connection, or got none: a queue, not work, made most of the time."""
    kinds = list(FailureKind)
    unsent = hits.failures.kind == kinds.index(FailureKind.UNSENT)
    response, service = histogram.fold(hits.response), histogram.fold(hits.service)
    queued = response.any() and histogram.quantile_ns(response, Q) > QUEUED_RATIO * histogram.quantile_ns(service, Q)
    return bool(queued) or bool(hits.failures.count[unsent].any())


def _mean(hits: PhaseHits, route: int | None) -> float | None:
    counts = histogram.fold(hits.service, route)
    return histogram.mean_ns(counts) if counts.any() else None


def deciding(proof: Proof) -> Effect | None:
    """The effect the proof rests on, the largest saving where there are several; None without one."""
    own: Iterable[Effect] = [each for each in proof.effects if each.decides and each.before]
    return max(own, key=lambda each: 1 - each.after / each.before, default=None)
