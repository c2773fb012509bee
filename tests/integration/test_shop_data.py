"""The shop's loader and its indexes, on real PostgreSQL."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

import psycopg
import pytest

from shop import data, indexes, queries, rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    Connection = psycopg.Connection[tuple[object, ...]]

SCALE = 0.01
SCALE_OF_PLANS = 0.1  # large enough that reading a whole table is the planner's choice only when nothing else is left


@pytest.fixture
def connection(postgres_url: str) -> Iterator[Connection]:
    """An autocommit connection to an empty database."""
    with psycopg.connect(postgres_url, autocommit=True) as opened:
        yield opened


def load(connection: Connection, scale: float = SCALE, *, force: bool = False) -> data.Loaded:
    """Load, telling nobody."""
    return data.load(connection, scale=scale, force=force, say=lambda _: None)


def digest(connection: Connection) -> str:
    """A checksum over every row of the four tables as the database gives them back."""
    total = hashlib.sha256()
    for table in ("users", "products", "posts", "orders"):
        with connection.cursor().copy(f"COPY (SELECT * FROM {table} ORDER BY id) TO STDOUT".encode()) as copy:
            for piece in copy:
                total.update(piece)
    return total.hexdigest()


def count(connection: Connection, table: str) -> object:
    """Rows of a table."""
    found = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
    return found[0] if found else None


def test_a_load_is_whole_and_the_same_each_time(connection: Connection) -> None:
    """Two loads leave the same bytes in the database, of the promised number of rows."""
    first = load(connection)
    assert first.rows == 22_500
    before = digest(connection)
    assert load(connection, force=True).rows == 22_500
    assert digest(connection) == before
    counted = [count(connection, table) for table in ("users", "posts", "products", "orders")]
    assert counted == [2_000, 10_000, 500, 10_000]


def test_a_load_that_is_there_is_left_alone(connection: Connection) -> None:
    """The second call does nothing, another scale loads anew."""
    load(connection)
    connection.execute("UPDATE users SET name = 'Changed' WHERE id = 1")
    assert load(connection).rows == 0
    assert count(connection, "users WHERE name = 'Changed'") == 1
    assert load(connection, SCALE / 2).rows == 11_250
    assert count(connection, "users WHERE name = 'Changed'") == 0


def test_new_orders_follow_the_loaded_ones(connection: Connection) -> None:
    """The first order placed after a load has the next id: the sequence knows of the rows that COPY brought."""
    load(connection)
    values = {"user_id": 1, "product_id": 1, "quantity": 1, "total_cents": 1}
    placed = connection.execute(queries.read("orders")["insert"], values).fetchone()
    assert placed is not None and placed[0] == 10_001


def test_a_load_cut_off_leaves_what_was_there_before(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loader that dies between two tables leaves no half-loaded table, and the next one starts afresh."""
    load(connection, SCALE / 2)
    before = digest(connection)
    real = rows.sources

    def dies_after_two(scale: float, seed: int) -> Iterator[rows.Source]:
        yield from real(scale, seed)[:2]
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(rows, "sources", dies_after_two)
        load(connection)
    assert digest(connection) == before
    assert load(connection).rows == 22_500


def test_a_load_cut_off_before_its_end_is_tidied_not_repeated(connection: Connection) -> None:
    """When only VACUUM and ANALYZE were missed, only they are made up for."""
    load(connection)
    connection.execute("UPDATE shop_load SET loaded_at = NULL")
    connection.execute("UPDATE users SET name = 'Changed' WHERE id = 1")
    assert load(connection).rows == 0
    assert count(connection, "users WHERE name = 'Changed'") == 1
    assert count(connection, "shop_load WHERE loaded_at IS NOT NULL") == 1


