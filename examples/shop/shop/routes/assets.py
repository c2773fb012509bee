"""A few small files, read once at start and answered from memory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from shop.answers import refuse
from shop.service import parts_of

router = APIRouter(tags=["assets"])
_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
_KEEP = "public, max-age=86400"  # a day, no longer: the names carry no version


@dataclass(frozen=True, kw_only=True)
class _Asset:
    body: bytes
    type: str
    etag: str


def _read() -> dict[str, _Asset]:
    found = {}
    for file in files("shop").joinpath("static").iterdir():
        kind = _TYPES.get(file.name.rpartition(".")[2])
        if kind is not None:
            body = file.read_bytes()
            found[file.name] = _Asset(body=body, type=kind, etag=f'"{hashlib.sha256(body).hexdigest()[:16]}"')
    return found


_ASSETS = _read()


@router.get("/static/{file}", responses={404: {"description": "no such file"}, 304: {"description": "still the same"}})
async def asset(file: Annotated[str, Path(max_length=100)], request: Request) -> Response:
    """One static file, with an ETag; kept by caches for a day when there is an edge."""
    parts = parts_of(request)
    found = _ASSETS.get(file)
    if found is None:
        return refuse(404, f"no file {file}")
    headers = {"etag": found.etag, **({"cache-control": _KEEP} if parts.settings.edge_ttl_s else {})}
    if found.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(found.body, media_type=found.type, headers=headers)
