"""The database for synchronous services: threads, Flask, Django."""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import psycopg
from psycopg.rows import tuple_row
from psycopg_pool import ConnectionPool

from headway.runtime.database import statements, wire
from headway.runtime.database.desk import GiveBack, Held, Pause, Run, Take
from headway.runtime.database.fleet import Fleet, Server
from headway.runtime.database.front import Front
from headway.runtime.database.ledger import Ledger, calling_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg.abc import Params, QueryNoTemplate

    from headway.runtime.database.desk import Steps


_ADOPTING = threading.Lock()
"""Threads of a forked child that come first at once make the pools once."""


class Database(Front):
    """
    `with Database(PRIMARY, replicas=[REPLICA]) as database:` and then `database.read()` and `database.write()`.

    A process made by fork gets pools of its own at its first read or write; the parent's connections are left to it.
    """

    def open(self) -> None:
        """Open the pools and look at every server once. A server that is away does not stop it."""
        self._process = os.getpid()
        self._pools = {server: self._new_pool(server) for server in self._urls}
        for pool in self._pools.values():
            pool.open()
        self._prober = self._look()
        self._prober.wait_first()

    def close(self) -> None:
        """Close the pools and end the prober."""
        self._prober.stop()
        for pool in self._pools.values():
            pool.close()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def read(self, *, stale_ok: bool = False, statement_timeout_s: float | None = None) -> Iterator[wire.Connection]:
        """
        A read-only autocommit connection to a server that has what the session wrote.

        Args:
            stale_ok: any replica that is fit will do, whatever the session wrote.
            statement_timeout_s: PostgreSQL's, for the statements inside.

        Raises:
            DatabaseUnavailable: none could be had in `Settings.wait_s`.
        """
        self._adopt()
        steps = self._desk.reading(
            self._sessions.current(), calling_line(), stale_ok=stale_ok, timeout_s=statement_timeout_s
        )
        yield from self._use(self._carry_out(steps))

    @contextmanager
    def write(
        self, *, isolation: str | None = None, statement_timeout_s: float | None = None
    ) -> Iterator[wire.Connection]:
        """
        A connection to the primary in a transaction, committed at the end and rolled back on an error.

        Args:
            isolation: for example "serializable"; None is the server's default.
            statement_timeout_s: PostgreSQL's, for the statements inside.

        Raises:
            DatabaseUnavailable: none could be had in `Settings.wait_s`.
            CommitUnknown: the connection ended during COMMIT.
        """
        self._adopt()
        steps = self._desk.writing(
            self._sessions.current(), calling_line(), isolation=isolation, timeout_s=statement_timeout_s
        )
        yield from self._use(self._carry_out(steps))

    def fetch(self, query: QueryNoTemplate, params: Params | None = None, *, stale_ok: bool = False) -> list[Any]:
        """All rows of one reading statement; tried once more, elsewhere, when the connection breaks under it."""
        for last in (False, True):
            with self.read(stale_ok=stale_ok) as connection:
                try:
                    return connection.execute(query, params).fetchall()
                except psycopg.OperationalError as exc:
                    if last or not wire.broke(connection, exc):
                        raise
        raise AssertionError("the second try returns or raises")

    def _use(self, held: Held) -> Iterator[wire.Connection]:
        try:
            yield held.connection
        except BaseException as exc:
            self._carry_out(self._desk.ended(held, exc))
            raise
        self._carry_out(self._desk.ended(held, None))

    def _carry_out(self, steps: Steps) -> Held:
        try:
            step = next(steps)
            while True:
                try:
                    answer = self._do(step)
                except BaseException as exc:  # noqa: BLE001 - the steps decide, and raise it again
                    step = steps.throw(exc)
                else:
                    step = steps.send(answer)
        except StopIteration as done:
            held: Held = done.value
            return held

    def _do(self, step: Take | Run | GiveBack | Pause) -> object:
        match step:
            case Take():
                return self._pools[step.server].getconn(step.timeout_s)
            case Run():
                return _first_rows(step.connection, step.statement)
            case GiveBack():
                self._pools[step.server].putconn(step.connection)
            case Pause():
                time.sleep(step.seconds)
        return None

    def _new_pool(self, server: Server) -> ConnectionPool[wire.Connection]:
        return ConnectionPool(
            self._urls[server], connection_class=wire.Connection, configure=_arrived, **self._pool_arguments(server)
        )

    def _adopt(self) -> None:
        """In a child of fork: begin anew. The parent's pools are kept, unused: closing them would end its sessions."""
        if os.getpid() == self._process:
            return
        with _ADOPTING:
            if os.getpid() != self._process:
                self._begin_in_child()

    def _begin_in_child(self) -> None:
        self._parents = getattr(self, "_parents", ()), self._pools, self._prober
        for server in self._urls:
            server.outstanding, server.sight = 0, None
        watches = {server: ledger.watch for server, ledger in self._ledgers.items()}
        self._ledgers = {server: Ledger(server.name) for server in self._urls}
        for server, ledger in self._ledgers.items():
            ledger.watch = watches[server]
        self._begin(Fleet(self._fleet.primary, self._fleet.replicas, self.settings))
        self.open()


def _arrived(connection: wire.Connection) -> None:
    wire.mark_peer(connection)
    (row,) = _first_rows(connection, statements.named("arrive"))
    connection.marks.start = row[0]


def _first_rows(connection: wire.Connection, statement: str) -> list[Any]:
    with connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(statement.encode())
        rows = [cursor.fetchone()] if cursor.description else []
        while cursor.nextset():
            rows += [cursor.fetchone()] if cursor.description else []
        return rows