def test_tables_of_somebody_else_are_not_dropped(
    connection: Connection, postgres_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A database with a table called users that the loader did not make is refused in one line, until --force."""
    connection.execute("CREATE TABLE users (precious text)")
    assert data.main(["--database-url", postgres_url, "--scale", "0.001"]) == 1
    said = capsys.readouterr().err
    assert re.fullmatch(r"shop\.data: .*did not make; name an empty database, or --force\n", said)
    assert count(connection, "users") == 0
    assert data.main(["--database-url", postgres_url, "--scale", "0.001", "--force"]) == 0
    assert count(connection, "users") == 200


def test_the_loader_says_how_long_it_took(postgres_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The last line has rows and seconds; a database that does not answer is one line and exit 1."""
    assert data.main(["--database-url", postgres_url, "--scale", "0.001"]) == 0
    last = capsys.readouterr().err.splitlines()[-1]
    assert re.fullmatch(r"loaded at scale 0\.001: 2,250 rows in \d+\.\d s", last)
    assert data.main(["--database-url", "postgresql://127.0.0.1:1/x"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_indexes_are_turned_on_and_off_again(connection: Connection) -> None:
    """Both ways may be repeated; off leaves the primary keys and nothing else."""
    load(connection)

    def there() -> set[object]:
        made = connection.execute("SELECT indexname FROM pg_indexes WHERE schemaname = 'public'")
        return {row[0] for row in made}

    bare = {"users_pkey", "posts_pkey", "products_pkey", "orders_pkey"}
    assert there() == bare
    for _ in range(2):
        indexes.turn_on(connection)
        assert there() == bare | set(indexes.NAMES)
    for _ in range(2):
        indexes.turn_off(connection)
        assert there() == bare


def test_an_index_whose_making_was_cut_off_is_made_again(connection: Connection) -> None:
    """An invalid index of the right name would be taken for the whole one and never used."""
    load(connection)
    connection.execute("INSERT INTO users SELECT id + 9000, email, name, country, created_at FROM users WHERE id = 1")
    with pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute("CREATE UNIQUE INDEX CONCURRENTLY shop_users_email ON users (email)")
    indexes.turn_on(connection)
    query = "SELECT indisvalid, indisunique FROM pg_index WHERE indexrelid = 'shop_users_email'::regclass"
    assert connection.execute(query).fetchone() == (True, False)


WHOLE_TABLES = {
    "by_email": "users", "posts_of_one": "posts", "posts_of_many": "posts", "orders": "orders", "latest": "posts",
    "by_category": "products", "by_emails": "users", "orders_of_many": "orders",
}  # fmt: skip
"""Statement -> the table it reads as a whole when there are only primary keys."""


def test_the_slow_form_reads_whole_tables_and_the_fast_form_none(connection: Connection) -> None:
    """Every statement's plan, with its values unknown and with values: sequential only without indexes, as listed."""
    load(connection, SCALE_OF_PLANS)
    assert {name: table for name, table in whole_tables(connection).items() if table} == WHOLE_TABLES
    indexes.turn_on(connection)
    assert not any(whole_tables(connection).values())


def whole_tables(connection: Connection) -> dict[str, str | None]:
    """Statement -> the table its plan reads sequentially, the same in its generic plan and in that for real values."""
    values = {
        "id": 5, "email": "nobody@example.com", "limit": 20, "offset": 40, "user_id": 7, "posts": 5, "name": "x",
        "user_ids": list(range(1, 21)), "category": "books", "product_id": 9, "quantity": 1, "total_cents": 5,
        "ids": [3, 5, 8], "names": ["x", "y", "z"], "emails": ["nobody@example.com", "noone@example.com"],
        "limits": [20] * 20, "product_ids": [4, 9], "quantities": [1, 2],
    }  # fmt: skip
    found: dict[str, str | None] = {}
    for file in ("users", "products", "feed", "orders"):
        for name, statement in queries.read(file).items():
            generic = _numbered(statement)
            plans = [
                connection.execute(f"EXPLAIN (GENERIC_PLAN) {generic}".encode()).fetchall(),
                connection.execute(f"EXPLAIN {statement}".encode(), values).fetchall(),
            ]
            scanned = {table for plan in plans for table in re.findall(r"Seq Scan on (\w+)", str(plan))}
            assert len(scanned) <= 1, (name, plans)
            found[name] = scanned.pop() if scanned else found.get(name)
    return found


def _numbered(statement: str) -> str:
    """`%(name)s` -> `$1`, as PostgreSQL sees it."""
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", statement)))
    return re.sub(r"%\((\w+)\)s", lambda match: f"${names.index(match[1]) + 1}", statement)
