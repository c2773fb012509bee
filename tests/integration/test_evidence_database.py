"""Evidence from a real PostgreSQL: exact counts, resets, roles, refusals, plans."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import hypot
from pathlib import Path
from statistics import fmean, pstdev
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from headway.errors import HeadwayError, SourceRefused
from headway.evidence import columns, registry
from headway.evidence.collector import Watch
from headway.evidence.database import DatabaseUse
from headway.evidence.plans import Plans
from headway.evidence.session import Session
from headway.evidence.statements import Statements
from headway.evidence.tables import Tables
from headway.model import Database, LoadModel, Phase, Presence, Sources, Statement

OF_A_DATABASE = {"statements", "waits", "database", "replicas", "tables", "indexes", "plans"}
PHASE = Phase(name="steady", model=LoadModel.OPEN, duration_s=1, warmup_s=0, rate_per_s=1)


@pytest.fixture
def service(postgres_url: str) -> Iterator[psycopg.Connection]:
    """The service's own connection, with a table of 20,000 posts and no index but the key."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE posts (id int PRIMARY KEY, user_id int, title text)")
        connection.execute("INSERT INTO posts SELECT n, n % 500, 'post ' || n FROM generate_series(1, 20000) n")
        connection.execute("ANALYZE posts")
        yield connection


@pytest.fixture
def session(postgres_url: str) -> Iterator[Session]:
    opened = Session(postgres_url)
    yield opened
    opened.close()


@contextmanager
def phase(*collectors: Statements | DatabaseUse | Tables) -> Iterator[None]:
    """One phase, watched."""
    for each in collectors:
        assert each.check().presence is Presence.PRESENT
    for each in collectors:
        each.begin(PHASE, time.time())
    yield
    for each in collectors:
        each.end(PHASE, time.time())


def only(statements: list[Statement], words: str) -> Statement:
    (found,) = [each for each in statements if words in each.text]
    return found


@contextmanager
def role(url: str, *grants: str) -> Iterator[str]:
    """A fresh role with these grants; its URL."""
    name = f"role_{time.monotonic_ns()}"
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'secret'").format(sql.Identifier(name)))
        for grant in grants:
            admin.execute(sql.SQL(grant).format(sql.Identifier(name)))
        info = admin.info
        yield f"postgresql://{name}:secret@{info.host}:{info.port}/{info.dbname}"
        admin.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))
        admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def test_statement_counts_are_exact(service: psycopg.Connection, session: Session) -> None:
    """250 calls in the phase are 250, though 40 went before and 7 come after; rows too."""
    query = "SELECT title FROM posts WHERE id < %s"
    statements = Statements(session)
    for _ in range(40):
        service.execute(query, (6,))
    with phase(statements):
        for _ in range(250):
            service.execute(query, (4,))
    for _ in range(7):
        service.execute(query, (9,))
    found = only(statements.statements, "SELECT title FROM posts")
    assert (found.calls, found.rows) == (250, 750)
    assert found.mean_ns == pytest.approx(found.total_ns / 250)
    assert found.text == "SELECT title FROM posts WHERE id < $1"
    assert found.share_ratio == pytest.approx(1.0)
    assert found.blocks_hit + found.blocks_read >= 250


def test_mean_and_spread_are_of_the_phase_alone(service: psycopg.Connection, session: Session) -> None:
    """Slow calls before the phase don't blur it: mean and deviation are of the fast ones in it."""
    statements = Statements(session)
    for _ in range(5):
        service.execute("SELECT pg_sleep(%s)", (0.3,))
    slept_ns = (1e6, 1e6, 11e6, 11e6)
    waited_ns = []  # a busy machine wakes late: the truth of each call is between what it slept and what was waited
    with phase(statements):
        for pause_ns in slept_ns:
            begun_ns = time.perf_counter_ns()
            service.execute("SELECT pg_sleep(%s)", (pause_ns / 1e9,))
            waited_ns.append(time.perf_counter_ns() - begun_ns)
    found = only(statements.statements, "pg_sleep")
    assert found.calls == 4
    assert fmean(slept_ns) <= found.mean_ns <= fmean(waited_ns) < 300e6
    late_ns = [waited - slept for waited, slept in zip(waited_ns, slept_ns, strict=True)]
    assert found.stddev_ns == pytest.approx(pstdev(waited_ns), abs=hypot(*late_ns) / 2)
    assert found.minimum_ns is not None  # 1 ms is less than ever before: it is of this phase
    assert 1e6 <= found.minimum_ns <= min(waited_ns)
    assert found.maximum_ns is None  # 300 ms was before: the phase's own largest isn't known


