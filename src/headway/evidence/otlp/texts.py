"""
Texts of spans without what is secret or differs from request to request: statements, commands, paths, names, places.

Each is done once for each different text, not for each span.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from headway.evidence import redact

HIDDEN = "?"
LONGEST_STATEMENT = 20_000
LONGEST_NAME = 200
MOST_CACHED = 20_000

KEY_STORES = frozenset({"redis", "valkey", "keydb", "dragonfly"})
_CACHES = frozenset({*KEY_STORES, "memcached"})
_QUOTES_ARE_NAMES = frozenset(
    {"postgresql", "cockroachdb", "redshift", "yugabytedb", "timescaledb", "oracle", "oracle.db", "sqlite", "db2",
     "ibm.db2", "h2database", "hsqldb", "trino", "snowflake"}
)  # fmt: skip
"""Where "a text in double quotes" is a name. Elsewhere it may be a value, and is hidden."""
_BACKSLASH_ESCAPES = frozenset(
    {"mysql", "mariadb", "clickhouse", "hive", "spanner", "gcp.spanner", "bigquery", "spark"}
)
"""Where a quote after a backslash doesn't end a text. Elsewhere nobody knows: then all from the first quote on goes."""

_COMMENT = r"/\*(?:[^*]|\*(?!/))*(?:\*/|$)|--[^\n]*"
_STRING = r"[eE]'(?:[^'\\]|\\[\s\S]|'')*(?:'|\\?$)|(?:[bBxXnN]|[uU]&)?'(?:[^']|'')*(?:'|$)"
_ORACLE = (  # what is open to its end hides all of it, and is looked through once
    r"[nN]?[qQ]'(?:\[[\s\S]*?(?:\]'|$)|\{[\s\S]*?(?:\}'|$)|\([\s\S]*?(?:\)'|$)|<[\s\S]*?(?:>'|$)"
    r"|(?P<q>[^\s\[{(<])[\s\S]*?(?:(?P=q)'|$))"
)
_ESCAPED = r"'(?:[^'\\]|\\[\s\S]|'')*(?:'|\\?$)|\"(?:[^\"\\]|\\[\s\S]|\"\")*(?:\"|\\?$)"
_DOLLARS = r"\$(?P<tag>(?:[A-Za-z_]\w*)?)\$[\s\S]*?(?:\$(?P=tag)\$|$)"
_NAMED = r'"(?:[^"]|"")*(?:"|$)'
_NUMERIC = r"(?<![\w$.:%])[+-]?(?:0[xX][0-9a-fA-F_]+|\d[\d_]*(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)(?!\w)"
_MARK = r"%\(\w+\)s|%s|\$\d+|(?<![?|&@#])\?(?![?|&])|(?<![\w:]):[A-Za-z_]\w*|(?<![\w@])@[A-Za-z_]\w*|:\d+\b"
_REST = f"(?P<name>{_NAMED}|`[^`]*(?:`|$))|(?P<cast>::)|(?P<mark>{_MARK})|(?P<number>{_NUMERIC})"
_SQL = re.compile(f"(?P<comment>{_COMMENT})|(?P<text>{_ORACLE}|{_STRING}|{_DOLLARS})|{_REST}")
_SQL_ESCAPED = re.compile(f"(?P<comment>{_COMMENT})|(?P<text>{_ESCAPED})|{_REST}")
_QUOTE = re.compile("['\"]")
_SPACE = re.compile(r"\s+")
_ID = re.compile(r"(?<![\w.])(?:[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|[0-9a-fA-F]{16,}|\d+|(?=[\w-]*\d)[\w-]{20,})(?![\w])")
_MAIL = re.compile(r"[^\s/@=:]+@[^\s/@]+")
_PART_OF_KEY = re.compile(r"[^:/.|{}\s-]+")
_COMMANDS = """
    APPEND AUTH BITCOUNT BITFIELD BITOP BITPOS BLMOVE BLMPOP BLPOP BRPOP BRPOPLPUSH BZMPOP BZPOPMAX BZPOPMIN
    CLIENT CLUSTER COMMAND CONFIG COPY DBSIZE DECR DECRBY DEL DELETE DISCARD DUMP ECHO EVAL EVAL_RO EVALSHA
    EVALSHA_RO EXEC EXISTS EXPIRE EXPIREAT EXPIRETIME FCALL FCALL_RO FLUSHALL FLUSHDB FLUSH_ALL FUNCTION GEOADD
    GEODIST GEOHASH GEOPOS GEORADIUS GEOSEARCH GEOSEARCHSTORE GET GETBIT GETDEL GETEX GETRANGE GETS GETSET HDEL
    HELLO HEXISTS HEXPIRE HGET HGETALL HINCRBY HINCRBYFLOAT HKEYS HLEN HMGET HMSET HPERSIST HPEXPIRE HRANDFIELD
    HSCAN HSET HSETNX HSTRLEN HTTL HVALS INCR INCRBY INCRBYFLOAT INFO KEYS LASTSAVE LATENCY LCS LINDEX LINSERT
    LLEN LMOVE LMPOP LPOP LPOS LPUSH LPUSHX LRANGE LREM LSET LTRIM MEMORY MGET MIGRATE MODULE MONITOR MOVE MSET
    MSETNX MULTI OBJECT PERSIST PEXPIRE PEXPIREAT PEXPIRETIME PFADD PFCOUNT PFMERGE PING PREPEND PSETEX
    PSUBSCRIBE PTTL PUBLISH PUBSUB PUNSUBSCRIBE QUIT RANDOMKEY READONLY READWRITE RENAME RENAMENX REPLACE
    RESTORE ROLE RPOP RPOPLPUSH RPUSH RPUSHX SADD SCAN SCARD SCRIPT SDIFF SDIFFSTORE SELECT SET SETBIT SETEX
    SETNX SETRANGE SINTER SINTERCARD SINTERSTORE SISMEMBER SLOWLOG SMEMBERS SMISMEMBER SMOVE SORT SORT_RO SPOP
    SPUBLISH SRANDMEMBER SREM SSCAN SSUBSCRIBE STRLEN SUBSCRIBE SUBSTR SUNION SUNIONSTORE SUNSUBSCRIBE SWAPDB
    TIME TOUCH TTL TYPE UNLINK UNSUBSCRIBE UNWATCH WAIT WAITAOF WATCH XACK XADD XAUTOCLAIM XCLAIM XDEL XGROUP
    XINFO XLEN XPENDING XRANGE XREAD XREADGROUP XREVRANGE XTRIM ZADD ZCARD ZCOUNT ZDIFF ZDIFFSTORE ZINCRBY
    ZINTER ZINTERCARD ZINTERSTORE ZLEXCOUNT ZMPOP ZMSCORE ZPOPMAX ZPOPMIN ZRANDMEMBER ZRANGE ZRANGEBYLEX
    ZRANGEBYSCORE ZRANGESTORE ZRANK ZREM ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE ZREVRANGE
    ZREVRANGEBYLEX ZREVRANGEBYSCORE ZREVRANK ZSCAN ZSCORE ZUNION ZUNIONSTORE
"""
"""What a line of a pipeline may begin with: anything else is the rest of a value that has a line's end in it."""
_KNOWN = frozenset(_COMMANDS.split())
_WORD = re.compile(r"[A-Za-z][A-Za-z_]{0,23}")


