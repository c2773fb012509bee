"""A cache that is there and is not asked, or that is asked and throws away what it will be asked for again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headway.diagnose.words import fingerprint
from headway.model import Finding, Subject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.model import CacheUse, Evidence

RULE = "cache"


def find(evidence: Evidence) -> Iterator[Finding]:
    """One finding a phase in which less than half of the lookups hit."""
    for use in evidence.caches:
        lookups = use.hits + use.misses
        if not use.restarted and (lookups == 0 or use.misses > lookups / 2):
            yield Finding(
                rule=RULE,
                phase=use.phase,
                line=_line(use, lookups),
                explains=(Subject.HIT_RATE,),
                share_ratio=1.0 if lookups == 0 else use.misses / lookups,
                share_of="cache lookups",
                fingerprint=fingerprint(RULE, "unused" if lookups == 0 else "misses"),
            )


def _line(use: CacheUse, lookups: int) -> str:
    if lookups == 0:
        return "the cache was never asked: the service does not use it"
    return f"{use.misses:,} of {lookups:,} lookups missed; {use.evicted:,} keys were evicted, {use.expired:,} expired"
