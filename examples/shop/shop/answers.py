"""What goes back to the client: JSON encoded once, with the headers a cache in front may act on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic_core import to_json
from starlette.responses import Response

if TYPE_CHECKING:
    from shop.settings import Settings

JSON = "application/json"
CURRENT = {"cache-control": "no-cache"}
PRIVATE = {"cache-control": "private, no-store"}


def encode(value: object) -> bytes:
    """JSON of rows as they come from the database. No model in between: the SQL says what an answer holds."""
    return to_json(value)


def answer(body: bytes, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """An answer with JSON that is already encoded."""
    return Response(body, status_code=status, headers=headers, media_type=JSON)


def refuse(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """A refusal in the form FastAPI gives its own. It carries no caching header: no cache keeps it."""
    return answer(encode({"detail": detail}), status=status, headers=headers)


def shared(settings: Settings) -> dict[str, str] | None:
    """
    Headers of lists, the same for everyone: an edge cache may keep them `edge_ttl_s`, a browser asks again.

    Nobody is hurt by a list that is some seconds old, and nothing could tell the edge which lists a change touches.
    """
    if not settings.edge_ttl_s:
        return None
    return {"cache-control": f"public, max-age=0, s-maxage={settings.edge_ttl_s}"}


def current(settings: Settings) -> dict[str, str] | None:
    """
    Headers of one user or product, which can change by an update: an edge cache may not answer without asking.

    Whoever changes a name reads the new one next. The shop's own cache keeps these: it is told of the update.
    """
    return CURRENT if settings.edge_ttl_s else None


def private(settings: Settings) -> dict[str, str] | None:
    """Headers of what is one person's own: no cache may keep it."""
    return PRIVATE if settings.edge_ttl_s else None
