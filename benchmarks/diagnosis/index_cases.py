"""
Labelled statements: which keys an experienced DBA would index for each, or that no index should be made.

The labels were written before the rule was first run on them; those of the last third (`HELD_OUT`) were not looked at
while it was mended. Equalities that may stand in either order are given in both. `;`-separated statements are one
workload. Parameters are written as constants, as a service's driver sends them.

`LATER` and `LATER_HELD_OUT` are about covering indexes, patterns and expressions, and tables that are written much.
They too were labelled, and a third of them held out, before the rule was run on them or changed for them.
`LOGGED_HELD_OUT` came with the use of logged plans, and was labelled before that was first run on anything.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Case:
    """
    `expected`: key lists of which any is right, as "table(key, ...) include (column, ...) where condition using gin",
    as much of that as is wanted; none: no index should be advised. `written` runs `writes` times meanwhile, each
    with its own number for {n}, and is undone at the end.
    """

    name: str
    kind: str
    sql: str
    expected: tuple[str, ...] = ()
    calls: int = 40
    written: str = ""
    writes: int = 0


def _case(
    name: str, kind: str, sql: str, *expected: str, calls: int = 40, written: str = "", writes: int = 0
) -> Case:  # fmt: skip
    return Case(name=name, kind=kind, sql=sql, expected=expected, calls=calls, written=written, writes=writes)


SEEN = (
    _case("by email", "equality", "SELECT * FROM users WHERE email = 'User77@example.org'", "users(email)"),
    _case("posts of a user", "equality", "SELECT id, title FROM posts WHERE user_id = 77", "posts(user_id)"),
    _case("two equalities", "equality", "SELECT * FROM orders WHERE product_id = 7 AND status = 'open'",
          "orders(product_id, status)", "orders(status, product_id)", "orders(product_id)"),
    _case("city and country", "equality", "SELECT id FROM users WHERE country = 'c7' AND city = 'city 7'",
          "users(city)", "users(city, country)", "users(country, city)"),
    _case("quoted names", "equality", 'SELECT * FROM billing."Invoice" WHERE "customerId" = 77',
          'billing.Invoice("customerId")'),
    _case("delete by key", "equality", "DELETE FROM comments WHERE user_id = 20077", "comments(user_id)"),
    _case("update by key", "equality", "UPDATE posts SET views = views WHERE title = 'title x'", "posts(title)"),
    _case("one of several", "equality", "SELECT * FROM users WHERE email IN ('a', 'b', 'c')", "users(email)"),
    _case("any of an array", "equality", "SELECT id FROM comments WHERE user_id = ANY('{5,6,7}')", "comments(user_id)"),
    _case("count of few", "equality", "SELECT count(*) FROM comments WHERE user_id = 5", "comments(user_id)"),
    _case("exists", "equality", "SELECT EXISTS (SELECT 1 FROM followers WHERE followed_id = 99)",
          "followers(followed_id)", "followers(followed_id, follower_id)"),
    _case("latest of one user", "sort", "SELECT id FROM posts WHERE user_id = 7 ORDER BY created_at DESC LIMIT 10",
          "posts(user_id, created_at)", "posts(user_id, created_at DESC)"),
    _case("most viewed", "sort", "SELECT id, title FROM posts ORDER BY views DESC LIMIT 20", "posts(views)",
          "posts(views DESC)"),
    _case("cheapest of a category", "sort",
          "SELECT id, name FROM products WHERE category = 7 ORDER BY price, id LIMIT 20",
          "products(category, price, id)", "products(category, price)"),
    _case("mixed directions", "sort",
          "SELECT id FROM products WHERE brand = 7 ORDER BY price DESC, name LIMIT 20",
          "products(brand, price DESC, name)", "products(brand)"),
    _case("newest users", "sort", "SELECT id, name FROM users ORDER BY created_at DESC LIMIT 10", "users(created_at)",
          "users(created_at DESC)"),
    _case("keyset page", "sort", "SELECT id FROM posts WHERE views < 50000 ORDER BY views DESC LIMIT 20",
          "posts(views)", "posts(views DESC)"),
    _case("narrow range", "range", "SELECT id FROM users WHERE created_at > now() - interval '20 minutes'",
          "users(created_at)"),
    _case("between", "range", "SELECT id FROM posts WHERE views BETWEEN 10 AND 60", "posts(views)"),
    _case("equality and range", "range",
          "SELECT total FROM orders WHERE product_id = 7 AND created_at > now() - interval '1 day'",
          "orders(product_id, created_at)", "orders(product_id)"),
    _case("due invoices", "range", "SELECT id FROM billing.\"Invoice\" WHERE due = date '2026-03-05' AND NOT paid",
          "billing.Invoice(due)", "billing.Invoice(due, paid)"),
    _case("join from a key", "join",
          "SELECT c.text FROM comments c JOIN users u ON u.id = c.user_id WHERE u.id = 77", "comments(user_id)"),
    _case("join from a unique name", "join",
          "SELECT o.id FROM products p JOIN orders o ON o.product_id = p.id WHERE p.sku = 'sku77'",
          "orders(product_id)"),
    _case("posts of one email", "join",
          "SELECT p.id FROM posts p JOIN users u ON u.id = p.user_id WHERE u.email = 'User77@example.org'",
          "users(email)", "posts(user_id)"),
    _case("not shipped", "partial", "SELECT id FROM orders WHERE shipped_at IS NULL ORDER BY created_at LIMIT 50",
          "orders(created_at) where shipped_at IS NULL", "orders(shipped_at, created_at)", "orders(shipped_at)"),
    _case("deleted users", "partial", "SELECT id FROM users WHERE deleted_at IS NOT NULL", "users(deleted_at)",
          "users(id) where deleted_at IS NOT NULL"),
    _case("lower email", "expression", "SELECT id FROM users WHERE lower(email) = 'user77@example.org'",
          "users(lower(email))"),
    _case("member of a document", "expression", "SELECT id FROM users WHERE settings ->> 'token' = 'x'",
          "users((settings ->> 'token'))"),
    _case("tag", "expression", "SELECT id FROM posts WHERE tags @> ARRAY['t77']", "posts(tags) using gin"),
    _case("by key", "none", "SELECT * FROM users WHERE id = 77"),
    _case("unique key", "none", "SELECT * FROM products WHERE sku = 'sku77'"),
    _case("small table", "none", "SELECT * FROM countries WHERE region = 'r3'"),
    _case("most rows", "none", "SELECT id FROM users WHERE active"),
    _case("half the rows", "none", "SELECT count(*) FROM events WHERE source = 1"),
    _case("a fifth of the rows", "none", "SELECT sum(views) FROM posts WHERE status = 'draft'"),
    _case("whole table", "none", "SELECT count(*) FROM orders"),
    _case("served by two columns", "none",
          "SELECT id FROM comments WHERE post_id = 7 ORDER BY created_at DESC LIMIT 20"),
    _case("served by a prefix", "none", "SELECT id FROM comments WHERE post_id = 7"),
    _case("few after an index", "none", "SELECT id FROM orders WHERE user_id = 7 AND status = 'open'"),
    _case("a handful to sort", "none", "SELECT id FROM orders WHERE user_id = 7 ORDER BY total LIMIT 3"),
    _case("in order already", "none", "SELECT id FROM posts ORDER BY created_at DESC LIMIT 10"),
    _case("any row", "none", "SELECT id FROM posts LIMIT 1"),
    _case("first key of two", "none", "SELECT followed_id FROM followers WHERE follower_id = 7"),
)  # fmt: skip

HELD_OUT = (
    _case("by name", "equality", "SELECT id FROM users WHERE name = 'name x'", "users(name)"),
    _case("by brand", "equality", "SELECT id, name FROM products WHERE brand = 399", "products(brand)"),
    _case("buyers of a product", "equality", "SELECT DISTINCT user_id FROM orders WHERE product_id = 7",
          "orders(product_id)", "orders(product_id, user_id)"),
    _case("reversed comparison", "equality", "SELECT id FROM comments WHERE 77 = user_id", "comments(user_id)"),
    _case("subquery", "equality", "SELECT id FROM posts WHERE user_id = (SELECT id FROM users WHERE id = 7)",
          "posts(user_id)"),
    _case("dearest orders of a product", "sort",
          "SELECT id FROM orders WHERE product_id = 9 ORDER BY total DESC LIMIT 5", "orders(product_id, total)",
          "orders(product_id, total DESC)", "orders(product_id)"),
    _case("latest comments", "sort", "SELECT id FROM comments ORDER BY created_at DESC LIMIT 10",
          "comments(created_at)", "comments(created_at DESC)"),
    _case("names in order", "sort", "SELECT id, name FROM products ORDER BY name LIMIT 10", "products(name)"),
    _case("a few minutes of comments", "range",
          "SELECT id FROM comments WHERE created_at >= now() - interval '10 minutes'", "comments(created_at)"),
    _case("expensive of a brand", "range", "SELECT id FROM products WHERE brand = 7 AND price > 9900",
          "products(brand, price)", "products(brand)"),
    _case("comments of a product's buyers", "join",
          "SELECT count(*) FROM orders o JOIN comments c ON c.user_id = o.user_id WHERE o.id = 77",
          "comments(user_id)"),
    _case("invoices of one customer", "sort",
          'SELECT id FROM billing."Invoice" WHERE "customerId" = 8 ORDER BY due DESC LIMIT 3',
          'billing.Invoice("customerId", due)', 'billing.Invoice("customerId", due DESC)',
          'billing.Invoice("customerId")'),
    _case("upper name", "expression", "SELECT id FROM users WHERE upper(name) = 'X'", "users(upper(name))"),
    _case("not shipped of a product", "partial", "SELECT id FROM orders WHERE product_id = 7 AND shipped_at IS NULL",
          "orders(product_id)", "orders(product_id) where shipped_at IS NULL", "orders(product_id, shipped_at)"),
    _case("a quarter", "none", "SELECT id FROM events WHERE kind = 3"),
    _case("country of many", "none", "SELECT count(*) FROM users WHERE active AND deleted_at IS NULL"),
    _case("all of a join", "none",
          "SELECT count(*) FROM posts p JOIN users u ON u.id = p.user_id"),
    _case("aggregate by status", "none", "SELECT status, count(*) FROM posts GROUP BY status"),
    _case("small join", "none", "SELECT u.id FROM users u JOIN countries c ON c.code = u.country WHERE u.id = 7"),
    _case("key and more", "none", "SELECT id FROM users WHERE id = 7 AND country = 'c7' AND active"),
    _case("unbounded sort", "none", "SELECT id FROM posts WHERE views >= 0 ORDER BY status"),
    _case("most of a range", "none", "SELECT count(*) FROM orders WHERE total > 100"),
    _case("nothing to find by", "none", "SELECT max(total) FROM orders WHERE total + 1 = 7"),
)  # fmt: skip

_COMMENT = "INSERT INTO comments SELECT 1000000 * {n} + n, n, n, 'new', false, now() FROM generate_series(1, 40000) n"
_EVENT = "INSERT INTO events (kind, source, at) VALUES (1, 1, now())"

LATER = (
    _case("prices of a category", "covering", "SELECT price FROM products WHERE category = 7",
          "products(category) include (price)", "products(category, price)"),
    _case("value of a category", "covering", "SELECT sum(price) FROM products WHERE category = 8",
          "products(category) include (price)", "products(category, price)"),
    _case("stock and price of a category", "covering", "SELECT stock, price FROM products WHERE category = 9",
          "products(category) include (stock, price)", "products(category) include (price, stock)"),
    _case("totals of a product", "covering", "SELECT total FROM orders WHERE product_id = 7", "orders(product_id)",
          "orders(product_id) include (total)", "orders(product_id, total)"),
    _case("wide columns of few", "covering", "SELECT title, body FROM posts WHERE user_id = 78", "posts(user_id)"),
    _case("every column of a brand", "covering", "SELECT * FROM products WHERE brand = 7", "products(brand)"),
    _case("totals of a user", "none: covering", "SELECT total FROM orders WHERE user_id = 9"),
    _case("dates of a post", "none: covering", "SELECT created_at FROM comments WHERE post_id = 9"),
    _case("one narrow column of all", "none: covering", "SELECT sum(total) FROM orders"),
    _case("part of a name", "pattern", "SELECT id FROM users WHERE name ILIKE '%abc12%'",
          "users(name gin_trgm_ops) using gin"),
    _case("part of a title, joined on", "pattern", "SELECT id FROM posts WHERE title LIKE '%' || 'abc1' || '%'",
          "posts(title gin_trgm_ops) using gin"),
    _case("part of a product, whole parameter", "pattern", "SELECT id FROM products WHERE name LIKE '%abc1%'",
          "products(name gin_trgm_ops) using gin"),
    _case("beginning of a name", "pattern", "SELECT id FROM users WHERE name LIKE 'name abc' || '%'",
          "users(name text_pattern_ops)", "users(name gin_trgm_ops) using gin"),
    _case("regular expression", "pattern", "SELECT id FROM users WHERE name ~ 'abc[0-9]d'",
          "users(name gin_trgm_ops) using gin"),
    _case("part of a small table's name", "none: pattern", "SELECT code FROM countries WHERE name ILIKE '%y 7%'"),
    _case("pattern that most rows meet", "none: pattern", "SELECT id FROM users WHERE email ILIKE '%example%'"),
    _case("document that has", "expression", """SELECT id FROM users WHERE settings @> '{"token": "x"}'""",
          "users(settings) using gin", "users(settings jsonb_path_ops) using gin"),
    _case("length", "expression", "SELECT id FROM posts WHERE length(title) = 5", "posts(length(title))"),
    _case("order by lower", "expression", "SELECT id FROM users ORDER BY lower(name) LIMIT 10", "users(lower(name))"),
    _case("no city as empty", "expression", "SELECT id FROM users WHERE coalesce(city, '') = 'city 77'",
          "users((coalesce(city, '')))"),
    _case("day of a time with zone", "none: expression",
          "SELECT count(*) FROM orders WHERE date_trunc('day', created_at) = date '2026-03-05'"),
    _case("cast of a time with zone", "none: expression",
          "SELECT count(*) FROM comments WHERE created_at::date = date '2026-03-05'"),
    _case("lower of a quarter", "none: expression", "SELECT id FROM posts WHERE lower(status) = 'draft'"),
    _case("log written much, read seldom", "none: writes",
          "SELECT count(*) FROM events WHERE at > now() - interval '1 minute'", calls=3, written=_EVENT, writes=10_000),
    _case("bulk load, read seldom", "none: writes", "SELECT id FROM comments WHERE user_id = 77", calls=4,
          written=_COMMENT, writes=2),
    _case("counter that is the order", "none: writes", "SELECT id FROM posts ORDER BY views DESC LIMIT 20", calls=2,
          written="UPDATE posts SET views = views + 1 WHERE id = {n}", writes=10_000),
    _case("log written some, read much", "writes", "SELECT count(*) FROM events WHERE at > now() - interval '2 min'",
          "events(at)", calls=100, written=_EVENT, writes=500),
    _case("another column updated", "writes", "SELECT id FROM posts WHERE user_id = 79", "posts(user_id)", calls=10,
          written="UPDATE posts SET views = views + 1 WHERE id = {n}", writes=10_000),
    _case("rows deleted by their key", "writes", "SELECT id FROM comments WHERE user_id = 78", "comments(user_id)",
          calls=10, written="DELETE FROM comments WHERE id = {n}", writes=10_000),
)  # fmt: skip

LATER_HELD_OUT = (
    _case("stock of a category", "covering", "SELECT stock FROM products WHERE category = 11",
          "products(category) include (stock)", "products(category, stock)"),
    _case("titles of a user", "covering", "SELECT title FROM posts WHERE user_id = 80", "posts(user_id)"),
    _case("dearest of a category", "covering", "SELECT max(price) FROM products WHERE category = 12",
          "products(category, price)", "products(category) include (price)"),
    _case("products of a user's orders", "none: covering", "SELECT product_id FROM orders WHERE user_id = 10"),
    _case("part of a text", "pattern", "SELECT id FROM comments WHERE text ILIKE '%' || '19999' || '%'",
          "comments(text gin_trgm_ops) using gin"),
    _case("case-blind regular expression", "pattern", "SELECT id FROM products WHERE name ~* 'ABC1'",
          "products(name gin_trgm_ops) using gin"),
    _case("pattern on a key's own page", "none: pattern", "SELECT id FROM users WHERE id = 77 AND name ILIKE '%a%'"),
    _case("upper in an order", "expression", "SELECT id FROM products ORDER BY upper(name) LIMIT 5",
          "products(upper(name))"),
    _case("hash of a text", "expression", "SELECT id FROM users WHERE md5(email) = 'x'", "users(md5(email))"),
    _case("month of a time with zone", "none: expression",
          "SELECT count(*) FROM posts WHERE extract(month FROM created_at) = 3"),
    _case("two loads, two reads", "none: writes", "SELECT id FROM comments WHERE text = 'x'", calls=2,
          written=_COMMENT, writes=3),
    _case("price written, price read seldom", "none: writes", "SELECT id FROM products WHERE price = 9999", calls=2,
          written="UPDATE products SET price = price + 1 WHERE id = {n}", writes=10_000),
    _case("price written, brand read", "writes", "SELECT id, name FROM products WHERE brand = 398", "products(brand)",
          calls=20, written="UPDATE products SET price = price + 1 WHERE id = {n}", writes=8_000),
    _case("orders deleted, product read", "writes", "SELECT id FROM orders WHERE product_id = 11", "orders(product_id)",
          calls=15, written="DELETE FROM orders WHERE id = {n}", writes=10_000),
)  # fmt: skip

LOGGED_HELD_OUT = (
    _case("visits of a narrow band, counted", "range", "SELECT count(*) FROM posts WHERE views BETWEEN 100 AND 130",
          "posts(views)"),
    _case("mean of an hour", "range", "SELECT avg(total) FROM orders WHERE created_at > now() - interval '1 hour'",
          "orders(created_at)", "orders(created_at) include (total)", "orders(created_at, total)"),
    _case("a month of orders, counted", "none: range",
          "SELECT count(*) FROM orders WHERE created_at > now() - interval '30 days'"),
    _case("counted by a member of a document", "expression",
          "SELECT count(*) FROM users WHERE settings ->> 'token' = 'x'", "users((settings ->> 'token'))"),
    _case("a third by a member of a document", "none: expression",
          "SELECT id FROM users WHERE settings ->> 'theme' = '1'"),
    _case("a third by a member of a document, counted", "none: expression",
          "SELECT count(*) FROM users WHERE settings ->> 'theme' = '1'"),
    _case("no city, or one", "expression", "SELECT id FROM users WHERE coalesce(city, 'none') = 'city 78'",
          "users((coalesce(city, 'none')))", "users(coalesce(city, 'none'))"),
)  # fmt: skip

CASES = (*SEEN, *LATER, *HELD_OUT, *LATER_HELD_OUT, *LOGGED_HELD_OUT)
