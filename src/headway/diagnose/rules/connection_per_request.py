"""
The service opens a database connection for most requests: each costs a process, a handshake and a login.

For: a pool keeps connections open, and more requests find one ready. Against: every process has a pool of its own, and
all together must stay below the server's max_connections.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headway.diagnose.windows import answered
from headway.diagnose.words import fingerprint
from headway.model import Finding, Remedy, RemedyKind, Subject
from headway.thresholds.rules import CONNECTION_PER_REQUEST_MIN_RATIO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.model import Evidence

RULE = "connection-per-request"
MOST_USERS = 64
WEIGHT = 0.1
"""What it costs is not measured here, so it seldom outranks what is."""


def find(evidence: Evidence) -> Iterator[Finding]:
    """One finding a phase."""
    for hits in evidence.phases:
        requests = answered(hits)
        for database in evidence.databases:
            opened = database.sessions / requests if requests and database.phase == hits.phase.name else 0.0
            if opened >= CONNECTION_PER_REQUEST_MIN_RATIO:
                yield Finding(
                    rule=RULE,
                    phase=hits.phase.name,
                    line=(
                        f"{database.sessions:,} database connections were opened for {requests:,} requests, at most"
                        f" {database.connections:,} of {database.max_connections:,} at once: no pool"
                    ),
                    explains=(Subject.LATENCY, Subject.THROUGHPUT, Subject.ERROR_RATE, Subject.AVAILABILITY),
                    share_ratio=min(1.0, opened),
                    share_of="requests",
                    weight_ratio=WEIGHT,
                    fingerprint=fingerprint(RULE),
                    remedies=(_remedy(database.connections),),
                )


def _remedy(most: int) -> Remedy:
    return Remedy(
        kind=RemedyKind.POOL,
        title="a pool of connections",
        act="keep connections open and lend them out: psycopg_pool, SQLAlchemy's pool, HikariCP; or PgBouncer",
        parameters={"size": 0, "users": max(2, min(MOST_USERS, most))},
    )
