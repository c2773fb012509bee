"""Pages of two sizes asked of a real service, counted by a real PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from headway.diagnose import scaling
from headway.errors import HeadwayError

PAGE = "SELECT id FROM users ORDER BY id LIMIT %s"
ONE = "SELECT id FROM posts WHERE user_id = %s"
MANY = "SELECT id FROM posts WHERE user_id = ANY(%s)"


@pytest.fixture
def service(postgres_url: str) -> Iterator[str]:
    """GET /slow reads posts user by user, GET /fast all at once."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        connection.execute("CREATE TABLE users AS SELECT n AS id FROM generate_series(1, 100) n")
        connection.execute("CREATE TABLE posts AS SELECT n AS id, n % 100 AS user_id FROM generate_series(1, 500) n")
        lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = urlsplit(self.path)
                size = int(parse_qs(asked.query)["limit"][0])
                with lock:
                    users = [row[0] for row in connection.execute(PAGE, (size,))]
                    if asked.path == "/fast":
                        connection.execute(MANY, (users,))
                    for user in users if asked.path == "/slow" else ():
                        connection.execute(ONE, (user,))
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: object) -> None:
                """Nothing."""

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            yield f"http://127.0.0.1:{server.server_address[1]}"
            server.shutdown()
            thread.join()


def test_one_more_statement_for_each_row_is_seen_and_a_batch_is_not(service: str, postgres_url: str) -> None:
    """Without a trace: 1 + 1 * rows on one route, 2 + 0 * rows on the other; what Headway asks itself isn't counted."""
    slow = scaling.measure(service, "GET /slow", "limit", [5, 20], postgres_url)
    (found,) = slow.n_plus_one
    assert "FROM posts WHERE user_id = $1" in found.text
    assert [slow.whole.fixed, slow.whole.each] == pytest.approx([1, 1])
    fast = scaling.measure(service, "GET /fast", "limit", [5, 20], postgres_url)
    assert fast.n_plus_one == ()
    assert [fast.whole.fixed, fast.whole.each] == pytest.approx([2, 0], abs=1e-9)


def test_a_service_that_is_not_there_is_said(postgres_url: str) -> None:
    """One line with the address, before anything is counted."""
    with pytest.raises(HeadwayError, match="doesn't answer"):
        scaling.measure("http://127.0.0.1:1", "GET /users", "limit", [5, 20], postgres_url)
