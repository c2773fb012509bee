"""What the shop keeps, when it keeps anything: cache-aside over Redis or Valkey, and copies in each process."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from headway.runtime.cache import Cache as Levels

NAMESPACE = "shop"


class Cache:
    """
    Answers kept by key for a time, each loaded once however many ask for it. One that is down costs time, no answer.

    Args:
        url: redis:// or valkey://; None keeps nothing.
        local: keep copies in this process as well, which are told of updates. Redis' own counters then see only what
            the copies did not have: they are no hit rate of the cache any more.
        ttl_s: how long an answer is kept, and so the longest anyone can be shown an old one: an update drops what is
            kept in every process, but one that has lost touch with Redis is not told.
    """

    def __init__(self, url: str | None, *, ttl_s: int, local: bool) -> None:
        self._levels = None if url is None else _levels(url, ttl_s, local=local)

    async def remember(self, key: str, make: Callable[[], Awaitable[bytes | None]]) -> bytes | None:
        """What is kept under `key`; else what `make` gives, kept unless it is None."""
        return await make() if self._levels is None else await self._levels.get_or_set(key, make)

    async def forget(self, *keys: str) -> None:
        """Drop what is kept under `keys`, in all processes. Call it after the commit."""
        if self._levels is not None:
            await self._levels.invalidate(*keys)

    async def close(self) -> None:
        """Close the connections."""
        if self._levels is not None:
            await self._levels.aclose()

    def gauges(self) -> Mapping[str, Callable[[], float]]:
        """Numbers to watch: how often each level answered, how often the database had to."""
        levels = self._levels
        if levels is None:
            return {}
        names = ("local_hits", "remote_hits", "loads", "local_entries", "circuit_open")
        return {f"shop_cache_{name}": lambda name=name: float(levels.stats()[name]) for name in names}  # type: ignore[misc]


def _levels(url: str, ttl_s: int, *, local: bool) -> Levels:
    """Imported only where a cache is asked for: the slow form does not pay for it."""
    from headway.runtime.cache import Cache as Levels
    from headway.runtime.cache import Policy

    policy = Policy(ttl_s=ttl_s, absent_ttl_s=0, kind=bytes, local=local, compress_over_bytes=None)
    return Levels.from_url(url, namespace=NAMESPACE, policy=policy)
