"""Rate limits across processes, by the library `limits` (extra `headway[limits]`): a sliding window in the server."""

from __future__ import annotations

import logging
from typing import Any

import limits
import limits.aio
from redis.exceptions import RedisError

from headway.runtime.cache.breaker import Breaker
from headway.runtime.cache.remote import Health

log = logging.getLogger("headway.runtime.debounce")

TIMEOUT_S = 0.25


class _Made:
    def __init__(self, url: str, rate: str, *, down_allows: bool = True, timeout_s: float = TIMEOUT_S) -> None:
        self.rate = limits.parse(rate)
        self._down_allows = down_allows
        self._health = Health()
        self._breaker: Breaker = self._health.breaker
        self._connect(url, {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s})

    def _connect(self, url: str, settings: dict[str, Any]) -> None:
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

    def _connect(self, url: str, settings: dict[str, Any]) -> None:
        storage = limits.aio.storage.RedisStorage(f"async+{url}", implementation="redispy", **settings)
        self._strategy = limits.aio.strategies.SlidingWindowCounterRateLimiter(storage)

    async def allows(self, *of: str) -> bool:
        """Count one, and say whether it is within the rate."""
        if not self._breaker.allows(self._health.now()):
            return self._down_allows
        try:
            allowed = await self._strategy.hit(self.rate, *of)
        except (RedisError, OSError) as exc:
            return self._down(exc)
        self._breaker.succeeded()
        return bool(allowed)


class SyncLimiter(_Made):
    """For threads; as Limiter."""

    def _connect(self, url: str, settings: dict[str, Any]) -> None:
        self._strategy = limits.strategies.SlidingWindowCounterRateLimiter(limits.storage.RedisStorage(url, **settings))

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
