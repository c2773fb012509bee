"""
A cache, tried: the keys that the load read, replayed through a real Valkey at the chosen TTL and size.

The requests are drawn again from the run's seeds, and asked for at their own moments, or faster with the TTL shortened
alike. The hit rate, the stale reads and the memory are Valkey's; what the route's latency would be follows from them
and is said as computed: the service's code would have to change to measure it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from headway.diagnose import route_keys
from headway.errors import HeadwayError
from headway.load import histogram, intervals
from headway.model import Effect, Price, ProofState
from headway.promises.spoken import duration_text
from headway.prove import outcome
from headway.prove.borrowed import own_valkey
from headway.prove.replaying import Replayed, replay
from headway.thresholds import COMPARE_MATTERS_NS, COMPARE_MATTERS_RATIO
from headway.thresholds.rules import CACHE_MIN_HIT_RATIO, CACHE_STALE_MAX_RATIO

if TYPE_CHECKING:
    from headway.diagnose.route_keys import RouteKeys
    from headway.model import Evidence, Finding, PhaseHits, Proof, Remedy
    from headway.prove.grounds import Grounds

SHARE = 0.6
"""Of the budget that the replay itself may take."""
UNKNOWN_BYTES = 512


def prove(finding: Finding, remedy: Remedy, grounds: Grounds) -> Proof:
    """
    Replay the route's keys and judge what they hit.

    Raises:
        LabFailed: there is no Valkey to be started.
    """
    wanted = remedy.parameters
    hits = _phase(grounds.evidence, str(wanted["phase"]))
    if hits is None:
        return outcome.unproven(finding, remedy, grounds, f"the run has no phase {wanted['phase']}")
    try:
        keys = route_keys.of_phase(grounds.evidence, hits).get(str(wanted["route"]))
    except HeadwayError as exc:
        return outcome.unproven(finding, remedy, grounds, f"its requests are not known: {exc.what}")
    if keys is None:
        return outcome.unproven(finding, remedy, grounds, f"the run never asked for {wanted['route']}")
    # Where writes may change the keys, what is tried is a service that drops them all.
    cautious = float(wanted.get("stale_possible_ratio", 0.0)) > CACHE_STALE_MAX_RATIO
    forget = cautious or bool(wanted.get("forget_on_write"))
    with own_valkey() as url:
        import redis

        with redis.Redis.from_url(url, socket_timeout=10) as client:
            grounds.say(f"replays {keys.stream.reads:,} reads through Valkey")
            found = replay(
                client, keys.possible if cautious else keys.stream, ttl_s=float(wanted["ttl_s"]),
                entries=int(wanted["entries"]),
                value_bytes=int(wanted.get("value_bytes") or UNKNOWN_BYTES),
                forget_on_write=forget, budget_s=grounds.budget_s * SHARE,
            )  # fmt: skip
    estimate = remedy.estimate.after if remedy.estimate is not None else None
    if cautious:
        estimate = float(wanted["hit_all_forget"]) if "hit_all_forget" in wanted else None
    mean_ns = _mean_ns(grounds.evidence, hits, str(wanted["route"]))
    return _judged(finding, remedy, grounds, found, mean_ns, _told(keys, found, estimate, forget=forget))


def _told(keys: RouteKeys, found: Replayed, estimate: float | None, *, forget: bool) -> tuple[str, ...]:
    """How it was replayed, and how near the estimate was."""
    notes = []
    if estimate is not None and found.reads.sum():
        measured = float(found.hits.sum() / found.reads.sum())
        notes.append(f"estimated {estimate:.1%}, off by {abs(estimate - measured):.3f}")
    writers = (*keys.writers, *keys.possible_writers)
    if forget and writers:
        notes.append(f"each {', '.join(writers)} dropped the keys that it changes or may change")
    if keys.collection_writers:
        notes.append(f"{', '.join(keys.collection_writers)} may change its answers, and dropped none of them")
    notes.append(f"keys: {keys.known_by}")
    return tuple(notes)


def _phase(evidence: Evidence, name: str) -> PhaseHits | None:
    return next((each for each in evidence.phases if each.phase.name == name), None)


def _mean_ns(evidence: Evidence, hits: PhaseHits, route: str) -> float:
    return histogram.mean_ns(histogram.fold(hits.service, evidence.routes.index(route)))


def _judged(
    finding: Finding, remedy: Remedy, grounds: Grounds, found: Replayed, mean_ns: float, told: tuple[str, ...]
) -> Proof:
    share = intervals.share(found.hits, found.reads)
    if share is None:
        return outcome.unproven(finding, remedy, grounds, "nothing was read")
    stale = found.stale / share.samples
    look_up_ns = float(np.median(found.look_up_ns))
    saved_low, saved = share.low * mean_ns - look_up_ns, share.measured * mean_ns - look_up_ns
    state, reason = _state(share, stale, saved_low, saved, mean_ns)
    effect = Effect(
        metric="hit rate", unit="ratio", before=0.0, before_low=0.0, before_high=0.0, after=share.measured,
        after_low=share.low, after_high=share.high, samples=share.samples, decides=True,
    )  # fmt: skip
    return outcome.proof(
        finding, remedy, grounds, state, reason, effects=(effect,), prices=_prices(found, stale, look_up_ns),
        notes=(*_notes(found, share, mean_ns, look_up_ns), *told), where=f"a Valkey {found.version} of its own",
    )  # fmt: skip


def _state(
    share: intervals.Interval, stale: float, saved_low: float, saved: float, mean_ns: float
) -> tuple[ProofState, str]:
    said = f"{share.measured:.1%} of {share.samples:,} reads hit (95%: {share.low:.1%} to {share.high:.1%})"
    matters = max(COMPARE_MATTERS_NS, COMPARE_MATTERS_RATIO * mean_ns)
    if stale > CACHE_STALE_MAX_RATIO:
        return ProofState.NOT_WORTH_IT, f"{said}, and {stale:.1%} were stale: more than {CACHE_STALE_MAX_RATIO:.0%}"
    if share.high < CACHE_MIN_HIT_RATIO or saved < 0:
        return ProofState.NOT_WORTH_IT, f"{said}: too few"
    if share.low >= CACHE_MIN_HIT_RATIO and saved_low > matters:
        return ProofState.WORTH_IT, said
    return ProofState.UNPROVEN, f"{said}: more reads would settle it; run longer"


def _prices(found: Replayed, stale: float, look_up_ns: float) -> tuple[Price, ...]:
    return (
        Price(what="memory of the cache", unit="bytes", before=None, after=float(found.memory_bytes)),
        Price(what="a look-up, on each read", unit="ns", before=None, after=look_up_ns),
        Price(what="stale reads", unit="ratio", before=0.0, after=stale),
    )


def _notes(found: Replayed, share: intervals.Interval, mean_ns: float, look_up_ns: float) -> tuple[str, ...]:
    after = (1 - share.measured) * mean_ns + look_up_ns
    notes = [
        f"computed, not measured: the route's mean goes from {duration_text(mean_ns)} to {duration_text(after)}",
    ]
    if found.speed > 1.001:
        notes.append(f"replayed {found.speed:.1f} times as fast, with a TTL as much shorter")
    if found.late_s > 0.1:
        notes.append(f"the machine was busy: commands came up to {found.late_s:.1f} s late, which a TTL counts as age")
    if found.limited:
        notes.append(
            f"maxmemory evicted {found.evicted:,} keys, and {found.entries:,} were held at the end;"
            " allkeys-lru takes the oldest of a few by whole seconds, not of all"
        )
    return tuple(notes)
