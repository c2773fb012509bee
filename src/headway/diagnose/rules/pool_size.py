"""
A pool of database connections that is too small for the load, or larger than the database can use.

For a larger one: requests wait for a connection while the database has cores to spare. For a smaller one: sessions that
outnumber the cores wait in the database instead, where each costs memory and contends for the same locks. Against both:
the right size is where throughput bends, which only a sweep shows (`headway prove`); and all processes' pools together
must stay below max_connections.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headway.diagnose import sessions
from headway.diagnose.rules.one_process import ONE_BY_DESIGN
from headway.diagnose.windows import answered, within
from headway.diagnose.words import fingerprint, one_line
from headway.model import Confidence, Finding, Remedy, RemedyKind, Subject
from headway.promises.spoken import duration_text
from headway.thresholds import POOL_QUEUE_MIN_RATIO, POOL_SPARE_MAX_RATIO
from headway.thresholds.rules import (
    CONNECTION_PER_REQUEST_MIN_RATIO,
    LOOKS_MIN,
    ONE_CORE_MIN_RATIO,
    POOL_BUSY_PER_CORE,
    POOL_IDLE_MIN,
    POOL_IDLE_RATIO,
    POOL_WAIT_MIN_NS,
    POOL_WAITING_MIN_RATIO,
    SYMPTOM_WEIGHT_RATIO,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.model import Connections, Evidence, PhaseHits, PoolUse

RULE = "pool-size"
COSTS = (Subject.LATENCY, Subject.THROUGHPUT, Subject.ERROR_RATE, Subject.AVAILABILITY)
MOST_USERS = 64
IDLE_WEIGHT = 0.02
"""Idle connections cost memory and a little of every snapshot, no request's time that could be measured here."""


def find(evidence: Evidence) -> Iterator[Finding]:
    """One finding a pool and phase."""
    for hits in evidence.phases:
        for pool in evidence.pools:
            if pool.phase == hits.phase.name:
                yield from _queued_at_pgbouncer(evidence, hits, pool)
        # Without a pool there is none to size: connection-per-request says so.
        if sessions.opened_per_request(evidence, hits) >= CONNECTION_PER_REQUEST_MIN_RATIO:
            continue
        yield from _crowded(evidence, hits)
        for client in evidence.connections:
            if client.phase == hits.phase.name and client.looks >= LOOKS_MIN:
                yield from _all_lent_out(evidence, hits, client)
                yield from _mostly_idle(hits, client)


def _queued_at_pgbouncer(evidence: Evidence, hits: PhaseHits, pool: PoolUse) -> Iterator[Finding]:
    waits = pool.waiting_looks / pool.looks
    if not pool.transactions or pool.waited_ns is None or waits < POOL_WAITING_MIN_RATIO:
        return
    each_ns = pool.waited_ns / pool.transactions
    if each_ns < POOL_WAIT_MIN_NS:
        return
    size = pool.size or pool.servers_most
    name = f"{one_line(pool.database, 40)}/{one_line(pool.user, 40)}"
    requests, service_ns = answered(hits), sessions.mean_service_ns(hits)
    cost_ns = pool.waited_ns / requests if requests else None
    yield Finding(
        rule=RULE,
        phase=hits.phase.name,
        line=(
            f"{duration_text(each_ns)} of each transaction went by waiting for one of PgBouncer's {size} connections to"
            f" {name}: {pool.clients_waiting_mean:.1f} clients waited on average, {pool.clients_waiting_most} at most"
        ),
        explains=COSTS,
        share_ratio=waits,
        share_of="looks, with a client waiting",
        weight_ratio=min(1.0, cost_ns / service_ns) if cost_ns is not None and service_ns else SYMPTOM_WEIGHT_RATIO,
        fingerprint=fingerprint(RULE, "pgbouncer", pool.database, pool.user),
        confidence=Confidence.CERTAIN,
        cost_ns=cost_ns,
        reasons_for=(
            f"PgBouncer itself counted it; the longest wait seen was {duration_text(pool.longest_wait_ns)}",
            f"{pool.servers_active_mean:.1f} of its connections were at work on average ({pool.mode} pooling)",
        ),
        reasons_against=_room(evidence, hits),
        remedies=(
            _remedy(
                f"a larger pool_size than {size} for {one_line(pool.database, 40)}", size=size,
                users=pool.clients_active_mean + pool.clients_waiting_most,
                act="pool_size of that database in pgbouncer.ini, then RELOAD; the sweep says which",
            ),
        ),
    )  # fmt: skip


def _all_lent_out(evidence: Evidence, hits: PhaseHits, client: Connections) -> Iterator[Finding]:
    """Every connection in use at every look, and far more requests in the service than connections."""
    within_service = sessions.in_service(hits)
    rows = sessions.active(evidence, hits.phase.name)
    if (
        evidence.pools
        or client.spare_looks > POOL_SPARE_MAX_RATIO * client.looks
        or client.open_mean < 0.5
        or within_service < POOL_QUEUE_MIN_RATIO * client.open_most
        or sessions.running(rows) >= evidence.machine.cores
        or sessions.locked(rows) >= client.busy_mean / 2
        or _at_its_core(evidence, hits)
    ):
        return
    queued = 1 - client.open_most / within_service
    service_ns = sessions.mean_service_ns(hits)
    yield Finding(
        rule=RULE,
        phase=hits.phase.name,
        line=(
            f"{within_service:.0f} requests at once shared {_connections(client.open_most)} of"
            f" {one_line(client.client, 40)}, none of them free at {1 - client.spare_looks / client.looks:.0%} of the"
            f" looks, while {sessions.running(rows):.1f} sessions ran on {evidence.machine.cores} cores"
        ),
        explains=COSTS,
        share_ratio=queued,
        share_of="requests in the service, waiting for a connection",
        weight_ratio=queued * SYMPTOM_WEIGHT_RATIO,
        fingerprint=fingerprint(RULE, "small", client.client),
        confidence=Confidence.LIKELY,
        cost_ns=None if service_ns is None else service_ns * queued,
        reasons_for=(
            f"{client.looks:,} looks: {client.busy_mean:.1f} of {client.open_mean:.1f} connections were busy or had"
            " been a moment before",
            "requests at once are rate times service time (Little's law)",
        ),
        reasons_against=(
            "that requests wait for a connection is inferred: the pool itself was not asked; other work in the service"
            " may be what they wait for",
            *_room(evidence, hits),
        ),
        remedies=(
            _remedy(
                f"a larger pool than {client.open_most}", size=client.open_most, users=within_service,
                act="raise the pool's size (psycopg_pool max_size, SQLAlchemy pool_size, HikariCP maximumPoolSize)",
            ),
        ),
    )  # fmt: skip


