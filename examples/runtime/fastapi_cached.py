"""FastAPI with a cache that lives as long as the application: `uvicorn fastapi_cached:app` or any ASGI server."""

import os
from typing import Annotated

from fastapi import Depends, FastAPI

from headway.runtime.cache import Cache, Policy
from headway.runtime.contrib.starlette import given, opened

NAMES = {5: "Ada"}
app = FastAPI(lifespan=opened(cache=lambda: Cache.from_url(os.environ["CACHE_URL"], namespace="fastapi")))
Shared = Annotated[Cache, Depends(given("cache"))]


@app.get("/users/{user_id}")
async def show(user_id: int, cache: Shared) -> dict[str, str | None]:
    """Loaded once a minute at most, whatever the number of workers."""

    async def load() -> str | None:
        return NAMES.get(user_id)

    return {"name": await cache.get_or_set(f"user:{user_id}", load, Policy(ttl_s=60))}


@app.put("/users/{user_id}/{name}")
async def rename(user_id: int, name: str, cache: Shared) -> dict[str, str]:
    """The change first, then the invalidation."""
    NAMES[user_id] = name
    await cache.invalidate(f"user:{user_id}")
    return {"name": name}