def test_headways_own_statements_are_left_out(service: psycopg.Connection, session: Session) -> None:
    """However often Headway asks in a phase, nothing of it is counted as the service's."""
    statements, database, tables = Statements(session), DatabaseUse(session), Tables(session)
    with phase(statements, database, tables):
        for _ in range(20):
            database.sample(time.time())
            session.rows("statements_scope")
            session.rows("tables_sizes")
        service.execute("SELECT count(*) FROM posts")
    assert [each.text for each in statements.statements] == ["SELECT count(*) FROM posts"]


def test_a_reset_in_the_phase_is_seen_and_nothing_is_negative(service: psycopg.Connection, session: Session) -> None:
    """After pg_stat_statements_reset() the counts are a lower bound, and said to be one."""
    statements = Statements(session)
    for _ in range(30):
        service.execute("SELECT 1 FROM posts LIMIT 1")
    with phase(statements):
        service.execute("SELECT 1 FROM posts LIMIT 1")
        service.execute(
            "SELECT pg_stat_statements_reset(0, (SELECT oid FROM pg_database WHERE datname = current_database()), 0)"
        )
        for _ in range(40):
            service.execute("SELECT 1 FROM posts LIMIT 1")
    assert only(statements.statements, "FROM posts").calls == 40
    assert statements.lower_bound_phases == {"steady"}
    assert "reset" in statements.remark


def test_utility_statements_are_flagged_and_their_passwords_hidden(
    service: psycopg.Connection, session: Session
) -> None:
    """BEGIN and ALTER ROLE have no plan; a password in a text is not kept."""
    statements = Statements(session)
    with phase(statements):
        service.execute("BEGIN")
        service.execute("COMMIT")
        service.execute("DO $$ BEGIN CREATE ROLE evidence_x PASSWORD 'hush-hush'; END $$")
        service.execute("ALTER ROLE evidence_x PASSWORD 'hush-hush'")
        service.execute("DROP ROLE evidence_x")
    assert all(each.is_utility for each in statements.statements if "SELECT" not in each.text)
    altered = only(statements.statements, "ALTER ROLE")
    assert altered.text == "ALTER ROLE evidence_x PASSWORD '***'"


def test_database_counts_are_exact_once_sessions_have_ended(postgres_url: str, session: Session) -> None:
    """3 sessions of 20 statements are 60 commits and one more a session, which PostgreSQL counts for its start."""
    database = DatabaseUse(session)
    with phase(database):
        for number in range(3):
            with psycopg.connect(postgres_url, autocommit=True, prepare_threshold=None) as one:
                for _ in range(20):
                    one.execute("SELECT 1")
                for _ in range(5 if number == 0 else 0):
                    with pytest.raises(psycopg.errors.DivisionByZero):
                        one.execute("SELECT 1/0")
                database.sample(time.time())
        time.sleep(0.2)  # a backend reports as it exits, a moment after its client has left
    (found,) = database.databases
    assert (found.commits, found.rollbacks, found.sessions) == (63, 5, 3)
    assert found.connections == 1
    assert found.max_connections == 300
    assert not found.statements_reset


def test_table_scans_are_exact_once_sessions_have_ended(
    service: psycopg.Connection, postgres_url: str, session: Session
) -> None:
    """12 sequential scans of 20,000 rows are 240,000 rows; 8 index scans are 8."""
    tables = Tables(session)
    service.close()
    time.sleep(0.2)
    with phase(tables):
        with psycopg.connect(postgres_url, autocommit=True) as one:
            one.execute("SET max_parallel_workers_per_gather = 0")
            for _ in range(12):
                one.execute("SELECT count(*) FROM posts WHERE user_id = 3")
            for number in range(8):
                one.execute("SELECT title FROM posts WHERE id = %s", (number,))
        time.sleep(0.2)
    (found,) = tables.tables
    assert (found.name, found.rows, found.indexes) == ("posts", 20000, 1)
    assert (found.sequential_scans, found.sequential_rows, found.index_scans) == (12, 240_000, 8)
    assert found.size_bytes > 20000 * 28


