"""The shop's data: the same everywhere, and of the promised shape."""

from __future__ import annotations

import hashlib
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shop import queries, rows

SCALE = 0.001
SOURCES = {source.table: source for source in rows.sources(SCALE)}


def whole(source: rows.Source) -> bytes:
    """A table's COPY text in one piece."""
    return b"".join(piece for _, piece in source.chunks())


def table(name: str, scale: float = SCALE) -> list[list[str]]:
    """A table's rows, split into fields."""
    source = next(each for each in rows.sources(scale) if each.table == name)
    return [line.split("\t") for line in whole(source).decode().splitlines()]


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("users", "b3d22b25c6821b3a"), ("products", "075366dfbcf77de2"),
        ("posts", "58e51b88c4065bf6"), ("orders", "c76c457937dab588"),
    ],
)  # fmt: skip
def test_the_bytes_are_these(name: str, digest: str) -> None:
    """The data is the same on every machine and in every release; who changes a row raises rows.VERSION and this."""
    assert rows.VERSION == 1
    assert hashlib.sha256(whole(SOURCES[name])).hexdigest()[:16] == digest


@given(st.sampled_from(sorted(SOURCES)), st.lists(st.integers(0, 1_000), max_size=6))
def test_rows_do_not_depend_on_the_chunk_they_are_made_in(name: str, cuts: list[int]) -> None:
    """However a table is cut into chunks, its bytes are the same."""
    source = SOURCES[name]
    places = sorted({0, source.rows, *(cut for cut in cuts if cut < source.rows)})
    pieces = (source.chunk(first, last) for first, last in pairwise(places))
    assert b"".join(pieces) == whole(source)


def test_another_seed_is_other_data() -> None:
    """The seed reaches the rows."""
    assert whole(rows.sources(SCALE, seed=1)[0]) != whole(rows.sources(SCALE, seed=2)[0])


def test_scale_one_is_the_promised_size() -> None:
    """200,000 users, 1,000,000 posts, 50,000 products, 1,000,000 orders; a tenth of it at a tenth."""
    assert rows.sizes(1.0) == rows.Sizes(users=200_000, posts=1_000_000, products=50_000, orders=1_000_000)
    assert rows.sizes(0.1) == rows.Sizes(users=20_000, posts=100_000, products=5_000, orders=100_000)


def test_addresses_are_unique() -> None:
    """No two users have one address, although nothing in the slow form would stop them."""
    addresses = [row[1] for row in table("users", 0.02)]
    assert len(set(addresses)) == len(addresses) == 4_000


def test_rows_point_to_rows_that_exist() -> None:
    """Posts and orders belong to users 1..n, orders to products 1..n: the foreign keys will hold."""
    n = rows.sizes(SCALE)
    assert {int(row[1]) for row in table("posts")} <= set(range(1, n.users + 1))
    assert {int(row[1]) for row in table("orders")} <= set(range(1, n.users + 1))
    assert {int(row[2]) for row in table("orders")} <= set(range(1, n.products + 1))


def test_an_order_costs_what_its_products_cost() -> None:
    """An order's total is its quantity times the product's price."""
    price = {int(row[0]): int(row[3]) for row in table("products")}
    for _, _, product, quantity, total, *_ in table("orders"):
        assert int(total) == int(quantity) * price[int(product)]


def test_few_users_write_much() -> None:
    """The busiest tenth of the users wrote between a quarter and a half of the posts."""
    wrote = Counter(row[1] for row in table("posts", 0.02))
    busiest = sum(count for _, count in wrote.most_common(400))
    assert 0.25 < busiest / 20_000 < 0.5


def test_columns_are_those_of_the_table() -> None:
    """Each row has a field for each column named in COPY, in the table's own order."""
    schema = queries.read("schema")
    for name, source in SOURCES.items():
        columns = source.columns.split(", ")
        assert all(len(row) == len(columns) for row in table(name))
        assert [schema[name].index(f" {column} ") for column in columns] == sorted(
            schema[name].index(f" {column} ") for column in columns
        )
