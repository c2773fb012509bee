"""The remote level: redis-py behind one time limit and one circuit breaker, its errors mapped in one place."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import (
    ClusterCrossSlotError,
    ClusterDownError,
    MovedError,
    NoScriptError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
)
from redis.retry import Retry

from headway.runtime.cache.breaker import Breaker
from headway.runtime.cache.counts import Counts
from headway.runtime.cache.deadlines import Deadlines
from headway.runtime.cache.errors import CacheDown, CacheError, CacheMisplaced, CacheNotAsked, CacheRefused
from headway.runtime.cache.lean import LeanRedis
from headway.runtime.cache.server_clock import ServerClock

if TYPE_CHECKING:
    from headway.runtime.cache.core import Core
    from headway.runtime.cache.scripts import Script

MOST_CONNECTIONS = 64
"""Connections of one process; a call beyond them waits for one, within the time limit."""

TRIES_AGAIN = 1
"""A pooled connection that the server has closed meanwhile fails once; every script may be run twice."""


def async_client(url: str, timeout_s: float) -> Any:
    """A client of redis-py for asyncio."""
    pool = redis.asyncio.ConnectionPool.from_url(
        as_redis(url),
        socket_connect_timeout=timeout_s,
        socket_timeout=None,  # AsyncRemote's deadline is around all of it; redis-py's own makes a task for each command
        protocol=2,
        retry=AsyncRetry(NoBackoff(), TRIES_AGAIN, supported_errors=(redis.ConnectionError,)),
    )
    return LeanRedis.from_pool(pool)


def sync_client(url: str, timeout_s: float, *, protocol: int = 2) -> Any:
    """A client of redis-py for threads."""
    pool = redis.BlockingConnectionPool.from_url(
        as_redis(url),
        max_connections=MOST_CONNECTIONS,
        timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        socket_timeout=timeout_s,
        protocol=protocol,
        retry=Retry(NoBackoff(), TRIES_AGAIN, supported_errors=(redis.ConnectionError,)),
    )
    return redis.Redis.from_pool(pool)


def as_redis(url: str) -> str:
    """The URL as redis-py reads it."""
    for scheme in ("redis://", "rediss://", "unix://"):
        if url.startswith(scheme):
            return url
    if url.startswith(("valkey://", "valkeys://")):
        return url.replace("valkey", "redis", 1)
    raise ValueError(
        f"{url.partition('://')[0]}:// is no address of a cache; use redis://, rediss://, valkey:// or unix://"
    )


def _allowed(core: Core | Health) -> None:
    if core.closed:
        raise CacheNotAsked("the cache has been closed")
    if not core.breaker.allows(core.now()):
        core.counts.remote_skipped += 1
        raise CacheNotAsked("the remote level is not asked: its circuit is open after failures in a row")


def _mapped(core: Core | Health, exc: Exception) -> CacheError:
    """What a failure is to the cache; also moves the breaker."""
    if isinstance(exc, (MovedError, ClusterCrossSlotError)):
        return CacheMisplaced(f"this server is part of a cluster ({exc}); make the cache with cluster=True")
    if isinstance(exc, ResponseError) and not isinstance(exc, ClusterDownError):
        core.breaker.succeeded()
        core.counts.remote_refused += 1
        return CacheRefused(f"the remote level refuses: {exc}")
    core.breaker.failed(core.now())
    core.counts.remote_failures += 1
    core.clock.forget()
    return CacheDown(f"the remote level does not answer: {exc!r}")


class Health:
    """What one remote level is known to be: enough to decide whether to ask it. A cache's Core is one, too."""

    def __init__(self) -> None:
        self.closed = False
        self.now = time.monotonic
        self.breaker = Breaker()
        self.clock = ServerClock()
        self.counts = Counts()


class AsyncRemote:
    """For one event loop."""

    def __init__(self, core: Core | Health, client: Any, timeout_s: float) -> None:
        self._core = core
        self._deadlines = Deadlines(timeout_s)
        # Half the price of redis-py's BlockingConnectionPool, which makes a task and two timers for each command.
        self._free = asyncio.Semaphore(MOST_CONNECTIONS)
        self.client = client

    async def ask(self, *words: Any) -> Any:
        """The reply to one command; raises CacheDown."""
        core = self._core
        _allowed(core)
        try:
            with self._deadlines.one():
                async with self._free:
                    reply = await self.client.execute_command(*words)
        except NoScriptError:
            raise
        except (RedisError, RedisClusterException, OSError) as exc:  # TimeoutError is an OSError
            if isinstance(exc, ReadOnlyError):  # a replica now: the next connection may lead to the new primary
                await self._reopen()
            raise _mapped(core, exc) from exc
        core.breaker.succeeded()
        return reply

    async def _reopen(self) -> None:
        if isinstance(self.client, LeanRedis):
            await self.client.drop_idle()
        elif hasattr(self.client, "connection_pool"):
            await self.client.connection_pool.disconnect(inuse_connections=False)

    async def run(self, script: Script, keys: list[str], words: tuple[Any, ...]) -> Any:
        """The reply of a script; raises CacheDown."""
        try:
            return await self.ask("EVALSHA", script.digest, len(keys), *keys, *words)
        except NoScriptError:
            return await self.ask("EVAL", script.text, len(keys), *keys, *words)


class SyncRemote:
    """For threads."""

    def __init__(self, core: Core | Health, client: Any) -> None:
        self._core = core
        self.client = client

    def ask(self, *words: Any) -> Any:
        """The reply to one command; raises CacheDown."""
        core = self._core
        _allowed(core)
        try:
            reply = self.client.execute_command(*words)
        except NoScriptError:
            raise
        except (RedisError, RedisClusterException, OSError) as exc:
            if isinstance(exc, ReadOnlyError) and hasattr(self.client, "connection_pool"):
                self.client.connection_pool.disconnect(inuse_connections=False)
            raise _mapped(core, exc) from exc
        core.breaker.succeeded()
        return reply

    def run(self, script: Script, keys: list[str], words: tuple[Any, ...]) -> Any:
        """The reply of a script; raises CacheDown."""
        try:
            return self.ask("EVALSHA", script.digest, len(keys), *keys, *words)
        except NoScriptError:
            return self.ask("EVAL", script.text, len(keys), *keys, *words)
