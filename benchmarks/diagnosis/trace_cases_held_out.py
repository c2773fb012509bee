"""Labelled traces that the rule was not tuned on. Written with the others and before the rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labelled import Cases
from made_traces import INTERNAL, MS

if TYPE_CHECKING:
    from made_traces import Book

CASES = Cases()
ORDERS = "GET /orders"
LIST = "SELECT id, customer_id, total FROM orders WHERE status = ? ORDER BY created_at DESC LIMIT ?"
CUSTOMER = "SELECT id, name, email FROM customers WHERE id = %(id)s"
LINES = "SELECT product_id, quantity FROM order_lines WHERE order_id = %(order_id)s ORDER BY position"


@CASES.case("sequential", (ORDERS, LINES))
def lines_of_each_order(book: Book) -> None:
    for _ in range(25):
        request = book.request(ORDERS)
        request.sql(LIST, 3)
        request.pause(1)
        for _ in range(book.rng.choice([6, 12, 24])):
            request.sql(LINES)
            request.pause(0.5)
        request.done()


@CASES.case("sequential", (ORDERS, CUSTOMER))
def half_of_the_keys_come_twice(book: Book) -> None:
    """Twenty orders of nine customers."""
    for number in range(25):
        request = book.request(ORDERS)
        request.sql(LIST, 3, rows=20, key=f"list {number}")
        for _ in range(20):
            request.sql(CUSTOMER, rows=1, key=f"customer {number * 9 + book.rng.randrange(9)}")
        request.done()


@CASES.case("sequential", (ORDERS, CUSTOMER))
def seen_in_one_request_only(book: Book) -> None:
    request = book.request(ORDERS)
    request.sql(LIST, 3)
    for _ in range(30):
        request.sql(CUSTOMER)
    request.done()


@CASES.case("sequential", (ORDERS, "select max(created_at) from payments where order_id = $1"))
def an_aggregate_for_each(book: Book) -> None:
    for _ in range(25):
        request = book.request(ORDERS)
        request.sql(LIST, 3)
        for _ in range(book.rng.choice([10, 15])):
            request.sql("select max(created_at) from payments where order_id = $1", 0.8)
        request.done()


@CASES.case("sequential", (ORDERS, "SELECT amount FROM prices WHERE tenant_id = $1 AND product_id = $2"))
def two_keys(book: Book) -> None:
    for _ in range(25):
        request = book.request(ORDERS)
        request.sql("SELECT product_id FROM basket WHERE tenant_id = $1 AND user_id = $2", 2)
        for _ in range(book.rng.randint(3, 18)):
            request.sql("SELECT amount FROM prices WHERE tenant_id = $1 AND product_id = $2", 0.5)
        request.done()


@CASES.case("concurrent", (ORDERS, CUSTOMER))
def threads_two_at_a_time(book: Book) -> None:
    for _ in range(25):
        request = book.request(ORDERS)
        request.sql(LIST, 3)
        request.at_once([(CUSTOMER, {})] * 16, 3, lanes=2)
        request.done()


@CASES.case("concurrent", (ORDERS, LINES), (ORDERS, CUSTOMER))
def a_dataloader_that_does_not_batch(book: Book) -> None:
    for _ in range(25):
        request = book.request(ORDERS)
        with request.inside("Query.orders"):
            request.sql(LIST, 3)
            n = book.rng.choice([8, 20])
            request.at_once([(LINES, {}), (CUSTOMER, {})] * n, 2)
        request.done()


@CASES.case("interleaved", (ORDERS, CUSTOMER))
def work_and_writes_between(book: Book) -> None:
    """Customer read, invoice written, for each order."""
    for _ in range(25):
        request = book.request("POST /invoices", route=ORDERS)
        request.sql(LIST, 3)
        for _ in range(book.rng.randint(5, 15)):
            request.sql(CUSTOMER)
            request.pause(2)
            request.sql("INSERT INTO invoices (order_id, customer) VALUES ($1, $2)")
        request.done()


@CASES.case("Redis", (ORDERS, "HGETALL product:?"))
def redis_hashes(book: Book) -> None:
    for _ in range(25):
        request = book.request(ORDERS)
        request.sql(LIST, 3)
        for _ in range(book.rng.choice([10, 30])):
            request.redis("HGETALL product:?")
        request.done()


@CASES.case("Redis", (ORDERS, "GET price:?"))
def redis_get_gathered_fixed_page(book: Book) -> None:
    for _ in range(25):
        request = book.request(ORDERS)
        request.redis("LRANGE recent:?")
        request.at_once([("GET price:?", {"system": "redis", "peer": "cache:6379"})] * 24, 0.5, lanes=6)
        request.done()


@CASES.case("no source", ("POST /graphql", CUSTOMER))
def resolvers_without_a_source(book: Book) -> None:
    for _ in range(25):
        request = book.request("POST /graphql")
        for _ in range(book.rng.randint(4, 40)):
            with request.inside("resolve Order.customer"):
                request.sql(CUSTOMER)
        request.done()


@CASES.case("ORM", (ORDERS, 'SELECT "customers".* FROM "customers" WHERE "customers"."id" = $1 LIMIT $2'))
def rails_belongs_to(book: Book) -> None:
    for _ in range(25):
        request = book.request(ORDERS)
        request.sql('SELECT "orders".* FROM "orders" ORDER BY "orders"."id" DESC LIMIT $1', 3)
        for _ in range(book.rng.choice([10, 25])):
            request.sql('SELECT "customers".* FROM "customers" WHERE "customers"."id" = $1 LIMIT $2', 0.5)
        request.done()


@CASES.case("trouble", (ORDERS, CUSTOMER))
def in_another_service(book: Book) -> None:
    for _ in range(20):
        gateway = book.request("GET /page", service="gateway")
        with gateway.asked_of("orders", ORDERS) as request:
            request.sql(LIST, 3)
            for _ in range(book.rng.choice([10, 20])):
                request.sql(CUSTOMER)
        gateway.done()


@CASES.case("trouble", (ORDERS, CUSTOMER))
def one_in_eight_spans_lost(book: Book) -> None:
    for _ in range(30):
        request = book.request(ORDERS)
        if book.rng.random() < 0.8:
            request.sql(LIST, 3)
        for _ in range(20):
            if book.rng.random() < 0.87:
                request.sql(CUSTOMER)
        request.done()


@CASES.case("sequential", (ORDERS, "SELECT id, name FROM products WHERE sku = $1"))
def by_a_text_key_in_a_transaction_of_writes(book: Book) -> None:
    for _ in range(25):
        request = book.request("POST /import", route=ORDERS)
        request.sql("BEGIN", 0.1)
        for _ in range(book.rng.randint(8, 40)):
            request.sql("SELECT id, name FROM products WHERE sku = $1")
            request.sql("UPDATE products SET stock = stock - $1 WHERE id = $2")
        request.sql("COMMIT", 0.4)
        request.done()


@CASES.case("decoy")
def prefetched(book: Book) -> None:
    for _ in range(25):
        request = book.request(ORDERS)
        request.sql(LIST, 3)
        for table in ("customers", "lines", "payments", "shipments", "notes", "tags"):
            request.sql(f"SELECT * FROM {table} WHERE order_id IN (?, ?, ?, ?)", 2)
        request.done()


@CASES.case("decoy")
def a_few_different_counts(book: Book) -> None:
    for _ in range(25):
        request = book.request("GET /dashboard")
        for table in ("orders", "customers", "payments", "refunds", "products", "visits", "carts", "users"):
            request.sql(f"SELECT count(*) FROM {table} WHERE tenant_id = $1", 2)
        request.done()


@CASES.case("decoy")
def four_flags(book: Book) -> None:
    for number in range(40):
        request = book.request(ORDERS)
        for flag in range(4):
            request.redis("GET flag:?", key=f"flag {flag}")
        request.sql(LIST, 3, key=f"{number}")
        request.done()


@CASES.case("decoy")
def deadlock_tried_again_with_errors_on_both(book: Book) -> None:
    for _ in range(25):
        request = book.request("POST /stock")
        for last in [False] * book.rng.randint(4, 6) + [True]:
            request.sql("SELECT stock FROM products WHERE id = $1 FOR UPDATE", 4, error=not last, key="product 7")
            if not last:
                request.sql("ROLLBACK", 0.2)
                request.pause(15)
        request.done()


@CASES.case("decoy")
def work_taken_from_a_queue_table(book: Book) -> None:
    take = "SELECT id, body FROM jobs WHERE state = ? ORDER BY id LIMIT ? FOR UPDATE SKIP LOCKED"
    for _ in range(8):
        work = book.request("drain queue", kind=INTERNAL, route=None)
        for _ in range(book.rng.randint(6, 30)):
            work.sql(take, 2)
            work.sql("DELETE FROM jobs WHERE id = $1")
        work.done()


@CASES.case("decoy")
def same_rate_read_for_every_line(book: Book) -> None:
    """One and the same row, once for every line: a duplicate."""
    for _ in range(25):
        request = book.request(ORDERS)
        request.sql(LIST, 3, key="list", rows=20)
        for _ in range(20):
            request.sql("SELECT rate FROM rates WHERE currency = $1", 0.5, rows=1, key="EUR")
        request.done()


@CASES.case("decoy")
def chunks_of_keys(book: Book) -> None:
    for _ in range(10):
        request = book.request("GET /sitemap")
        for _ in range(book.rng.randint(5, 25)):
            request.sql("SELECT slug FROM pages WHERE id = ANY($1)", 6)
        request.done()


@CASES.case("decoy")
def waiting_for_a_lock_in_redis(book: Book) -> None:
    for _ in range(20):
        request = book.request("POST /pay")
        for _ in range(book.rng.randint(5, 12)):
            request.redis("GET lock:?")
            request.now_ns += 50 * MS
        request.done()


@CASES.case("decoy")
def sequence_values(book: Book) -> None:
    for _ in range(25):
        request = book.request("POST /import")
        for _ in range(book.rng.randint(5, 20)):
            request.sql("SELECT nextval(?)", 0.3)
            request.sql("INSERT INTO rows (id, body) VALUES ($1, $2)")
        request.done()


@CASES.case("decoy")
def a_driver_reads_the_catalog(book: Book) -> None:
    for _ in range(6):
        request = book.request(ORDERS)
        for _ in range(book.rng.randint(8, 12)):
            request.sql("SELECT attname, atttypid FROM pg_catalog.pg_attribute WHERE attrelid = $1", 1)
        request.sql(LIST, 3)
        request.done()


@CASES.case("decoy")
def a_feed_in_four_pages(book: Book) -> None:
    for _ in range(25):
        request = book.request("GET /feed")
        for _ in range(4):
            request.sql("SELECT id, body FROM posts WHERE created_at < $1 ORDER BY created_at DESC LIMIT ?", 5)
        request.done()


@CASES.case("nothing")
def a_cycle_alone(book: Book) -> None:
    request = book.request(ORDERS)
    spans = [request.sql(f"SELECT {column} FROM orders LIMIT ?") for column in "abcdefgh"]
    for span, above in zip(spans, spans[1:] + spans[:1], strict=True):
        span["parent_id"] = above["span_id"]
    request.done()


@CASES.case("nothing")
def spans_without_a_request(book: Book) -> None:
    """Statements whose parents never came, each in a trace of its own."""
    for _ in range(60):
        book.now_ns += MS
        book.add(
            trace_id=book.identity(16), span_id=book.identity(8), parent_id=book.identity(8), kind=3, name="SELECT",
            start_ns=book.now_ns, duration_ns=MS, system="postgresql", operation="SELECT", statement=CUSTOMER,
        )  # fmt: skip


@CASES.case("decoy")
def two_lookups_by_id(book: Book) -> None:
    for number in range(40):
        request = book.request("GET /compare")
        for side in range(2):
            request.sql("SELECT id, name, price FROM products WHERE id = $1", key=f"product {number * 2 + side}")
        request.done()
