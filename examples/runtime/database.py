"""A service that reads from replicas and always sees its own writes: `uvicorn database:app` or any ASGI server."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from headway.runtime.contrib.asgi import ReadYourWrites
from headway.runtime.database import AsyncDatabase, Settings

database = AsyncDatabase(
    os.environ["PRIMARY_URL"],
    replicas=os.environ["REPLICA_URLS"].split(),
    settings=Settings(pool_max=5, statement_timeout_s=2.0),
    secret=os.environ["TOKEN_SECRET"].encode(),
)


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    """Open here: in the worker, after any fork, where the event loop runs."""
    async with database:
        async with database.write() as connection:
            await connection.execute("CREATE TABLE IF NOT EXISTS notes (id int PRIMARY KEY, text text NOT NULL)")
        yield


async def show(request: Request) -> JSONResponse:
    """Read on a replica that has what this client wrote."""
    rows = await database.fetch("SELECT text FROM notes WHERE id = %s", (request.path_params["id"],))
    return JSONResponse({"text": rows[0][0]} if rows else None)


async def save(request: Request) -> JSONResponse:
    """Write on the primary; the answer carries the token."""
    text = (await request.body()).decode()
    async with database.write() as connection:
        await connection.execute(
            "INSERT INTO notes VALUES (%s, %s) ON CONFLICT (id) DO UPDATE SET text = excluded.text",
            (request.path_params["id"], text),
        )
    return JSONResponse({"text": text})


app = Starlette(
    routes=[Route("/notes/{id:int}", show), Route("/notes/{id:int}", save, methods=["PUT"])],
    middleware=[Middleware(ReadYourWrites, database=database)],
    lifespan=lifespan,
)
