"""
A cache that is there and is not asked, or that is asked and mostly has no answer any more: what it had expired, was
deleted or thrown out, or was never stored. One that is too small is `cache-evictions`'s to say.

For: it is paid for and answers nothing. Against: a cold cache misses at first, and what is asked for once is never hit,
whatever the cache; of misses that nothing that was counted explains, nothing is said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headway.diagnose import cache_use
from headway.diagnose.rules import cache_evictions
from headway.diagnose.words import fingerprint
from headway.model import Confidence, Finding, Subject
from headway.thresholds.rules import CACHE_LOST_OF_MISSES_MIN_RATIO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.diagnose.cache_use import Traffic
    from headway.model import CacheUse, Evidence

RULE = "cache"
_UNASKED = ("the server was up all the phase and counted no look-up",)


def find(evidence: Evidence) -> Iterator[Finding]:
    """One finding a phase in which less than half of the lookups hit, and something took away what was there."""
    too_small = {each.phase for each in cache_evictions.find(evidence)}
    for use in evidence.caches:
        lookups = use.hits + use.misses
        if use.restarted or use.phase in too_small or (lookups and use.misses <= lookups / 2):
            continue
        reasons = _lost(use, cache_use.traffic(evidence, use.phase)) if lookups else _UNASKED
        if reasons:
            yield Finding(
                rule=RULE,
                phase=use.phase,
                line=_line(use, lookups),
                explains=(Subject.HIT_RATE,),
                share_ratio=1.0 if lookups == 0 else use.misses / lookups,
                share_of="cache lookups",
                fingerprint=fingerprint(RULE, "unused" if lookups == 0 else "misses"),
                details=cache_use.by_key(evidence, use.phase),
                confidence=Confidence.CERTAIN,
                reasons_for=reasons,
                reasons_against=_against(use, lookups),
            )


def _line(use: CacheUse, lookups: int) -> str:
    if lookups == 0:
        return "the cache was never asked: the service does not use it"
    return f"{use.misses:,} of {lookups:,} lookups missed; {use.evicted:,} keys were evicted, {use.expired:,} expired"


def _lost(use: CacheUse, traffic: Traffic | None) -> tuple[str, ...]:
    """What took away, or never brought, what was missed; nothing: it was asked for the first time, or isn't known."""
    enough = CACHE_LOST_OF_MISSES_MIN_RATIO * use.misses
    stored, deleted = (traffic.stored, traffic.deleted) if traffic else (None, 0)
    held = sum(use.keys_by_database.values())
    still_there = held >= use.misses / 2 or (stored is not None and stored - deleted >= use.misses / 2)
    gone = 0 if still_there else deleted
    if use.evicted + use.expired + gone >= enough:
        said = (
            (use.evicted, f"{use.evicted:,} keys were thrown away for want of room: a larger cache keeps them"),
            (use.expired, f"{use.expired:,} keys expired: a longer TTL keeps them, as stale as it is long"),
            (gone, f"{gone:,} calls deleted keys: what is deleted on every change is missed after it"),
        )
        return tuple(text for count, text in said if count)
    if stored is not None and stored < enough and not still_there and use.keys_by_database:
        return (f"{stored:,} calls stored something for {use.misses:,} misses: what is missed is not put there",)
    return ()


def _against(use: CacheUse, lookups: int) -> tuple[str, ...]:
    if lookups == 0:
        return (f"{use.commands:,} commands were counted: it may serve for something else than look-ups",)
    if use.evicted:
        return ("what was thrown away may never be asked for again: then no room is enough",)
    return ()
