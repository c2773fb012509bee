"""The cache for asyncio."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Self, TypeVar

from headway.runtime.cache import reading, swapping, writing
from headway.runtime.cache.cluster import async_cluster
from headway.runtime.cache.effects import Ask, Begin, Join, Load, Run, Sleep
from headway.runtime.cache.errors import CacheClosed, SourceTimeout
from headway.runtime.cache.remote import AsyncRemote, async_client
from headway.runtime.cache.shell import Shell
from headway.runtime.cache.watched import watched

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from headway.runtime.cache.effects import Steps
    from headway.runtime.cache.policy import Policy
    from headway.runtime.cache.swapping import Change

Value = TypeVar("Value")
Default = TypeVar("Default")
Given = ParamSpec("Given")

CLOSING_S = 1.0
"""How long `aclose` lets loads that are on their way finish before it cancels them."""


class Cache(Shell):
    """
    A cache for one event loop: `Cache.from_url("redis://...", namespace="shop")`. Arguments as in Shell.

    A caller that is cancelled takes nothing with it: the load goes on for those who wait, and is stored.
    """

    _remote: AsyncRemote

    def _own_client(self, url: str) -> Any:
        return (async_cluster if self._cluster else async_client)(url, self._timeout_s)

    def _connect(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        if self._core.remote:
            self._remote = AsyncRemote(self._core, self._client(), self._timeout_s)

    async def get_or_set(self, key: str, source: Callable[[], Awaitable[Value]], policy: Policy | None = None) -> Value:
        """
        The cached value, or else the source's, loaded once for all who ask.

        The value is the cache's own object: do not change it.

        Raises:
            SourceTimeout: see Policy.hard_timeout_s.
            NotCacheable: the source's value cannot be written by the codec.
            Whatever the source raises, when nothing stale may stand in.
        """
        core = self._core
        if policy is None or policy.local:
            entry = core.fresh(key)
            if entry is not None:
                return entry.value  # type: ignore[no-any-return]  # what was stored under the key
        self._listen()
        steps = reading.fetch(core, key, source, policy or self.policy)
        value: Value = await self._drive(watched(core, "get_or_set", key, steps))
        return value

    async def get(self, key: str, default: Default | None = None, policy: Policy | None = None) -> Any | Default | None:
        """
        What is cached, or the default; nothing is loaded.

        Raises:
            CacheDown: the remote level does not answer, and the cache is strict.
        """
        self._listen()
        steps = reading.get(self._core, key, policy or self.policy)
        entry = await self._drive(watched(self._core, "get", key, steps))
        return default if entry is None else entry.value

    async def set(self, key: str, value: object, policy: Policy | None = None) -> bool:
        """
        Write a value through to all processes, newer than every load that has begun.

        Returns:
            False: the remote level could not be told yet; other processes may have the old one until their ttl.

        Raises:
            NotCacheable: the codec cannot write it.
            CacheDown: the remote level does not answer, and the cache is strict.
        """
        self._listen()
        steps = writing.put(self._core, key, value, policy or self.policy)
        return bool(await self._drive(watched(self._core, "set", key, steps)))

    async def swap(self, key: str, change: Change, policy: Policy | None = None) -> bool:
        """
        Write what `change` makes of the fresh entry (or of None), unless another process wrote meanwhile: then again.

        Args:
            change: gives (value, ttl in s) or None to leave all as it is; called once a try, so without effects.

        Returns:
            Whether it was written.

        Raises:
            CacheDown: the remote level does not answer, so nothing can be decided; also without `strict`.
            NotCacheable: the codec cannot write the value.
        """
        self._listen()
        steps = swapping.swap(self._core, key, change, policy or self.policy)
        return bool(await self._drive(watched(self._core, "swap", key, steps)))

    async def add(self, key: str, value: object, policy: Policy | None = None) -> bool:
        """Write a value if there is none, decided in one place for all processes; False: there is one. As swap."""
        chosen = policy or self.policy
        return await self.swap(key, swapping.adding(self._core, value, chosen), chosen)

    async def invalidate(self, *keys: str) -> bool:
        """
        Forget keys in all processes; call it after the commit.

        Returns:
            False: the remote level could not be told yet; it will be when it is back.

        Raises:
            CacheDown: the remote level does not answer, and the cache is strict.
        """
        self._listen()
        steps = writing.invalidate(self._core, keys)
        return bool(await self._drive(watched(self._core, "invalidate", keys[0] if keys else "", steps)))

    async def invalidate_tags(self, *tags: str) -> bool:
        """Forget all entries that have any of these tags: one write a tag, however many entries. As `invalidate`."""
        self._listen()
        steps = writing.invalidate_tags(self._core, tags)
        return bool(await self._drive(watched(self._core, "invalidate_tags", "", steps)))

    async def clear(self) -> bool:
        """Forget everything of this namespace and version. As `invalidate`."""
        self._listen()
        return bool(await self._drive(watched(self._core, "clear", "", writing.clear(self._core))))

    async def write_through(
        self, key: str, value: Value, write: Callable[[Value], Awaitable[object]], policy: Policy | None = None
    ) -> bool:
        """Write to the source, then the cache. When the source fails, the key is invalidated and its error raised."""
        try:
            await write(value)
        except BaseException:
            await self.invalidate(key)  # whether the source has it is not known
            raise
        return await self.set(key, value, policy)

    def cached(
        self, template: str, *, policy: Policy | None = None, tags: tuple[str, ...] = ()
    ) -> Callable[[Callable[Given, Coroutine[Any, Any, Value]]], Cached[Given, Value]]:
        """
        Decorate a coroutine function: `@cache.cached("user:{user_id}", tags=("team:{team_id}",))`.

        The return annotation is the type that stored values are decoded into, unless the policy has one.

        Args:
            template: a KeyTemplate that names every parameter.
            tags: further templates; any parameters.

        Raises:
            ValueError: a template that does not fit the function.
        """

        def decorate(function: Callable[Given, Coroutine[Any, Any, Value]]) -> Cached[Given, Value]:
            return Cached(self, function, *self._of_function(template, policy, tags, function))

        return decorate

    async def aclose(self) -> None:
        """Let loads finish for CLOSING_S, cancel the rest, close connections. The cache cannot be used afterwards."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSING_S)
        self._core.closed = True
        left = list(self._tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        if self._listener is not None:
            self._listener.end()
        if self._core.remote:
            await self._remote.client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.aclose()

    async def _drive(self, steps: Steps[Any]) -> Any:
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
                if type(effect) is Ask:  # every read, here or below: spared one coroutine
                    reply = await self._remote.ask(*effect.words)
                elif type(effect) is Run:
                    reply = await self._remote.run(effect.script, effect.keys, effect.words)
                else:
                    reply = await self._perform(effect)
            except GeneratorExit:  # thrown away unfinished: nothing may be awaited any more
                steps.close()
                raise
            except BaseException as exc:  # noqa: BLE001 - it is the steps' to judge
                failure = exc

    async def _perform(self, effect: Any) -> Any:
        kind = type(effect)
        if kind is Join:
            return await self._join(effect)
        if kind is Load:
            return await self._load(effect)
        if kind is Begin:
            return self._begin(effect)
        if kind is Sleep:
            return await asyncio.sleep(effect.seconds)
        raise TypeError(f"{kind.__name__} is no effect")

    async def _join(self, effect: Join) -> bool:
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def wake() -> None:
            if not ended.done():
                ended.set_result(None)

        if not self._core.wait_for(effect.flight, wake):
            return True
        try:
            async with asyncio.timeout(effect.timeout_s):
                await ended
        except TimeoutError:
            return effect.flight.done
        return True

    async def _load(self, effect: Load) -> Any:
        limit = asyncio.timeout(effect.timeout_s)
        try:
            async with limit:
                return await effect.call()
        except TimeoutError as exc:
            if limit.expired():
                raise SourceTimeout(f"the source was not done after {effect.timeout_s} s") from exc
            raise

    def _begin(self, effect: Begin) -> None:
        if self._core.closed:
            raise CacheClosed("the cache has been closed; make a new one")
        task = asyncio.get_running_loop().create_task(self._drive(effect.steps))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class Cached(Generic[Given, Value]):
    """A decorated coroutine function. Calling it is `get_or_set`; `key` and `invalidate` take the same arguments."""

    def __init__(
        self,
        cache: Cache,
        function: Callable[Given, Coroutine[Any, Any, Value]],
        key: Callable[..., str],
        policy: Callable[..., Policy],
    ) -> None:
        functools.update_wrapper(self, function)
        self._cache = cache
        self._function = function
        self.key = key
        self._policy = policy

    async def __call__(self, *args: Given.args, **kwargs: Given.kwargs) -> Value:
        """The cached value, or else the function's."""
        key, cache = self.key(*args, **kwargs), self._cache
        entry = cache._core.fresh(key)
        if entry is not None:
            return entry.value  # type: ignore[no-any-return]  # what the function returned
        return await cache.get_or_set(key, lambda: self._function(*args, **kwargs), self._policy(*args, **kwargs))

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        """Methods: the instance is passed on, and is no part of the key."""
        return self if instance is None else functools.partial(self.__call__, instance)  # type: ignore[arg-type]

    async def invalidate(self, *args: Given.args, **kwargs: Given.kwargs) -> bool:
        """Forget the value for these arguments, in all processes."""
        return await self._cache.invalidate(self.key(*args, **kwargs))
