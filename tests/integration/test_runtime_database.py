"""Reads and writes on a real primary with real replicas, one of which replays 400 ms late."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.rows import dict_row

from headway.runtime.database import (
    AsyncDatabase,
    CommitUnknown,
    Database,
    DatabaseUnavailable,
    Reason,
    Settings,
    lsn,
    token,
)
from replicated import Replicated, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.queues import SimpleQueue

LAG_MS = 400


@pytest.fixture(scope="module")
def servers(service_room: Path) -> Iterator[Replicated]:
    """A primary, a replica that keeps up, and one that does not; a table of counters."""
    room = service_room / "replicated"
    room.mkdir(mode=0o711)
    made = Replicated.make(room)
    try:
        made.add_replica()
        made.add_replica(LAG_MS)
        with psycopg.connect(made.primary.url, autocommit=True) as connection:
            connection.execute("CREATE TABLE counters (id int PRIMARY KEY, value int NOT NULL)")
            connection.execute("INSERT INTO counters SELECT id, 0 FROM generate_series(1, 100) AS id")
        yield made
    finally:
        made.stop()


@pytest.fixture
def late(servers: Replicated) -> Iterator[Database]:
    """A database whose only replica is the late one, fit and known to be so."""
    with Database(servers.primary.url, replicas=[servers.replicas[1].url]) as database:
        until_fit(database)
        yield database


def until_fit(database: Database | AsyncDatabase) -> None:
    """Wait until every replica gets reads."""
    until(lambda: all(each.unfit is None for each in database.standings()))


def set_counter(database: Database, number: int, value: int) -> None:
    """Write one counter."""
    with database.write() as connection:
        connection.execute("UPDATE counters SET value = %s WHERE id = %s", (value, number))


def counter(database: Database, number: int, *, stale_ok: bool = False) -> int:
    """Read one counter."""
    rows = database.fetch("SELECT value FROM counters WHERE id = %s", (number,), stale_ok=stale_ok)
    return int(rows[0][0])


def test_a_read_sees_the_write_before_it_whatever_the_lag(late: Database) -> None:
    """With its only replica 400 ms late each of 20 reads sees its session's write; any replica does not."""
    stale = 0
    for value in range(1, 21):
        with late.session():
            set_counter(late, 1, value)
            stale += counter(late, 1, stale_ok=True) != value
            assert counter(late, 1) == value
    assert stale > 10
    assert late.reads()[Reason.UNREPLAYED] >= 10


def test_a_session_that_wrote_nothing_reads_on_the_replica(late: Database) -> None:
    """A lag that concerns nobody sends nobody to the primary."""
    before = late.reads().get(Reason.REPLICA, 0)
    with late.session() as session:
        for _ in range(5):
            counter(late, 2)
        assert late.token(session) is None
    assert late.reads()[Reason.REPLICA] == before + 5


def test_replicas_of_an_idle_primary_get_reads_after_a_switch_of_segments(servers: Replicated) -> None:
    """The primary then stands behind a header that no replica will pass until somebody writes again."""
    with psycopg.connect(servers.primary.url, autocommit=True) as connection:
        connection.execute("SELECT pg_switch_wal()")
    with Database(servers.primary.url, replicas=[each.url for each in servers.replicas]) as database:
        until(lambda: all(each.unfit is None for each in database.standings()), seconds=5)


def test_a_write_that_wrote_nothing_asks_nothing_of_later_reads(late: Database) -> None:
    """A transaction without an effect leaves no token: no read need wait for it."""
    with late.session() as session:
        with late.write() as connection:
            connection.execute("SELECT 1")
        assert (session.needed, session.wrote) == (0, False)


def test_a_commit_by_hand_inside_write_is_remembered_too(late: Database) -> None:
    """Whoever calls commit() himself still reads what he wrote."""
    with late.session():
        with late.write() as connection:
            connection.execute("UPDATE counters SET value = 8 WHERE id = 8")
            connection.commit()
        assert counter(late, 8) == 8