def _crowded(evidence: Evidence, hits: PhaseHits) -> Iterator[Finding]:
    """More sessions at work than the cores can run."""
    rows = sessions.active(evidence, hits.phase.name)
    at_once, cores = sessions.running(rows), evidence.machine.cores
    clients = [each for each in evidence.connections if each.phase == hits.phase.name and each.looks >= LOOKS_MIN]
    if at_once < POOL_BUSY_PER_CORE * cores + 1 or not clients:
        return
    contending = sum(each.sessions for each in rows if each.event_type in sessions.CONTENDING)
    client = max(clients, key=lambda each: each.busy_mean)
    waiting = 1 - cores / at_once
    proposed = round(POOL_BUSY_PER_CORE * cores) + 1
    yield Finding(
        rule=RULE,
        phase=hits.phase.name,
        line=(
            f"{at_once:.1f} sessions wanted a core at once, and there are {cores}: {one_line(client.client, 40)} keeps"
            f" up to {client.open_most} connections open"
        ),
        explains=COSTS,
        share_ratio=waiting,
        share_of="database time",
        weight_ratio=waiting * SYMPTOM_WEIGHT_RATIO,
        fingerprint=fingerprint(RULE, "large", client.client),
        confidence=Confidence.LIKELY if contending >= 0.1 * at_once else Confidence.POSSIBLE,
        reasons_for=(
            f"{contending:.1f} of them waited for one another's short locks (LWLock) on average",
            f"a pool of {proposed} (twice the cores and one) lets the others wait where it costs nothing",
        ),
        reasons_against=(
            "what makes so many run at once may be a slow statement: findings about statements come first",
            f"cores are those of the machine that made the load ({cores}); the database's own may be others",
        ),
        remedies=(
            _remedy(
                f"a pool of about {proposed} instead of {client.open_most}", size=client.open_most,
                users=client.busy_most, proposed=proposed,
                act="lower the pool's size, over all processes together; the sweep says where throughput bends",
            ),
        ),
    )  # fmt: skip


def _mostly_idle(hits: PhaseHits, client: Connections) -> Iterator[Finding]:
    if client.open_most < POOL_IDLE_MIN or client.busy_most > POOL_IDLE_RATIO * client.open_most:
        return
    enough = max(2, 2 * client.busy_most)
    yield Finding(
        rule=RULE,
        phase=hits.phase.name,
        line=(
            f"{one_line(client.client, 40)} keeps {client.open_most} connections open, and at most {client.busy_most}"
            f" of them were busy at once in {client.looks:,} looks"
        ),
        explains=(),
        share_ratio=1 - client.busy_most / client.open_most,
        share_of="connections, never busy",
        weight_ratio=IDLE_WEIGHT,
        fingerprint=fingerprint(RULE, "idle", client.client),
        confidence=Confidence.CERTAIN,
        reasons_for=("each is a process with memory of its own, and counts against max_connections",),
        reasons_against=(
            "this load may be less than the real one: a pool is sized for its peak",
            "it costs no request time that could be measured here",
        ),
        remedies=(
            Remedy(
                kind=RemedyKind.CODE,
                title=f"a pool of about {enough}",
                act=f"lower the pool's size to {enough}, twice what was ever busy, or let idle connections be closed",
            ),
        ),
    )


def _connections(number: int) -> str:
    return f"{number} database connection{'s' * (number != 1)}"


def _remedy(title: str, *, size: int, users: float, act: str, proposed: int | None = None) -> Remedy:
    parameters = {"size": size, "users": max(2, min(MOST_USERS, round(users)))}
    return Remedy(
        kind=RemedyKind.POOL, title=title, act=act,
        parameters=parameters if proposed is None else {**parameters, "proposed": proposed},
    )  # fmt: skip


def _room(evidence: Evidence, hits: PhaseHits) -> tuple[str, ...]:
    running, cores = sessions.running(sessions.active(evidence, hits.phase.name)), evidence.machine.cores
    if running >= cores:
        return (f"{running:.1f} sessions wanted one of {cores} cores already: a larger pool moves the queue into them",)
    return ("every process has a pool of its own, and all together must stay below max_connections",)


def _at_its_core(evidence: Evidence, hits: PhaseHits) -> bool:
    """Whether a watched service had come to the end of one core: then that is what its requests wait for."""
    for name in {each.name for each in evidence.processes}:
        if any(sign in name.lower() for sign in ONE_BY_DESIGN):
            continue
        used = [each.cpu_cores for each in evidence.processes if each.name == name and within(hits, each.at_s)]
        if used and sum(used) / len(used) >= ONE_CORE_MIN_RATIO:
            return True
    return False
