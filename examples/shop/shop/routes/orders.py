"""Orders: placing one."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from psycopg.errors import ForeignKeyViolation

from shop import queries
from shop.answers import answer, encode, refuse
from shop.database import Connection, Row
from shop.keys import product_key
from shop.service import parts_of
from shop.shapes import NewOrder, Order, described

router = APIRouter(tags=["orders"])
_SQL = queries.read("orders")


class _NotPlaced(Exception):
    """Leaves the transaction, which is rolled back."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


@router.post(
    "/orders", status_code=201, responses=described(Order, 201, _404="no such user or product", _409="not enough left")
)
async def place_order(order: NewOrder, request: Request) -> Response:
    """Buy something: the price of now, the order and the stock change together or not at all."""
    parts = parts_of(request)
    place = _place_at_once if parts.settings.batch else _place
    try:
        async with parts.database.writing() as connection:
            placed = await place(connection, order)
    except _NotPlaced as refusal:
        return refuse(refusal.status, refusal.detail)
    await parts.cache.forget(product_key(order.product_id))
    return answer(encode(placed), status=201)


async def _place(connection: Connection, order: NewOrder) -> Row:
    values: dict[str, object] = dict(order)
    price = await (await connection.execute(_SQL["price"], values)).fetchone()
    if price is None:
        raise _NotPlaced(404, f"no product {order.product_id}")
    values["total_cents"] = price["price_cents"] * order.quantity
    try:
        placed = await (await connection.execute(_SQL["insert"], values)).fetchone()
    except ForeignKeyViolation as exc:
        raise _NotPlaced(404, f"no user {order.user_id}") from exc
    if (await connection.execute(_SQL["take"], values)).rowcount != 1 or placed is None:
        raise _NotPlaced(409, f"fewer than {order.quantity} left of product {order.product_id}")
    return placed


async def _place_at_once(connection: Connection, order: NewOrder) -> Row:
    """The same in one statement: two journeys less, in which the row of a product that many want stays locked."""
    values: dict[str, object] = dict(order)
    try:
        placed = await (await connection.execute(_SQL["place"], values)).fetchone()
    except ForeignKeyViolation as exc:
        raise _NotPlaced(404, f"no user {order.user_id}") from exc
    if placed is not None:
        return placed
    there = await (await connection.execute(_SQL["there"], values)).fetchone()
    if there is None or not there["product"]:
        raise _NotPlaced(404, f"no product {order.product_id}")
    if not there["customer"]:
        raise _NotPlaced(404, f"no user {order.user_id}")
    raise _NotPlaced(409, f"fewer than {order.quantity} left of product {order.product_id}")