def test_a_token_carries_the_write_to_another_process_of_the_service(servers: Replicated, late: Database) -> None:
    """What one database object wrote, another one with its own pools reads, when the client brings the token."""
    with Database(servers.primary.url, replicas=[servers.replicas[1].url], secret=b"one") as other:
        with late.session() as session:
            set_counter(late, 3, 33)
            carried = late.token(session)
        assert carried is not None
        with other.session(carried) as unsigned:
            assert unsigned.needed == 0
        with late.session(carried):
            assert counter(late, 3) == 33
        until_fit(other)
        with other.session() as session:
            set_counter(other, 3, 34)
            carried = other.token(session)
        with other.session(carried):
            assert counter(other, 3) == 34


def test_a_token_from_the_future_costs_a_bounded_wait(late: Database) -> None:
    """A position that no server will reach sends reads to the primary: one waits its patience, the next ones do not."""
    cluster = late._mark()
    assert cluster is not None
    began_s = time.monotonic()
    with late.session(token.seal(2**64 - 1, cluster, None)):
        for _ in range(5):
            counter(late, 4)
    assert time.monotonic() - began_s < 1.0
    assert late.reads()[Reason.UNREPLAYED] >= 5


def test_inside_primary_all_reads_go_there(late: Database) -> None:
    """And not after it."""
    with late.session(), late.primary(), late.read() as connection:
        assert connection.execute("SELECT pg_is_in_recovery()").fetchone() == (False,)
    with late.session(), late.read() as connection:
        assert connection.execute("SELECT pg_is_in_recovery()").fetchone() == (True,)


def test_a_write_slipped_into_read_is_refused_on_the_primary_too(late: Database) -> None:
    """Else it would succeed now and then, and no read would know of it."""
    for scope in (late.session(), late.primary()):
        with scope, pytest.raises(psycopg.errors.ReadOnlySqlTransaction), late.read() as connection:
            connection.execute("UPDATE counters SET value = 1")


def test_an_error_that_was_swallowed_does_not_pass_for_a_commit(late: Database) -> None:
    """PostgreSQL answers COMMIT of a failed transaction with ROLLBACK and no error: a lost write, said aloud here."""
    with pytest.raises(psycopg.errors.InFailedSqlTransaction, match="nothing of it is committed"), late.write() as each:
        each.execute("UPDATE counters SET value = 99 WHERE id = 5")
        with pytest.raises(psycopg.errors.DivisionByZero):
            each.execute("SELECT 1 / 0")
    with late.primary():
        assert counter(late, 5) == 0


def test_the_position_after_commit_is_past_its_record_even_when_commit_does_not_wait(servers: Replicated) -> None:
    """With synchronous_commit off the written position is often before the commit's record; the inserted never."""
    short = 0
    with Database(servers.primary.url) as database, psycopg.connect(servers.primary.url, autocommit=True) as other:
        for value in range(50):
            with database.session() as session:
                with database.write() as connection:
                    connection.execute("SET LOCAL synchronous_commit = off")
                    connection.execute("UPDATE counters SET value = %s WHERE id = 6", (value,))
                row = other.execute("SELECT pg_current_wal_lsn()::text").fetchone()
                assert row is not None
                short += lsn.parse(row[0]) < session.needed
    assert short > 0


def test_a_statement_is_bounded_by_its_scope_and_the_next_scope_is_not(late: Database) -> None:
    """In reads and writes; the bound does not stay on the connection for whoever gets it next."""
    with pytest.raises(psycopg.errors.QueryCanceled), late.read(statement_timeout_s=0.02) as connection:
        connection.execute("SELECT pg_sleep(1)")
    with pytest.raises(psycopg.errors.QueryCanceled), late.write(statement_timeout_s=0.02) as connection:
        connection.execute("SELECT pg_sleep(1)")
    with late.primary(), late.read(statement_timeout_s=0.02) as connection:
        assert connection.execute("SHOW statement_timeout").fetchone() == ("20ms",)
    for scope in (late.read(), late.write()):
        with scope as connection:
            row = connection.execute("SHOW statement_timeout").fetchone()
            assert row == ("0",)


