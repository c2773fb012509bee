"""The cache for threads."""

from __future__ import annotations

import functools
import threading
import time
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Self, TypeVar

from headway.runtime.cache import reading, swapping, writing
from headway.runtime.cache.cluster import ThreadedCluster
from headway.runtime.cache.effects import Ask, Begin, Join, Load, Run, Sleep
from headway.runtime.cache.errors import CacheClosed, SourceTimeout
from headway.runtime.cache.remote import SyncRemote, sync_client
from headway.runtime.cache.shell import Shell
from headway.runtime.cache.watched import watched

if TYPE_CHECKING:
    from collections.abc import Callable

    from headway.runtime.cache.effects import Steps
    from headway.runtime.cache.policy import Policy
    from headway.runtime.cache.swapping import Change

Value = TypeVar("Value")
Default = TypeVar("Default")
Given = ParamSpec("Given")

MOST_THREADS = 64
"""Loads at once that have a thread of their own: those with a time limit, and refreshes behind the scenes."""


class SyncCache(Shell):
    """
    A cache for threads: `SyncCache.from_url("redis://...", namespace="shop")`. Arguments as in Shell.

    A source runs in the caller's thread, so that connections kept per thread are its own; with soft_timeout_s or
    hard_timeout_s, and for refreshes, it runs in another. A thread cannot be stopped: past hard_timeout_s its caller
    goes on without it, and its value is stored if it ever comes and nothing newer is there.
    """

    _remote: SyncRemote

    def _own_client(self, url: str) -> Any:
        return ThreadedCluster(url, self._timeout_s) if self._cluster else sync_client(url, self._timeout_s)

    def _connect(self) -> None:
        self._free = threading.BoundedSemaphore(MOST_THREADS)
        if self._core.remote:
            self._remote = SyncRemote(self._core, self._client())

    def get_or_set(self, key: str, source: Callable[[], Value], policy: Policy | None = None) -> Value:
        """As Cache.get_or_set."""
        core = self._core
        if policy is None or policy.local:
            entry = core.fresh(key)
            if entry is not None:
                return entry.value  # type: ignore[no-any-return]  # what was stored under the key
        self._listen()
        steps = reading.fetch(core, key, source, policy or self.policy)
        return self._drive(watched(core, "get_or_set", key, steps))  # type: ignore[no-any-return]

    def get(self, key: str, default: Default | None = None, policy: Policy | None = None) -> Any | Default | None:
        """As Cache.get."""
        self._listen()
        steps = reading.get(self._core, key, policy or self.policy)
        entry = self._drive(watched(self._core, "get", key, steps))
        return default if entry is None else entry.value

    def set(self, key: str, value: object, policy: Policy | None = None) -> bool:
        """As Cache.set."""
        self._listen()
        steps = writing.put(self._core, key, value, policy or self.policy)
        return bool(self._drive(watched(self._core, "set", key, steps)))

    def swap(self, key: str, change: Change, policy: Policy | None = None) -> bool:
        """As Cache.swap."""
        self._listen()
        steps = swapping.swap(self._core, key, change, policy or self.policy)
        return bool(self._drive(watched(self._core, "swap", key, steps)))

    def add(self, key: str, value: object, policy: Policy | None = None) -> bool:
        """As Cache.add."""
        chosen = policy or self.policy
        return self.swap(key, swapping.adding(self._core, value, chosen), chosen)

    def invalidate(self, *keys: str) -> bool:
        """As Cache.invalidate: call it after the commit."""
        self._listen()
        steps = writing.invalidate(self._core, keys)
        return bool(self._drive(watched(self._core, "invalidate", keys[0] if keys else "", steps)))

    def invalidate_tags(self, *tags: str) -> bool:
        """As Cache.invalidate_tags."""
        self._listen()
        steps = writing.invalidate_tags(self._core, tags)
        return bool(self._drive(watched(self._core, "invalidate_tags", "", steps)))

    def clear(self) -> bool:
        """As Cache.clear."""
        self._listen()
        return bool(self._drive(watched(self._core, "clear", "", writing.clear(self._core))))

    def write_through(
        self, key: str, value: Value, write: Callable[[Value], object], policy: Policy | None = None
    ) -> bool:
        """As Cache.write_through."""
        try:
            write(value)
        except BaseException:
            self.invalidate(key)  # whether the source has it is not known
            raise
        return self.set(key, value, policy)

    def cached(
        self, template: str, *, policy: Policy | None = None, tags: tuple[str, ...] = ()
    ) -> Callable[[Callable[Given, Value]], SyncCached[Given, Value]]:
        """As Cache.cached, for a plain function."""

        def decorate(function: Callable[Given, Value]) -> SyncCached[Given, Value]:
            return SyncCached(self, function, *self._of_function(template, policy, tags, function))

        return decorate

    def close(self) -> None:
        """Close connections. Loads in threads end on their own. The cache cannot be used afterwards."""
        self._core.closed = True
        if self._listener is not None:
            self._listener.end()
            self._listener.join(2 * self._timeout_s)
        if self._core.remote:
            self._remote.client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _drive(self, steps: Steps[Any]) -> Any:
        """Do what the steps ask for, one after another."""
        reply: Any = None
        failure: BaseException | None = None
        while True:
            try:
                effect = steps.send(reply) if failure is None else steps.throw(failure)
            except StopIteration as end:
                return end.value
            reply = failure = None
            try:
                reply = self._perform(effect)
            except BaseException as exc:  # noqa: BLE001 - it is the steps' to judge
                failure = exc

    def _perform(self, effect: Any) -> Any:
        kind = type(effect)
        if kind is Ask:
            return self._remote.ask(*effect.words)
        if kind is Join:
            ended = threading.Event()
            return not self._core.wait_for(effect.flight, ended.set) or ended.wait(effect.timeout_s)
        if kind is Run:
            return self._remote.run(effect.script, effect.keys, effect.words)
        if kind is Load:
            return effect.call()
        if kind is Begin:
            return self._begin(effect)
        if kind is Sleep:
            return time.sleep(effect.seconds)
        raise TypeError(f"{kind.__name__} is no effect")

    def _begin(self, effect: Begin) -> None:
        if self._core.closed:
            raise CacheClosed("the cache has been closed; make a new one")
        if effect.awaited and effect.patient:
            self._drive(effect.steps)
            return
        if not self._free.acquire(blocking=False):
            raise SourceTimeout(f"{MOST_THREADS} loads are on their way already; the source is too slow for more")
        threading.Thread(
            target=self._alone, args=(effect.steps, self._free), name="headway-cache-load", daemon=True
        ).start()

    def _alone(self, steps: Steps[None], free: threading.BoundedSemaphore) -> None:
        try:
            self._drive(steps)
        finally:
            free.release()


class SyncCached(Generic[Given, Value]):
    """A decorated function. Calling it is `get_or_set`; `key` and `invalidate` take the same arguments."""

    def __init__(
        self, cache: SyncCache, function: Callable[Given, Value], key: Callable[..., str], policy: Callable[..., Policy]
    ) -> None:
        functools.update_wrapper(self, function)
        self._cache = cache
        self._function = function
        self.key = key
        self._policy = policy

    def __call__(self, *args: Given.args, **kwargs: Given.kwargs) -> Value:
        """The cached value, or else the function's."""
        key, cache = self.key(*args, **kwargs), self._cache
        entry = cache._core.fresh(key)
        if entry is not None:
            return entry.value  # type: ignore[no-any-return]  # what the function returned
        return cache.get_or_set(key, lambda: self._function(*args, **kwargs), self._policy(*args, **kwargs))

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        """Methods: the instance is passed on, and is no part of the key."""
        return self if instance is None else functools.partial(self.__call__, instance)  # type: ignore[arg-type]

    def invalidate(self, *args: Given.args, **kwargs: Given.kwargs) -> bool:
        """Forget the value for these arguments, in all processes."""
        return self._cache.invalidate(self.key(*args, **kwargs))
