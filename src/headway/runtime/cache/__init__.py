"""
A cache of two levels: decoded objects in the process, bytes in Redis or Valkey, and one source that is asked once.

    cache = Cache.from_url("redis://localhost", namespace="shop")

    @cache.cached("user:{user_id}", policy=Policy(ttl_s=60, stale_s=30, fail_safe_s=3600))
    async def user(user_id: int) -> User: ...

Cache is for asyncio, SyncCache for threads; both drive the same steps (reading.py, loading.py, writing.py).
"""

from headway.runtime.cache.cache import Cache, Cached
from headway.runtime.cache.codecs import Codec, Json, MessagePack, Pickle
from headway.runtime.cache.errors import (
    CacheClosed,
    CacheDown,
    CacheError,
    CacheMisplaced,
    CacheNotAsked,
    CacheRefused,
    NotCacheable,
    SourceTimeout,
)
from headway.runtime.cache.keys import KeyTemplate
from headway.runtime.cache.policy import Policy
from headway.runtime.cache.sync import SyncCache, SyncCached

__all__ = [
    "Cache",
    "CacheClosed",
    "CacheDown",
    "CacheError",
    "CacheMisplaced",
    "CacheNotAsked",
    "CacheRefused",
    "Cached",
    "Codec",
    "Json",
    "KeyTemplate",
    "MessagePack",
    "NotCacheable",
    "Pickle",
    "Policy",
    "SourceTimeout",
    "SyncCache",
    "SyncCached",
]
