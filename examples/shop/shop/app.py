"""The shop as an ASGI application: `granian --interface asgi shop.app:app`. Settings: `shop.settings`."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import psycopg
from fastapi import FastAPI, Request, Response

from headway.runtime.contrib.asgi import ReadYourWrites
from shop import settings as switches
from shop.answers import answer, cannot_hold, encode, refuse, refuses
from shop.database import Pooled
from shop.routes import assets, feed, orders, products, users
from shop.service import Service, build, parts_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import ASGIApp

    from shop.settings import Settings

PROMISED_MS = (100.0, 250.0)
"""The limits of AC-US1-01 and AC-US1-05: buckets end there."""


def create(settings: Settings) -> FastAPI:
    """The application that `settings` asks for. Connections are opened at start-up and closed at the end."""
    service = build(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service.database.ready():
            yield
            await service.cache.close()

    app = FastAPI(title="Shop", version="1.0.0", summary="The service Headway is shown on.", lifespan=lifespan)
    app.state.service = service
    app.add_exception_handler(psycopg.OperationalError, _database_refuses)
    app.add_exception_handler(psycopg.DataError, _database_cannot_hold)
    _add_watching(app)
    if isinstance(service.database, Pooled):
        app.add_middleware(ReadYourWrites, database=service.database.servers)
    for resource in (users, products, feed, orders, assets):
        app.include_router(resource.router)
    return app


def measured(app: FastAPI) -> ASGIApp:
    """The application, what is asked most in front of it and its requests counted when the settings say so."""
    service: Service = app.state.service
    database = service.database
    whole: ASGIApp = app
    if service.settings.gather_ms and isinstance(database, Pooled):
        from shop.hot import Hot

        whole = Hot(app, service, database)
    if not service.settings.metrics:
        return whole
    from headway.runtime.instrument import instrument

    servers = [database.servers] if isinstance(database, Pooled) else []
    return instrument(
        whole, limits_ms=PROMISED_MS, service="shop", databases=servers, gauges=service.cache.gauges(), sample_ratio=0.0
    )


def _add_watching(app: FastAPI) -> None:
    @app.get("/health", tags=["watching"])
    async def health(request: Request) -> Response:
        """The shop runs, and how. Does not ask the database: a restart of the shop would not mend that."""
        parts = parts_of(request)
        form = parts.settings
        running = {
            "pool": form.pool, "indexes": form.indexes, "batch": form.batch, "cache": form.cache is not None,
            "gather_ms": form.gather_ms, "edge_ttl_s": form.edge_ttl_s, "edge_told": form.edge_url is not None,
            "replica": form.replica_url is not None,
        }  # fmt: skip
        return answer(encode({"status": "ok", "settings": running}))

    @app.get("/metrics", tags=["watching"], responses={404: {"description": "SHOP_METRICS is 0"}})
    async def show_metrics() -> Response:
        """Prometheus metrics of this process; answered before it comes here when they are on."""
        return refuse(404, "metrics are off: SHOP_METRICS=1 turns them on")


async def _database_refuses(_: Request, __: Exception) -> Response:
    return refuses()


async def _database_cannot_hold(_: Request, __: Exception) -> Response:
    return cannot_hold()


def _from_environment() -> ASGIApp:
    try:
        return measured(create(switches.read(os.environ)))
    except switches.SettingsError as exc:
        raise SystemExit(f"shop: {exc}") from None


def __getattr__(name: str) -> ASGIApp:
    """`app` is made when a server asks for it: importing this module reads no environment."""
    if name != "app":
        raise AttributeError(name)
    made = _from_environment()
    globals()["app"] = made
    return made
