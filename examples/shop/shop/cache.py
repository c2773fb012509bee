"""The shop's cache: cache-aside over Redis or Valkey. A cache that is down costs time, never an answer."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

TIMEOUT_S = 0.25  # longer than any healthy answer; a query with an index takes less
PAUSE_S = 1.0  # after a failure the cache is left alone this long: a dead one must not cost every request its timeout

_log = logging.getLogger("shop.cache")
_FAILURES = (RedisError, OSError, TimeoutError)


class Cache:
    """
    Answers kept by key for a time.

    Args:
        url: redis:// or valkey://; None keeps nothing.
        ttl_s: how long an answer is kept, and so the longest anyone can be shown an old one. A reader that was slow to
            store what it read before an update can put the old answer back after it: ttl_s bounds that as well.
    """

    def __init__(self, url: str | None, *, ttl_s: int) -> None:
        self._ttl_s = ttl_s
        self._resume_at_s = 0.0
        self._client = None
        if url is not None:
            self._client = redis.asyncio.Redis.from_url(
                url.replace("valkey://", "redis://", 1),
                socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, retry=Retry(NoBackoff(), 0),
            )  # fmt: skip

    async def remember(self, key: str, make: Callable[[], Awaitable[bytes | None]]) -> bytes | None:
        """What is kept under `key`; else what `make` gives, kept unless it is None."""
        kept = await self._get(key)
        if kept is not None:
            return kept
        made = await make()
        if made is not None:
            await self._put(key, made)
        return made

    async def forget(self, key: str) -> None:
        """Drop what is kept under `key`. Tried even after a failure: an old answer is worse than a late one."""
        if self._client is None:
            return
        try:
            await self._client.delete(key)
        except _FAILURES as exc:
            self._fail(exc)

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()

    async def _get(self, key: str) -> bytes | None:
        if self._client is None or time.monotonic() < self._resume_at_s:
            return None
        try:
            kept = await self._client.get(key)
        except _FAILURES as exc:
            self._fail(exc)
            return None
        return kept.encode() if isinstance(kept, str) else kept

    async def _put(self, key: str, value: bytes) -> None:
        if self._client is None or time.monotonic() < self._resume_at_s:
            return
        try:
            await self._client.set(key, value, ex=self._ttl_s)
        except _FAILURES as exc:
            self._fail(exc)

    def _fail(self, exc: Exception) -> None:
        self._resume_at_s = time.monotonic() + PAUSE_S
        _log.warning("the cache fails, the database answers for %g s: %s", PAUSE_S, exc)
