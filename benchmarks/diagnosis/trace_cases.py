"""Labelled traces with an N+1 in them, for tuning the rule. The decoys are in trace_decoys.py, a third is held out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labelled import Cases
from made_traces import CONSUMER, MS

if TYPE_CHECKING:
    from made_traces import Book

CASES = Cases()
USERS = "GET /users"
PAGE = "SELECT id, name FROM users ORDER BY id LIMIT ? OFFSET ?"
POSTS = "SELECT id, title FROM posts WHERE user_id = $1 ORDER BY created_at DESC LIMIT ?"
POSTS_ALL = "SELECT id, title, user_id FROM posts WHERE user_id = %s"
COMMENTS = "SELECT id, body FROM comments WHERE post_id = %s"
AUTHOR = "SELECT id, name FROM authors WHERE id = $1"


@CASES.case("sequential", (USERS, POSTS))
def pages_of_several_sizes(book: Book) -> None:
    """Nothing is known but the texts."""
    for _ in range(40):
        request = book.request(USERS)
        request.sql(PAGE, 2)
        for _ in range(book.rng.choice([5, 10, 20, 50])):
            request.sql(POSTS)
        request.done()


@CASES.case("sequential", (USERS, POSTS))
def pages_of_one_size(book: Book) -> None:
    for _ in range(40):
        request = book.request(USERS)
        request.sql(PAGE, 2)
        for _ in range(20):
            request.sql(POSTS)
        request.done()


@CASES.case("sequential", (USERS, POSTS))
def ten_a_page_values_seen(book: Book) -> None:
    for number in range(30):
        request = book.request(USERS)
        request.sql(PAGE, 2, rows=10, key=f"page {number}")
        for user in range(10):
            request.sql(POSTS, rows=5, key=f"user {number * 10 + user}")
        request.done()


@CASES.case("sequential", (USERS, POSTS_ALL))
def small_pages_with_rows_said(book: Book) -> None:
    """Three rows or so a page: the count follows the source's rows."""
    for _ in range(60):
        request = book.request(USERS)
        rows = book.rng.randint(1, 6)
        request.sql(PAGE, 2, rows=rows)
        for _ in range(rows):
            request.sql(POSTS_ALL, rows=2)
        request.done()


@CASES.case("sequential", (USERS, POSTS))
def below_a_resolver_each(book: Book) -> None:
    """GraphQL: each statement stands under a span of its own."""
    for _ in range(20):
        request = book.request(USERS)
        with request.inside("query users"):
            request.sql(PAGE, 2)
            for _ in range(book.rng.randint(8, 25)):
                with request.inside("resolve User.posts"), request.inside("load"):
                    request.sql(POSTS)
        request.done()


@CASES.case("concurrent", (USERS, POSTS))
def gathered(book: Book) -> None:
    for _ in range(30):
        request = book.request(USERS)
        request.sql(PAGE, 2)
        request.at_once([(POSTS, {})] * book.rng.choice([10, 20, 40]), 2)
        request.done()


@CASES.case("concurrent", (USERS, POSTS_ALL))
def gathered_through_a_small_pool(book: Book) -> None:
    for _ in range(30):
        request = book.request(USERS)
        request.sql(PAGE, 2)
        request.at_once([(POSTS_ALL, {})] * 20, 2, lanes=4)
        request.done()


@CASES.case("interleaved", (USERS, POSTS_ALL), (USERS, "SELECT count(*) FROM followers WHERE user_id = %s"))
def two_statements_in_one_loop(book: Book) -> None:
    for _ in range(30):
        request = book.request(USERS)
        request.sql(PAGE, 2)
        for _ in range(book.rng.choice([10, 20])):
            request.sql(POSTS_ALL)
            request.sql("SELECT count(*) FROM followers WHERE user_id = %s", 0.7)
        request.done()


@CASES.case("interleaved", (USERS, POSTS_ALL))
def a_call_to_another_service_between(book: Book) -> None:
    for _ in range(25):
        request = book.request(USERS)
        request.sql(PAGE, 2)
        for _ in range(12):
            request.sql(POSTS_ALL)
            request.call("GET avatars", 3, peer="avatars:80")
        request.done()


@CASES.case("no source", ("POST /users/lookup", AUTHOR))
def ids_come_with_the_request(book: Book) -> None:
    for _ in range(30):
        request = book.request("POST /users/lookup")
        for _ in range(book.rng.randint(3, 30)):
            request.sql(AUTHOR, 0.6)
        request.done()


@CASES.case("no source", (USERS, POSTS_ALL))
def ids_come_from_redis(book: Book) -> None:
    for _ in range(30):
        request = book.request(USERS)
        request.redis("ZREVRANGE ranking")
        for _ in range(book.rng.choice([10, 25])):
            request.sql(POSTS_ALL)
        request.done()


@CASES.case("Redis", (USERS, "GET user:?"))
def redis_get_loop(book: Book) -> None:
    for _ in range(30):
        request = book.request(USERS)
        request.redis("SMEMBERS online")
        for _ in range(book.rng.randint(6, 40)):
            request.redis("GET user:?")
        request.done()


@CASES.case("Redis", (USERS, "GET user:?"), (USERS, AUTHOR))
def cache_aside_in_a_loop(book: Book) -> None:
    """Look, miss, read, store: for each row. Storing goes when the loop goes."""
    for _ in range(30):
        request = book.request(USERS)
        request.sql(PAGE, 2)
        for _ in range(15):
            request.redis("GET user:?")
            request.sql(AUTHOR)
            request.redis("SETEX user:?")
        request.done()


