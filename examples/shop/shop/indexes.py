"""
Makes or drops the secondary indexes: `python -m shop.indexes --database-url URL on|off`.

CONCURRENTLY, as one does on a database in use. Both ways may be repeated.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from shop import queries

if TYPE_CHECKING:
    from collections.abc import Sequence

    Connection = psycopg.Connection[tuple[object, ...]]

_MADE = queries.read("indexes")
NAMES = tuple(_MADE)


def turn_on(connection: Connection) -> None:
    """
    Make the indexes that are missing, and count the tables anew.

    A concurrent build that was cut off leaves an index of that name that nothing may use: it is dropped first, for IF
    NOT EXISTS would take it for the whole one. `connection` is autocommit.
    """
    for name, statement in _MADE.items():
        query = "SELECT NOT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)"
        if (connection.execute(query, (name,)).fetchone() or (False,))[0]:
            _drop(connection, name)
        connection.execute(statement)
    connection.execute("ANALYZE users, posts, products, orders")


def turn_off(connection: Connection) -> None:
    """Drop the indexes that are there. `connection` is autocommit."""
    for name in NAMES:
        _drop(connection, name)


def _drop(connection: Connection, name: str) -> None:
    connection.execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(sql.Identifier(name)))


def main(words: Sequence[str] | None = None) -> int:
    """The command line. The time it took goes to stderr; 1 with one line when the database refuses."""
    parser = argparse.ArgumentParser(prog="python -m shop.indexes", description="Make or drop the shop's indexes.")
    parser.add_argument("--database-url", required=True, help="postgresql://user@host:5432/name")
    parser.add_argument("state", choices=("on", "off"))
    asked = parser.parse_args(words)
    began = time.perf_counter()
    try:
        with psycopg.connect(asked.database_url, autocommit=True, connect_timeout=10) as connection:
            (turn_on if asked.state == "on" else turn_off)(connection)
    except psycopg.Error as exc:
        print(f"shop.indexes: {' '.join(str(exc).split())}", file=sys.stderr)
        return 1
    print(f"{len(NAMES)} indexes {asked.state} in {time.perf_counter() - began:.1f} s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
