"""
Loads the shop's data: `python -m shop.data --database-url URL [--scale 1.0] [--force]`.

The tables are made, filled (COPY FREEZE) and given their keys in one transaction: a load that is cut off leaves what
was there before. When the same load is there already, nothing is done.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from shop import queries, rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Connection = psycopg.Connection[tuple[object, ...]]
    Say = Callable[[str], None]

TABLES = ("orders", "posts", "products", "users", "shop_load")  # those that point to others first
LOADER_LOCK = 5_050  # advisory: two loaders at once would wait for each other's tables half-way
LARGEST_SCALE = 1_000


class NotTheShops(Exception):
    """The database holds tables of these names that this loader did not make."""


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What a load did. `rows` is 0 when it was there already."""

    rows: int
    seconds: float


def load(connection: Connection, *, scale: float, seed: int = rows.SEED, force: bool = False, say: Say) -> Loaded:
    """
    Load the data unless the same load is there.

    Args:
        connection: autocommit, may create tables in the first schema of its search path.
        scale: 1.0 is 200,000 users.
        force: load again even when it is there, and replace tables this loader did not make.
        say: told of the progress, a line at a time.

    Raises:
        NotTheShops: tables of these names are there, and not from this loader; `force` replaces them.
        psycopg.Error: the database refuses.
    """
    began = time.perf_counter()
    written = 0
    connection.execute("SELECT pg_advisory_lock(%s)", (LOADER_LOCK,))
    try:
        found = _found(connection, scale, seed)
        if found == "foreign" and not force:
            raise NotTheShops(f"the database has tables named {' or '.join(TABLES[:4])} that this loader did not make")
        if found == "whole" and not force:
            return Loaded(rows=0, seconds=time.perf_counter() - began)
        if found != "untidy" or force:
            with connection.transaction():
                written = _fill(connection, scale, seed, say)
        _tidy(connection, say)
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", (LOADER_LOCK,))
    return Loaded(rows=written, seconds=time.perf_counter() - began)


def _found(connection: Connection, scale: float, seed: int) -> str:
    """What is there: "none", "foreign" (not ours), "other" (another load), "untidy" (its end is missing), "whole"."""
    present = {table for table in TABLES if _one(connection, "SELECT to_regclass(%s) IS NOT NULL", (table,))}
    if "shop_load" not in present:
        return "foreign" if present else "none"
    if len(present) < len(TABLES):
        return "other"
    of_this = (Decimal(str(scale)), seed, rows.VERSION)
    query = "SELECT count(loaded_at) FROM shop_load WHERE (scale, seed, version) = (%s, %s, %s) HAVING count(*) > 0"
    tidied = _one(connection, query, of_this)
    return "other" if tidied is None else "whole" if tidied else "untidy"


def _one(connection: Connection, query: str, values: tuple[object, ...]) -> object:
    row = connection.execute(query.encode(), values).fetchone()
    return None if row is None else row[0]


def _fill(connection: Connection, scale: float, seed: int, say: Say) -> int:
    for table in TABLES:
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(table)))
    for statement in queries.read("schema").values():
        connection.execute(statement)
    written = 0
    for source in rows.sources(scale, seed):
        _copy(connection, source, say)
        written += source.rows
    connection.execute("SET LOCAL maintenance_work_mem = '256MB'")
    for name, statement in queries.read("keys").items():
        say(f"key: {name}")
        connection.execute(statement)
    values = (Decimal(str(scale)), seed, rows.VERSION)
    connection.execute("INSERT INTO shop_load (scale, seed, version) VALUES (%s, %s, %s)", values)
    return written


def _copy(connection: Connection, source: rows.Source, say: Say) -> None:
    # FREEZE: the rows are visible to all from the start, so that no later reader pays for saying so.
    statement = f"COPY {source.table} ({source.columns}) FROM STDIN WITH (FREEZE)"
    with connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
        for done, piece in source.chunks():
            copy.write(piece)
            if done % 200_000 == 0 or done == source.rows:
                say(f"{source.table}: {done:,} of {source.rows:,} rows")
    restart = "ALTER TABLE {} ALTER COLUMN id RESTART WITH {}"
    connection.execute(sql.SQL(restart).format(sql.Identifier(source.table), sql.Literal(source.rows + 1)))


def _tidy(connection: Connection, say: Say) -> None:
    say("vacuum, analyze")
    connection.execute("VACUUM (ANALYZE) users, posts, products, orders")
    connection.execute("UPDATE shop_load SET loaded_at = now()")


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m shop.data", description="Load the shop's data.")
    parser.add_argument("--database-url", required=True, help="postgresql://user@host:5432/name")
    parser.add_argument("--scale", type=_scale, default=1.0, help="1.0 (the default) is 200,000 users")
    parser.add_argument(
        "--force", action="store_true", help="load again, and replace tables of these names that are not the shop's"
    )
    return parser.parse_args(words)


def _scale(text: str) -> float:
    try:
        scale = float(text)
    except ValueError:
        scale = 0.0
    if not 0 < scale <= LARGEST_SCALE:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0 and up to {LARGEST_SCALE}")
    return scale


def main(words: Sequence[str] | None = None) -> int:
    """The command line. Progress and the time it took go to stderr; 1 with one line when it fails."""
    asked = _arguments(words)

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    try:
        with psycopg.connect(asked.database_url, autocommit=True, connect_timeout=10) as connection:
            done = load(connection, scale=asked.scale, force=asked.force, say=say)
    except (psycopg.Error, NotTheShops) as exc:
        next_act = "; name an empty database, or --force" if isinstance(exc, NotTheShops) else ""
        say(f"shop.data: {' '.join(str(exc).split())}{next_act}")
        return 1
    rate = f"{done.rows:,} rows in {done.seconds:.1f} s" if done.rows else "there already, nothing to do"
    say(f"loaded at scale {asked.scale:g}: {rate}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
