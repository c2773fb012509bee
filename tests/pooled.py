"""A real PgBouncer before the tests' PostgreSQL."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from psycopg import conninfo

from headway.servers import binaries, pgbouncer, ports, process


@dataclass(frozen=True, kw_only=True)
class Pooled:
    """A running PgBouncer: `url` leads through it to the database, `console` to its console."""

    url: str
    console: str


@contextmanager
def pooled(
    database_url: str, folder: Callable[[str], Path], *, size: int, mode: str = "transaction"
) -> Iterator[Pooled]:
    """PgBouncer with a pool of that size before a database; where there is none the test skips."""
    binary = binaries.pgbouncer()
    if binary is None:
        pytest.skip("no pgbouncer here: scripts/pgbouncer gets Debian's, PGBOUNCER names another")
    room, port, password = folder("pgbouncer"), ports.choose(), secrets.token_hex(16)
    behind = {name: str(value) for name, value in conninfo.conninfo_to_dict(database_url).items()}
    account = process.unprivileged()
    identity = pgbouncer.start(
        binary.path, room, port=port, password=password, log=room / "log", account=account, mode=mode,
        databases={"shop": {**behind, "pool_size": str(size)}},
    )  # fmt: skip
    try:
        yield Pooled(url=pgbouncer.url(port, password, "shop"), console=pgbouncer.url(port, password))
    finally:
        pgbouncer.stop(identity)
