"""Looks at a real PostgreSQL: who waits, for what, for whom; what looking costs; what an ordinary role may see."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from headway.errors import HeadwayError
from headway.evidence import columns, reading
from headway.evidence.collector import Watch
from headway.evidence.database import DatabaseUse
from headway.evidence.looks import Looks
from headway.evidence.session import Session
from headway.evidence.tables import Tables
from headway.evidence.waits import Waits
from headway.model import Blocking, Connections, LoadModel, Phase, Presence, Wait
from headway.thresholds import FIXED_MIN_SEEN

PHASE = Phase(name="steady", model=LoadModel.OPEN, duration_s=1, warmup_s=0, rate_per_s=1)
UPDATE = "UPDATE seats SET taken = taken + 1 WHERE id = %s"


@pytest.fixture
def seats_url(postgres_url: str) -> str:
    """A database with ten seats."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE seats (id int PRIMARY KEY, taken int NOT NULL, holder text)")
        connection.execute("INSERT INTO seats SELECT n, 0, 'x' FROM generate_series(1, 10) n")
        connection.execute("ANALYZE seats")
    return postgres_url


@contextmanager
def watched(url: str) -> Iterator[Waits]:
    """One phase, looked at."""
    session = Session(url)
    waits = Waits(session)
    assert waits.check().presence is Presence.PRESENT
    waits.begin(PHASE, time.time())
    try:
        yield waits
        waits.end(PHASE, time.time())
    finally:
        waits.close()


def until(happened: Callable[[], bool], patience_s: float = 5.0) -> None:
    """Wait for it, at most so long."""
    end = time.monotonic() + patience_s
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def service(url: str, name: str = "shop") -> psycopg.Connection:
    """One of the service's own connections."""
    return psycopg.connect(url, autocommit=True, application_name=name)


def read(waits: Waits, folder: Path) -> tuple[tuple[Wait, ...], tuple[Blocking, ...], tuple[Connections, ...]]:
    """Written and read again."""
    waits.write(folder)
    return (
        columns.read(folder / "waits.parquet", Wait),
        columns.read(folder / "blockers.parquet", Blocking),
        columns.read(folder / "connections.parquet", Connections),
    )


def test_a_convoy_is_found_with_the_statement_that_holds_it(seats_url: str, tmp_path: Path) -> None:
    """Three wait for one row, the third behind the others: all are held up by the transaction that forgot to end."""
    with ExitStack() as stack:
        holder, *waiters = (stack.enter_context(service(seats_url)) for _ in range(4))
        waits = stack.enter_context(watched(seats_url))
        holder.execute("BEGIN; UPDATE seats SET taken = 1 WHERE id = 1")
        holder.execute("SELECT holder FROM seats WHERE id = %s", (2,))
        threads = [threading.Thread(target=each.execute, args=(UPDATE, (1,))) for each in waiters]
        for each in threads:
            each.start()
        until(lambda: sum(queue.seen for queue in waits.phases[-1].queues.values()) >= 9)
        holder.execute("COMMIT")
        for each in threads:
            each.join()
    rows, blockings, _ = read(waits, tmp_path)
    locked = [each for each in rows if each.event_type == "Lock"]
    assert {each.text for each in locked} == {"UPDATE seats SET taken = taken + $2 WHERE id = $1"}
    assert all(each.client == "shop" and each.state == "active" for each in locked)
    assert max(each.longest_ns for each in locked) > 3e8
    idle = [each for each in rows if each.state == "idle in transaction"]
    assert idle[0].text == "SELECT holder FROM seats WHERE id = $1"
    assert sum(each.sessions for each in idle) > 0.5
    assert {each.holding_text for each in blockings} == {"SELECT holder FROM seats WHERE id = $1"}
    assert {each.holding_state for each in blockings} == {"idle in transaction"}
    assert {each.table for each in blockings} == {"seats"}
    assert {each.lock for each in blockings} <= {"transactionid", "tuple"}
    assert sum(each.seen for each in blockings) >= 9
    assert max(each.longest_ns for each in blockings) > 2e8


