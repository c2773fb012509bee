"""
Django's cache framework over the two-level cache.

    CACHES = {
        "default": {
            "BACKEND": "headway.runtime.contrib.django_cache.HeadwayCache",
            "LOCATION": "redis://localhost",
            "OPTIONS": {"namespace": "shop", "stale_s": 30, "fail_safe_s": 3600},
        }
    }

Values are kept as bytes, in the process too: what `get` gives is the caller's own, as Django promises. As with Django's
own Redis backend they are pickled unless OPTIONS name another serializer: who can write to the server can run code
here.
"""

from __future__ import annotations

import pickle
import threading
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from headway.runtime.cache import Policy, SyncCache
from headway.runtime.cache.policy import LONGEST_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from headway.runtime.cache.entry import Entry

OF_THE_CACHE = frozenset({"namespace", "timeout_s", "strict", "max_entries", "max_bytes"})
OF_THE_POLICY = frozenset(
    {
        "jitter_ratio", "stale_s", "fail_safe_s", "throttle_s", "soft_timeout_s", "hard_timeout_s", "early_beta",
        "lease_wait_s", "local", "local_ttl_s", "compress_over_bytes",
    }
)  # fmt: skip

_shared: dict[str, SyncCache] = {}
_sharing = threading.Lock()
"""Django makes a backend for each thread; those with the same settings share one cache."""


class Pickled:
    """The default serializer. Any with these two methods will do."""

    def dumps(self, value: Any) -> bytes:
        """Bytes of a value."""
        return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)

    def loads(self, data: bytes) -> Any:
        """The value again, a new object each time."""
        return pickle.loads(data)  # noqa: S301 - as Django's own backends do; see the module


