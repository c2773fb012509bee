"""Rate limits across processes, by the library `limits` (extra `headway[limits]`): a sliding window in the server."""

from __future__ import annotations

import asyncio
import logging

import limits
import limits.aio
from redis.exceptions import RedisError

from headway.runtime.cache.breaker import Breaker
from headway.runtime.cache.remote import Health, async_client, sync_client

log = logging.getLogger("headway.runtime.debounce")

TIMEOUT_S = 0.25


class _Made:
    def __init__(self, url: str, rate: str, *, down_allows: bool = True, timeout_s: float = TIMEOUT_S) -> None:
        self.rate = limits.parse(rate)
        self._down_allows = down_allows
        self._health = Health()
        self._breaker: Breaker = self._health.breaker
        self._connect(url, timeout_s)

    def _connect(self, url: str, timeout_s: float) -> None:
        raise NotImplementedError

    def _down(self, exc: Exception) -> bool:
        self._breaker.failed(self._health.now())
        log.warning("rate limit %s: the server does not answer: %r", self.rate, exc)
        return self._down_allows


class Limiter(_Made):
    """
    For asyncio. `Limiter(url, "100/minute")`; then `if not await limiter.allows("login", user_id): refuse`.

    Args:
        url: redis:// or unix://.
        rate: as `limits` reads it: "10/second", "100 per 5 minutes".
        down_allows: what is told when the server does not answer.
    """

    def _connect(self, url: str, timeout_s: float) -> None:
        self._client = async_client(url, timeout_s)
        self._timeout_s = timeout_s
        storage = limits.aio.storage.RedisStorage(
            "async+redis://", implementation="redispy", connection_pool=self._client.connection_pool
        )
        self._strategy = limits.aio.strategies.SlidingWindowCounterRateLimiter(storage)

    async def allows(self, *of: str) -> bool:
        """Count one, and say whether it is within the rate."""
        if not self._breaker.allows(self._health.now()):
            return self._down_allows
        try:
            async with asyncio.timeout(self._timeout_s):
                allowed = await self._strategy.hit(self.rate, *of)
        except (RedisError, OSError) as exc:
            return self._down(exc)
        self._breaker.succeeded()
        return bool(allowed)

    async def aclose(self) -> None:
        """Close connections."""
        await self._client.aclose()


class SyncLimiter(_Made):
    """For threads; as Limiter."""

    def _connect(self, url: str, timeout_s: float) -> None:
        self._client = sync_client(url, timeout_s)
        storage = limits.storage.RedisStorage("redis://", connection_pool=self._client.connection_pool)
        self._strategy = limits.strategies.SlidingWindowCounterRateLimiter(storage)

    def allows(self, *of: str) -> bool:
        """Count one, and say whether it is within the rate."""
        if not self._breaker.allows(self._health.now()):
            return self._down_allows
        try:
            allowed = self._strategy.hit(self.rate, *of)
        except (RedisError, OSError) as exc:
            return self._down(exc)
        self._breaker.succeeded()
        return bool(allowed)

    def close(self) -> None:
        """Close connections."""
        self._client.close()