@dataclass(frozen=True, kw_only=True)
class Told:
    """
    A statement as it is kept. `open`: it has placeholders, whose values the text doesn't say.

    `constants`: values that stood in the text and are hidden now.
    """

    text: str
    open: bool
    constants: bool


@lru_cache(maxsize=MOST_CACHED)
def statement(text: str, system: str, *, show: bool = False) -> Told:
    """
    A statement of a database or a command of a cache, without values.

    Args:
        text: as the SDK gave it; it may be cut off, of any language, or hostile.
        system: "postgresql", "redis", ... in lower case.
        show: leave the values where they are.
    """
    cut = text[:LONGEST_STATEMENT]
    if system in _CACHES:
        return _command(cut, system, show=show)
    found = {"text": False, "mark": False}

    def put(match: re.Match[str]) -> str:
        kind = match.lastgroup if match.lastgroup not in ("tag", "q") else "text"
        if kind == "comment":
            return " "  # sqlcommenter puts a trace's id there, another for each call
        if kind == "name" and (system in _QUOTES_ARE_NAMES or match.group().startswith("`")):
            return match.group()
        if kind in ("cast", "mark"):
            found["mark"] |= kind == "mark"
            return match.group()
        found["text"] = True
        return match.group() if show else HIDDEN

    pattern = _SQL_ESCAPED if system in _BACKSLASH_ESCAPES else _SQL
    if "\\" in cut and pattern is _SQL and system not in _QUOTES_ARE_NAMES and (quote := _QUOTE.search(cut)):
        cut = cut[: quote.start()] + "''"
    plain = _SPACE.sub(" ", pattern.sub(put, cut)).strip()
    return Told(text=plain, open=found["mark"], constants=found["text"])