class HeadwayCache(BaseCache):  # type: ignore[misc]  # Django ships no types
    """
    A backend for CACHES. LOCATION is one address, or "" for this process alone.

    OPTIONS: `namespace` ("django"), `timeout_s`, `strict`, `max_entries`, `max_bytes` of SyncCache; the parts of a
    Policy but for ttl_s, tags, kind and sliding ones; `serializer`, an object with dumps and loads, or its class, or
    where that is.

    A timeout of None, and any over 30 days, is 30 days. `close` closes nothing: connections are the process's.

    Raises:
        ImproperlyConfigured: an option that is unknown, or several addresses.
        CacheDown: from add, touch, incr and decr while the server does not answer: they are decided there, or not at
            all. The others go on without it; with `strict` they raise it too.
    """

    def __init__(self, location: Any, params: Mapping[str, Any]) -> None:
        super().__init__(params)
        options = dict(params.get("OPTIONS", {}))
        unknown = set(options) - OF_THE_CACHE - OF_THE_POLICY - {"serializer"}
        if unknown:
            raise ImproperlyConfigured(
                f"CACHES has the OPTIONS {sorted(unknown)}, which this backend cannot honour; it knows"
                f" {sorted(OF_THE_CACHE | OF_THE_POLICY | {'serializer'})}"
            )
        if not isinstance(location, str):
            raise ImproperlyConfigured(f"LOCATION is {location!r}; give one address, or '' for this process alone")
        serializer = options.pop("serializer", Pickled)
        serializer = import_string(serializer) if isinstance(serializer, str) else serializer
        self._serializer = serializer() if callable(serializer) else serializer
        # Django's timeout is what its caller said: not shortened unless asked for.
        chosen = {name: value for name, value in options.items() if name in OF_THE_POLICY}
        policy = Policy(**{"jitter_ratio": 0.0, **chosen}, kind=bytes)
        self._policy = lru_cache(maxsize=256)(lambda ttl_s: policy.but(ttl_s=min(ttl_s, LONGEST_S - policy.grace_s)))
        self._cache = _share(location, {name: value for name, value in options.items() if name in OF_THE_CACHE})

    @property
    def headway(self) -> SyncCache:
        """The cache itself: its `stats()`, for `instrument_wsgi(caches=...)`. Its keys are `make_key`'s."""
        return self._cache

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        """See Django. A hit in this process is decoded anew for each caller."""
        data = self._cache.get(self.make_and_validate_key(key, version), None, self._policy(1.0))
        return default if data is None else self._serializer.loads(data)

    def set(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        """See Django."""
        self._set(self.make_and_validate_key(key, version), value, self._ttl_s(timeout))

    def add(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """See Django. Of several processes one is told True."""
        name, ttl_s = self.make_and_validate_key(key, version), self._ttl_s(timeout)
        data = self._serializer.dumps(value)
        if ttl_s <= 0:
            return not self.has_key(key, version)
        return self._swap(name, ttl_s, lambda entry: (data, self._policy(ttl_s).ttl_s) if entry is None else None)

    def touch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """See Django."""
        ttl_s = self._ttl_s(timeout)
        if ttl_s <= 0:
            return self.delete(key, version)
        name, until_s = self.make_and_validate_key(key, version), self._policy(ttl_s).ttl_s
        return self._swap(name, ttl_s, lambda entry: None if entry is None else (entry.value, until_s))

    def delete(self, key: Any, version: int | None = None) -> bool:
        """See Django; whether there was something is asked first, and may have changed since."""
        there: bool = self.has_key(key, version)
        self._cache.invalidate(self.make_and_validate_key(key, version))
        return there

    def incr(self, key: Any, delta: int = 1, version: int | None = None) -> Any:
        """See Django. None is lost, and the timeout stays; a cache may forget all the same: count in the database."""
        name, made = self.make_and_validate_key(key, version), None

        def raised(entry: Entry | None) -> tuple[bytes, float] | None:
            nonlocal made
            if entry is None:
                return None
            made = self._serializer.loads(entry.value) + delta
            return self._serializer.dumps(made), entry.fresh_until - self._cache._core.now()

        if not self._swap(name, 1.0, raised):
            raise ValueError(f"Key '{name}' not found")
        return made

    def get_or_set(self, key: Any, default: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> Any:
        """See Django. A function is called once for all who ask at the same time, in all processes."""
        ttl_s = self._ttl_s(timeout)
        make: Callable[[], Any] = default if callable(default) else lambda: default
        if ttl_s <= 0:
            found = self.get(key, self._missing_key, version)
            return make() if found is self._missing_key else found
        name = self.make_and_validate_key(key, version)
        data = self._cache.get_or_set(name, lambda: self._serializer.dumps(make()), self._policy(ttl_s))
        return self._serializer.loads(data)

    async def aget_or_set(self, *args: Any, **options: Any) -> Any:
        """As `get_or_set`, in Django's thread. (Django's own would ask, make, and add, each caller by himself.)"""
        return await sync_to_async(self.get_or_set, thread_sensitive=True)(*args, **options)

    def set_many(
        self, data: Mapping[Any, Any], timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> list[Any]:
        """See Django; one question each. Returns the keys of which other processes could not be told."""
        ttl_s = self._ttl_s(timeout)
        return [
            key for key, value in data.items() if not self._set(self.make_and_validate_key(key, version), value, ttl_s)
        ]

    def delete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        """See Django; one question for all."""
        self._cache.invalidate(*(self.make_and_validate_key(key, version) for key in keys))

    def clear(self) -> None:
        """Everything in the namespace, whatever its prefix and version; of other namespaces nothing."""
        self._cache.clear()

    def close(self, **_: Any) -> None:
        """Django calls this after each request; connections stay for the next."""

    def _set(self, name: str, value: Any, ttl_s: float) -> bool:
        data = self._serializer.dumps(value)
        if ttl_s <= 0:
            return self._cache.invalidate(name)
        return self._cache.set(name, data, self._policy(ttl_s))

    def _swap(self, name: str, ttl_s: float, change: Callable[[Entry | None], tuple[bytes, float] | None]) -> bool:
        return self._cache.swap(name, change, self._policy(ttl_s))

    def _ttl_s(self, timeout: Any) -> float:
        """Django's three kinds of a timeout as seconds; 0 or less: not to be kept."""
        chosen = self.default_timeout if timeout == DEFAULT_TIMEOUT else timeout
        return LONGEST_S if chosen is None else float(chosen)


def _share(location: str, settings: dict[str, Any]) -> SyncCache:
    settings = {"namespace": "django", **settings}
    name = repr((location, sorted(settings.items())))
    with _sharing:
        if name not in _shared:
            _shared[name] = SyncCache(location or None, **settings)
        return _shared[name]
