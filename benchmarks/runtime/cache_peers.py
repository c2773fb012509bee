"""Headway's cache and its peers behind one face: `await peer.get(key, load)`, each set up as its manual says."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

import aiocache
import cashews
import dogpile.cache
import redis.asyncio
import theine

from headway.runtime.cache import Cache, Policy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

TTL_S = 60.0


class Peer:
    """One cache. `local`: in this process; otherwise in the Valkey at `url`."""

    name: ClassVar[str]

    def __init__(self, url: str, *, local: bool, ttl_s: float = TTL_S) -> None:
        self.url, self.local, self.ttl_s = url, local, ttl_s

    async def get(self, key: str, load: Callable[[], Awaitable[Any]]) -> Any:
        """The cached value, or what `load` gives; loads are shared as well as this peer can."""
        raise NotImplementedError

    async def close(self) -> None:
        """Give connections back."""


class Headway(Peer):
    """`local` has both levels, as a service would."""

    name = "headway"

    def __init__(self, url: str, *, local: bool, ttl_s: float = TTL_S, **policy: Any) -> None:
        super().__init__(url, local=local, ttl_s=ttl_s)
        self.cache = Cache(url, namespace="headway", timeout_s=1.0)
        self.policy = Policy(ttl_s=ttl_s, local=local, **policy)
        self.get = self._get  # type: ignore[method-assign]

    async def _get(self, key: str, load: Callable[[], Awaitable[Any]]) -> Any:
        return await self.cache.get_or_set(key, load, self.policy)

    async def close(self) -> None:
        """See Peer."""
        await self.cache.aclose()


class Decorated(Peer):
    """A cache that is a decorator, on a function that finds the load by its key."""

    cached: Any

    def __init__(self, url: str, *, local: bool, ttl_s: float = TTL_S) -> None:
        super().__init__(url, local=local, ttl_s=ttl_s)
        self.loads: dict[str, Callable[[], Awaitable[Any]]] = {}

    async def get(self, key: str, load: Callable[[], Awaitable[Any]]) -> Any:
        """See Peer."""
        self.loads[key] = load
        return await self.cached(key)


class Cashews(Decorated):
    """With `lock=True`, its answer to stampedes."""

    name = "cashews"

    def __init__(self, url: str, *, local: bool, ttl_s: float = TTL_S, **setup: Any) -> None:
        super().__init__(url, local=local, ttl_s=ttl_s)
        self.cache = cashews.Cache()
        self.cache.setup("mem://" if local and not setup else url, **setup)

        @self.cache(ttl=ttl_s, key="{key}", lock=True)
        async def cached(key: str) -> Any:
            return await self.loads[key]()

        self.cached = cached

    async def close(self) -> None:
        """See Peer."""
        await self.cache.close()


class Aiocache(Decorated):
    """With `cached_stampede`, its answer to stampedes."""

    name = "aiocache"

    def __init__(self, url: str, *, local: bool, ttl_s: float = TTL_S) -> None:
        super().__init__(url, local=local, ttl_s=ttl_s)
        where = urlsplit(url)
        settings: dict[str, Any] = {"serializer": aiocache.serializers.JsonSerializer()}
        if not local:
            settings |= {
                "cache": aiocache.Cache.REDIS,
                "endpoint": where.hostname,
                "port": where.port,
                "password": where.password,
                "pool_max_size": 200,  # the default of few is an error for every caller beyond
            }

        @aiocache.cached_stampede(  # type: ignore[untyped-decorator]
            lease=2, ttl=ttl_s if local else max(1, int(ttl_s)), key_builder=lambda _f, key: key, **settings
        )
        async def cached(key: str) -> Any:
            return await self.loads[key]()

        self.cached = cached

    async def close(self) -> None:
        """See Peer."""
        await self.cached.cache.close()


class Dogpile(Peer):
    """For threads; a hit is called directly, which flatters it: under asyncio it would block the loop."""

    name = "dogpile.cache"

    def __init__(self, url: str, *, local: bool, ttl_s: float = TTL_S) -> None:
        super().__init__(url, local=local, ttl_s=ttl_s)
        settings = {"url": url, "distributed_lock": True, "thread_local_lock": False, "lock_timeout": 10}
        self.region = dogpile.cache.make_region().configure(
            "dogpile.cache.memory" if local else "dogpile.cache.redis",
            expiration_time=ttl_s,
            arguments={} if local else settings,
        )

    async def get(self, key: str, load: Callable[[], Awaitable[Any]]) -> Any:
        """See Peer."""

        def creator() -> Any:
            steps = load().__await__()
            try:
                next(steps)
            except StopIteration as end:
                return end.value
            raise TypeError("this load waits; call it in a thread")

        return self.region.get_or_create(key, creator)

    async def get_in_thread(self, key: str, load: Callable[[], Awaitable[Any]]) -> Any:
        """A load that waits, in a thread with a loop of its own."""
        return await asyncio.to_thread(self.region.get_or_create, key, lambda: asyncio.run(load()))  # type: ignore[arg-type]


class Theine(Peer):
    """In this process alone."""

    name = "theine"

    def __init__(self, url: str, *, local: bool, ttl_s: float = TTL_S) -> None:
        super().__init__(url, local=local, ttl_s=ttl_s)
        self.cache: theine.Cache[str, Any] = theine.Cache(10_000)

    async def get(self, key: str, load: Callable[[], Awaitable[Any]]) -> Any:
        """See Peer."""
        value, found = self.cache.get(key)
        if not found:
            value = await load()
            self.cache.set(key, value)
        return value


class BareGet(Peer):
    """redis-py's GET alone: nothing is decoded, nothing loaded."""

    name = "redis-py GET"
    settings: ClassVar[dict[str, Any]] = {}

    def __init__(self, url: str, *, local: bool, ttl_s: float = TTL_S) -> None:
        super().__init__(url, local=local, ttl_s=ttl_s)
        self.client = redis.asyncio.Redis.from_url(url, **self.settings)

    async def get(self, key: str, load: Callable[[], Awaitable[Any]]) -> Any:
        """See Peer."""
        value = await self.client.get(key)
        if value is None:
            await load()
            await self.client.set(key, b'{"id":5,"name":"Ada","tags":["a","b"]}', px=int(self.ttl_s * 1000))
        return value

    async def close(self) -> None:
        """See Peer."""
        await self.client.aclose()


class UnboundedGet(BareGet):
    """The same without redis-py's own time limit, which makes a task and two timers for each command."""

    name = "redis-py GET, no limit"
    settings: ClassVar[dict[str, Any]] = {"socket_timeout": None}
