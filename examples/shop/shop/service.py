"""What every route works with: the settings, the database, the cache, the edge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, cast

from fastapi import Depends, Path, Query, Request

from shop.cache import Cache
from shop.database import Database
from shop.database import build as build_database
from shop.edge import Edge

if TYPE_CHECKING:
    from shop.settings import Settings

LARGEST_ID = 2**63 - 1
Id = Annotated[int, Path(ge=1, le=LARGEST_ID)]
Limit = Annotated[int, Query(ge=1, le=100)]
Offset = Annotated[int, Query(ge=0, le=1_000_000)]


@dataclass(frozen=True, kw_only=True)
class Service:
    """The parts of one running shop."""

    settings: Settings
    database: Database
    cache: Cache
    edge: Edge


def build(settings: Settings) -> Service:
    """The parts that `settings` asks for; nothing is opened yet."""
    return Service(
        settings=settings,
        database=build_database(settings.database_url, replica_url=settings.replica_url, pool=settings.pool),
        cache=Cache(settings.cache, ttl_s=settings.cache_ttl_s, local=settings.cache_local),
        edge=Edge(settings.edge_url, key=settings.edge_key),
    )


async def _of(request: Request) -> Service:
    return cast("Service", request.app.state.service)


Parts = Annotated[Service, Depends(_of)]
