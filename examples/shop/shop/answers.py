"""What goes back to the client: JSON encoded once, with the headers a cache in front may act on."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from pydantic_core import to_json
from starlette.responses import Response

from headway.runtime.edge import Policy
from headway.runtime.edge.policy import NO_STORE

if TYPE_CHECKING:
    from shop.settings import Settings

JSON = "application/json"
CURRENT = {"cache-control": "no-cache"}


def encode(value: object) -> bytes:
    """JSON of rows as they come from the database. No model in between: the SQL says what an answer holds."""
    return to_json(value)


def answer(body: bytes, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """An answer with JSON that is already encoded."""
    return Response(body, status_code=status, headers=headers, media_type=JSON)


def refuse(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """A refusal in the form FastAPI gives its own. It carries no caching header: no cache keeps it."""
    return answer(encode({"detail": detail}), status=status, headers=headers)


def refuses() -> Response:
    """The database is down, or has no connection left."""
    return refuse(503, "the database refuses at the moment", {"retry-after": "1"})


def cannot_hold() -> Response:
    """A value of the request is none that the database has."""
    return refuse(422, "a value holds what the database cannot: a NUL character, or a number out of range")


def shared(settings: Settings) -> dict[str, str] | None:
    """
    Headers of lists, the same for everyone: an edge cache may keep them `edge_ttl_s`, a browser asks again.

    Nobody is hurt by a list that is some seconds old, and nothing could tell the edge which lists a change touches. For
    as long again the edge may show the old list while it asks for the new: one reader in many asks, none waits.
    """
    return _kept_for(settings.edge_ttl_s) if settings.edge_ttl_s else None


def current(settings: Settings) -> dict[str, str] | None:
    """
    Headers of one user or product, which can change by an update: as a list's, when the edge is told of new names.

    Whoever changes a name reads the new one next. An edge that nobody tells may not answer without asking; the shop's
    own cache keeps these in any case.
    """
    if settings.edge_url and settings.edge_ttl_s:
        return _kept_for(settings.edge_ttl_s)
    return CURRENT if settings.edge_ttl_s else None


@lru_cache(maxsize=8)
def _kept_for(seconds: int) -> dict[str, str]:
    return Policy(edge_s=seconds, stale_while_revalidate_s=seconds).headers()


def private(settings: Settings) -> dict[str, str] | None:
    """Headers of what is one person's own: no cache may keep it."""
    return NO_STORE if settings.edge_ttl_s else None
