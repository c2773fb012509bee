"""What a Redis or Valkey command's text says of it. The first word is the command, the rest its key's template."""

from __future__ import annotations

from headway.diagnose.statement_shape import Key, Kind, Shape

READS = {
    "GET": "MGET",
    "HGET": "HMGET, or a pipeline",
    "HGETALL": "a pipeline",
    "HMGET": "a pipeline",
    "HEXISTS": "a pipeline",
    "HLEN": "a pipeline",
    "SMEMBERS": "a pipeline",
    "SISMEMBER": "SMISMEMBER, or a pipeline",
    "SCARD": "a pipeline",
    "ZSCORE": "ZMSCORE, or a pipeline",
    "ZRANK": "a pipeline",
    "ZCARD": "a pipeline",
    "ZRANGE": "a pipeline",
    "ZREVRANGE": "a pipeline",
    "LRANGE": "a pipeline",
    "LLEN": "a pipeline",
    "LINDEX": "a pipeline",
    "STRLEN": "a pipeline",
    "EXISTS": "EXISTS with several keys, or a pipeline",
    "TTL": "a pipeline",
    "PTTL": "a pipeline",
    "TYPE": "a pipeline",
    "GETEX": "a pipeline",
    "JSON.GET": "JSON.MGET",
}
"""Command that reads one key -> what reads many in one round trip. Source: valkey.io/commands."""

_BATCHES = frozenset({"MGET", "SMISMEMBER", "ZMSCORE", "PIPELINE", "MULTI", "EXEC", "EVAL", "EVALSHA", "FCALL"})
_CONTROL = frozenset({"PING", "AUTH", "HELLO", "CLIENT", "SELECT", "INFO", "CONFIG", "COMMAND", "ECHO", "SUBSCRIBE"})
_WAITS = frozenset({"BLPOP", "BRPOP", "BLMOVE", "BZPOPMIN", "BZPOPMAX", "XREAD", "XREADGROUP", "WAIT"})
SYSTEMS = frozenset({"redis", "valkey"})


def command(text: str) -> str:
    """The command's name: "GET"."""
    words = text.split(maxsplit=1)
    return words[0].upper() if words else ""


def template(text: str) -> str:
    """The key's template, "" when the text has none."""
    words = text.split()
    return words[1] if len(words) > 1 else ""


def shape(text: str) -> Shape:
    """What one command is like; several lines are a pipeline."""
    name = command(text)
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > 1 or name in _BATCHES:
        return Shape(kind=Kind.READ, many_keys=True, parsed=True)
    if name in _CONTROL or name in _WAITS:
        return Shape(kind=Kind.CONTROL, parsed=True)
    if name in READS:
        return Shape(kind=Kind.READ, keys=(Key(column=template(text), table=None, parameter=1),), parsed=True)
    return Shape(kind=Kind.WRITE, parsed=True)
