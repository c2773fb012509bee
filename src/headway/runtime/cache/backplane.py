"""
How a process hears of invalidations elsewhere: by publish and subscribe, or by the server's own tracking of keys.

Both are one connection, which the listener's thread reads. A connection that is lost has lost messages.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Protocol

from redis.exceptions import ResponseError

from headway.runtime.cache.errors import CacheDown

if TYPE_CHECKING:
    from headway.runtime.cache.core import Core
    from headway.runtime.cache.remote import SyncRemote


class Backplane(Protocol):
    """One connection that hears. Made anew whenever the last one is lost."""

    def open(self, timeout_s: float) -> None:
        """Hear from now on; raises CacheDown when the server does not say so in time."""
        ...

    def hear(self, timeout_s: float) -> bool:
        """Take in what comes within the time; False: nothing came."""
        ...

    def ping(self) -> None:
        """Ask for a sign of life, which `hear` takes in."""
        ...

    def close(self) -> None:
        """Give the connection back."""
        ...

    def interrupt(self) -> None:
        """End a `hear` that waits in another thread."""
        ...


class PubSub:
    """The scripts publish each invalidation on the cache's channel, with its stamp and who sent it."""

    def __init__(self, core: Core, remote: SyncRemote) -> None:
        self._core = core
        self._pubsub = remote.client.pubsub()

    def open(self, timeout_s: float) -> None:
        """See Backplane."""
        self._pubsub.subscribe(self._core.channel)
        message = self._pubsub.get_message(timeout=timeout_s)
        if message is None or message["type"] != "subscribe":
            raise CacheDown(f"the channel could not be subscribed to: {message}")

    def hear(self, timeout_s: float) -> bool:
        """See Backplane."""
        message = self._pubsub.get_message(timeout=timeout_s)
        if message is None:
            return False
        if message["type"] == "subscribe":  # redis-py lost the connection, opened another and said nothing
            raise CacheDown("the connection was lost, and messages with it")
        if message["type"] == "message":
            self._core.hear(message["data"])
        return True

    def ping(self) -> None:
        """See Backplane."""
        self._pubsub.ping()

    def close(self) -> None:
        """See Backplane."""
        self._pubsub.close()

    def interrupt(self) -> None:
        """See Backplane."""
        _shut(self._pubsub.connection)


class Tracking:
    """
    CLIENT TRACKING in broadcasting mode, over RESP3: the server says which fences and barriers were written, whoever
    wrote them. Their stamps are then read; entries themselves are not tracked, or every store would drop every copy.
    """

    def __init__(self, core: Core, remote: SyncRemote) -> None:
        self._core = core
        self._remote = remote
        self._connection: Any = None
        self._written: list[bytes] | None = []

    def open(self, timeout_s: float) -> None:
        """See Backplane."""
        del timeout_s  # the connection has its own
        core = self._core
        self._connection = connection = self._remote.client.connection_pool.get_connection()
        connection._parser.set_invalidation_push_handler(self._push)
        prefixes = ("PREFIX", core.fence_key(""), "PREFIX", core.barrier_key(""))
        connection.send_command("CLIENT", "TRACKING", "ON", "BCAST", *prefixes)
        try:
            connection.read_response()
        except ResponseError as exc:
            raise CacheDown(f"the server cannot track keys ({exc}); choose backplane='pubsub'") from exc

    def hear(self, timeout_s: float) -> bool:
        """See Backplane."""
        if not self._connection.can_read(timeout_s):
            return False
        self._connection.read_response(push_request=True)
        written, self._written = self._written, []
        if written is None:
            self._core.flush()
        elif written:
            self._take_in([name.decode() for name in written])
        return True

    def ping(self) -> None:
        """See Backplane."""
        self._connection.send_command("PING")

    def close(self) -> None:
        """See Backplane."""
        if self._connection is not None:
            self._connection.disconnect()
            self._remote.client.connection_pool.release(self._connection)

    def interrupt(self) -> None:
        """See Backplane."""
        _shut(self._connection)

    def _push(self, message: list[Any]) -> None:
        names = message[1]
        self._written = None if names is None else [*(self._written or ()), *names]  # None: all keys at once

    def _take_in(self, names: list[str]) -> None:
        core = self._core
        try:
            marks = self._remote.ask("MGET", *names)
        except CacheDown:
            core.flush()  # something was invalidated, and we cannot ask when
            raise
        fences, barriers = core.fence_key(""), core.barrier_key("")
        for name, mark in zip(names, marks, strict=True):
            stamp = None if mark is None else float(mark)
            if name.startswith(fences):
                core.hear_fence(name.removeprefix(fences), stamp)
            elif stamp is None:
                core.flush()  # the barrier is gone already: what it was against is not known
            else:
                core.raise_barriers([name.removeprefix(barriers)], stamp)


def _shut(connection: Any) -> None:
    sock = getattr(connection, "_sock", None)
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.shutdown(2)


BACKPLANES: dict[str, type[PubSub] | type[Tracking]] = {"pubsub": PubSub, "tracking": Tracking}
