"""The shop through granian, on real PostgreSQL and Valkey: its slow and its fast form are one service."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

import psycopg
import pytest
import redis

from headway.servers import postgres
from shop import data, indexes
from shop_server import Served, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

FAST = {"SHOP_POOL": "4", "SHOP_INDEXES": "1", "SHOP_BATCH": "1", "SHOP_METRICS": "1", "SHOP_EDGE_TTL_S": "10"}
NOBODY = "postgresql://nobody@127.0.0.1:1/none"  # port 1: refused at once

READS = (
    "/users/1", "/users/2000", "/users/2001", "/users?limit=20", "/users?limit=7&offset=1995", "/users?offset=5000",
    "/users/1/orders", "/users/3/orders?limit=1", "/users/9999/orders", "/products/1", "/products/500", "/products/501",
    "/products?category=books", "/products?category=toys&limit=100", "/products?category=nothing", "/feed",
    "/feed?limit=100", "/users/by-email?email=nobody@example.com", "/static/shop.css", "/static/shop.js",
    "/static/logo.svg", "/static/none.css", "/users/0", "/users/x", "/users?limit=0", "/users?limit=101", "/products",
    "/users/9223372036854775808", "/users/by-email?email=none", "/users?offset=-1", "/feed?limit=ten", "/nothing",
    "/products?category=%00", "/users/by-email?email=%00@x", "/openapi.json",
)  # fmt: skip


@pytest.fixture(scope="module")
def database(postgres_server: postgres.Postgres) -> Iterator[str]:
    """A database with the shop's data at a hundredth, shared by the tests of this file."""
    name = f"shop_{secrets.token_hex(6)}"
    url = postgres.create_database(postgres_server, name)
    with psycopg.connect(url, autocommit=True) as connection:
        data.load(connection, scale=0.01, say=lambda _: None)
    yield url
    postgres.drop_database(postgres_server, name)


@pytest.fixture(scope="module")
def slow(database: str) -> Iterator[Served]:
    """The shop in its slow form."""
    with serving(database) as served:
        yield served


@pytest.fixture(scope="module")
def fast(database: str, valkey_server: str) -> Iterator[Served]:
    """The shop with every setting on; the primary stands in for the replica."""
    with serving(database, SHOP_CACHE=valkey_server, SHOP_REPLICA_URL=database, **FAST) as served:
        yield served


@pytest.fixture(scope="module")
def gathered(database: str, valkey_server: str) -> Iterator[Served]:
    """The fast form, the routes asked most in front of FastAPI and their statements gathered."""
    form = {**FAST, "SHOP_GATHER_MS": "5", "SHOP_CACHE_LOCAL": "1"}
    with serving(database, SHOP_CACHE=valkey_server, SHOP_REPLICA_URL=database, **form) as served:
        yield served


def statements(url: str) -> dict[str, int]:
    """Calls of each statement on the shop's tables in this database since the last look."""
    query = (
        "SELECT query, calls FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid"
        " WHERE datname = current_database() AND query ~ '(users|posts|products|orders)' AND query !~ 'pg_stat'"
    )
    with psycopg.connect(url, autocommit=True) as connection:
        rows = connection.execute(query).fetchall()
        reset = "SELECT pg_stat_statements_reset(0, oid, 0) FROM pg_database WHERE datname = current_database()"
        connection.execute(reset)
    assert len({text for text, _ in rows}) == len(rows), "one text is counted under two plans"
    return dict(rows)


def test_every_form_gives_the_same_answers(
    slow: Served, fast: Served, gathered: Served, database: str, valkey_url: str
) -> None:
    """
    Status and body of every read are the same without and with indexes, pool, batch, cache (cold, warm), replica,
    gathered statements.
    """
    address = slow.ask("GET /users/by-email?email=" + _address(database, 7)).json()
    assert (address["id"], address["email"]) == (7, _address(database, 7))
    reads = (*READS, "/users/by-email?email=" + _address(database, 7))
    plain = {path: slow.ask(f"GET {path}") for path in reads}
    assert {answer.status for answer in plain.values()} == {200, 404, 422}
    assert len(plain["/users?limit=20"].json()) == 20
    with psycopg.connect(database, autocommit=True) as connection:
        indexes.turn_on(connection)
        try:
            for form in (slow, fast, fast, gathered, gathered):
                for path, expected in plain.items():
                    got = form.ask(f"GET {path}")
                    assert (got.status, got.body) == (expected.status, expected.body), path
        finally:
            indexes.turn_off(connection)
    with redis.Redis.from_url(valkey_url) as cache:
        kept = {key.decode().rpartition(":k:")[2] for key in cache.scan_iter("shop:*") if b":k:" in key}
    assert {"user:1", "product:1", "products:books:20"} <= kept


