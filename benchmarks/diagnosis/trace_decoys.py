"""Labelled traces without an N+1, for tuning the rule: what looks like one, and what has nothing to say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labelled import Cases
from made_traces import INTERNAL

if TYPE_CHECKING:
    from made_traces import Book

CASES = Cases()
USERS = "GET /users"
PAGE = "SELECT id, name FROM users ORDER BY id LIMIT ? OFFSET ?"
USER = "SELECT id, name FROM users WHERE id = $1"


@CASES.case("decoy")
def one_join(book: Book) -> None:
    for _ in range(30):
        request = book.request(USERS)
        request.sql("SELECT u.id, p.title FROM users u LEFT JOIN posts p ON p.user_id = u.id LIMIT ?", 4)
        request.done()


@CASES.case("decoy")
def batched_already(book: Book) -> None:
    for _ in range(30):
        request = book.request(USERS)
        request.sql(PAGE, 2)
        request.sql("SELECT id, title FROM posts WHERE user_id = ANY($1)", 4)
        request.done()


@CASES.case("decoy")
def batches_of_five_hundred(book: Book) -> None:
    """As SQLAlchemy's selectinload takes a large result."""
    for _ in range(10):
        request = book.request("GET /export")
        request.sql("SELECT id FROM users", 30)
        for _ in range(book.rng.randint(5, 12)):
            request.sql("SELECT id, title FROM posts WHERE user_id IN (?, ?, ?, ?, ?, ?, ?, ?)", 9)
        request.done()


@CASES.case("decoy")
def retried_until_it_worked(book: Book) -> None:
    for _ in range(30):
        request = book.request("GET /users/{id}")
        for _ in range(book.rng.randint(3, 7)):
            request.sql(USER, 5, error=True)
            request.pause(10)
        request.sql(USER, 1)
        request.done()


@CASES.case("decoy")
def transactions_tried_again(book: Book) -> None:
    """Serialization failures: the whole transaction once more."""
    for _ in range(30):
        request = book.request("POST /transfer")
        for last in [False] * book.rng.randint(0, 7) + [True]:
            request.sql("BEGIN", 0.1)
            request.sql("SELECT balance FROM accounts WHERE id = $1")
            request.sql("UPDATE accounts SET balance = $1 WHERE id = $2", error=not last)
            request.sql("COMMIT" if last else "ROLLBACK", 0.2)
        request.done()


@CASES.case("decoy")
def many_small_transactions(book: Book) -> None:
    for _ in range(30):
        request = book.request("POST /events")
        for kind in range(8):
            request.sql("BEGIN", 0.1)
            request.sql(f"INSERT INTO events_{kind} (body) VALUES ($1)")
            request.sql("COMMIT", 0.3)
        request.done()


@CASES.case("decoy")
def export_by_offset(book: Book) -> None:
    for _ in range(10):
        request = book.request("GET /export")
        for _ in range(book.rng.randint(5, 30)):
            request.sql("SELECT id, name FROM users ORDER BY id LIMIT ? OFFSET ?", 8)
        request.done()


@CASES.case("decoy")
def export_by_key(book: Book) -> None:
    for _ in range(10):
        request = book.request("GET /export")
        for _ in range(book.rng.randint(5, 30)):
            request.sql("SELECT id, name FROM users WHERE id > $1 ORDER BY id LIMIT ?", 8)
        request.done()


@CASES.case("decoy")
def one_account_read_by_key(book: Book) -> None:
    """Keyset paging within one tenant: each answer is full but the last."""
    for number in range(10):
        request = book.request("GET /export/{tenant}")
        pages = book.rng.randint(5, 20)
        for page in range(pages):
            request.sql(
                "SELECT id, body FROM events WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT ?", 8,
                rows=500 if page < pages - 1 else 77, key=f"{number} {page}",
            )  # fmt: skip
        request.done()


@CASES.case("decoy")
def polled_until_ready(book: Book) -> None:
    for _ in range(15):
        request = book.request("GET /jobs/{id}/wait")
        for _ in range(book.rng.randint(4, 20)):
            request.sql("SELECT status FROM jobs WHERE id = $1", 0.5)
            request.now_ns += 100_000_000 + book.rng.randint(0, 2_000_000)
        request.done()


@CASES.case("decoy")
def same_user_read_eight_times(book: Book) -> None:
    """The same row again and again: kept for the request, it would be read once. That is another finding."""
    for number in range(30):
        request = book.request("GET /dashboard")
        for _ in range(8):
            request.sql(USER, key=f"user {number}")
            request.pause(1)
        request.done()


@CASES.case("decoy")
def executemany(book: Book) -> None:
    for _ in range(30):
        request = book.request("POST /orders")
        request.sql("BEGIN", 0.1)
        request.sql("INSERT INTO order_lines (order_id, product_id) VALUES ($1, $2)", 4)
        request.sql("COMMIT", 0.4)
        request.done()


