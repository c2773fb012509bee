"""Debounce across processes: the decision is one script in the server, so two processes never both fire."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Any

from headway.runtime.cache.cluster import ThreadedCluster, async_cluster
from headway.runtime.cache.errors import CacheDown
from headway.runtime.cache.remote import AsyncRemote, Health, SyncRemote, async_client, sync_client
from headway.runtime.debounce.plan import CALL, CLAIM, DONE, LONGEST_NAP_S, MOST_TRIES, Act, Answer, Edge, Plan

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = logging.getLogger("headway.runtime.debounce")

TIMEOUT_S = 0.25


class _Made:
    """What both shells share."""

    def __init__(
        self,
        url: str,
        name: str,
        *,
        window_s: float,
        edge: Edge = Edge.LEADING,
        longest_s: float | None = None,
        lease_s: float = 30.0,
        down_fires: bool = True,
        timeout_s: float = TIMEOUT_S,
        cluster: bool = False,
    ) -> None:
        self.plan = Plan(name=name, window_s=window_s, edge=edge, longest_s=longest_s, lease_s=lease_s)
        self._health = Health()
        self._down_fires = down_fires
        self._connect(url, timeout_s, cluster)

    def _connect(self, url: str, timeout_s: float, cluster: bool) -> None:
        raise NotImplementedError

    def _when_down(self, exc: CacheDown) -> Answer:
        """A leading call can be decided without the server; a trailing one cannot be recorded, and says so."""
        if self.plan.edge is not Edge.LEADING:
            raise exc
        log.warning("%s: %s; %s", self.plan.name, exc, "fired" if self._down_fires else "skipped")
        return Answer.FIRE if self._down_fires else Answer.SKIP

    def _given_up(self, act: Act) -> bool:
        if act.tries <= MOST_TRIES:
            return False
        log.error("%s: %s has failed %d times and is dropped", self.plan.name, act.key, MOST_TRIES)
        return True


class Debounce(_Made):
    """
    For asyncio. `Debounce(url, "reindex", window_s=2)`; then `if await debounce.fires("shop-5"): ...`.

    Args:
        url, name, window_s, edge, longest_s, lease_s: the server, and what plan.Plan says.
        cluster: the URL is of one node of a cluster; what is recorded of one name lies on one of its servers.
        down_fires: what a leading call is told when the server does not answer: fire (rather twice than never) or skip.
    """

    def _connect(self, url: str, timeout_s: float, cluster: bool) -> None:
        client = (async_cluster if cluster else async_client)(url, timeout_s)
        self._remote = AsyncRemote(self._health, client, timeout_s)

    async def call(self, key: str, payload: Any = None) -> Answer:
        """
        One call: FIRE (do it now), SKIP, or LATER (a worker will, with the last payload).

        Raises:
            CacheDown: a trailing call that could not be recorded.
        """
        try:
            return Answer(await self._remote.run(CALL, *self.plan.call(key, payload)))
        except CacheDown as exc:
            return self._when_down(exc)

    async def fires(self, key: str) -> bool:
        """Whether to do it now."""
        return await self.call(key) is Answer.FIRE

    async def work(
        self, handler: Callable[[str, Any], Awaitable[object]], *, until: asyncio.Event | None = None
    ) -> None:
        """
        Fire trailing calls as they come due: `handler(key, payload)`, in one process or in many.

        At least once: what a process had taken when it died is given to another after lease_s.
        """
        while until is None or not until.is_set():
            try:
                taken = self.plan.taken(await self._remote.run(CLAIM, *self.plan.claim()))
                if isinstance(taken, Act):
                    if not self._given_up(taken):
                        await handler(taken.key, taken.payload)
                    await self._remote.run(DONE, *self.plan.done(taken))
                    continue
            except CacheDown as exc:
                log.warning("%s: %s", self.plan.name, exc)
                taken = LONGEST_NAP_S
            except Exception:
                log.exception("%s: a handler failed; tried again in %.0f s", self.plan.name, self.plan.lease_s)
                continue
            await asyncio.sleep(taken)

    async def aclose(self) -> None:
        """Close connections."""
        await self._remote.client.aclose()


class SyncDebounce(_Made):
    """For threads; as Debounce."""

    def _connect(self, url: str, timeout_s: float, cluster: bool) -> None:
        client = ThreadedCluster(url, timeout_s) if cluster else sync_client(url, timeout_s)
        self._remote = SyncRemote(self._health, client)

    def call(self, key: str, payload: Any = None) -> Answer:
        """As Debounce.call."""
        try:
            return Answer(self._remote.run(CALL, *self.plan.call(key, payload)))
        except CacheDown as exc:
            return self._when_down(exc)

    def fires(self, key: str) -> bool:
        """Whether to do it now."""
        return self.call(key) is Answer.FIRE

    def work(self, handler: Callable[[str, Any], object], *, until: threading.Event) -> None:
        """As Debounce.work."""
        while not until.is_set():
            try:
                taken = self.plan.taken(self._remote.run(CLAIM, *self.plan.claim()))
                if isinstance(taken, Act):
                    if not self._given_up(taken):
                        handler(taken.key, taken.payload)
                    self._remote.run(DONE, *self.plan.done(taken))
                    continue
            except CacheDown as exc:
                log.warning("%s: %s", self.plan.name, exc)
                taken = LONGEST_NAP_S
            except Exception:
                log.exception("%s: a handler failed; tried again in %.0f s", self.plan.name, self.plan.lease_s)
                continue
            until.wait(taken)

    def close(self) -> None:
        """Close connections."""
        self._remote.client.close()
