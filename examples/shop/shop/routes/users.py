"""Users: one, by address, a page with posts, a new name, one's orders."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from shop import queries
from shop.answers import answer, current, encode, private, refuse, shared
from shop.database import Connection, Row
from shop.keys import user_key
from shop.service import Id, Limit, Offset, parts_of
from shop.shapes import Order, Registered, Rename, User, UserWithPosts, described

POSTS_SHOWN = 5

router = APIRouter(tags=["users"])
_SQL = queries.read("users")
Address = Annotated[str, Query(min_length=3, max_length=254, pattern="^[^@\\s]+@[^@\\s]+$")]


# Before /users/{id}: routes are tried in the order they stand.
@router.get("/users/by-email", responses=described(Registered, _404="nobody has this address"))
async def user_by_email(email: Address, request: Request) -> Response:
    """The user who has an address. Never kept by a cache: the address is the user's own."""
    parts = parts_of(request)
    row = await parts.database.one(_SQL["by_email"], {"email": email})
    if row is None:
        return refuse(404, "nobody has this address")
    return answer(encode(row), headers=private(parts.settings))


@router.get("/users/{id}", responses=described(User, _404="no such user"))
async def user_by_id(id: Id, request: Request) -> Response:
    """One user's public profile."""
    parts = parts_of(request)

    async def read() -> bytes | None:
        row = await parts.database.one(_SQL["by_id"], {"id": id}, current=True)
        return None if row is None else encode(row)

    body = await parts.cache.remember(user_key(id), read)
    return refuse(404, f"no user {id}") if body is None else answer(body, headers=current(parts.settings))


@router.get("/users", responses=described(list[UserWithPosts]))
async def users_with_posts(request: Request, limit: Limit = 20, offset: Offset = 0) -> Response:
    """A page of users, each with the latest posts. May lag behind by the replica."""
    parts = parts_of(request)
    async with parts.database.reading(may_lag=True) as connection:
        page = await (await connection.execute(_SQL["page"], {"limit": limit, "offset": offset})).fetchall()
        posts = await _posts(connection, [row["id"] for row in page], batch=parts.settings.batch)
    body = encode([{**user, "posts": posts.get(user["id"], [])} for user in page])
    return answer(body, headers=shared(parts.settings))


@router.put("/users/{id}", responses=described(User, _404="no such user"))
async def rename_user(id: Id, change: Rename, request: Request) -> Response:
    """Give a user a new name. Lists kept by an edge cache show the old one up to `SHOP_EDGE_TTL_S` longer."""
    parts = parts_of(request)
    async with parts.database.writing() as connection:
        row = await (await connection.execute(_SQL["rename"], {"id": id, "name": change.name})).fetchone()
    if row is None:
        return refuse(404, f"no user {id}")
    await parts.cache.forget(user_key(id))
    await parts.edge.refresh(f"/users/{id}")
    return answer(encode(row))


@router.get("/users/{id}/orders", responses=described(list[Order]))
async def orders_of_user(id: Id, request: Request, limit: Limit = 20) -> Response:
    """One user's latest orders, with those that the reader has just placed; none for a user who does not exist."""
    parts = parts_of(request)
    rows = await parts.database.all(_SQL["orders"], {"user_id": id, "limit": limit})
    return answer(encode(rows), headers=private(parts.settings))


async def _posts(connection: Connection, user_ids: list[int], *, batch: bool) -> dict[int, list[Row]]:
    """The latest posts of each user, newest first: in one statement, or in one for each user."""
    rows: list[Row] = []
    if batch:
        values: dict[str, object] = {"user_ids": user_ids, "posts": POSTS_SHOWN}
        rows = await (await connection.execute(_SQL["posts_of_many"], values)).fetchall() if user_ids else []
    else:
        for user_id in user_ids:
            values = {"user_id": user_id, "posts": POSTS_SHOWN}
            rows += await (await connection.execute(_SQL["posts_of_one"], values)).fetchall()
    grouped = groupby(rows, key=itemgetter("user_id"))
    return {user_id: [_without_user(row) for row in its] for user_id, its in grouped}


def _without_user(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "user_id"}