def test_plans_name_the_scan_and_execute_nothing(service: psycopg.Connection, session: Session, tmp_path: Path) -> None:
    """The sequential scan, its table's rows, filter and early stop are read from a plan; no row is touched."""
    statements = Statements(session)
    plans = Plans(session, statements)
    with phase(statements):
        for number in range(3):
            service.execute("SELECT * FROM posts WHERE user_id = %s", (number,))
            service.execute("SELECT * FROM posts WHERE id = %s", (number,))
            service.execute("SELECT * FROM posts WHERE title <> %s LIMIT 1", ("x",))
            service.execute("SELECT * FROM posts WHERE title <> %s ORDER BY title LIMIT 1", ("x",))
            service.execute("DELETE FROM posts WHERE user_id = %s", (-1 - number,))
            service.execute("SELECT now() - interval '1 day'")
    assert plans.check().presence is Presence.PRESENT
    plans.finish()

    def scans_of(words: str) -> list[tuple[str, float, str | None, bool]]:
        plan = plans.plans[only(statements.statements, words).id]
        return [(each["table"], each["rows"], each["filter"], each["stops_early"]) for each in plan["scans"]]

    assert scans_of("SELECT * FROM posts WHERE user_id") == [("posts", 20000, "(posts.user_id = $1)", False)]
    assert scans_of("WHERE id = ") == []
    assert scans_of("title <> $1 LIMIT") == [("posts", 20000, "(posts.title <> $1)", True)]
    assert scans_of("ORDER BY") == [("posts", 20000, "(posts.title <> $1)", False)]
    assert scans_of("DELETE") == [("posts", 20000, "(posts.user_id = $1)", False)]
    (why,) = plans.errors.values()
    assert "syntax error" in why
    assert "LINE" not in why
    assert service.execute("SELECT count(*) FROM posts").fetchone() == (20000,)
    plans.write(tmp_path)


def test_explain_never_runs_a_second_statement(service: psycopg.Connection, session: Session) -> None:
    """Text after a semicolon is refused, not run."""
    with pytest.raises(psycopg.errors.SyntaxError, match="multiple commands"):
        session.explain("SELECT 1; DROP TABLE posts")
    assert session.explain("SELECT $1::int")
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        session.connection.execute("CREATE TABLE x ()")


def test_without_the_extension_the_cure_is_given_and_the_rest_is_read(
    service: psycopg.Connection, session: Session
) -> None:
    """No pg_stat_statements: statements and plans have failed with CREATE EXTENSION; the database is still read."""
    service.execute("DROP EXTENSION pg_stat_statements")
    statements = Statements(session)
    state = statements.check()
    assert state.presence is Presence.FAILED
    assert "CREATE EXTENSION pg_stat_statements" in state.next_act
    assert Plans(session, statements).check().presence is Presence.FAILED
    assert DatabaseUse(session).check().presence is Presence.PRESENT
    assert Tables(session).check().presence is Presence.PRESENT


def test_an_ordinary_role_is_told_which_grant_it_needs(postgres_url: str, service: psycopg.Connection) -> None:
    """Without pg_read_all_stats the texts of others are hidden: that is said, with the exact GRANT."""
    with role(postgres_url) as url:
        session = Session(url)
        state = Statements(session).check()
        session.close()
    assert state.presence is Presence.FAILED
    assert state.next_act.startswith("as a superuser: GRANT pg_monitor TO role_")


