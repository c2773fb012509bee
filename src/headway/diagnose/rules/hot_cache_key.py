"""
One key that takes a large part of all commands, of a cache whose one thread is busy: more nodes would not spread it.

Only where MONITOR was allowed, as nothing else counts commands by key. For: counted in bursts. Against: a burst is a
few seconds of the phase, and MONITOR itself makes the thread busier. What slow commands on other keys take of the
thread's time is not the hot key's doing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headway.diagnose.rules import slow_cache_command
from headway.diagnose.words import fingerprint, one_line
from headway.model import Confidence, Finding, Location, Remedy, RemedyKind, Subject
from headway.thresholds.rules import CACHE_BUSY_CPU_RATIO, CACHE_HOT_KEY_RATIO, CACHE_HOT_MIN_COMMANDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.model import CacheKeyUse, Evidence

RULE = "hot-cache-key"


def find(evidence: Evidence) -> Iterator[Finding]:
    """One finding a phase and template."""
    busy = {use.phase: use.cpu_ratio or 0.0 for use in evidence.caches}
    slow = list(slow_cache_command.find(evidence))
    for each in evidence.cache_key_uses:
        cpu_ratio = busy.get(each.phase, 0.0)
        others = sum(one.share_ratio for one in slow if one.phase == each.phase and one.location.key != each.key)
        enough = each.commands >= CACHE_HOT_MIN_COMMANDS and each.hottest >= CACHE_HOT_KEY_RATIO * each.commands
        if enough and cpu_ratio - others >= CACHE_BUSY_CPU_RATIO:
            yield _finding(each, cpu_ratio)


def _finding(keys: CacheKeyUse, cpu_ratio: float) -> Finding:
    shown, share = one_line(keys.key, 60), keys.hottest / keys.commands
    return Finding(
        rule=RULE,
        phase=keys.phase,
        line=(
            f"one key like {shown} takes {share:.0%} of the cache's commands, while its thread is {cpu_ratio:.0%} busy"
        ),
        explains=(Subject.THROUGHPUT, Subject.LATENCY),
        share_ratio=share,
        share_of="commands seen",
        weight_ratio=share * cpu_ratio,
        fingerprint=fingerprint(RULE, keys.key),
        details=(f"{keys.hottest:,} of {keys.commands:,} commands with a key, in {keys.watched_s:.1f} s of MONITOR",),
        location=Location(key=keys.key),
        confidence=Confidence.LIKELY,
        reasons_for=("all of one key's commands are one node's: a cluster of more nodes does not share them",),
        reasons_against=("MONITOR makes the thread busier while it watches, and saw only a part of the phase",),
        remedies=(
            Remedy(
                kind=RemedyKind.CODE,
                title=f"answer {shown} in the service for a moment",
                act="keep it in the process for a second or so, or let client-side caching (CLIENT TRACKING) drop it",
            ),
        ),
    )
