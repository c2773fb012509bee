"""The cache in front of the shop: told of an update, so that who made it reads the new answer next."""

from __future__ import annotations

import asyncio
import logging
import time

from headway.runtime.edge import NginxRefresh, PurgeFailed

TIMEOUT_S = 0.5
PAUSE_S = 1.0  # after a failure the edge is left alone this long: a dead one must not cost every update its timeout

_log = logging.getLogger("shop.edge")


class Edge:
    """
    An nginx that, asked with the shop's key, fetches an answer anew and keeps that.

    A reader whose answer left the shop before the update can still have the old one stored after the refresh, and a
    refresh can fail: the time to live bounds both.

    Args:
        url: http://host:port, host as the clients name it; None tells nobody.
        key: what the edge knows the shop by.
    """

    def __init__(self, url: str | None, *, key: str) -> None:
        self._nginx = NginxRefresh(url=url, secret=key) if url is not None else None
        self._resume_at_s = 0.0

    async def refresh(self, path: str) -> None:
        """Have the edge ask for `path` again. Waits for its answer, TIMEOUT_S at most; a failure is logged."""
        if self._nginx is None or time.monotonic() < self._resume_at_s:
            return
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await asyncio.to_thread(self._nginx.purge, [path])
        except (PurgeFailed, TimeoutError) as exc:
            self._resume_at_s = time.monotonic() + PAUSE_S
            _log.warning("the edge was not told that %s changed: %s", path, exc or type(exc).__name__)