LAZY = "SELECT posts.id AS posts_id, posts.title AS posts_title FROM posts WHERE $1 = posts.user_id"


@CASES.case("ORM", (USERS, LAZY))
def sqlalchemy_lazy_collection(book: Book) -> None:
    for _ in range(30):
        request = book.request(USERS)
        request.sql("SELECT users.id, users.name FROM users ORDER BY users.id LIMIT ?", 2)
        for _ in range(book.rng.choice([10, 20])):
            request.sql(LAZY)
        request.done()


DJANGO = 'SELECT "shop_author"."id", "shop_author"."name" FROM "shop_author" WHERE "shop_author"."id" = %s LIMIT ?'


@CASES.case("ORM", ("GET /posts", DJANGO))
def django_foreign_key(book: Book) -> None:
    for _ in range(30):
        request = book.request("GET /posts")
        request.sql('SELECT "shop_post"."id", "shop_post"."author_id" FROM "shop_post" LIMIT ?', 2)
        for _ in range(25):
            request.sql(DJANGO, 0.5)
        request.done()


@CASES.case("nested", (USERS, POSTS_ALL), (USERS, COMMENTS))
def users_posts_comments(book: Book) -> None:
    for _ in range(15):
        request = book.request(USERS)
        request.sql(PAGE, 2)
        for _ in range(book.rng.choice([5, 10])):
            request.sql(POSTS_ALL)
            for _ in range(book.rng.randint(0, 5)):
                request.sql(COMMENTS, 0.5)
        request.done()


@CASES.case("sequential", (USERS, POSTS))
def only_one_request_in_ten(book: Book) -> None:
    """The cache answers the others."""
    for number in range(100):
        request = book.request(USERS)
        request.redis("GET page:?")
        if number % 10 == 0:
            request.sql(PAGE, 2)
            for _ in range(20):
                request.sql(POSTS)
        request.done()


EXISTS = "SELECT EXISTS(SELECT ? FROM likes WHERE post_id = $1 AND user_id = $2)"


@CASES.case("sequential", ("GET /feed", EXISTS))
def has_the_reader_liked_it(book: Book) -> None:
    for _ in range(30):
        request = book.request("GET /feed")
        request.sql("SELECT id, title FROM posts ORDER BY created_at DESC LIMIT ?", 3)
        for _ in range(book.rng.choice([15, 30])):
            request.sql(EXISTS, 0.4)
        request.done()


@CASES.case("sequential", (USERS, POSTS_ALL))
def within_a_transaction(book: Book) -> None:
    for _ in range(30):
        request = book.request(USERS)
        request.sql("BEGIN", 0.1)
        request.sql(PAGE, 2)
        for _ in range(book.rng.choice([8, 16])):
            request.sql(POSTS_ALL)
        request.sql("COMMIT", 0.2)
        request.done()


@CASES.case("trouble", (USERS, POSTS_ALL))
def spans_between_were_lost(book: Book) -> None:
    """The internal span that all statements stand under never arrived."""
    for _ in range(20):
        request = book.request(USERS)
        lost = book.identity(8)
        request.sql(PAGE, 2, parent_id=lost)
        for _ in range(book.rng.choice([10, 20])):
            request.sql(POSTS_ALL, parent_id=lost)
        request.done()


@CASES.case("trouble", (USERS, POSTS_ALL))
def clocks_that_disagree(book: Book) -> None:
    """The client library's clock is 80 ms behind the server's."""
    for _ in range(20):
        request = book.request(USERS)
        rows = [request.sql(PAGE, 2)]
        rows += [request.sql(POSTS_ALL) for _ in range(book.rng.choice([10, 20]))]
        request.done()
        for row in rows:
            row["start_ns"] -= 80 * MS


@CASES.case("trouble", (USERS, POSTS_ALL))
def beside_spans_in_a_circle(book: Book) -> None:
    for _ in range(20):
        request = book.request(USERS)
        request.sql(PAGE, 2)
        first, second = request.sql(POSTS_ALL), request.sql(POSTS_ALL)
        first["parent_id"], second["parent_id"] = second["span_id"], first["span_id"]
        for _ in range(book.rng.choice([10, 20])):
            request.sql(POSTS_ALL)
        request.done()


@CASES.case("sequential", ("GET /export", POSTS_ALL))
def five_thousand_in_one_request(book: Book) -> None:
    request = book.request("GET /export")
    request.sql("SELECT id FROM users", 20)
    for _ in range(5_000):
        request.sql(POSTS_ALL, 0.4)
    request.done()


@CASES.case("sequential", ("process orders", AUTHOR))
def a_worker_taking_messages(book: Book) -> None:
    for _ in range(20):
        request = book.request("process orders", kind=CONSUMER, route=None)
        for _ in range(book.rng.randint(5, 30)):
            request.sql(AUTHOR)
        request.done()


JOINED = "SELECT u.id, t.name FROM users u JOIN teams t ON t.id = u.team_id WHERE u.id = $1"


@CASES.case("sequential", ("GET /members", JOINED))
def the_repeated_one_joins(book: Book) -> None:
    for _ in range(30):
        request = book.request("GET /members")
        request.sql("SELECT user_id FROM members WHERE club_id = $1", 2)
        for _ in range(book.rng.randint(4, 30)):
            request.sql(JOINED)
        request.done()