ENDED_AT_COMMIT = """
CREATE TABLE fragile (id int);
CREATE FUNCTION end_it() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END';
CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON fragile DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION end_it();
"""


def test_a_session_ended_during_commit_is_unknown_and_reads_on_the_primary(late: Database) -> None:
    """Terminated by the server while COMMIT was under way: said so, and what may be there is looked for where it is."""
    with late.write() as connection:
        connection.execute(ENDED_AT_COMMIT)
    with late.session() as session:
        with pytest.raises(CommitUnknown, match="may or may not"), late.write() as connection:
            connection.execute("INSERT INTO fragile VALUES (1)")
        assert session.unsure
        with late.read() as connection:
            assert connection.execute("SELECT pg_is_in_recovery()").fetchone() == (False,)
        set_counter(late, 9, 9)
        assert not session.unsure


def test_a_pool_that_is_used_up_says_who_holds_it(servers: Replicated) -> None:
    """The error comes after wait_s, names the line that holds the connection, and the wait is in the book."""
    settings = Settings(pool_max=1, wait_s=0.2)
    with Database(servers.primary.url, settings=settings) as database, database.write():
        began_s = time.monotonic()
        with pytest.raises(DatabaseUnavailable, match=r"1 of 1 are held.*test_runtime_database\.py"), database.write():
            pass
        assert 0.15 < time.monotonic() - began_s < 1.0
        (pool,) = database.pools()
        assert (pool.timeouts, len(pool.holders), pool.most_held) == (1, 1, 1)
        assert "test_a_pool_that_is_used_up" in pool.holders[0].line


def test_rows_come_as_the_service_wants_them(servers: Replicated) -> None:
    """A row factory of the service's own does not disturb the reading of positions."""
    settings = Settings(connection={"row_factory": dict_row})
    with Database(servers.primary.url, replicas=[servers.replicas[0].url], settings=settings) as database:
        set_counter(database, 7, 7)
        assert database.fetch("SELECT value FROM counters WHERE id = 7") == [{"value": 7}]
        assert database.token() is not None


def test_many_sessions_each_see_their_own_last_write(servers: Replicated) -> None:
    """
    A history of eight clients that write and read at once, with threads, both replicas and tokens that travel: every
    read returns what its client wrote last. (Each key has one writer, so that is all read-your-writes asks.)
    """
    urls = [each.url for each in servers.replicas]
    with (
        Database(servers.primary.url, replicas=urls) as one,
        Database(servers.primary.url, replicas=urls) as two,
        ThreadPoolExecutor(8) as crew,
    ):
        until_fit(one)
        until_fit(two)

        def client(number: int) -> list[tuple[int, int]]:
            draw, history, carried = random.Random(number), [], None
            for value in range(1, 26):
                database = draw.choice((one, two))
                with database.session(carried) as session:
                    set_counter(database, 10 + number, value)
                    carried = database.token(session)
                for _ in range(draw.randint(1, 3)):
                    database = draw.choice((one, two))
                    with database.session(carried):
                        history.append((value, counter(database, 10 + number)))
            return history

        histories = [each for found in crew.map(client, range(8)) for each in found]
        assert len(histories) >= 200
        assert [each for each in histories if each[0] != each[1]] == []
        replica_reads = sum(
            number for each in (one, two) for reason, number in each.reads().items() if "primary" not in reason
        )
        assert replica_reads > len(histories) / 4


