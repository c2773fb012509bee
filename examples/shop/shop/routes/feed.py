"""The feed: the latest posts of everyone."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from shop import queries
from shop.answers import answer, encode, shared
from shop.service import Limit, parts_of
from shop.shapes import Post, described

router = APIRouter(tags=["feed"])
_SQL = queries.read("feed")


@router.get("/feed", responses=described(list[Post]))
async def feed(request: Request, limit: Limit = 20) -> Response:
    """The latest posts with their authors. May lag behind by the replica: nobody misses a post of the last second."""
    parts = parts_of(request)
    rows = await parts.database.all(_SQL["latest"], {"limit": limit}, may_lag=True)
    return answer(encode(rows), headers=shared(parts.settings))
