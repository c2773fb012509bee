"""The shop's way to PostgreSQL: a connection per request or a pool, the primary or a replica."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg.types.numeric import Int8Dumper
from psycopg_pool import AsyncConnectionPool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

Connection = psycopg.AsyncConnection[DictRow]
Row = dict[str, Any]

POOL_WAIT_S = 2.0  # a request that waits longer for a connection is answered 503: better refused than forgotten
CONNECT_TIMEOUT_S = 5

# psycopg sends small integers as smallint or integer: the same statement would be planned, and counted by
# pg_stat_statements, once for each width.
psycopg.adapters.register_dumper(int, Int8Dumper)

_log = logging.getLogger("shop.database")


class Database:
    """
    The primary, and a replica when there is one.

    Args:
        url: the primary.
        replica_url: where reads go that may be stale by the replica's lag; the primary answers when it is down.
        pool: connections kept to each of the two; 0 opens one for each request and closes it after.
    """

    def __init__(self, url: str, *, replica_url: str | None = None, pool: int = 0) -> None:
        self._primary = _Server(url, pool)
        self._replica = _Server(replica_url, pool) if replica_url else None

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        """The pools, opened and closed. A database that is down does not stop the shop from starting."""
        async with AsyncExitStack() as stack:
            for server in filter(None, (self._primary, self._replica)):
                await stack.enter_async_context(server.ready())
            yield

    @asynccontextmanager
    async def connection(self, *, may_lag: bool = False) -> AsyncIterator[Connection]:
        """
        One autocommit connection for one request.

        Raises:
            psycopg.OperationalError: the database is down or has no connection left.
        """
        async with AsyncExitStack() as stack:
            yield await self._enter(stack, may_lag)

    async def all(self, query: LiteralString, values: Mapping[str, object], *, may_lag: bool = False) -> list[Row]:
        """Every row of one statement, on a connection of its own."""
        async with self.connection(may_lag=may_lag) as connection:
            return await (await connection.execute(query, values)).fetchall()

    async def one(self, query: LiteralString, values: Mapping[str, object]) -> Row | None:
        """The first row of one statement, on a connection of its own."""
        async with self.connection() as connection:
            return await (await connection.execute(query, values)).fetchone()

    async def _enter(self, stack: AsyncExitStack, may_lag: bool) -> Connection:
        if may_lag and self._replica is not None:
            try:
                return await stack.enter_async_context(self._replica.connection())
            except psycopg.OperationalError as exc:
                _log.warning("the replica refuses, the primary answers instead: %s", exc)
        return await stack.enter_async_context(self._primary.connection())


class _Server:
    def __init__(self, url: str, pool: int) -> None:
        self._url = url
        self._pool: AsyncConnectionPool[Connection] | None = None
        if pool:
            self._pool = AsyncConnectionPool(
                url, min_size=pool, max_size=pool, open=False, timeout=POOL_WAIT_S, name="shop",
                kwargs={"autocommit": True, "row_factory": dict_row, "connect_timeout": CONNECT_TIMEOUT_S},
            )  # fmt: skip

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        if self._pool is None:
            yield
            return
        async with self._pool:
            yield

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        if self._pool is not None:
            async with self._pool.connection() as connection:
                yield connection
            return
        opened: Connection = await psycopg.AsyncConnection.connect(
            self._url, autocommit=True, row_factory=dict_row, connect_timeout=CONNECT_TIMEOUT_S
        )
        try:
            yield opened
        finally:
            await opened.close()