def _address(database: str, user_id: int) -> str:
    with psycopg.connect(database) as connection:
        row = connection.execute("SELECT email FROM users WHERE id = %s", (user_id,)).fetchone()
    assert row is not None
    return str(row[0])


def test_the_page_of_users_is_one_query_a_user_or_one_for_all(slow: Served, fast: Served, database: str) -> None:
    """The N+1 is real: 21 statements for a page of 20 in the slow form, two in the fast."""
    statements(database)
    slow.ask("GET /users?limit=20")
    assert sorted(statements(database).values()) == [1, 20]
    fast.ask("GET /users?limit=20")
    assert sorted(statements(database).values()) == [1, 1]


def test_a_statement_is_counted_once_whatever_its_numbers(slow: Served, database: str) -> None:
    """Ids of two, four and eight bytes are one statement to PostgreSQL, so that its counts add up."""
    statements(database)
    for user_id in (1, 70_000, 5_000_000_000):
        slow.ask(f"GET /users/{user_id}")
    assert list(statements(database).values()) == [3]


def test_what_is_kept_is_not_asked_for_again(fast: Served, database: str, valkey_url: str) -> None:
    """The second read of a user, a product and a listing does not reach the database."""
    assert valkey_url
    for turn in range(3):
        for path in ("/users/11", "/products/11", "/products?category=music"):
            assert fast.ask(f"GET {path}").status == 200
        if turn == 0:
            statements(database)
    assert statements(database) == {}


def test_a_new_name_is_read_next(fast: Served, slow: Served) -> None:
    """An update drops what the cache kept: the next reader has the new name."""
    assert fast.ask("GET /users/12").json()["name"] != "Grace Hopper"
    changed = fast.ask("PUT /users/12", {"name": "Grace Hopper"})
    assert (changed.status, changed.json()["name"]) == (200, "Grace Hopper")
    for form in (fast, slow):
        assert form.ask("GET /users/12").body == changed.body
    assert fast.ask("PUT /users/99999", {"name": "x"}).status == 404
    wrongs: tuple[object, ...] = ({"name": ""}, {"name": "x" * 201}, {"name": "a\0b"}, {}, [], "x")
    for wrong in wrongs:
        assert fast.ask("PUT /users/12", wrong).status == 422


@pytest.mark.parametrize("form", ["slow", "fast"])
def test_an_order_takes_from_stock(form: str, request: pytest.FixtureRequest) -> None:
    """Price, order and stock change together, and the product's next reader sees what is left."""
    served: Served = request.getfixturevalue(form)
    before = served.ask("GET /products/21").json()
    placed = served.ask("POST /orders", {"user_id": 5, "product_id": 21, "quantity": 3})
    assert placed.status == 201
    assert placed.json()["total_cents"] == 3 * before["price_cents"]
    assert served.ask("GET /products/21").json()["stock"] == before["stock"] - 3
    assert served.ask("GET /users/5/orders?limit=1").json() == [placed.json()]


def test_an_order_that_cannot_be_is_refused(slow: Served) -> None:
    """Nobody, nothing, too many, too much: each has its own status, and none leaves a trace."""
    left = slow.ask("GET /products/22").json()["stock"]
    for status, order in (
        (404, {"user_id": 99_999, "product_id": 22, "quantity": 1}),
        (404, {"user_id": 5, "product_id": 99_999, "quantity": 1}),
        (422, {"user_id": 5, "product_id": 22, "quantity": 0}),
        (422, {"user_id": 5, "product_id": 22, "quantity": 101}),
        (422, {"user_id": -5, "product_id": 22, "quantity": 1}),
        (422, {"user_id": 5, "product_id": 22}),
    ):
        assert slow.ask("POST /orders", order).status == status, order
    assert slow.ask("GET /products/22").json()["stock"] == left


@pytest.mark.parametrize("form", ["slow", "fast"])
def test_nothing_is_sold_twice(form: str, request: pytest.FixtureRequest, database: str) -> None:
    """Of twenty orders at once for the last five, five are placed and fifteen are told there is not enough."""
    served: Served = request.getfixturevalue(form)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("UPDATE products SET stock = 5 WHERE id = 23")
        before = connection.execute("SELECT count(*) FROM orders WHERE product_id = 23").fetchone()
        order = {"user_id": 5, "product_id": 23, "quantity": 1}
        with ThreadPoolExecutor(20) as threads:
            got = [each.status for each in threads.map(lambda _: served.ask("POST /orders", order), range(20))]
        assert sorted(got) == [201] * 5 + [409] * 15
        after = connection.execute("SELECT count(*) FROM orders WHERE product_id = 23").fetchone()
        assert before is not None and after is not None and after[0] == before[0] + 5


