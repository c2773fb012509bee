"""
A cache for Flask, made from the application's configuration.

    cache = FlaskCache()

    @cache.cached("user:{user_id}", policy=Policy(ttl_s=60))
    def user(user_id: int) -> User: ...

    def create_app() -> Flask:
        app = Flask("shop")
        app.config["HEADWAY_CACHE_URL"] = "redis://localhost"
        cache.init_app(app)
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from flask import current_app

from headway.runtime.cache import KeyTemplate, SyncCache, SyncCached

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from headway.runtime.cache import Policy

Value = TypeVar("Value")
Given = ParamSpec("Given")

NAME = "headway_cache"


class FlaskCache:
    """
    One cache for each application that it is given; in a view it is that of the application that runs.

    Configuration: `HEADWAY_CACHE_URL` (None: this process alone), `HEADWAY_CACHE_NAMESPACE` (the application's name),
    `HEADWAY_CACHE_VERSION` (1).

    Args:
        app: as `init_app`, at once.
        settings: further arguments of SyncCache.
    """

    def __init__(self, app: Flask | None = None, **settings: Any) -> None:
        self._settings = settings
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """
        Make the application's cache. Nothing is asked of a server yet: the application may be loaded before a fork.

        Raises:
            ValueError: the configuration has no HEADWAY_CACHE_URL, or it has a cache already.
        """
        if "HEADWAY_CACHE_URL" not in app.config:
            raise ValueError(
                "the application has no HEADWAY_CACHE_URL; set it, to None for a cache in this process alone"
            )
        if NAME in app.extensions:
            raise ValueError("the application has a Headway cache already; one extension serves all of it")
        app.extensions[NAME] = SyncCache(
            app.config["HEADWAY_CACHE_URL"],
            namespace=app.config.get("HEADWAY_CACHE_NAMESPACE", app.name),
            version=app.config.get("HEADWAY_CACHE_VERSION", 1),
            **self._settings,
        )

    @property
    def cache(self) -> SyncCache:
        """
        The running application's.

        Raises:
            RuntimeError: outside of an application's context, or `init_app` was not called for it.
        """
        found = current_app.extensions.get(NAME)
        if found is None:
            raise RuntimeError(f"the application {current_app.name!r} has no Headway cache; call init_app(app)")
        return found  # type: ignore[no-any-return]  # what init_app put there

    def cached(
        self, template: str, *, policy: Policy | None = None, tags: tuple[str, ...] = ()
    ) -> Callable[[Callable[Given, Value]], FlaskCached[Given, Value]]:
        """As SyncCache.cached; which cache is found at each call, so that it may be used before `init_app`."""

        def decorate(function: Callable[Given, Value]) -> FlaskCached[Given, Value]:
            KeyTemplate(template).of_call(function)  # one that does not fit is told of here, not at a request
            return FlaskCached(self, lambda cache: cache.cached(template, policy=policy, tags=tags)(function), function)

        return decorate


class FlaskCached(Generic[Given, Value]):
    """A decorated function; see SyncCached."""

    def __init__(
        self,
        extension: FlaskCache,
        decorate: Callable[[SyncCache], SyncCached[Given, Value]],
        function: Callable[Given, Value],
    ) -> None:
        functools.update_wrapper(self, function)
        self._extension, self._decorate = extension, decorate
        self._of: WeakKeyDictionary[SyncCache, SyncCached[Given, Value]] = WeakKeyDictionary()

    def __call__(self, *args: Given.args, **kwargs: Given.kwargs) -> Value:
        """The cached value, or else the function's."""
        return self._here()(*args, **kwargs)

    def invalidate(self, *args: Given.args, **kwargs: Given.kwargs) -> bool:
        """Forget the value for these arguments, in all processes; False: others could not be told yet."""
        return self._here().invalidate(*args, **kwargs)

    def key(self, *args: Given.args, **kwargs: Given.kwargs) -> str:
        """The key of a call with these arguments."""
        return self._here().key(*args, **kwargs)

    def _here(self) -> SyncCached[Given, Value]:
        cache = self._extension.cache
        found = self._of.get(cache)
        if found is None:
            found = self._of[cache] = self._decorate(cache)
        return found
