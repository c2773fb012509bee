"""
Many keys of Redis or Valkey in one round trip, tried: single commands and MGET or a pipeline on the same keys.

Only reads, of keys that are there and look like the template; found by a SCAN that looks at a bounded number of them.
"""

from __future__ import annotations

import random
import re
import time
from typing import TYPE_CHECKING, Any

from headway.diagnose.command_shape import command, template
from headway.errors import BadInput
from headway.evidence.collector import in_words
from headway.model import ProofState
from headway.promises.spoken import duration_text
from headway.prove.measure import Paired, paired
from headway.prove.outcome import proof, unproven
from headway.thresholds import PROVE_MATTERS_RATIO, PROVE_MAX_ROUNDS, PROVE_MIN_ROUNDS

if TYPE_CHECKING:
    import redis

    from headway.model import Finding, Proof, Remedy
    from headway.prove.grounds import Grounds

TIMEOUT_S = 2.0
MOST_SCANS = 40
SCAN_COUNT = 500
"""40 times 500: twenty thousand keys are looked at, in steps that take the server under a millisecond each."""
ONE_KEY = frozenset({"GET", "HGETALL", "SMEMBERS", "STRLEN", "SCARD", "ZCARD", "HLEN", "LLEN", "EXISTS", "TTL", "TYPE"})
"""Commands whose key is all they take: nothing else needs be made up."""
_HOLE = re.compile(r"\?|\*|\{[^}]*\}|<[^>]*>|#+")


class Unprovable(Exception):
    """Why nothing can be said; in words."""


def prove(finding: Finding, remedy: Remedy, grounds: Grounds) -> Proof:
    """Try it; a reason comes back whatever happens. Nothing is written."""
    import redis

    url = grounds.sources.cache_url
    if url is None:
        return unproven(finding, remedy, grounds, "there is no cache to ask: name it with --cache-url")
    try:
        with redis.Redis.from_url(
            url.replace("valkey://", "redis://", 1), socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
        ) as client:
            return _tried(client, finding, remedy, grounds)
    except Unprovable as exc:
        return unproven(finding, remedy, grounds, str(exc))
    except (redis.RedisError, OSError, ValueError, BadInput) as exc:
        return unproven(finding, remedy, grounds, f"the cache refused: {in_words(exc)}")


def _tried(client: redis.Redis, finding: Finding, remedy: Remedy, grounds: Grounds) -> Proof:
    name = command(str(remedy.parameters.get("statement", "")))
    if name not in ONE_KEY:
        raise Unprovable(f"{name} takes more than a key, and the spans don't say what")
    wanted = max(2, int(remedy.parameters.get("calls", 2)))
    keys = found_keys(client, template(str(remedy.parameters["statement"])), name, wanted)
    if len(keys) < 2:
        raise Unprovable(f"fewer than two keys like {template(str(remedy.parameters['statement']))} are there")
    if _apart(client, name, keys) != _together(client, name, keys):
        raise Unprovable("the two ways gave different answers: the keys change meanwhile")
    measured = _in_turns(client, name, keys, budget_s=grounds.budget_s, seed=grounds.seed)
    overlap = float(remedy.parameters.get("overlap", 1.0))
    measured = Paired(without=measured.without / overlap, with_=measured.with_)
    low, share, high = measured.saving(grounds.seed)
    times = f"{duration_text(float(measured.without.mean()))} → {duration_text(float(measured.with_.mean()))}"
    if high < PROVE_MATTERS_RATIO:
        state, reason = ProofState.NOT_WORTH_IT, f"the same answers in {times}: it saves {share:.0%}"
    elif low < PROVE_MATTERS_RATIO:
        state, reason = ProofState.UNPROVEN, f"the same answers in {times}: too wide to tell, {low:.0%} to {high:.0%}"
    else:
        state, reason = ProofState.WORTH_IT, f"the same answers in {times}"
    return proof(
        finding, remedy, grounds, state, reason, where="the run's cache, only read",
        effects=(measured.effect(f"time for {len(keys)} keys", "ns", decides=True, seed=grounds.seed),),
        notes=("keys found by SCAN, not from the requests",),
    )  # fmt: skip


def found_keys(client: redis.Redis, pattern: str, name: str, wanted: int) -> list[bytes]:
    """Keys of the template that the command can read, as many as wanted or as a bounded SCAN finds."""
    glob = "*".join(re.sub(r"([\[\]\\^])", r"\\\1", part) for part in _HOLE.split(pattern)) or "*"
    found: list[bytes] = []
    cursor = 0
    for _ in range(MOST_SCANS):
        cursor, some = client.scan(cursor, match=glob, count=SCAN_COUNT)
        new = [key if isinstance(key, bytes) else key.encode() for key in some]
        found.extend(key for key in dict.fromkeys(new) if key not in found and _readable(client, name, key))
        if cursor == 0 or len(found) >= wanted:
            break
    return found[:wanted]


def _readable(client: redis.Redis, name: str, key: bytes) -> bool:
    kinds = {"GET": b"string", "STRLEN": b"string", "HGETALL": b"hash", "HLEN": b"hash", "SMEMBERS": b"set"}
    kinds |= {"SCARD": b"set", "ZCARD": b"zset", "LLEN": b"list"}
    return name not in kinds or client.type(key) == kinds[name]


def _apart(client: redis.Redis, name: str, keys: list[bytes]) -> list[Any]:
    ask: Any = client.execute_command  # has no types
    return [ask(name, key) for key in keys]


def _together(client: redis.Redis, name: str, keys: list[bytes]) -> list[Any]:
    if name == "GET":
        return list(client.mget(keys))
    with client.pipeline(transaction=False) as pipeline:
        ask: Any = pipeline.execute_command
        for key in keys:
            ask(name, key)
        return list(pipeline.execute())


def _in_turns(client: redis.Redis, name: str, keys: list[bytes], *, budget_s: float, seed: int) -> Paired:
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose, not a secret
    rounds: tuple[list[list[float]], list[list[float]]] = ([], [])
    until = time.monotonic() + budget_s
    while len(rounds[0]) < PROVE_MAX_ROUNDS and time.monotonic() < until:
        sides = [(_apart, rounds[0]), (_together, rounds[1])]
        chance.shuffle(sides)
        for ask, kept in sides:
            began = time.perf_counter_ns()
            ask(client, name, keys)
            kept.append([float(time.perf_counter_ns() - began)])
    if len(rounds[0]) < PROVE_MIN_ROUNDS:
        raise Unprovable(f"only {len(rounds[0])} rounds fit into {budget_s:g} s; give it more time with --budget")
    return paired(*rounds)
