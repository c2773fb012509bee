"""A service whose promises can be read off its own /metrics: `uvicorn measured:app` or any ASGI server."""

import os
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from headway.runtime.instrument import current, instrument


async def user(request: Request) -> JSONResponse:
    """The trace goes on to whatever this asks of others: send `current().traceparent` with it."""
    here = current()
    return JSONResponse({"id": request.path_params["id"], "traceparent": here.traceparent if here else None})


app = instrument(
    Starlette(routes=[Route("/users/{id:int}", user)]),
    promises=Path(__file__).with_name("promises.md"),
    service="users",
    otlp_url=os.environ.get("OTLP_URL"),
)
