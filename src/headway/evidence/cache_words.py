"""
What is kept of a cache's keys and commands: templates, never a key or a value.

`user:17:cart` becomes `user:{}:cart`. A part of a key is kept only when it looks like a word and so many keys share it
that it can't be one person's name or one session's token.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

VALUE = "{}"
SHARED_KEYS, SHARED_RATIO = 10, 0.05
"""A word behind the first is kept when ten keys, and one in twenty of those with the same beginning, have it there."""
FIRST_WORDS = 50
"""A word at the beginning is kept unless there are more of them than this: then each must be shared, too."""
LONGEST_WORD = 24
LONGEST_KEY = 512
DEEPEST = 12
_SEPARATORS = re.compile(rb"([:/|.#@_-])")
_WORD = re.compile(rb"[A-Za-z]+(?:v?\d{1,2})?|v\d{1,2}")

KEYLESS_WORDS = """
KEYS SCAN FLUSHALL FLUSHDB INFO CONFIG PING ECHO AUTH HELLO CLIENT SELECT COMMAND SLOWLOG COMMANDLOG LATENCY CLUSTER ACL
DBSIZE PUBLISH SUBSCRIBE PSUBSCRIBE SSUBSCRIBE SPUBLISH UNSUBSCRIBE PUNSUBSCRIBE MONITOR SCRIPT FUNCTION MULTI EXEC
DISCARD UNWATCH WAIT TIME RANDOMKEY SWAPDB SAVE BGSAVE BGREWRITEAOF LASTSAVE SHUTDOWN REPLICAOF SLAVEOF DEBUG ROLE
MODULE PSYNC REPLCONF QUIT RESET READONLY READWRITE ASKING XREAD XREADGROUP
"""
ALL_KEYS_WORDS = "MGET DEL UNLINK EXISTS TOUCH WATCH SUNION SINTER SDIFF PFCOUNT PFMERGE"
READ_WORDS = """
GET MGET GETEX GETRANGE STRLEN HGET HMGET HGETALL HEXISTS HLEN HKEYS HVALS SMEMBERS SISMEMBER SMISMEMBER SCARD ZSCORE
ZMSCORE ZRANK ZREVRANK ZCARD ZRANGE ZREVRANGE ZRANGEBYSCORE LRANGE LLEN LINDEX EXISTS JSON.GET
"""
STORE_WORDS = """
SET SETEX PSETEX SETNX GETSET MSET MSETNX APPEND HSET HMSET HSETNX SADD ZADD LPUSH RPUSH JSON.SET RESTORE
"""
KEYLESS = frozenset(KEYLESS_WORDS.split())
ALL_KEYS = frozenset(ALL_KEYS_WORDS.split())
READS = frozenset(READ_WORDS.split())
"""Commands whose answer says whether the key was there: hits and misses."""
STORES = frozenset(STORE_WORDS.split())
DROPS = frozenset({"DEL", "UNLINK", "GETDEL", "EXPIRE", "PEXPIRE"})
EVERY_SECOND = frozenset({"MSET", "MSETNX"})
NUMBERED = frozenset({"EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO"})
BEHIND = frozenset({"OBJECT", "MEMORY", "XGROUP", "XINFO", "BITOP"})


def keys_of(command: str, arguments: Sequence[bytes]) -> list[bytes]:
    """The keys one command names; of a command whose keys stand elsewhere than is usual maybe fewer."""
    if command in KEYLESS:
        return []
    if command in ALL_KEYS:
        return list(arguments)
    if command in EVERY_SECOND:
        return list(arguments[::2])
    if command in NUMBERED:
        count = int(arguments[1]) if len(arguments) > 1 and arguments[1].isdigit() else 0
        return list(arguments[2 : 2 + count])
    return list(arguments[1:2] if command in BEHIND else arguments[:1])


class Templates:
    """Templates of a set of keys, by what they share. Nothing of a key but its shared words can be read back."""

    def __init__(self, keys: Iterable[bytes]) -> None:
        self._parts = {key: _parts(key) for key in keys}
        self._made: dict[bytes, str] = {}
        self._make(list(self._parts), "", 0)

    def of(self, key: bytes) -> str:
        """The template of one of the keys."""
        return self._made[key]

    def _make(self, keys: list[bytes], beginning: str, at: int) -> None:
        """Write the part at `at` of keys whose earlier parts have become the same."""
        words = Counter(part for key in keys if (part := self._word(key, at)) is not None)
        kept = _kept(words, len(keys), first=at == 0)
        groups: dict[str, list[bytes]] = {}
        for key in keys:
            parts = self._parts[key]
            if at >= len(parts):
                self._made[key] = _short(beginning)
                continue
            word = self._word(key, at)
            text = parts[at].decode() if at % 2 else word.decode() if word in kept and word is not None else VALUE
            groups.setdefault(beginning + (text if parts[at] else ""), []).append(key)
        for begun, members in groups.items():
            self._make(members, begun, at + 1)

    def _word(self, key: bytes, at: int) -> bytes | None:
        parts = self._parts[key]
        part = parts[at] if at < len(parts) and at % 2 == 0 else b""
        return part if len(part) <= LONGEST_WORD and _WORD.fullmatch(part) else None


def _parts(key: bytes) -> list[bytes]:
    """Parts and the separators between them, in turn; a very long or deep key's rest is one value."""
    if len(key) > LONGEST_KEY:
        return [b"\xff"]
    parts = _SEPARATORS.split(key)
    return parts if len(parts) <= 2 * DEEPEST else [*parts[: 2 * DEEPEST], b"\xff"]


def _kept(words: Mapping[bytes, int], keys: int, *, first: bool) -> frozenset[bytes]:
    if first and len(words) <= FIRST_WORDS:
        return frozenset(words)
    return frozenset(each for each, count in words.items() if count >= max(SHARED_KEYS, SHARED_RATIO * keys))


def _short(template: str) -> str:
    """`{}-{}-{}` (a UUID's parts) as one value."""
    return re.sub(r"\{\}(?:[-_.@]\{\})+", VALUE, template)
