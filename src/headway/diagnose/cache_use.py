"""What several rules say of a phase's cache: whether eviction explains its misses, and which keys missed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headway.diagnose.words import one_line
from headway.thresholds.rules import (
    CACHE_EVICTED_MAX_HIT_RATIO,
    CACHE_EVICTED_MIN_RATIO,
    CACHE_EVICTED_OF_MISSES_MIN_RATIO,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from headway.model import CacheKeyUse, CacheUse, Evidence

MOST_KEYS = 5
LEAST_READS = 20
_DELETE = frozenset({"del", "unlink", "getdel", "hdel", "flushdb", "flushall"})
_STORE = frozenset(
    {
        "set", "setex", "psetex", "setnx", "mset", "msetnx", "msetex", "getset", "append", "setrange", "restore",
        "copy", "rename", "hset", "hmset", "hsetnx", "hsetex", "sadd", "zadd", "lpush", "rpush", "json.set", "xadd",
        "geoadd", "sunionstore", "zunionstore", "zrangestore",
    }
)  # fmt: skip
"""Counters (INCR) are left out: they are nobody's answer to a miss."""


def too_small(use: CacheUse) -> bool:
    """Whether the phase's misses came with evictions: a larger cache might have hit."""
    lookups = use.hits + use.misses
    return (
        not use.restarted
        and lookups > 0
        and use.hits < CACHE_EVICTED_MAX_HIT_RATIO * lookups
        and use.evicted >= CACHE_EVICTED_MIN_RATIO * lookups
        and use.evicted >= CACHE_EVICTED_OF_MISSES_MIN_RATIO * use.misses
    )


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Calls of one phase that store something that can be looked up, and that delete."""

    stored: int
    deleted: int


def traffic(evidence: Evidence, phase: str) -> Traffic | None:
    """What the phase's commands did to keys, those inside scripts too; None: the commands weren't counted."""
    commands = [each for each in evidence.cache_commands if each.phase == phase]
    if not commands:
        return None
    return Traffic(
        stored=sum(each.calls for each in commands if each.name in _STORE),
        deleted=sum(each.calls for each in commands if each.name in _DELETE),
    )


def by_key(evidence: Evidence, phase: str) -> tuple[str, ...]:
    """Hits by key template as far as they were watched, with the server's own count beside; one line or none."""
    watched = [each for each in evidence.cache_key_uses if each.phase == phase]
    shown = [
        f"{one_line(each.key, 40)} {each.hits / (each.hits + each.misses):.0%} of {each.hits + each.misses:,}"
        for each in watched
        if each.hits + each.misses >= LEAST_READS
    ]
    if not shown:
        return ()
    return (f"hits by key, inferred from MONITOR: {'; '.join(shown[:MOST_KEYS])}; {agreement(watched)}",)


def agreement(watched: Iterable[CacheKeyUse]) -> str:
    """How the inference compares with what the server counted in the same bursts."""
    rows = list(watched)
    known = sum(each.hits + each.misses for each in rows)
    missed = sum(each.misses for each in rows)
    counted = rows[0].lookups_counted if rows else 0
    if not known or not counted:
        return "the server counted no look-ups meanwhile"
    return f"all together {missed / known:.1%} missed where the server counted {rows[0].misses_counted / counted:.1%}"
