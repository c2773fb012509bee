"""What every route works with: the settings, the database, the cache, the edge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, cast

from fastapi import Path, Query

from shop.cache import Cache
from shop.database import Database
from shop.database import build as build_database
from shop.edge import Edge

if TYPE_CHECKING:
    from fastapi import Request

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


def parts_of(request: Request) -> Service:
    """The parts of the shop that got this request. No Depends: FastAPI would solve it anew for each request."""
    return cast("Service", request.app.state.service)
