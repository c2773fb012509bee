"""
How a read or a write gets its connection, and what happens when it is done: once, for synchronous and asynchronous use.

Each method is a generator that yields what is to be done on the outside (`Take`, `Run`, `GiveBack`, `Pause`) and is
sent the answer, or thrown the failure. `blocking.Database` and `awaiting.AsyncDatabase` carry it out.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import psycopg
from psycopg.pq import TransactionStatus
from psycopg_pool import PoolClosed

from headway.runtime.database import lsn, statements, wire
from headway.runtime.database.errors import CommitUnknown, DatabaseUnavailable
from headway.runtime.database.fleet import Pick, Server

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from headway.runtime.database.fleet import Fleet
    from headway.runtime.database.ledger import Ledger
    from headway.runtime.database.session import Session
    from headway.runtime.database.settings import Settings

    Steps = Generator["Take | Run | GiveBack | Pause", Any, "Held"]

RETRY_S = 0.2
"""A server that is away is tried again this often while somebody waits for it."""
FIRST_PAUSE_S = 0.001
LONGEST_PAUSE_S = 0.01
WAIT_FOR_SINCE = 190000


@dataclass(frozen=True, kw_only=True)
class Take:
    """A connection from the pool of `server`, please; answered by it."""

    server: Server
    timeout_s: float


@dataclass(frozen=True, kw_only=True)
class Run:
    """Run statements that take no values; answered by the first row of each that has rows, in their order."""

    connection: Any
    statement: str


@dataclass(frozen=True, kw_only=True)
class GiveBack:
    """Give a connection back to its pool, which throws it away when it is closed."""

    server: Server
    connection: Any


@dataclass(frozen=True, kw_only=True)
class Pause:
    """Wait so long."""

    seconds: float


@dataclass(frozen=True, kw_only=True)
class Held:
    """A connection in use."""

    server: Server
    connection: Any
    session: Session
    writes: bool


class Elsewhere(Exception):
    """This replica will not do for this read; another may."""


class Desk:
    """Hands out connections and takes them back."""

    def __init__(self, fleet: Fleet, ledgers: Mapping[Server, Ledger], settings: Settings) -> None:
        self.fleet = fleet
        self.ledgers = ledgers
        self.settings = settings

    def reading(self, session: Session, line: str, *, stale_ok: bool, timeout_s: float | None) -> Steps:
        """
        A connection to read on.

        Raises:
            DatabaseUnavailable: neither a replica that may answer nor the primary gave one in `wait_s`.
        """
        until_s = time.monotonic() + self.settings.wait_s
        tried: set[Server] = set()
        while True:
            pick = self.fleet.pick(
                needed=0 if stale_ok else session.needed, now_s=time.monotonic(), tried=tried,
                only_primary=session.on_primary or (session.unsure and not stale_ok),
            )  # fmt: skip
            try:
                connection = yield from self._taken(pick.server, until_s, line)
                try:
                    if not pick.server.is_primary:
                        yield from self._replayed(pick, connection, session.needed)
                    yield from self._limited(connection, timeout_s)
                except BaseException:
                    yield from self._given_back(pick.server, connection)
                    raise
            except (Elsewhere, psycopg.OperationalError):
                self.fleet.done(pick.server)
                if pick.server.is_primary:
                    raise
                tried.add(pick.server)
            except BaseException:
                self.fleet.done(pick.server)
                raise
            else:
                self.fleet.count(pick.reason)
                return Held(server=pick.server, connection=connection, session=session, writes=False)

    def writing(self, session: Session, line: str, *, isolation: str | None, timeout_s: float | None) -> Steps:
        """
        A connection to the primary with a transaction begun. One that turns out dead at BEGIN is replaced: nothing was
        done on it yet.

        Raises:
            DatabaseUnavailable: the primary gave none in `wait_s`.
        """
        until_s = time.monotonic() + self.settings.wait_s
        statements.begin(isolation)  # a wrong level is refused before a connection is taken
        server = self.fleet.take_primary()
        try:
            while True:
                connection = yield from self._taken(server, until_s, line)
                try:
                    begin = statements.begin(isolation) + self._local_limit(connection, timeout_s)
                    yield Run(connection=connection, statement=begin)
                except BaseException as exc:
                    again = isinstance(exc, psycopg.OperationalError) and wire.broke(connection, exc)
                    yield from self._given_back(server, connection)
                    if not again:
                        raise
                else:
                    return Held(server=server, connection=connection, session=session, writes=True)
        except BaseException:
            self.fleet.done(server)
            raise

    def ended(self, held: Held, failure: BaseException | None) -> Steps:
        """
        The work on a connection is over: commit or roll back, remember how far the log is, give it back.

        Raises:
            CommitUnknown: the connection ended during COMMIT.
            psycopg.errors.InFailedSqlTransaction: a statement had failed and the error was swallowed: nothing is
                committed, and saying nothing would lose the write.
        """
        try:
            if held.writes and failure is None:
                yield from self._committed(held)
            elif held.writes and not wire.broke(held.connection, failure):
                yield Run(connection=held.connection, statement="/* headway */ ROLLBACK")
        except psycopg.OperationalError:
            if failure is None:
                raise
        finally:
            if isinstance(failure, psycopg.errors.ReadOnlySqlTransaction) and held.writes:
                held.connection.pgconn.finish()  # the primary has become a standby: the next connection finds another
            if wire.broke(held.connection, failure) and not held.server.is_primary:
                self.fleet.lost(held.server, time.monotonic(), "a connection to it broke")
            yield from self._given_back(held.server, held.connection)
            self.fleet.done(held.server)
        return held

    def _committed(self, held: Held) -> Generator[Run, Any, None]:
        connection, session = held.connection, held.session
        status = connection.pgconn.transaction_status
        if status == TransactionStatus.INERROR:
            yield Run(connection=connection, statement="/* headway */ ROLLBACK")
            raise psycopg.errors.InFailedSqlTransaction(
                "a statement of this transaction failed, so nothing of it is committed; let its error pass, or use a"
                " savepoint (connection.transaction())"
            )
        try:
            rows = yield Run(connection=connection, statement=statements.named("commit"))
        except psycopg.OperationalError as exc:
            if not wire.broke(connection, exc):
                raise  # refused by the server (serialization, deferred constraint): rolled back
            session.unsure = True
            raise CommitUnknown(
                f"the connection to {held.server.name} ended during COMMIT: it may or may not be committed; read before"
                " trying again"
            ) from exc
        except psycopg.Error:
            raise
        except BaseException:  # cancelled: the server may have been quicker
            session.unsure = True
            raise
        # Who committed by himself (connection.commit(), an ORM) has left no transaction to ask: taken for a write.
        wrote, position = rows[0][0] or status == TransactionStatus.IDLE, rows[1][0]
        if wrote and position is not None:
            session.committed(lsn.record_end(lsn.parse(position), self.fleet.segment_bytes()))

    def _taken(self, server: Server, until_s: float, line: str) -> Generator[Take | GiveBack, Any, Any]:
        """A connection that has not been hung up. A replica gets one try; the primary is tried until `until_s`."""
        ledger, asked_at_s = self.ledgers[server], time.monotonic()
        ledger.asked()
        try:
            while True:
                left_s = until_s - time.monotonic()
                if left_s <= 0:
                    self._give_up(server)
                if not server.is_primary:
                    left_s /= 2
                elif self.fleet.silent(server) or not ledger.held():
                    # Nobody holds one: it is connecting that takes so long, and the pool tries only when asked.
                    left_s = min(left_s, RETRY_S)
                try:
                    connection = yield Take(server=server, timeout_s=left_s)
                except PoolClosed:
                    raise
                except psycopg.OperationalError:
                    if not server.is_primary:
                        raise
                    continue
                if wire.alive(connection):
                    ledger.took(connection, line, asked_at_s, time.monotonic())
                    return connection
                ledger.discarded += 1
                connection.pgconn.finish()
                yield GiveBack(server=server, connection=connection)
                if not server.is_primary:
                    self._hung_up(server)
        except BaseException:
            ledger.got_none()
            raise

    def _replayed(self, pick: Pick, connection: Any, needed: int) -> Generator[Run | Pause, Any, None]:
        """Make sure that the connection's server has replayed what is needed: known already, or waited for."""
        server, start = pick.server, connection.marks.start
        sight = server.sight
        if sight is None or start != sight.start:
            connection.pgconn.finish()  # of an earlier start, or an address that leads to several servers
            raise Elsewhere
        if not pick.wait:
            return
        until_s = time.monotonic() + self.settings.catch_up_s
        if connection.info.server_version >= WAIT_FOR_SINCE:
            statement = statements.wait_for(needed, max(1, int(self.settings.catch_up_s * 1e3)))
            rows = yield Run(connection=connection, statement=statement)
            position = needed if rows[0][0] == "success" else 0
        else:
            position = yield from self._polled(connection, needed, until_s)
        self.fleet.saw_replayed(server, position, start)
        if position < needed:
            self.fleet.waited_in_vain(server, time.monotonic())
            raise Elsewhere

    def _polled(self, connection: Any, needed: int, until_s: float) -> Generator[Run | Pause, Any, int]:
        pause_s = FIRST_PAUSE_S
        while True:
            rows = yield Run(connection=connection, statement=statements.named("replayed"))
            text = rows[0][0]
            position = 0 if text is None else lsn.parse(text)
            if position >= needed or text is None or time.monotonic() + pause_s > until_s:
                return position
            yield Pause(seconds=pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _limited(self, connection: Any, timeout_s: float | None) -> Generator[Run, Any, None]:
        timeout_ms = self._timeout_ms(timeout_s)
        if connection.marks.timeout_ms != timeout_ms:
            yield Run(connection=connection, statement=statements.limit(timeout_ms))
            connection.marks.timeout_ms = timeout_ms

    def _local_limit(self, connection: Any, timeout_s: float | None) -> str:
        """The bound of one transaction. A read before it may have left another on the connection."""
        timeout_ms = self._timeout_ms(timeout_s)
        return "" if connection.marks.timeout_ms == timeout_ms else f"; {statements.limit(timeout_ms, local=True)}"

    def _given_back(self, server: Server, connection: Any) -> Generator[GiveBack, Any, None]:
        self.ledgers[server].gave_back(connection, time.monotonic(), broken=connection.closed)
        yield GiveBack(server=server, connection=connection)

    def _timeout_ms(self, timeout_s: float | None) -> int | None:
        chosen_s = self.settings.statement_timeout_s if timeout_s is None else timeout_s
        return None if chosen_s is None else max(1, round(chosen_s * 1e3))

    def _hung_up(self, server: Server) -> NoReturn:
        self.fleet.lost(server, time.monotonic(), "it hung up")
        raise Elsewhere

    def _give_up(self, server: Server) -> NoReturn:
        asked = f"no connection to {server.name} in {self.settings.wait_s:g} s"
        if self.fleet.silent(server):
            raise DatabaseUnavailable(f"{asked}: {server.silence}; nothing was done, try again later")
        state = self.ledgers[server].state(most=self.settings.pool_max, opened=0, now_s=time.monotonic())
        if not state.holders:
            raise DatabaseUnavailable(f"{asked}; nothing was done, try again later")
        longest = state.holders[0]
        raise DatabaseUnavailable(
            f"{asked}: {len(state.holders)} of {state.most} are held, the longest for {longest.held_s:.1f} s by"
            f" {longest.line}; give connections back sooner, or raise pool_max"
        )
