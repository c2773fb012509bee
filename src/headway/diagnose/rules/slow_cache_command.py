"""
Commands that hold the cache up: one thread runs all commands, one after another, and each waits for the slow one.

For: the server's own count of the time they took. Against: what a person or a backup sends is not the service's, and a
script's time may be well spent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headway.diagnose.words import fingerprint, one_line
from headway.model import Confidence, Finding, Location, Remedy, RemedyKind, Subject
from headway.promises.spoken import duration_text
from headway.thresholds.rules import CACHE_SLOW_MIN_NS, CACHE_SLOW_MIN_SHARE_RATIO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.model import CacheCommand, CacheSlow, CacheUse, Evidence

RULE = "slow-cache-command"

INSTEAD = {
    "KEYS": "SCAN in small steps, or a set in which the service keeps the names itself: KEYS looks at every key",
    "FLUSHALL": "FLUSHALL ASYNC",
    "FLUSHDB": "FLUSHDB ASYNC",
    "DEL": "UNLINK: a large collection is freed in another thread",
    "SMEMBERS": "SSCAN, SISMEMBER for the one member that is looked for, or smaller sets",
    "HGETALL": "HMGET of the fields that are used, or smaller hashes",
    "HKEYS": "HSCAN, or smaller hashes",
    "HVALS": "HSCAN, or smaller hashes",
    "LRANGE": "a shorter range",
    "ZRANGE": "a shorter range",
    "ZREVRANGE": "a shorter range",
    "ZRANGEBYSCORE": "LIMIT, or a narrower range",
    "MGET": "fewer keys a call",
    "MSET": "fewer keys a call",
    "SORT": "a sorted set that is kept in order as it is written",
    "SUNION": "SUNIONSTORE ahead of time, on a replica",
    "SINTER": "SINTERCARD, or an intersection kept ahead of time",
    "SDIFF": "a difference kept ahead of time",
    "EVAL": "a shorter script: all others wait until it ends",
    "EVALSHA": "a shorter script: all others wait until it ends",
    "FCALL": "a shorter function: all others wait until it ends",
    "GET": "smaller values, compressed or split",
    "SET": "smaller values, compressed or split",
}
"""Command -> what holds the thread for less. Source: valkey.io/commands, the complexity of each."""


def find(evidence: Evidence) -> Iterator[Finding]:
    """One finding a phase and command (and key, where the slow log tells it) that takes much of the one thread."""
    for use in evidence.caches:
        if not use.lasted_s or use.restarted:
            continue
        commands = {each.name.upper(): each for each in evidence.cache_commands if each.phase == use.phase}
        slow = [each for each in evidence.cache_slow if each.phase == use.phase]
        for name, each in commands.items():
            if each.mean_ns >= CACHE_SLOW_MIN_NS and _share(each.total_ns, use) >= CACHE_SLOW_MIN_SHARE_RATIO:
                yield _counted(use, each, [row for row in slow if row.command == name.partition("|")[0]])
                slow = [row for row in slow if row.command != name.partition("|")[0]]
        for row in slow:  # few slow ones among many quick ones
            slow_enough = row.total_ns >= CACHE_SLOW_MIN_NS * row.count  # a log may be set to keep every command
            if slow_enough and _share(row.total_ns, use) >= CACHE_SLOW_MIN_SHARE_RATIO:
                yield _logged(use, row, commands.get(row.command))


def _share(total_ns: float, use: CacheUse) -> float:
    return total_ns / 1e9 / use.lasted_s if use.lasted_s else 0.0


def _counted(use: CacheUse, command: CacheCommand, rows: list[CacheSlow]) -> Finding:
    name = command.name.upper().replace("|", " ")
    what = f"{command.calls:,} calls of {duration_text(command.mean_ns)} each"
    return _finding(use, name, rows[0].key if rows else "", what, command.total_ns, _by(rows), rows)


def _logged(use: CacheUse, row: CacheSlow, command: CacheCommand | None) -> Finding:
    of = "" if command is None else f" of {command.calls:,}"
    what = f"{row.count:,}{of} calls were slow, the longest {duration_text(row.maximum_ns)}"
    return _finding(use, row.command, row.key, what, row.total_ns, "the server's slow log", [row])


def _by(rows: list[CacheSlow]) -> str:
    return "INFO commandstats" + (" and the server's slow log" if rows else "")


def _finding(
    use: CacheUse, command: str, key: str, what: str, total_ns: float, by: str, rows: list[CacheSlow]
) -> Finding:
    shown, share = one_line(f"{command} {key}".strip(), 60), min(1.0, _share(total_ns, use))
    clients = sorted({one_line(client, 30) for row in rows for client in row.clients})
    return Finding(
        rule=RULE,
        phase=use.phase,
        line=f"{shown} holds the cache up for {share:.0%} of the time: {what}; all other commands wait meanwhile",
        explains=(Subject.LATENCY, Subject.THROUGHPUT),
        share_ratio=share,
        share_of="the cache's time",
        fingerprint=fingerprint(RULE, command, key),
        details=tuple(
            f"slow log: {row.count:,} of {one_line(f'{row.command} {row.key}'.strip(), 60)},"
            f" {duration_text(row.total_ns)} together" for row in rows[:5]
        ),
        location=Location(key=key or None),
        confidence=Confidence.CERTAIN,
        reasons_for=(f"counted by {by}: execution alone, without waiting or network",),
        reasons_against=(
            f"sent by {', '.join(clients)}: is that the service?" if clients
            else "who sent it is not known, as its connections have no names: a person's visit or a job looks the same",
        ),
        remedies=(Remedy(
            kind=RemedyKind.CODE, title=f"hold the cache up for less time than {command} does",
            act=INSTEAD.get(command, "a command that looks at less, or the same work in several smaller ones"),
        ),),
    )  # fmt: skip