def _command(text: str, system: str, *, show: bool) -> Told:
    """ "GET user:17 x" -> "GET user:?": the command, and its key's fixed parts; of a pipeline each line."""
    lines, hidden, constants = [], False, False
    for line in text.splitlines() or [""]:
        words = line.split()
        if not words:
            continue
        rest = words[1:]
        hidden |= HIDDEN in rest
        constants |= bool(rest)
        if show:
            lines.append(line.strip())
        elif system in KEY_STORES and rest and _command_word(words[0]) != HIDDEN:
            lines.append(f"{_command_word(words[0])} {key_template(rest[0])}")
        else:
            lines.append(_command_word(words[0]))
    return Told(text="\n".join(lines), open=hidden, constants=constants)


def _command_word(word: str) -> str:
    """A command's name, that of a module ("JSON.GET") as well."""
    name = word.upper()
    return name if name in _KNOWN or re.fullmatch(r"[A-Z]{2,8}\.[A-Z]{2,20}", name) else HIDDEN


def key_template(key: str) -> str:
    """ "user:17:posts" -> "user:?:posts": words stay, what has digits, marks or many letters is a value."""
    return _PART_OF_KEY.sub(lambda part: part.group() if _WORD.fullmatch(part.group()) else HIDDEN, key)[:LONGEST_NAME]


@lru_cache(maxsize=MOST_CACHED)
def name(text: str, *, show: bool = False) -> str:
    """A span's name without ids, addresses, and what follows a question mark: without routes SDKs put paths there."""
    cut = text[:LONGEST_NAME]
    if show:
        return cut
    plain = _MAIL.sub(HIDDEN, redact.command(cut.partition("?")[0]))
    return _ID.sub(HIDDEN, plain)[:LONGEST_NAME]


@lru_cache(maxsize=MOST_CACHED)
def route(method: str, pattern: str, path: str, *, show: bool = False) -> str | None:
    """
    "GET /users/{id}" from a request's method and its route's pattern; without one from its path, ids as `{}`.

    None when neither is known.
    """
    verb = _WORD.match(method)
    if pattern:
        place = pattern if pattern.startswith(("/", "^", "*")) else f"/{pattern}"
    elif path:
        plain = path.partition("?")[0]
        place = plain if show else "/".join(_segment(each) for each in plain.split("/"))
    else:
        return None
    return f"{verb.group().upper() if verb else '?'} {place}"[:LONGEST_NAME]


def _segment(text: str) -> str:
    return "{}" if _ID.fullmatch(text) or _MAIL.search(text) or "%" in text or len(text) > 60 else text


@lru_cache(maxsize=MOST_CACHED)
def path_and_query(url: str, path: str, query: str) -> str:
    """What a request asked for: of a whole URL, or of its parts."""
    if url and not path:
        try:
            parts = urlsplit(url)
        except ValueError:
            return url
        path, query = parts.path, parts.query or query
    return f"{path}?{query}" if query and "?" not in path else path


@lru_cache(maxsize=MOST_CACHED)
def code(file: str, line: int | None, function: str, namespace: str) -> str | None:
    """A place like shop/routes/users.py:41 in list_users: the last three parts of a path are found and name no home."""
    known = "/".join(file.replace("\\", "/").split("/")[-3:])[:LONGEST_NAME]
    whose = ".".join(each for each in (namespace if not known else "", function) if each)[:LONGEST_NAME]
    if not known and not whose:
        return None
    place = f"{known}:{line}" if known and line is not None else known
    return f"{place} in {whose}" if place and whose else place or whose
