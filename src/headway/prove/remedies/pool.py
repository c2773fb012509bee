"""
The size of a connection pool: the run's own reads, sent by as many users as the run had connections, through pools of
several sizes in turns. The knee is the smallest size that reaches `KNEE_RATIO` of the highest throughput.

Where this machine has a PgBouncer it stands in front in turns of its own: each user has a connection to it.

The users wait for each answer (closed loop), so nothing piles up that a smaller pool would be blamed for. The client is
one Python process: where it is at its own limit the sweep says nothing about the pool, and that is the verdict.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg

from headway.conventions import SQL_TAG
from headway.evidence.collector import in_words
from headway.model import Price, ProofState
from headway.promises.spoken import duration_text
from headway.prove import pooler, trial
from headway.prove.measure import Paired, paired
from headway.prove.outcome import NO_PLACE, proof, unproven
from headway.prove.session import TrialSession
from headway.prove.values import NoValues, is_write, parsed
from headway.thresholds import GENERATOR_CPU_MAX_RATIO, KNEE_RATIO, PROVE_MATTERS_RATIO, PROVE_MIN_ROUNDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from headway.model import Effect, Evidence, Finding, Proof, Remedy, Statement
    from headway.prove.grounds import Grounds
    from headway.prove.trial import Case

    Connection = psycopg.AsyncConnection[tuple[object, ...]]
    Borrow = Callable[[], AbstractAsyncContextManager[Connection]]

SIZES = (1, 2, 4, 8, 16, 32, 64)
FRONTED = frozenset({2, 8, 32})
"""Sizes of PgBouncer's pool that are tried, with the current one: its knee is near the other's."""
MOST_USERS = 64
MOST_READS = 6
LEAST_TURN_S = 0.3
EACH = 0
"""The "size" of no pool: a connection is opened for each statement."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """How users reach the database: with so many connections, PgBouncer's own ones where it stands in front."""

    size: int
    url: str
    fronted: bool = False


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One stretch at one size."""

    per_s: float
    p95_ns: float
    client_ratio: float  # of one core


def prove(finding: Finding, remedy: Remedy, grounds: Grounds) -> Proof:
    """Sweep the sizes; the database is only read."""
    if grounds.staging_url is None:
        return unproven(finding, remedy, grounds, NO_PLACE)
    try:
        with TrialSession(grounds.staging_url, statement_s=grounds.budget_s) as session:
            chosen, notes = trial.cases(session, _reads(grounds.evidence), seed=grounds.seed)
            free = int(session.ask("free_connections")[0]["free"])
        if not chosen:
            return unproven(finding, remedy, grounds, "; ".join(notes) or "the run has no read that could be sent")
        users = max(2, min(_users(remedy, grounds.evidence), MOST_USERS, free))
        current = int(remedy.parameters.get("size") or EACH)
        sizes = _sizes(current, users, remedy)
        fronted = [size for size in sizes if size in FRONTED | {current} - {EACH}]
        with pooler.before(grounds.staging_url, fronted) as front:
            ways = [Way(size=size, url=grounds.staging_url) for size in sizes]
            ways += [Way(size=size, url=url, fronted=True) for size, url in front.urls.items()]
            swept = _sweep(grounds, chosen, ways=ways, users=users)
    except psycopg.Error as exc:
        return unproven(finding, remedy, grounds, f"the copy refused: {in_words(exc)}")
    said = (*notes, _behind(front.said, swept))
    direct = {way.size: turns for way, turns in swept.items() if not way.fronted}
    return _judged(finding, remedy, grounds, direct, current=current, users=users, notes=said)


def knee(per_s: Mapping[int, float]) -> int:
    """
    The smallest size with at least `KNEE_RATIO` of the highest throughput; no pool at all is never one.

    Args:
        per_s: size -> statements a second.

    Raises:
        ValueError: there is no size.
    """
    pooled = {size: rate for size, rate in per_s.items() if size != EACH}
    return min(size for size, rate in pooled.items() if rate >= KNEE_RATIO * max(pooled.values()))


def _judged(
    finding: Finding, remedy: Remedy, grounds: Grounds, swept: Mapping[int, Sequence[Turn]], *,
    current: int, users: int, notes: tuple[str, ...],
) -> Proof:  # fmt: skip
    rates = {size: float(np.mean([each.per_s for each in turns])) for size, turns in swept.items()}
    best = knee(rates)
    slowness = _pair(swept[current], swept[best], lambda turn: 1e9 / max(turn.per_s, 1e-9))
    waits = _pair(swept[current], swept[best], lambda turn: turn.p95_ns)
    table = ", ".join(f"{_name(size)}: {rates[size]:,.0f}/s" for size in sorted(rates))
    effects: tuple[Effect, ...] = (
        waits.effect("P95 of a statement, waiting for a connection included", "ns", decides=True, seed=grounds.seed),
        slowness.effect(f"time between answers, {users} users together", "ns", seed=grounds.seed),
    )
    prices = (
        Price(what="connections held open", unit="connections", before=float(current or users), after=float(best)),
    )
    busiest = max(each.client_ratio for turns in swept.values() for each in turns)
    said = (*notes, f"the sweep, {users} users: {table}", "the client was psycopg_pool in one process")
    low, share, high = max(slowness.saving(grounds.seed), waits.saving(grounds.seed))
    times = " → ".join(duration_text(each) for each in (effects[0].before, effects[0].after))
    change = f"{_name(current)} → {_name(best)}: P95 {times}"
    if best == current:
        state, reason = ProofState.NOT_WORTH_IT, f"{_name(current)} is the knee already"
    elif low >= PROVE_MATTERS_RATIO:
        state, reason = ProofState.WORTH_IT, f"{change}; saves {share:.0%} ({low:.0%} to {high:.0%})"
    elif busiest >= GENERATOR_CPU_MAX_RATIO:
        state, reason = ProofState.UNPROVEN, "the client was at its own limit: the sweep shows it, not the pool"
    elif high < PROVE_MATTERS_RATIO:
        state, reason = ProofState.NOT_WORTH_IT, f"{change}; saves {high:.0%} at most"
    else:
        state, reason = ProofState.UNPROVEN, f"{change}; between {low:.0%} and {high:.0%}: too wide to tell"
    return proof(finding, remedy, grounds, state, reason, effects=effects, prices=prices, notes=said)


def _behind(said: str, swept: Mapping[Way, Sequence[Turn]]) -> str:
    """What PgBouncer made of it, beside a pool in the service of the same size."""
    shown = []
    for way, turns in swept.items():
        if way.fronted:
            per_s = float(np.mean([each.per_s for each in turns]))
            own = float(np.mean([each.per_s for each in swept[Way(size=way.size, url=_direct(swept))]]))
            p95_ns = float(np.mean([each.p95_ns for each in turns]))
            shown.append(f"{_name(way.size)}: {per_s:,.0f}/s, P95 {duration_text(p95_ns)}, x{per_s / own:.2f}")
    return f"{said}: {'; '.join(shown)} of the service's own pool of that size" if shown else said


def _direct(swept: Mapping[Way, Sequence[Turn]]) -> str:
    return next(way.url for way in swept if not way.fronted)


def _pair(before: Sequence[Turn], after: Sequence[Turn], of: Callable[[Turn], float]) -> Paired:
    return paired([[of(each)] for each in before], [[of(each)] for each in after])


def _reads(evidence: Evidence) -> list[Statement]:
    """The run's reads, those called most first."""
    found: dict[str, Statement] = {}
    for each in sorted(evidence.statements, key=lambda s: -s.calls):
        if each.id in found or each.is_utility or each.nested:
            continue
        try:
            if not is_write(parsed(each.text)):
                found[each.id] = each
        except NoValues:
            continue
    return list(found.values())[:MOST_READS]