@CASES.case("decoy")
def rows_written_one_by_one(book: Book) -> None:
    """Worth a batch, and no N+1: nothing is read."""
    for _ in range(30):
        request = book.request("POST /orders")
        request.sql("BEGIN", 0.1)
        for _ in range(book.rng.randint(3, 20)):
            request.sql("INSERT INTO order_lines (order_id, product_id) VALUES ($1, $2)")
        request.sql("COMMIT", 0.4)
        request.done()


@CASES.case("decoy")
def pool_pings(book: Book) -> None:
    for _ in range(30):
        request = book.request(USERS)
        for table in range(9):
            request.sql("SELECT ?", 0.1)
            request.sql(f"SELECT name FROM t{table} WHERE id = $1")
        request.done()


@CASES.case("decoy")
def settings_of_the_session(book: Book) -> None:
    for _ in range(30):
        request = book.request(USERS)
        for _ in range(10):
            request.sql("SET LOCAL search_path = ?", 0.1)
            request.sql("SHOW transaction_isolation", 0.1)
        request.done()


@CASES.case("decoy")
def three_settings(book: Book) -> None:
    for _ in range(40):
        request = book.request("GET /home")
        for _ in range(3):
            request.sql("SELECT value FROM settings WHERE name = $1")
        request.done()


@CASES.case("decoy")
def seven_settings_always_the_same(book: Book) -> None:
    for _ in range(40):
        request = book.request("GET /home")
        for name in range(7):
            request.sql("SELECT value FROM settings WHERE name = $1", key=f"setting {name}")
        request.done()


@CASES.case("decoy")
def six_places_ask_for_a_user(book: Book) -> None:
    """Buyer, seller, agent, ...: six lines of code, six different users, always six."""
    for number in range(40):
        request = book.request("GET /contract/{id}")
        for place in range(6):
            request.sql(USER, key=f"user {number * 6 + place}", code=f"contract.py:{40 + place} in show")
        request.done()


@CASES.case("decoy")
def read_changed_read_again(book: Book) -> None:
    for number in range(40):
        request = book.request("PUT /users/{id}")
        request.sql(USER, key=f"user {number}")
        request.sql("UPDATE users SET name = $1 WHERE id = $2")
        request.sql(USER, key=f"user {number}")
        request.done()


@CASES.case("decoy")
def updated_one_by_one(book: Book) -> None:
    for _ in range(20):
        request = book.request("POST /reorder")
        for _ in range(book.rng.randint(5, 25)):
            request.sql("UPDATE items SET position = $1 WHERE id = $2")
        request.done()


@CASES.case("decoy")
def fetched_from_a_cursor(book: Book) -> None:
    for _ in range(10):
        request = book.request("GET /export")
        request.sql("DECLARE c CURSOR FOR SELECT id FROM users", 1)
        for _ in range(book.rng.randint(5, 40)):
            request.sql("FETCH FORWARD ? FROM c", 5)
        request.done()


@CASES.case("decoy")
def redis_pipeline(book: Book) -> None:
    for _ in range(30):
        request = book.request(USERS)
        request.redis("GET user:?\nGET user:?\nGET user:?\nGET user:?\nGET user:?\nGET user:?", 0.6)
        request.done()


@CASES.case("decoy")
def redis_mget(book: Book) -> None:
    for _ in range(30):
        request = book.request(USERS)
        request.redis("MGET user:?", 0.6)
        request.redis("MGET user:?", 0.6)
        request.done()


@CASES.case("decoy")
def redis_lock_tried_again(book: Book) -> None:
    for _ in range(20):
        request = book.request("POST /pay")
        for _ in range(book.rng.randint(5, 15)):
            request.redis("SET lock:?", key="lock")
            request.pause(20)
        request.done()


@CASES.case("decoy")
def eight_shards(book: Book) -> None:
    """One statement to each of eight servers, at once."""
    for _ in range(30):
        request = book.request("GET /search")
        statement = "SELECT id, score FROM documents WHERE term = $1 ORDER BY score DESC LIMIT ?"
        request.at_once([(statement, {"peer": f"shard-{number}:5432"}) for number in range(8)], 4)
        request.done()


@CASES.case("decoy")
def twelve_months(book: Book) -> None:
    for _ in range(30):
        request = book.request("GET /dashboard")
        for _ in range(12):
            request.sql("SELECT sum(total) FROM orders WHERE created_at >= $1 AND created_at < $2", 3)
        request.done()


@CASES.case("nothing")
def no_statements_at_all(book: Book) -> None:
    for _ in range(30):
        request = book.request(USERS)
        with request.inside("render"):
            request.pause(3)
        request.done()


@CASES.case("nothing")
def ten_thousand_children_and_no_statement(book: Book) -> None:
    request = book.request("GET /report")
    for number in range(10_000):
        with request.inside(f"step {number % 7}"):
            request.now_ns += 1_000
    request.done()


@CASES.case("decoy")
def one_visitor_many_requests(book: Book) -> None:
    """A browser's trace of a whole visit: the same route twelve times, one statement each."""
    for _ in range(15):
        visit = book.request("visit", kind=INTERNAL, route=None, service="browser")
        for _ in range(12):
            with visit.asked_of("shop", "GET /users/{id}") as request:
                request.sql(USER)
            visit.pause(300)
        visit.done()