def test_connections_are_told_by_client_and_idle_ones_are_spare(seats_url: str, tmp_path: Path) -> None:
    """Four of a pool that does nothing and one that works: five open, one busy, a spare one at every look but few."""
    with ExitStack() as stack:
        pool = [stack.enter_context(service(seats_url, "pool")) for _ in range(5)]
        stack.enter_context(service(seats_url, "idler"))
        time.sleep(0.06)
        waits = stack.enter_context(watched(seats_url))
        pool[0].execute("SELECT pg_sleep(0.7)")
    _, blockings, clients = read(waits, tmp_path)
    by_name = {each.client: each for each in clients}
    assert set(by_name) == {"pool", "idler"}
    found = by_name["pool"]
    assert (found.open_most, found.busy_most, found.spare_looks) == (5, 1, found.looks)
    assert found.looks >= 4
    assert by_name["idler"].busy_mean == 0
    assert not blockings


def test_constants_of_a_text_are_read_while_it_runs_and_only_planned_with(seats_url: str, tmp_path: Path) -> None:
    """
    Of statements as they are sent the plans are kept, and what stands for NULL; no value is. Neither what came with its
    values apart, nor a text cut off, nor several statements in one are planned, and none is run again.
    """
    waits = Waits(Session(seats_url))
    assert waits.check().presence is Presence.PRESENT
    looks = Looks(phase=PHASE.name)
    with service(seats_url) as shop:
        for number in range(FIXED_MIN_SEEN):
            shop.execute(f"SELECT id FROM seats WHERE coalesce(holder, '') = 'Nemo {number}'".encode())
            waits.look(looks)
            waits.look(looks)  # it sees the same execution again
        for text, values in (
            ("SELECT taken FROM seats WHERE id = %s", (7,)),
            (f"SELECT holder FROM seats WHERE id = 7 AND holder <> '{'x' * 9_000}'", None),
            ("UPDATE seats SET taken = taken + 1 WHERE id = 8; UPDATE seats SET taken = taken + 1 WHERE id = 9", None),
        ):
            shop.execute(text.encode(), values)
            waits.look(looks)
        waits.finish()
        waits.write(tmp_path)
        waits.close()
        taken = shop.execute("SELECT id FROM seats WHERE taken <> 0 ORDER BY id").fetchall()
    assert next(iter(waits.live.statements.values())).seen == FIXED_MIN_SEEN
    (found,) = reading.live_plans(tmp_path / "live-plans.json").values()
    assert found.fixed == ("coalesce(holder, '')",)
    assert isinstance(found.plan, dict)
    assert (found.plan["Relation Name"], found.plan["Filter"]) == (
        "seats",
        "(COALESCE(seats.holder, ?::text) = ?::text)",
    )
    assert "Nemo" not in (tmp_path / "live-plans.json").read_text()
    assert taken == [(8,), (9,)]


def test_without_the_right_it_says_which_grant_is_missing(seats_url: str) -> None:
    """An ordinary role sees no other role's waits; one in pg_monitor sees them all."""
    with psycopg.connect(seats_url, autocommit=True) as admin, service(seats_url) as other:
        name = sql.Identifier("waits_reader")
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'secret'").format(name))
        try:
            info = admin.info
            url = f"postgresql://waits_reader:secret@{info.host}:{info.port}/{info.dbname}"
            session = Session(url)
            state = Waits(session).check()
            session.close()
            assert state.presence is Presence.FAILED
            assert state.next_act == "as a superuser: GRANT pg_monitor TO waits_reader"
            admin.execute(sql.SQL("GRANT pg_monitor TO {}").format(name))
            with watched(url) as waits:
                other.execute("SELECT pg_sleep(0.25)")
            assert any(each.event == "PgSleep" and "pg_sleep" in each.text for each in waits.phases[-1].waits())
        finally:
            admin.execute(sql.SQL("DROP ROLE {}").format(name))