def test_a_monitoring_role_counts_everything_and_says_what_it_cannot_plan(
    postgres_url: str, service: psycopg.Connection
) -> None:
    """pg_monitor is enough for all counts; a plan needs the right to the table, and the reason says so."""
    with role(postgres_url, "GRANT pg_monitor TO {}") as url:
        session = Session(url)
        statements = Statements(session)
        plans = Plans(session, statements)
        with phase(statements, DatabaseUse(session), Tables(session)):
            service.execute("SELECT title FROM posts WHERE id = 1")
        plans.finish()
        session.close()
    assert only(statements.statements, "title").calls == 1
    (why,) = plans.errors.values()
    assert "permission denied" in why
    assert "needs the same rights" in why


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("postgres:", "nobody-such:"), "nobody-such"),
        (("/test_", "/absent_"), "absent_"),
        (("127.0.0.1", "127.0.0.2"), "refuse"),
    ],
)
def test_a_wrong_name_is_refused_without_showing_the_password(
    postgres_url: str, change: tuple[str, str], words: str
) -> None:
    """User, database, host: one error that names it, with the next act, and no password."""
    wrong = postgres_url.replace(*change, 1)
    with pytest.raises(SourceRefused, match=words) as caught:
        Statements(Session(wrong)).check()
    assert str(urlsplit(postgres_url).password) not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_server_that_is_not_postgresql_is_refused(valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some other server on that port is one error within the connection's timeout."""
    monkeypatch.setattr("headway.evidence.session.CONNECT_TIMEOUT_S", 2)
    port = valkey_url.rpartition(":")[2].split("/")[0]
    with pytest.raises(SourceRefused, match="refuses"):
        Session(f"postgresql://x:y@127.0.0.1:{port}/z").rows("statements_scope")


def test_a_killed_connection_fails_the_source_and_keeps_what_it_had(
    service: psycopg.Connection, session: Session, tmp_path: Path
) -> None:
    """Phases that ended before the database was lost are written; the state says what happened."""
    statements, database = Statements(session), DatabaseUse(session)
    watches = [Watch(each, each.check()) for each in (statements, database)]

    def tell(act: str) -> None:
        for each in watches:
            each.post(lambda each=each: getattr(each.collector, act)(PHASE, time.time()))  # type: ignore[misc]
        time.sleep(0.2)

    tell("begin")
    service.execute("SELECT 1")
    tell("end")
    tell("begin")
    service.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'headway'")
    tell("end")
    for each in watches:
        each.finish()
        each.wait()
        each.collector.write(tmp_path)
        assert each.state.presence is Presence.FAILED
        assert "lost during the run" in each.state.detail
        assert "terminating connection" in each.state.detail
    assert [each.calls for each in columns.read(tmp_path / "statements.parquet", Statement)] == [1]
    assert len(columns.read(tmp_path / "database.parquet", Database)) == 1


def test_a_locked_table_costs_a_second_and_no_more(
    service: psycopg.Connection, postgres_url: str, session: Session
) -> None:
    """Headway gives way to a migration: its lock timeout ends the reading of sizes."""
    with psycopg.connect(postgres_url) as migration:
        migration.execute("LOCK TABLE posts IN ACCESS EXCLUSIVE MODE")
        begun = time.monotonic()
        with pytest.raises(psycopg.errors.LockNotAvailable):
            session.rows("tables_sizes")
        assert time.monotonic() - begun < 3


def test_a_role_that_only_reads_sees_all_and_stands_in_nobodys_way(
    postgres_url: str, service: psycopg.Connection
) -> None:
    """
    pg_monitor and pg_read_all_data are enough for every source of the database, plans too. All of it goes on while
    another session holds the strongest lock that lets a SELECT by; no lock of a table outlasts its question.
    """
    with role(postgres_url, "GRANT pg_monitor, pg_read_all_data TO {}") as url:
        every = registry.collectors(Sources(target_url="http://127.0.0.1:9", database_url=url))
        asking = [each for each in every if each.name in OF_A_DATABASE]
        assert {each.name for each in asking} == OF_A_DATABASE
        with psycopg.connect(postgres_url) as migration:
            migration.execute("LOCK TABLE posts IN EXCLUSIVE MODE")
            assert {each.check().presence for each in asking} == {Presence.PRESENT}
            begun = time.monotonic()
            for each in asking:
                each.begin(PHASE, time.time())
            service.execute("SELECT title FROM posts WHERE id = 1")
            for each in asking:
                each.sample(time.time())
                each.end(PHASE, time.time())
            for each in asking:
                each.finish()
            assert time.monotonic() - begun < 3
            held = migration.execute(
                "SELECT mode FROM pg_locks WHERE relation = 'posts'::regclass AND pid <> pg_backend_pid()"
            ).fetchall()
        plans = next(each for each in asking if isinstance(each, Plans))
        for each in every:
            each.close()
        assert held == []
        assert plans.errors == {}
        assert len(plans.plans) == 1


@pytest.mark.parametrize("act", ["CREATE TABLE mine (id int)", "DELETE FROM posts", "SELECT nextval('numbers')"])
def test_headways_session_writes_nothing_even_as_a_superuser(
    service: psycopg.Connection, session: Session, act: str
) -> None:
    """Whatever is sent over it, the server refuses what writes."""
    service.execute("CREATE SEQUENCE numbers")
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        session.connection.execute(act.encode())


def test_a_lost_session_stays_lost_and_says_why(service: psycopg.Connection, session: Session) -> None:
    """The first reason is kept for all collectors that share the connection."""
    session.rows("statements_scope")
    service.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'headway'")
    for _ in range(2):
        with pytest.raises(HeadwayError, match="terminating connection"):
            session.rows("statements_scope")
