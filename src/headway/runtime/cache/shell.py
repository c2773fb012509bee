"""What both caches share: how they are made, what they tell of themselves, and their rebirth in a forked child."""

from __future__ import annotations

import os
import typing
import weakref
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Self, TypeVar

from headway.runtime.cache.backplane import BACKPLANES, Tracking
from headway.runtime.cache.cluster import ThreadedCluster
from headway.runtime.cache.codecs import MessagePack
from headway.runtime.cache.core import Core
from headway.runtime.cache.keys import KeyTemplate
from headway.runtime.cache.listener import Listener
from headway.runtime.cache.policy import Policy
from headway.runtime.cache.remote import SyncRemote, sync_client

if TYPE_CHECKING:
    from collections.abc import Callable

    from headway.runtime.cache.codecs import Codec

Returned = TypeVar("Returned")

LOCAL_ENTRIES = 10_000
LOCAL_BYTES = 64 * 1024 * 1024
REMOTE_TIMEOUT_S = 0.25
"""Some hundred times a usual round trip: slower than this, the source is asked instead."""


class Shell:
    """
    A cache, whichever way it is called.

    Args:
        url: redis://, rediss://, valkey:// or unix://; None: this process alone.
        namespace: first part of every key: the service's name.
        version: second part; raise it when what is cached changes its form, and old entries count no longer.
        policy: for calls that give none.
        codec: how values become bytes; see codecs.py before choosing Pickle.
        timeout_s: for each question to the remote level.
        strict: raise CacheDown when the remote level does not answer, instead of asking the source.
        max_entries, max_bytes: limits of the local level, both kept; bytes are those of encoded values.
        client: makes the client instead, from nothing: for Sentinel, or for settings a URL has no name for.
        listener_client: the same for the listener, always redis.Redis (with protocol=3 for tracking).
        backplane: how invalidations elsewhere are heard: "pubsub", or "tracking" by the server's own tracking of keys.
        cluster: the URL is of one node of a cluster. All keys of the namespace and version lie on one of its servers.

    Raises:
        ValueError: a URL, a limit or a name that cannot be used.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        namespace: str = "cache",
        version: int = 1,
        policy: Policy | None = None,
        codec: Codec | None = None,
        timeout_s: float = REMOTE_TIMEOUT_S,
        strict: bool = False,
        max_entries: int = LOCAL_ENTRIES,
        max_bytes: int = LOCAL_BYTES,
        client: Callable[[], Any] | None = None,
        listener_client: Callable[[], Any] | None = None,
        backplane: str = "pubsub",
        cluster: bool = False,
    ) -> None:
        if not namespace or set(namespace) & set(":{}"):
            raise ValueError(f"the namespace {namespace!r} must have a letter, and no ':' and no brace")
        if backplane not in BACKPLANES:
            raise ValueError(f"there is no backplane {backplane!r}; choose one of {', '.join(BACKPLANES)}")
        if cluster and (backplane != "pubsub" or client is not None):
            raise ValueError("cluster=True goes with a url and with backplane='pubsub'")
        if (client is None) != (listener_client is None):
            raise ValueError("client and listener_client go together; give both, or a url")
        self.policy = policy or Policy()
        self._core = Core(
            namespace=namespace,
            version=version,
            one_slot=cluster,
            codec=codec or MessagePack(),
            remote=url is not None or client is not None,
            strict=strict,
            max_entries=max_entries,
            max_bytes=max_bytes,
        )
        self._timeout_s = timeout_s
        self._cluster = cluster
        self._backplane = BACKPLANES[backplane]
        self._client = client or (lambda: self._own_client(str(url)))
        self._listener_client = listener_client or (lambda: self._own_listener_client(str(url)))
        self._listener: Listener | None = None
        self._connect()
        me = weakref.ref(self)

        def in_child() -> None:
            cache = me()
            if cache is not None:
                cache._begin_anew()

        os.register_at_fork(after_in_child=in_child)

    @classmethod
    def from_url(cls, url: str, **settings: Any) -> Self:
        """The cache at a URL; settings as in the class."""
        return cls(url, **settings)

    @abstractmethod
    def _own_client(self, url: str) -> Any: ...

    def _own_listener_client(self, url: str) -> Any:
        if self._cluster:
            return ThreadedCluster(url, self._timeout_s)
        return sync_client(url, self._timeout_s, protocol=3 if self._backplane is Tracking else 2)

    @abstractmethod
    def _connect(self) -> None: ...

    def _begin_anew(self) -> None:
        self._listener = None
        self._core.forget()
        self._connect()

    def _listen(self) -> None:
        """Start the listener, once."""
        core = self._core
        if self._listener is None and core.remote and not core.closed:
            listener = Listener(core, SyncRemote(core, self._listener_client()), self._backplane)
            with core.mutex:
                first, self._listener = self._listener is None, self._listener or listener
            if first:
                listener.start()

    def listening(self, timeout_s: float = 5.0) -> bool:
        """Wait until this process hears of invalidations elsewhere; False: not within timeout_s, or no remote level."""
        self._listen()
        return self._listener is not None and self._listener.heard_first.wait(timeout_s) and self._core.listening

    def stats(self) -> dict[str, int]:
        """Totals since the cache was made, by name (counts.py says what each is), and what the local level holds."""
        entries, weight = self._core.local.sizes()
        core = self._core
        return {
            **core.counts.as_dict(),
            "local_entries": entries,
            "local_bytes": weight,
            "local_most_bytes": core.local.most_bytes,
            "listening": int(core.listening),
            "circuit_open": int(core.breaker.is_open),
            "untold": len(core.untold),
        }

    def _of_function(
        self, template: str, policy: Policy | None, tags: tuple[str, ...], function: Callable[..., Any]
    ) -> tuple[Callable[..., str], Callable[..., Policy]]:
        """(the key of a call, the policy of a call) of a decorated function."""
        chosen = policy or self.policy
        returns = typing.get_type_hints(function).get("return", Any)
        if chosen.kind is Any and returns is not Any:
            chosen = chosen.but(kind=returns)
        key = KeyTemplate(template).of_call(function)
        if not tags:
            return key, lambda *_args, **_kwargs: chosen
        render = [KeyTemplate(tag).of_some(function) for tag in tags]
        return key, lambda *args, **kwargs: chosen.but(tags=(*chosen.tags, *(one(*args, **kwargs) for one in render)))