def test_a_shared_register_has_a_history_that_its_tokens_explain(servers: Replicated) -> None:
    """
    Six clients on one row, through two databases and a replica 400 ms late, handing their tokens to each other. A write
    adds one, so its value is its place in the register's history. Writes are linearizable; a read returns nothing older
    than the write its token stands for, whoever made it, and nothing that no write had begun.
    """
    urls = [each.url for each in servers.replicas]
    begun: list[tuple[float, float, int]] = []  # of writes: begin, end, value
    reads: list[tuple[float, int, int]] = []  # end, what the token stands for, value
    handed: list[tuple[str | None, int]] = [(None, 0)]
    with (
        Database(servers.primary.url, replicas=urls) as one,
        Database(servers.primary.url, replicas=urls[1:]) as two,
        ThreadPoolExecutor(6) as crew,
    ):
        until_fit(one)
        until_fit(two)

        def client(number: int) -> None:
            draw = random.Random(number)
            for _ in range(12):
                database, at = draw.choice((one, two)), time.monotonic()
                with database.session() as session:
                    with database.write() as connection:
                        sql = "UPDATE counters SET value = value + 1 WHERE id = 60 RETURNING value"
                        value = connection.execute(sql).fetchall()[0][0]
                    begun.append((at, time.monotonic(), value))
                    handed.append((database.token(session), value))
                for carried, known in (handed[-1], draw.choice(handed)):
                    database = draw.choice((one, two))
                    with database.session(carried):
                        found = counter(database, 60)
                    reads.append((time.monotonic(), known, found))

        for done in [crew.submit(client, number) for number in range(6)]:
            done.result()
        elsewhere = sum(number for each in (one, two) for why, number in each.reads().items() if "primary" not in why)
    assert sorted(value for _, _, value in begun) == list(range(1, 73))
    assert all(value < later for _, end, value in begun for start, _, later in begun if end < start)
    assert all(found >= known for _, known, found in reads)
    assert all(found <= sum(start < end for start, _, _ in begun) for end, _, found in reads)
    assert len(reads) == 144
    assert elsewhere > 10


def test_the_asynchronous_database_reads_its_writes_and_survives_cancelling(servers: Replicated) -> None:
    """The same core: a write is seen through tasks of one session, and a cancelled read gives its connection back."""

    async def story() -> None:
        settings = Settings(pool_max=2)
        async with AsyncDatabase(
            servers.primary.url, replicas=[servers.replicas[1].url], settings=settings
        ) as database:
            await asyncio.to_thread(until_fit, database)
            with database.session() as session:
                async with database.write() as connection:
                    await connection.execute("UPDATE counters SET value = 21 WHERE id = 20")
                reads = [database.fetch("SELECT value FROM counters WHERE id = 20") for _ in range(4)]
                assert await asyncio.gather(*reads) == [[(21,)]] * 4
                assert database.token(session) is not None
            for _ in range(4):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.05), database.read() as connection:
                        await connection.execute("SELECT pg_sleep(5)")
            with pytest.raises(DatabaseUnavailable):
                async with database.write(), database.write(), database.write():
                    pass
            assert [len(each.holders) for each in database.pools()] == [0, 0]
            assert [each.outstanding for each in database.standings()] == [0, 0]

    asyncio.run(story())


def _in_child(database: Database, answers: SimpleQueue[object]) -> None:
    with database.session():
        set_counter(database, 30, 31)
        answers.put(counter(database, 30))
        answers.put(database.reads())
    database.close()


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")
def test_a_forked_process_gets_connections_of_its_own(late: Database) -> None:
    """As gunicorn's preload does it: the child reads and writes, and the parent's connections still work after it."""
    assert counter(late, 30) == 0
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    child = context.Process(target=_in_child, args=(late, answers))
    child.start()
    child.join(20)
    assert child.exitcode == 0
    assert answers.get() == 31
    with late.primary():
        assert counter(late, 30) == 31
    assert late.pools()[0].discarded == 0


def test_threads_share_a_session_when_the_service_says_so(late: Database) -> None:
    """A context copied to a thread, as Starlette does for plain functions, has the request's session."""
    with late.session() as session:
        context = copy_context()
        thread = threading.Thread(target=context.run, args=(set_counter, late, 40, 41))
        thread.start()
        thread.join()
        assert session.wrote
        assert counter(late, 40) == 41
