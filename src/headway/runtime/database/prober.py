"""
Looks at every server, over and over, from a thread of its own: its answers are the fleet's knowledge.

A thread with its own event loop serves synchronous and asynchronous services alike; a service whose loop is busy for a
second does not take its replicas for dead.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from typing import TYPE_CHECKING, Any

import psycopg

from headway.runtime.database import lsn, statements, wire
from headway.runtime.database.fleet import Sight

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headway.runtime.database.fleet import Fleet, Server
    from headway.runtime.database.ledger import Ledger
    from headway.runtime.database.settings import Settings

_log = logging.getLogger("headway.runtime.database")


class Prober:
    """
    Args:
        urls: each server's connection string.
        ledgers: the connections that are out, to cut those of a server that is silent for too long.
    """

    def __init__(
        self, fleet: Fleet, urls: Mapping[Server, str], ledgers: Mapping[Server, Ledger], settings: Settings
    ) -> None:
        self._fleet, self._urls, self._ledgers, self._settings = fleet, urls, ledgers, settings
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._unseen = set(urls)
        self._seen_all = threading.Event()
        self._thread = threading.Thread(target=self._run, name="headway-prober", daemon=True)

    def start(self) -> None:
        """Begin looking."""
        self._thread.start()

    def wait_first(self) -> None:
        """Wait until every server was looked at once, with or without an answer; `probe_timeout_s` at most."""
        self._seen_all.wait(self._settings.probe_timeout_s)

    def stop(self) -> None:
        """End looking, and wait for the thread."""
        with contextlib.suppress(RuntimeError):  # it has ended already
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(2 * self._settings.probe_timeout_s + self._settings.connect_timeout_s)

    def _run(self) -> None:
        async def look_at_all() -> None:
            await asyncio.gather(*(self._look_at(server) for server in self._urls))

        with contextlib.closing(self._loop):
            self._loop.run_until_complete(look_at_all())

    async def _look_at(self, server: Server) -> None:
        connection: psycopg.AsyncConnection[Any] | None = None
        while not self._stop.is_set():
            try:
                if connection is None:
                    connection = await self._connect(server)
                self._fleet.saw(server, await self._look(connection))
            except (psycopg.Error, OSError, ValueError) as exc:
                if connection is not None:
                    await connection.close()
                connection = None
                self._miss(server, exc)
            self._unseen.discard(server)
            if not self._unseen:
                self._seen_all.set()
            self._ledgers[server].tell_long_holders(self._settings.held_too_long_s, time.monotonic())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), self._settings.probe_every_s)
        if connection is not None:
            await connection.close()

    async def _connect(self, server: Server) -> psycopg.AsyncConnection[Any]:
        return await asyncio.wait_for(
            psycopg.AsyncConnection.connect(
                self._urls[server], autocommit=True, application_name="headway-prober",
                connect_timeout=self._settings.connect_timeout_s,
            ),
            self._settings.probe_timeout_s,
        )  # fmt: skip

    async def _look(self, connection: psycopg.AsyncConnection[Any]) -> Sight:
        asked_at_s = time.monotonic()
        asking = asyncio.ensure_future(_asked(connection))
        # Not wait_for: a cancelled psycopg statement first asks the server to cancel it, and this one is silent.
        done, _ = await asyncio.wait({asking}, timeout=self._settings.probe_timeout_s)
        if not done:
            wire.cut(connection)
            with contextlib.suppress(psycopg.Error):
                await asking
            raise TimeoutError(f"no answer in {self._settings.probe_timeout_s:g} s")
        recovering, position, start, cluster, segment_bytes = await asking
        if position is None:
            raise ValueError("it is a standby that has replayed nothing yet")
        return Sight(
            recovering=recovering, position=lsn.record_end(lsn.parse(position), segment_bytes), start=start,
            cluster=cluster, segment_bytes=segment_bytes, asked_at_s=asked_at_s, at_s=time.monotonic(),
        )  # fmt: skip

    def _miss(self, server: Server, exc: Exception) -> None:
        why = str(exc).strip().partition("\n")[0] or type(exc).__name__
        first = not self._fleet.silent(server)
        silent_s = self._fleet.lost(server, time.monotonic(), why)
        if first:
            _log.warning("%s does not answer and gets nothing until it does: %s", server.name, why)
        if silent_s >= self._settings.cut_off_s:
            for held in self._ledgers[server].held():
                wire.cut(held)


async def _asked(connection: psycopg.AsyncConnection[Any]) -> Any:
    cursor = await connection.execute(statements.named("look"))
    return await cursor.fetchone()
