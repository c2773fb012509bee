"""The database for asynchronous services: FastAPI, Starlette."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

import psycopg
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool

from headway.runtime.database import statements, wire
from headway.runtime.database.desk import GiveBack, Held, Pause, Run, Take
from headway.runtime.database.front import Front
from headway.runtime.database.ledger import calling_line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from psycopg.abc import Params, QueryNoTemplate

    from headway.runtime.database.desk import Steps
    from headway.runtime.database.fleet import Server


class AsyncDatabase(Front):
    """
    `async with AsyncDatabase(PRIMARY, replicas=[REPLICA]) as database:`; else as `Database`, with `async with`.

    Open it where the event loop runs (a lifespan), after any fork.
    """

    async def open(self) -> None:
        """Open the pools and look at every server once. A server that is away does not stop it."""
        self._pools = {server: self._new_pool(server) for server in self._urls}
        for pool in self._pools.values():
            await pool.open()
        self._prober = self._look()
        await asyncio.to_thread(self._prober.wait_first)

    async def close(self) -> None:
        """Close the pools and end the prober."""
        await asyncio.to_thread(self._prober.stop)
        for pool in self._pools.values():
            await pool.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def read(
        self, *, stale_ok: bool = False, statement_timeout_s: float | None = None
    ) -> AbstractAsyncContextManager[wire.AsyncConnection]:
        """As `Database.read`."""
        steps = self._desk.reading(
            self._sessions.current(), calling_line(), stale_ok=stale_ok, timeout_s=statement_timeout_s
        )
        return self._lent(steps)

    def write(
        self, *, isolation: str | None = None, statement_timeout_s: float | None = None
    ) -> AbstractAsyncContextManager[wire.AsyncConnection]:
        """As `Database.write`."""
        steps = self._desk.writing(
            self._sessions.current(), calling_line(), isolation=isolation, timeout_s=statement_timeout_s
        )
        return self._lent(steps)

    async def fetch(self, query: QueryNoTemplate, params: Params | None = None, *, stale_ok: bool = False) -> list[Any]:
        """As `Database.fetch`."""
        for last in (False, True):
            async with self.read(stale_ok=stale_ok) as connection:
                try:
                    return await (await connection.execute(query, params)).fetchall()
                except psycopg.OperationalError as exc:
                    if last or not wire.broke(connection, exc):
                        raise
        raise AssertionError("the second try returns or raises")

    @asynccontextmanager
    async def _lent(self, steps: Steps) -> AsyncIterator[wire.AsyncConnection]:
        held = await self._carry_out(steps)
        try:
            yield held.connection
        except BaseException as exc:
            await self._carry_out(self._desk.ended(held, exc))
            raise
        await self._carry_out(self._desk.ended(held, None))

    async def _carry_out(self, steps: Steps) -> Held:
        try:
            step = next(steps)
            while True:
                try:
                    answer = await self._do(step)
                except BaseException as exc:  # noqa: BLE001 - the steps decide, and raise it again
                    step = steps.throw(exc)
                else:
                    step = steps.send(answer)
        except StopIteration as done:
            held: Held = done.value
            return held

    async def _do(self, step: Take | Run | GiveBack | Pause) -> object:
        match step:
            case Take():
                return await self._pools[step.server].getconn(step.timeout_s)
            case Run():
                return await _first_rows(step.connection, step.statement)
            case GiveBack():
                await self._pools[step.server].putconn(step.connection)
            case Pause():
                await asyncio.sleep(step.seconds)
        return None

    def _new_pool(self, server: Server) -> AsyncConnectionPool[wire.AsyncConnection]:
        return AsyncConnectionPool(
            self._urls[server], connection_class=wire.AsyncConnection, configure=_arrived,
            **self._pool_arguments(server),
        )  # fmt: skip


async def _arrived(connection: wire.AsyncConnection) -> None:
    wire.mark_peer(connection)
    (row,) = await _first_rows(connection, statements.named("arrive"))
    connection.marks.start = row[0]


async def _first_rows(connection: wire.AsyncConnection, statement: str) -> list[Any]:
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(statement.encode())
        rows = [await cursor.fetchone()] if cursor.description else []
        while cursor.nextset():
            rows += [await cursor.fetchone()] if cursor.description else []
        return rows