def _users(remedy: Remedy, evidence: Evidence) -> int:
    seen = max((each.connections for each in evidence.databases), default=0)
    return int(remedy.parameters.get("users") or seen or 16)


def _sizes(current: int, users: int, remedy: Remedy) -> tuple[int, ...]:
    wanted = remedy.parameters.get("proposed")
    more = {int(wanted)} if wanted else set()
    return tuple(sorted({size for size in SIZES if size <= users} | {current} | more))


def _sweep(grounds: Grounds, chosen: Sequence[Case], *, ways: Sequence[Way], users: int) -> dict[Way, list[Turn]]:
    """Every way once a round, in an order drawn by chance; `PROVE_MIN_ROUNDS` rounds."""
    chance = random.Random(grounds.seed)  # noqa: S311 - an order, not a secret
    lasts_s = max(LEAST_TURN_S, min(3.0, grounds.budget_s / len(ways) / PROVE_MIN_ROUNDS))
    found: dict[Way, list[Turn]] = {way: [] for way in ways}
    for number in range(PROVE_MIN_ROUNDS):
        order = list(ways)
        chance.shuffle(order)
        for way in order:
            found[way].append(asyncio.run(_turn(way, chosen, users, lasts_s, seed=number)))
    return found


async def _turn(way: Way, chosen: Sequence[Case], users: int, lasts_s: float, *, seed: int) -> Turn:
    from psycopg_pool import AsyncConnectionPool

    keywords: dict[str, Any] = {"autocommit": True, "application_name": "headway", "prepare_threshold": None}
    if way.size == EACH:
        return await _measured(partial(_opened, way.url, keywords), chosen, users, lasts_s, seed)
    size = users if way.fronted else way.size
    async with AsyncConnectionPool(
        way.url, min_size=size, max_size=size, open=False, timeout=30, kwargs=keywords
    ) as pool:
        await pool.wait()
        return await _measured(pool.connection, chosen, users, lasts_s, seed)


@asynccontextmanager
async def _opened(url: str, keywords: dict[str, Any]) -> AsyncIterator[Connection]:
    connection = await psycopg.AsyncConnection.connect(url, **keywords)
    try:
        yield connection
    finally:
        await connection.close()


async def _measured(borrow: Borrow, chosen: Sequence[Case], users: int, lasts_s: float, seed: int) -> Turn:
    """All users until time is up; what was begun in time counts to its end."""
    took: list[int] = []
    began, worked = time.perf_counter(), time.process_time()
    until = began + lasts_s
    await asyncio.gather(*(_user(borrow, chosen, until, took, seed * MOST_USERS + each) for each in range(users)))
    lasted = time.perf_counter() - began
    return Turn(
        per_s=len(took) / lasted,
        p95_ns=float(np.quantile(took, 0.95)) if took else lasted * 1e9,
        client_ratio=(time.process_time() - worked) / lasted,
    )


async def _user(borrow: Borrow, chosen: Sequence[Case], until: float, took: list[int], seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a mix, not a secret
    weights = [each.statement.calls for each in chosen]
    while time.perf_counter() < until:
        (case,) = chance.choices(chosen, weights)
        began = time.perf_counter_ns()
        async with borrow() as connection, psycopg.AsyncRawCursor(connection) as cursor:
            values = chance.choice(case.sets)
            await cursor.execute(f"{SQL_TAG} {case.statement.text}".encode(), values, binary=not values)
            if cursor.description:
                await cursor.fetchall()
        took.append(time.perf_counter_ns() - began)


def _name(size: int) -> str:
    return "a connection per request" if size == EACH else f"a pool of {size}"
