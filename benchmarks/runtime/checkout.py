"""
What routing costs: a read and a write through headway.runtime.database beside psycopg_pool alone.

    .venv/bin/python benchmarks/runtime/checkout.py

One primary and one replica on this machine; the statement is the smallest there is, so that nothing hides the rest. The
peers run in turns, in an order drawn each round: psycopg_pool's `connection()` (autocommit) for a read, with BEGIN and
COMMIT for a write, and the same pool with its check of every connection (`SELECT 1`), which is what it takes there
never to be given one that the server has hung up on.
"""

from __future__ import annotations

import random
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg_pool import ConnectionPool

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from headway.runtime.database import Database
from replicated import Replicated, until

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 41
TIMES = 200


def acts(database: Database, bare: ConnectionPool, checked: ConnectionPool) -> dict[str, Callable[[], None]]:
    """What is done, by name."""

    def read_bare(pool: ConnectionPool) -> None:
        with pool.connection() as connection:
            connection.execute("SELECT 1")

    def write_bare(pool: ConnectionPool) -> None:
        with pool.connection() as connection, connection.transaction():
            connection.execute("UPDATE one SET value = value + 1")

    def read() -> None:
        with database.session(), database.read() as connection:
            connection.execute("SELECT 1")

    def write() -> None:
        with database.session(), database.write() as connection:
            connection.execute("UPDATE one SET value = value + 1")

    return {
        "read, psycopg_pool": lambda: read_bare(bare),
        "read, psycopg_pool that checks": lambda: read_bare(checked),
        "read, headway": read,
        "write, psycopg_pool": lambda: write_bare(bare),
        "write, psycopg_pool that checks": lambda: write_bare(checked),
        "write, headway": write,
    }


def measured(jobs: dict[str, Callable[[], None]]) -> dict[str, list[float]]:
    """Microseconds each, by name and round."""
    names = list(jobs)
    took: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(ROUNDS):
        random.shuffle(names)
        for name in names:
            began = time.perf_counter_ns()
            for _ in range(TIMES):
                jobs[name]()
            took[name].append((time.perf_counter_ns() - began) / TIMES / 1e3)
    return took


def main() -> int:
    """Print the medians and their ratio to the bare pool's."""
    room = Path(tempfile.mkdtemp(prefix="headway-checkout-"))
    room.chmod(0o711)
    (room / "servers").mkdir(mode=0o711)
    servers = Replicated.make(room / "servers")
    try:
        servers.add_replica()
        primary, replica = servers.primary.url, servers.replicas[0].url
        with psycopg.connect(primary, autocommit=True) as connection:
            connection.execute("CREATE TABLE one AS SELECT 1 AS value")
        keep = {"autocommit": True}
        with (
            Database(primary, replicas=[replica]) as database,
            ConnectionPool(primary, min_size=1, kwargs=keep, open=True) as bare,
            ConnectionPool(
                primary, min_size=1, kwargs=keep, open=True, check=ConnectionPool.check_connection
            ) as checked,
        ):
            until(lambda: database.standings()[1].unfit is None)
            jobs = acts(database, bare, checked)
            measured({name: job for name, job in jobs.items() if name.startswith("read")})
            took = measured(jobs)
    finally:
        servers.stop()
        shutil.rmtree(room)
    print(f"{'us each':<34} {'median':>7} {'of the bare pool':>17}")
    for name, found in took.items():
        paired = [one / other for one, other in zip(found, took[f"{name.split(',')[0]}, psycopg_pool"], strict=True)]
        print(f"{name:<34} {statistics.median(found):>7.0f} {statistics.median(paired):>17.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
