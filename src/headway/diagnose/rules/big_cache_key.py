"""
A key that is very large and in use: whoever reads it whole holds the cache's thread and its link.

For: weighed by the server, and touched during the run. Against: parts of a collection may be read without the whole
(where the server counted its commands, none is said of a type of which only parts were asked), and memory of
collections is an estimate from a few of their members.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headway.diagnose.words import fingerprint, one_line
from headway.model import Confidence, Finding, Location, Remedy, RemedyKind, Subject
from headway.thresholds.rules import CACHE_BIG_KEY_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.model import CacheKeys, Evidence

RULE = "big-cache-key"
WHOLE = {
    "string": "get getex getdel getset getrange substr mget set setex psetex setnx mset msetnx append lcs bitcount"
    " bitop bitpos",
    "list": "lrange lrem linsert lindex lset lpos ltrim",
    "set": "smembers sunion sinter sdiff sintercard sunionstore sinterstore sdiffstore",
    "hash": "hgetall hkeys hvals",
    "zset": "zrange zrevrange zrangebyscore zrevrangebyscore zrangebylex zrevrangebylex zrangestore zunion zinter zdiff"
    " zintercard zunionstore zinterstore zdiffstore zremrangebyrank zremrangebyscore zremrangebylex",
    "stream": "xrange xrevrange xread xreadgroup xtrim",
}
"""Type -> commands that may go through all of a key; others, such as RPOP, GETBIT and HGET, take a part and leave the
rest alone. Scripts' own calls are counted as commands. Source: valkey.io/commands, the complexity of each."""
OF_ANY_TYPE = frozenset({"del", "dump", "restore", "copy", "sort", "sort_ro"})
_CURES = {"string": "compress it, or split it into what is read together"}


def find(evidence: Evidence) -> Iterator[Finding]:
    """One finding a template; none of keys that nobody touched in the run."""
    for each in evidence.cache_keys:
        large = each.largest_bytes >= CACHE_BIG_KEY_BYTES and each.largest_used is not False
        if large and evidence.caches and _may_be_whole(evidence, each.type):
            yield _finding(each, evidence.caches[-1].phase, sum(row.bytes for row in evidence.cache_keys))


def _may_be_whole(evidence: Evidence, kind: str) -> bool:
    """Whether a command that may go through a whole key of that type was called; also where nobody counted."""
    called = {each.name for each in evidence.cache_commands if each.calls}
    return not called or kind not in WHOLE or bool(called & OF_ANY_TYPE.union(WHOLE[kind].split()))


def _finding(keys: CacheKeys, phase: str, all_bytes: int) -> Finding:
    shown, known = one_line(keys.key, 60), keys.largest_used is not None
    share = keys.largest_bytes / max(1, all_bytes)
    return Finding(
        rule=RULE,
        phase=phase,
        line=f"a {keys.type} like {shown} takes {keys.largest_bytes / 2**20:,.1f} MiB of the cache"
        + (", and was used in the run" if known else ""),
        explains=(Subject.LATENCY,),
        share_ratio=share,
        share_of="the memory of the keys looked at",
        weight_ratio=min(0.05, share),
        fingerprint=fingerprint(RULE, keys.key, keys.type),
        details=(
            f"{keys.looked_at:,} of {keys.in_database:,} keys were looked at when the load was over; {keys.keys:,} are"
            " like it",
        ),
        location=Location(key=keys.key),
        confidence=Confidence.LIKELY if known else Confidence.POSSIBLE,
        reasons_for=(
            f"read whole it takes {keys.largest_bytes * 8 / 1e9 * 1e3:,.0f} ms of a link of 1 Gbit/s, each time",
        ),
        reasons_against=(
            "a part of it may be all that is read" if keys.type != "string" else "it may be read seldom",
            *(() if known else ("whether it was used is not known: this eviction policy keeps no time of use",)),
        ),
        remedies=(
            Remedy(
                kind=RemedyKind.CODE,
                title=f"make {shown} smaller",
                act=_CURES.get(keys.type, "split it by what is read together, or read ranges and single members"),
            ),
        ),
    )
