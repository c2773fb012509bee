"""The cache in front of the shop: told of an update, so that who made it reads the new answer next."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from urllib.parse import urlsplit

TIMEOUT_S = 0.5
PAUSE_S = 1.0  # after a failure the edge is left alone this long: a dead one must not cost every update its timeout

_LENGTH = re.compile(r"(?i)\r\ncontent-length: *([0-9]+)\r\n")
_log = logging.getLogger("shop.edge")


class Edge:
    """
    An nginx that, asked with the shop's key, fetches an answer anew and keeps that.

    It says what `headway.runtime.edge.NginxRefresh` says, which blocks its thread: one rename in fifty requests is
    too many for a thread and urllib each.

    A reader whose answer left the shop before the update can still have the old one stored after the refresh, and a
    refresh can fail: the time to live bounds both.

    Args:
        url: http://host:port, host as the clients name it; None tells nobody.
        key: what the edge knows the shop by.
    """

    def __init__(self, url: str | None, *, key: str) -> None:
        parts = urlsplit(url or "")
        self._host, self._port, self._key = parts.hostname, parts.port or 80, key
        self._resume_at_s = 0.0
        self._kept: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def refresh(self, path: str) -> None:
        """Have the edge ask for `path` again. Waits for its answer, TIMEOUT_S at most; a failure is logged."""
        if self._host is None or time.monotonic() < self._resume_at_s:
            return
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await self._ask(path)
        except (OSError, TimeoutError, EOFError) as exc:
            self._resume_at_s = time.monotonic() + PAUSE_S
            _log.warning("the edge was not told that %s changed: %s", path, exc or type(exc).__name__)

    async def _ask(self, path: str) -> None:
        """One request, on a connection that is kept for the next. One that was kept too long is replaced."""
        while self._kept:
            try:
                await self._said(path, *self._kept.pop())
            except (asyncio.IncompleteReadError, ConnectionError):
                continue  # hung up meanwhile
            return
        await self._said(path, *await asyncio.open_connection(self._host, self._port))

    async def _said(self, path: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = (f"GET {path} HTTP/1.1", f"Host: {self._host}:{self._port}", f"X-Headway-Refresh: {self._key}")
        kept = False
        try:
            writer.write("\r\n".join((*lines, "", "")).encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            length = _LENGTH.search(head)
            if length is not None:
                await reader.readexactly(int(length[1]))
                self._kept.append((reader, writer))
                kept = True
        finally:
            if not kept:
                writer.close()
        first = head.partition("\r\n")[0]
        if " 200 " not in first:
            raise OSError(f"it answered {first!r}")
