"""
A cache that is there and is not asked, or that is asked and mostly has no answer. One that is too small is
`cache-evictions`'s to say.

For: it is paid for and answers nothing. Against: a cold cache misses at first, and what is asked for once is never hit,
whatever the cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headway.diagnose import cache_use
from headway.diagnose.rules import cache_evictions
from headway.diagnose.words import fingerprint
from headway.model import Confidence, Finding, Subject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.model import CacheUse, Evidence

RULE = "cache"


def find(evidence: Evidence) -> Iterator[Finding]:
    """One finding a phase in which less than half of the lookups hit."""
    too_small = {each.phase for each in cache_evictions.find(evidence)}
    for use in evidence.caches:
        lookups = use.hits + use.misses
        unanswered = lookups == 0 or use.misses > lookups / 2
        if unanswered and not use.restarted and use.phase not in too_small:
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
                reasons_for=_for(use, lookups),
                reasons_against=_against(use, lookups),
            )


def _line(use: CacheUse, lookups: int) -> str:
    if lookups == 0:
        return "the cache was never asked: the service does not use it"
    return f"{use.misses:,} of {lookups:,} lookups missed; {use.evicted:,} keys were evicted, {use.expired:,} expired"


def _for(use: CacheUse, lookups: int) -> tuple[str, ...]:
    if lookups == 0:
        return ("the server was up all the phase and counted no look-up",)
    if use.evicted:
        return (f"{use.evicted:,} keys were thrown away for want of room: a larger cache keeps them",)
    if use.expired:
        return (f"{use.expired:,} keys expired: a longer TTL keeps them, as stale as it is long",)
    return ()


def _against(use: CacheUse, lookups: int) -> tuple[str, ...]:
    if lookups == 0:
        return (f"{use.commands:,} commands were counted: it may serve for something else than look-ups",)
    if use.evicted:
        return ("what was thrown away may never be asked for again: then no room is enough",)
    if not use.expired:
        return ("nothing was evicted and nothing expired: these keys were asked for the first time",)
    return ()
