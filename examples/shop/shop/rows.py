"""
The shop's data, row by row the same on every machine: no generator with state, each value is a hash of its place.

A row therefore does not depend on the chunk it is made in. Integer arithmetic, and of floating point only what IEEE
754 fixes to the last bit (multiplication): no logarithms, no powers, which differ between libraries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from shop import words

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

SEED = 50
VERSION = 1  # raise it when a row changes: an older load is then made again
CHUNK_ROWS = 20_000

USERS, POSTS, PRODUCTS, ORDERS = 200_000, 1_000_000, 50_000, 1_000_000
CATEGORIES = (
    "audio", "bikes", "books", "cameras", "clothing", "coffee", "computers", "furniture", "games", "garden",
    "kitchen", "lamps", "music", "outdoor", "phones", "shoes", "sports", "stationery", "toys", "watches",
)  # fmt: skip

_FIRST_DAY_S = 1_672_531_200  # 2023-01-01: users come over two years, what they do over the year after
_YEAR_S = 31_536_000
_DAY_S = 86_400
_SPREAD = 2_654_435_761  # a prime above any number of users: k -> k * _SPREAD mod n visits each user once


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Rows of each table."""

    users: int
    posts: int
    products: int
    orders: int


@dataclass(frozen=True, kw_only=True)
class Source:
    """One table's rows as COPY wants them. `chunk(first, last)` gives rows first..last-1, counted from 0, as text."""

    table: str
    columns: str
    rows: int
    chunk: Callable[[int, int], bytes]

    def chunks(self) -> Iterator[tuple[int, bytes]]:
        """The whole table: rows made so far, and the next piece of COPY text."""
        for first in range(0, self.rows, CHUNK_ROWS):
            last = min(first + CHUNK_ROWS, self.rows)
            yield last, self.chunk(first, last)


def sizes(scale: float) -> Sizes:
    """Rows at `scale`; at 1.0, 200,000 users, 1,000,000 posts, 50,000 products, 1,000,000 orders."""
    users, posts, products, orders = (max(20, round(n * scale)) for n in (USERS, POSTS, PRODUCTS, ORDERS))
    return Sizes(users=users, posts=posts, products=products, orders=orders)


def sources(scale: float, seed: int = SEED) -> tuple[Source, ...]:
    """The four tables, those that others point to first."""
    n, draw = sizes(scale), _Draw(seed)
    return (
        Source(table="users", columns="id, email, name, country, created_at", rows=n.users,
               chunk=lambda first, last: _users(draw, n, _places(first, last))),
        Source(table="products", columns="id, name, category, price_cents, stock, created_at", rows=n.products,
               chunk=lambda first, last: _products(draw, n, _places(first, last))),
        Source(table="posts", columns="id, user_id, title, body, created_at", rows=n.posts,
               chunk=lambda first, last: _posts(draw, n, _places(first, last))),
        Source(table="orders", columns="id, user_id, product_id, quantity, total_cents, status, created_at",
               rows=n.orders, chunk=lambda first, last: _orders(draw, n, _places(first, last))),
    )  # fmt: skip


