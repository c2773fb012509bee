"""Products: one, and the cheapest of a category."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from shop import queries
from shop.answers import answer, current, encode, refuse, shared
from shop.keys import product_key
from shop.service import Id, Limit, parts_of
from shop.shapes import Offer, Product, described

router = APIRouter(tags=["products"])
_SQL = queries.read("products")
Category = Annotated[str, Query(min_length=1, max_length=40, pattern="^[a-z-]+$")]


@router.get("/products/{id}", responses=described(Product, _404="no such product"))
async def product_by_id(id: Id, request: Request) -> Response:
    """One product and what is left of it."""
    parts = parts_of(request)

    async def read() -> bytes | None:
        row = await parts.database.one(_SQL["by_id"], {"id": id}, current=True)
        return None if row is None else encode(row)

    body = await parts.cache.remember(product_key(id), read)
    return refuse(404, f"no product {id}") if body is None else answer(body, headers=current(parts.settings))


@router.get("/products", responses=described(list[Offer]))
async def products_by_category(category: Category, request: Request, limit: Limit = 20) -> Response:
    """The cheapest products of a category; none for a category that does not exist. May lag behind by the replica."""
    parts = parts_of(request)

    async def read() -> bytes | None:
        query, values = _SQL["by_category"], {"category": category, "limit": limit}
        rows = await parts.database.all(query, values, may_lag=True)
        return encode(rows) if rows else None  # an empty answer is not kept: anyone can invent categories

    body = await parts.cache.remember(f"products:{category}:{limit}", read)
    return answer(body or b"[]", headers=shared(parts.settings))
