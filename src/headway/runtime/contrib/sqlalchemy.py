"""
SQLAlchemy 2 over the routed database: the same pools, the same read-your-writes.

    orm = Orm(database)
    with orm.write() as session: session.add(User(name="Ada"))
    with orm.read() as session: session.scalars(select(User))

A scope says what it does, as the database's own scopes do; there is no guessing from the statement. Which server, which
pool, which statement timeout is the database's; SQLAlchemy is lent the connection and does not close it.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, exc
from sqlalchemy.dialects.postgresql.psycopg import _log_notices
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from headway.runtime.database import CommitUnknown, wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from sqlalchemy.pool import ConnectionPoolEntry

    from headway.runtime.database import AsyncDatabase, Database


class Lent(NullPool):
    """Keeps nothing and closes nothing: the connection goes back to the database's own pool."""

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        record.dbapi_connection = None  # type: ignore[misc] # a property to its readers, a plain field to its pool


class Orm:
    """
    Sessions on a `Database`.

    Args:
        database: opened before the first session.
        session: keywords of every `Session`. Objects stay readable after their scope (`expire_on_commit=False`).
    """

    def __init__(self, database: Database, **session: Any) -> None:
        self._database = database
        self._lent: ContextVar[Any] = ContextVar("headway_lent")
        self._engine = create_engine(
            "postgresql+psycopg://", creator=self._lent.get, poolclass=Lent, use_native_hstore=False
        )
        self._keywords = {"expire_on_commit": False, **session}
        self._greeted = False

    @contextmanager
    def read(self, **options: Any) -> Iterator[Session]:
        """A session to read with, where `Database.read` reads; its options. Each statement sees its own snapshot."""
        with self._database.read(**options) as connection, self._session(connection) as session:
            yield session

    @contextmanager
    def write(self, **options: Any) -> Iterator[Session]:
        """
        A session in one transaction on the primary, committed at the end; `Database.write`'s options.

        After `session.commit()` inside it the transaction is over: further writes are refused.

        Raises:
            CommitUnknown: the connection ended during COMMIT.
        """
        self._greet()
        with self._database.write(**options) as connection, self._session(connection) as session:
            yield session
            session.flush()
            try:
                session.commit()
            except exc.DBAPIError as failure:
                _tell(self._database, connection, failure)
                raise

    def _greet(self) -> None:
        """At first SQLAlchemy asks a server for its version and rolls back: not inside a transaction that has begun."""
        if not self._greeted:
            with self._database.read(stale_ok=True) as connection, self._session(connection):
                self._greeted = True

    @contextmanager
    def _session(self, connection: Any) -> Iterator[Session]:
        before = self._lent.set(connection)
        try:
            with self._engine.connect() as lent, Session(lent, **self._keywords) as session:
                yield session
        finally:
            self._lent.reset(before)
            connection.remove_notice_handler(_log_notices)  # SQLAlchemy adds one each time it is lent the connection


class AsyncOrm:
    """Sessions on an `AsyncDatabase`; else as `Orm`."""

    def __init__(self, database: AsyncDatabase, **session: Any) -> None:
        self._database = database
        self._lent: ContextVar[Any] = ContextVar("headway_lent")

        async def take() -> Any:
            return self._lent.get()

        self._engine = create_async_engine(
            "postgresql+psycopg://", async_creator=take, poolclass=Lent, use_native_hstore=False
        )
        self._keywords = {"expire_on_commit": False, **session}
        self._greeted = False

    @asynccontextmanager
    async def read(self, **options: Any) -> AsyncIterator[AsyncSession]:
        """As `Orm.read`."""
        async with self._database.read(**options) as connection, self._session(connection) as session:
            yield session

    @asynccontextmanager
    async def write(self, **options: Any) -> AsyncIterator[AsyncSession]:
        """As `Orm.write`."""
        await self._greet()
        async with self._database.write(**options) as connection, self._session(connection) as session:
            yield session
            await session.flush()
            try:
                await session.commit()
            except exc.DBAPIError as failure:
                _tell(self._database, connection, failure)
                raise

    async def _greet(self) -> None:
        if not self._greeted:
            async with self._database.read(stale_ok=True) as connection, self._session(connection):
                self._greeted = True

    @asynccontextmanager
    async def _session(self, connection: Any) -> AsyncIterator[AsyncSession]:
        before = self._lent.set(connection)
        try:
            async with self._engine.connect() as lent, AsyncSession(lent, **self._keywords) as session:
                yield session
        finally:
            self._lent.reset(before)
            connection.remove_notice_handler(_log_notices)  # SQLAlchemy adds one each time it is lent the connection


def _tell(database: Database | AsyncDatabase, connection: Any, failure: exc.DBAPIError) -> None:
    """A COMMIT that ended with its connection: it may have happened."""
    if wire.broke(connection, failure.orig):
        database.unsure()
        raise CommitUnknown(
            "the connection ended during COMMIT: it may or may not be committed; read before trying again"
        ) from failure
