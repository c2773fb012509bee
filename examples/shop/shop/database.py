"""The shop's way to PostgreSQL: a connection for each request, or pools to the primary and a replica."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg.types.numeric import Int8Dumper

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from contextlib import AbstractAsyncContextManager

    from headway.runtime.database import AsyncDatabase

Connection = psycopg.AsyncConnection[DictRow]
Row = dict[str, Any]

POOL_WAIT_S = 2.0  # a request that waits longer for a connection is answered 503: better refused than forgotten
CONNECT_TIMEOUT_S = 5

# psycopg sends small integers as smallint or integer: the same statement would be planned, and counted by
# pg_stat_statements, once for each width.
psycopg.adapters.register_dumper(int, Int8Dumper)


class Database(ABC):
    """
    One request's reads and writes.

    Three kinds of reads: `current` ones see everything committed (what is put into a cache must not be older than the
    update that dropped it); ordinary ones see what their client wrote; those that `may_lag` see some moment before.
    """

    @abstractmethod
    def ready(self) -> AbstractAsyncContextManager[None]:
        """Opened and closed. A database that is down does not stop the shop from starting."""

    @abstractmethod
    def reading(self, *, may_lag: bool = False, current: bool = False) -> AbstractAsyncContextManager[Connection]:
        """
        One autocommit connection.

        Raises:
            psycopg.OperationalError: the database is down or has no connection left.
        """

    @abstractmethod
    def writing(self) -> AbstractAsyncContextManager[Connection]:
        """One transaction, committed at the end of the block. Raises as `reading`."""

    async def all(self, query: LiteralString, values: Mapping[str, object], *, may_lag: bool = False) -> list[Row]:
        """Every row of one statement."""
        async with self.reading(may_lag=may_lag) as connection:
            return await (await connection.execute(query, values)).fetchall()

    async def one(self, query: LiteralString, values: Mapping[str, object], *, current: bool = False) -> Row | None:
        """The first row of one statement."""
        async with self.reading(current=current) as connection:
            return await (await connection.execute(query, values)).fetchone()


class PerRequest(Database):
    """The slow form: each request opens a connection to the primary and closes it after."""

    def __init__(self, url: str) -> None:
        self._url = url

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        yield

    @asynccontextmanager
    async def reading(self, *, may_lag: bool = False, current: bool = False) -> AsyncIterator[Connection]:
        del may_lag, current  # the primary is all there is
        opened: Connection = await psycopg.AsyncConnection.connect(
            self._url, autocommit=True, row_factory=dict_row, connect_timeout=CONNECT_TIMEOUT_S
        )
        try:
            yield opened
        finally:
            await opened.close()

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Connection]:
        async with self.reading() as connection, connection.transaction():
            yield connection


class Pooled(Database):
    """
    The fast form: connections are kept, and reads go to the replica when it has what they must see.

    Args:
        url: the primary.
        replica_url: a replica; the primary answers when it is away or too far behind.
        pool: connections kept to each of the two.
    """

    def __init__(self, url: str, *, replica_url: str | None, pool: int) -> None:
        from headway.runtime.database import AsyncDatabase, Settings

        bounds = Settings(
            pool_min=pool, pool_max=pool, wait_s=POOL_WAIT_S, connect_timeout_s=CONNECT_TIMEOUT_S,
            connection={"row_factory": dict_row},
        )  # fmt: skip
        self.servers: AsyncDatabase = AsyncDatabase(url, replicas=[replica_url] if replica_url else [], settings=bounds)

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        async with self.servers:
            yield

    @asynccontextmanager
    async def reading(self, *, may_lag: bool = False, current: bool = False) -> AsyncIterator[Connection]:
        with self.servers.primary() if current else nullcontext():
            async with self.servers.read(stale_ok=may_lag) as connection:
                yield connection

    def writing(self) -> AbstractAsyncContextManager[Connection]:
        return self.servers.write()


def build(url: str, *, replica_url: str | None, pool: int) -> Database:
    """The form that the settings ask for."""
    return Pooled(url, replica_url=replica_url, pool=pool) if pool else PerRequest(url)
