"""
What can go wrong in a cache, by what the caller can do about it.

CacheError
├── CacheDown            the remote level did not answer; seen only by a cache made with strict=True
│   ├── CacheRefused     it answered with an error: out of memory, read-only, no permission
│   └── CacheNotAsked    it was not asked: its circuit is open, or the cache is closed
├── SourceTimeout        the source was not done within hard_timeout_s, and nothing stale could be served
├── NotCacheable         the value cannot be written by the cache's codec, or the key's field has no safe text
├── CacheMisplaced       the server is one of a cluster, and the cache was not told so
└── CacheClosed          the cache was closed while the call was on its way
"""

from __future__ import annotations


class CacheError(Exception):
    """A cache could not do what was asked."""


class CacheDown(CacheError):
    """The remote level did not answer in time, or its circuit is open."""


class CacheRefused(CacheDown):
    """The remote level answered with an error."""


class CacheNotAsked(CacheDown):
    """The remote level was not asked at all: its circuit is open after failures in a row, or the cache is closed."""


class SourceTimeout(CacheError, TimeoutError):
    """The source was too slow, and there was nothing stale to serve."""


class NotCacheable(CacheError, TypeError):
    """A value or a key that cannot be written down safely."""


class CacheMisplaced(CacheError):
    """The server is part of a cluster: make the cache with cluster=True."""


class CacheClosed(CacheError):
    """The cache has been closed."""
