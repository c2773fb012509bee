"""
A thread that hears what other processes invalidate, keeps the leases alive, and catches up after an outage.

One thread a cache, of asyncio too: it goes on while an event loop is busy. A connection that has been lost, or has been
silent for SILENT_S (a paused server, a dropped route), may have missed messages: the local level is flushed when the
next one stands.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisClusterException, RedisError

from headway.runtime.cache.core import HEARTBEAT_S, LEASE_S
from headway.runtime.cache.effects import Run
from headway.runtime.cache.errors import CacheDown, CacheError
from headway.runtime.cache.reading import ask_time
from headway.runtime.cache.scripts import RELEASE
from headway.runtime.cache.writing import catch_up

if TYPE_CHECKING:
    from collections.abc import Callable

    from headway.runtime.cache.backplane import Backplane
    from headway.runtime.cache.core import Core
    from headway.runtime.cache.effects import Steps
    from headway.runtime.cache.remote import SyncRemote

log = logging.getLogger("headway.runtime.cache")

SILENT_S = 2.5
"""A ping is sent every HEARTBEAT_S; two without an answer are a lost connection."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 1.0


class Listener(threading.Thread):
    """See the module. A daemon: it never keeps a process alive."""

    def __init__(self, core: Core, remote: SyncRemote, backplane: Callable[[Core, SyncRemote], Backplane]) -> None:
        super().__init__(name="headway-cache-listener", daemon=True)
        self._core = core
        self._remote = remote
        self._make = backplane
        self._ended = threading.Event()
        self._backplane: Backplane | None = None
        self._told_why = False
        self.heard_first = threading.Event()

    def run(self) -> None:
        """Listen until `end`, however often the connection is lost."""
        pause_s = FIRST_PAUSE_S
        while not self._ended.is_set():
            try:
                self._listen()
            except (RedisError, RedisClusterException, OSError, CacheError, AttributeError, ValueError) as exc:
                # AttributeError and ValueError: redis-py, when `end` closes the connection under it.
                if self._core.listening:
                    log.warning("the cache's channel was lost, the local level will be flushed: %r", exc)
                    self._core.clock.forget()
                    self._core.untold.doubt(self._core.now())
                    pause_s = FIRST_PAUSE_S
                elif not self._told_why and not self._ended.is_set():
                    self._told_why = True
                    log.warning("invalidations by other processes are not heard yet: %s", exc)
            finally:
                self._core.listening = False
                lost, self._backplane = self._backplane, None
                if lost is not None:
                    with contextlib.suppress(Exception):
                        lost.close()
            self._ended.wait(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        self._remote.client.close()

    def end(self) -> None:
        """Stop, now if possible."""
        self._ended.set()
        backplane = self._backplane
        if backplane is not None:
            backplane.interrupt()

    def _listen(self) -> None:
        core = self._core
        backplane = self._backplane = self._make(core, self._remote)
        backplane.open(SILENT_S)
        self._begin()
        heard_at = core.now()
        beat_at = heard_at + HEARTBEAT_S
        while not self._ended.is_set():
            heard = backplane.hear(max(0.001, beat_at - core.now()))
            now = core.now()
            if heard:
                heard_at = now
            if now >= beat_at:
                if now - heard_at > SILENT_S:
                    raise CacheDown(f"no answer for {now - heard_at:.1f} s")
                beat_at = now + HEARTBEAT_S
                backplane.ping()
                self._beat()

    def _begin(self) -> None:
        core = self._core
        core.flush()
        core.listening = True
        core.breaker.succeeded()
        self._drive(ask_time(core))
        self._drive(catch_up(core))
        self.heard_first.set()

    def _beat(self) -> None:
        core = self._core
        with contextlib.suppress(CacheDown):
            for key, (token, until) in list(core.leases.items()):
                if core.now() < until:
                    self._remote.run(RELEASE, [core.lease_key(key)], (token, int(LEASE_S * 1000)))
            self._drive(catch_up(core))

    def _drive(self, steps: Steps[None]) -> None:
        reply: Any = None
        with contextlib.suppress(StopIteration):
            while True:
                effect = steps.send(reply)
                if not isinstance(effect, Run):
                    raise TypeError(f"{type(effect).__name__} is nothing a listener can do")
                reply = self._remote.run(effect.script, effect.keys, effect.words)