def test_a_database_that_is_down_is_a_refusal_in_json() -> None:
    """A pooled shop starts without its database, is healthy, and answers 503 with a reason and when to come again."""
    with serving(NOBODY, SHOP_POOL="2") as served:
        assert served.ask("GET /health").status == 200
        got = served.ask("GET /users/1")
        assert got.status == 503
        assert got.headers["retry-after"] == "1"
        assert got.json() == {"detail": "the database refuses at the moment"}


def test_too_many_connections_are_refused_not_thrown(database: str) -> None:
    """A slow shop whose database has no connection left says 503, and answers again when there is one."""
    role = f"few_{secrets.token_hex(4)}"
    with psycopg.connect(database, autocommit=True) as owner, ExitStack() as stack:
        owner.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'few' CONNECTION LIMIT 1".encode())
        owner.execute(f"GRANT SELECT ON users TO {role}".encode())
        stack.callback(owner.execute, f"DROP OWNED BY {role}; DROP ROLE {role}".encode())
        info = owner.info
        url = f"postgresql://{role}:few@{info.host}:{info.port}/{info.dbname}"
        served = stack.enter_context(serving(url))
        with psycopg.connect(url):
            assert served.ask("GET /users/1").status == 503
        assert served.ask("GET /users/1").status == 200


def test_a_cache_and_a_replica_that_are_down_cost_no_answer(database: str) -> None:
    """With both refusing, everything is answered by the primary."""
    down = {"SHOP_CACHE": "redis://127.0.0.1:1/0", "SHOP_REPLICA_URL": NOBODY}
    with serving(database, SHOP_POOL="2", SHOP_BATCH="1", **down) as served:
        for path in ("/users/1", "/products/1", "/products?category=books", "/feed", "/users/1"):
            assert served.ask(f"GET {path}").status == 200, path
        assert served.ask("PUT /users/13", {"name": "Still Works"}).status == 200
        assert served.ask("GET /users/13").json()["name"] == "Still Works"


def test_metrics_count_by_route_template(fast: Served, slow: Served) -> None:
    """Requests are counted once, under the template and never under the path; off means 404."""
    assert slow.ask("GET /metrics").status == 404

    def counted(labels: str) -> float:
        text = fast.ask("GET /metrics").body.decode()
        start = f"http_request_duration_seconds_count{{{labels}}}"
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(start))

    good, missing = 'method="GET",route="/users/{id}",status="200"', 'method="GET",route="/users/{id}",status="404"'
    lost = 'method="GET",route="(no route)",status="404"'
    before = [counted(good), counted(missing), counted(lost)]
    for path in ("/users/1", "/users/2", "/users/2001", "/wp-login.php", "/.env"):
        fast.ask(f"GET {path}")
    after = [counted(good), counted(missing), counted(lost)]
    assert [b - a for a, b in zip(before, after, strict=True)] == [2, 1, 2]
    assert "wp-login" not in fast.ask("GET /metrics").body.decode()


def test_caches_in_front_are_told_what_they_may_keep(fast: Served, slow: Served, database: str) -> None:
    """Lists for the edge's time, single things not without asking, the personal never; the slow form says nothing."""
    kept = "public, max-age=0, s-maxage=10, stale-while-revalidate=10"
    for path, expected in {
        "/feed": kept, "/users?limit=1": kept, "/products?category=books": kept, "/users/1": "no-cache",
        "/products/1": "no-cache", "/users/1/orders": "private, no-store",
        "/users/by-email?email=" + _address(database, 1): "private, no-store",
        "/static/shop.css": "public, max-age=86400", "/users/99999": None, "/health": None, "/metrics": None,
        "/feed?limit=0": None,
    }.items():  # fmt: skip
        assert fast.ask(f"GET {path}").headers.get("cache-control") == expected, path
        assert "cache-control" not in slow.ask(f"GET {path}").headers


def test_an_asset_is_sent_once(fast: Served) -> None:
    """Who has the file gets 304 without a body; another file has another ETag."""
    first = fast.ask("GET /static/shop.css")
    assert first.headers["content-type"].startswith("text/css")
    again = fast.ask("GET /static/shop.css", if_none_match=first.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    assert fast.ask("GET /static/shop.js").headers["etag"] != first.headers["etag"]
    assert fast.ask("GET /static/shop.js", if_none_match=first.headers["etag"]).status == 200