def test_a_lost_connection_keeps_what_was_seen(seats_url: str, tmp_path: Path) -> None:
    """The server ends the looking: the source has failed, the run goes on, and earlier looks are written."""
    waits = Waits(Session(seats_url))
    watch = Watch(waits, waits.check())
    with service(seats_url) as other, service(seats_url) as admin:
        watch.post(lambda: waits.begin(PHASE, time.time()))
        other.execute("SELECT pg_sleep(0.3)")
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'headway'")
        until(lambda: waits._failure is not None)
        watch.post(lambda: waits.end(PHASE, time.time()))
        watch.finish()
        watch.wait()
    assert watch.state.presence is Presence.FAILED
    assert "lost during the run" in watch.state.detail
    rows, _, _ = read(waits, tmp_path)
    assert any(each.event == "PgSleep" for each in rows)
    waits.close()


def test_a_second_connection_that_is_refused_does_not_refuse_the_run(
    seats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the looks are missing then, and their state says why."""

    def refuse(_self: Session) -> psycopg.Connection:
        raise HeadwayError("too many clients", next_act="free a connection")

    monkeypatch.setattr(Session, "_open", refuse)
    state = Waits(Session(seats_url)).check()
    assert (state.presence, state.next_act) == (Presence.FAILED, "free a connection")


def test_looking_adds_no_transaction_and_no_connection_to_what_is_counted(seats_url: str) -> None:
    """The looks' own transactions are taken off the database's counters to the last one."""
    time.sleep(0.2)  # a backend reports as it exits: the one that made the seats
    session, looks = Session(seats_url), Session(seats_url)
    database, waits = DatabaseUse(session, looks), Waits(looks)
    assert waits.check().presence is database.check().presence is Presence.PRESENT
    for begun in (waits, database):
        begun.begin(PHASE, time.time())
    with psycopg.connect(seats_url, autocommit=True, prepare_threshold=None) as one:
        for _ in range(10):
            one.execute("SELECT 1 FROM seats")
        until(lambda: waits.phases[-1].count >= 4)
        database.sample(time.time())
    time.sleep(0.2)  # a backend reports as it exits
    database.end(PHASE, time.time())
    waits.end(PHASE, time.time())
    (found,) = database.databases
    assert (found.commits, found.sessions, found.connections) == (11, 1, 1)
    session.close()
    looks.close()


def test_updates_are_told_hot_from_others_and_dead_rows_are_hinted_at(seats_url: str) -> None:
    """Ten updates of a column without an index are HOT, ten of the key are not; a table emptied by half is bloated."""
    session = Session(seats_url)
    tables = Tables(session)
    with psycopg.connect(seats_url, autocommit=True) as one:
        one.execute("CREATE TABLE half (id int PRIMARY KEY, body text) WITH (autovacuum_enabled = off)")
        one.execute("INSERT INTO half SELECT n, repeat('x', 100) FROM generate_series(1, 20000) n")
        one.execute("ANALYZE half")
    with psycopg.connect(seats_url, autocommit=True) as one:
        tables.begin(PHASE, time.time())
        one.execute("UPDATE seats SET taken = taken + 1")
        one.execute("UPDATE seats SET id = id + 100")
        one.execute("DELETE FROM half WHERE id % 2 = 0")
        one.execute("ANALYZE half")
    time.sleep(0.2)
    tables.end(PHASE, time.time())
    seats, half = (next(each for each in tables.tables if each.name == name) for name in ("seats", "half"))
    assert (seats.updated, seats.hot_updated, seats.hot_ratio) == (20, 10, 0.5)
    assert seats.bloat_ratio is None  # too small to tell
    assert half.deleted == half.dead_rows == 10_000
    assert half.bloat_ratio == pytest.approx(0.5, abs=0.06)
    session.close()


def test_looking_takes_a_tenth_of_the_time_at_most(seats_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often looks are asked for, each makes the next one later by ten times what it took."""
    monkeypatch.setattr("headway.evidence.waits.WAITS_EVERY_NS", 1_000)
    begun = time.monotonic()
    with watched(seats_url) as waits:
        time.sleep(0.6)
        lasted = time.monotonic() - begun
    assert waits.phases[-1].count >= 2
    assert waits._took_s <= 0.2 * lasted  # a tenth, and the last look