class _Draw:
    """Numbers that look random and depend on nothing but the seed, the column and the row (splitmix64's finaliser)."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def below(self, limit: int, column: str, places: Integers) -> Integers:
        """Whole numbers in [0, limit), evenly."""
        return (self._bits(column, places) % np.uint64(limit)).astype(np.int64)

    def skewed(self, limit: int, column: str, places: Integers) -> Integers:
        """Whole numbers in [0, limit), u squared: the lowest tenth of them gets about a third of the draws."""
        even = (self._bits(column, places) >> np.uint64(11)) * 2.0**-53
        return (even * even * limit).astype(np.int64)

    def _bits(self, column: str, places: Integers) -> NDArray[np.uint64]:
        salt = int.from_bytes(column.encode()[-8:].rjust(8, b"\0"), "big") ^ (self._seed * 0x9E3779B97F4A7C15)
        x = (places.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        x ^= _mixed(np.array([salt & (2**64 - 1)], dtype=np.uint64))
        return _mixed(_mixed(x))


def _mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _places(first: int, last: int) -> Integers:
    return np.arange(first, last, dtype=np.int64)


def _scattered(ranks: Integers, limit: int) -> Integers:
    """Ids 1..limit in another order: who writes most did not register first."""
    return (ranks + 1) * _SPREAD % limit + 1


def _times(seconds: Integers) -> list[str]:
    text: list[str] = np.datetime_as_string((seconds + _FIRST_DAY_S).astype("datetime64[s]")).tolist()
    return text


def _in_year(draw: _Draw, column: str, places: Integers, rows: int) -> list[str]:
    """Through the third year, in the order of ids up to a day of disorder, as many writers leave it."""
    return _times(2 * _YEAR_S + places * (_YEAR_S - _DAY_S) // rows + draw.below(_DAY_S, column, places))


def _text(lines: list[str]) -> bytes:
    return "".join(lines).encode()


def _users(draw: _Draw, n: Sizes, places: Integers) -> bytes:
    first = draw.below(len(words.FIRST), "u.first", places).tolist()
    last = draw.below(len(words.LAST), "u.last", places).tolist()
    country = draw.skewed(len(words.COUNTRIES), "u.country", places).tolist()
    made = _times(places * (2 * _YEAR_S) // n.users)
    return _text([
        f"{id}\t{(a := words.FIRST[f]).lower()}.{(b := words.LAST[k]).lower()}.{id}@example.com\t{a} {b}"
        f"\t{words.COUNTRIES[c]}\t{at}Z\n"
        for id, f, k, c, at in zip((places + 1).tolist(), first, last, country, made, strict=True)
    ])  # fmt: skip


def _price_cents(draw: _Draw, product_ids: Integers) -> Integers:
    return 199 + 50 * draw.skewed(1_000, "p.price", product_ids)


def _products(draw: _Draw, n: Sizes, places: Integers) -> bytes:
    look = draw.below(len(words.LOOKS), "p.look", places).tolist()
    thing = draw.below(len(words.THINGS), "p.thing", places).tolist()
    category = draw.below(len(CATEGORIES), "p.category", places).tolist()
    price = _price_cents(draw, places + 1).tolist()
    stock = (100_000 + draw.below(900_000, "p.stock", places)).tolist()
    made = _times(places * (2 * _YEAR_S) // n.products)
    return _text([
        f"{id}\t{words.LOOKS[a]} {words.THINGS[b]} {id}\t{CATEGORIES[c]}\t{p}\t{s}\t{at}Z\n"
        for id, a, b, c, p, s, at in zip(
            (places + 1).tolist(), look, thing, category, price, stock, made, strict=True
        )
    ])  # fmt: skip


def _posts(draw: _Draw, n: Sizes, places: Integers) -> bytes:
    user = _scattered(draw.skewed(n.users, "t.user", places), n.users).tolist()
    look = draw.below(len(words.LOOKS), "t.look", places).tolist()
    thing = draw.below(len(words.THINGS), "t.thing", places).tolist()
    opening = draw.below(len(words.OPENINGS), "t.open", places).tolist()
    middle = draw.below(len(words.MIDDLES), "t.middle", places).tolist()
    ending = draw.below(len(words.ENDINGS), "t.end", places).tolist()
    made = _in_year(draw, "t.at", places, n.posts)
    return _text([
        f"{id}\t{u}\tMy {(look := words.LOOKS[a]).lower()} {(thing := words.THINGS[b]).lower()}"
        f"\t{words.OPENINGS[o]} {look.lower()} {thing.lower()} {words.MIDDLES[m]} {words.ENDINGS[e]}\t{at}Z\n"
        for id, u, a, b, o, m, e, at in zip(
            (places + 1).tolist(), user, look, thing, opening, middle, ending, made, strict=True
        )
    ])  # fmt: skip


def _orders(draw: _Draw, n: Sizes, places: Integers) -> bytes:
    user = _scattered(draw.skewed(n.users, "o.user", places), n.users).tolist()
    product_ids = draw.skewed(n.products, "o.product", places) + 1
    quantity = draw.below(5, "o.number", places) + 1
    total = (quantity * _price_cents(draw, product_ids)).tolist()
    status = draw.below(len(words.STATUSES), "o.status", places).tolist()
    made = _in_year(draw, "o.at", places, n.orders)
    return _text([
        f"{id}\t{u}\t{p}\t{q}\t{cents}\t{words.STATUSES[s]}\t{at}Z\n"
        for id, u, p, q, cents, s, at in zip(
            (places + 1).tolist(), user, product_ids.tolist(), quantity.tolist(), total, status, made, strict=True
        )
    ])  # fmt: skip
