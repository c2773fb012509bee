"""One PostgreSQL server in a folder: made once, started, waited for, stopped; and a streaming replica of it."""

from __future__ import annotations

import os
import shutil
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from headway.errors import LabFailed
from headway.servers import process
from headway.servers.ports import HOST
from headway.servers.process import Account, Identity

if TYPE_CHECKING:
    from pathlib import Path

SUPERUSER = "postgres"

SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",  # a socket's path may not pass 107 characters; TCP has no such limit
    "max_connections": "300",
    "shared_buffers": "256MB",
    "shared_preload_libraries": "pg_stat_statements,auto_explain",
    "pg_stat_statements.max": "5000",
    "pg_stat_statements.track": "top",
    "auto_explain.log_min_duration": "-1",  # loaded and silent: a session or ALTER DATABASE turns it on
    "compute_query_id": "on",
    "track_activity_query_size": "8192",
    "track_io_timing": "on",
    "wal_level": "replica",
    "max_wal_senders": "10",
    "max_replication_slots": "10",
    "max_wal_size": "2GB",
    "log_line_prefix": "%m [%p] %u@%d ",
}
"""Development settings. fsync stays on: writes cost what they cost."""


@dataclass(frozen=True, kw_only=True)
class Postgres:
    """A running server. `url` is its superuser's; `password` is in it."""

    identity: Identity
    port: int
    password: str

    @property
    def url(self) -> str:
        """The superuser's URL of the maintenance database."""
        return url(self.port, self.password)


def url(port: int, password: str, *, user: str = SUPERUSER, database: str = "postgres") -> str:
    """A connection URL. `password` must need no escaping (hexadecimal)."""
    return f"postgresql://{user}:{password}@{HOST}:{port}/{database}"


def initialise(programs: Path, data: Path, *, password: str, log: Path, account: Account | None) -> None:
    """
    Make a database cluster in `data`, whole or not at all: it is built beside and renamed into place.

    Raises:
        LabFailed: initdb fails, for example on a full disk.
    """
    half = _half(data)
    secret = data.with_name(f"{data.name}.password")
    try:
        descriptor = os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(password)
        if account:
            os.chown(secret, account.uid, account.gid)
        # fmt: off
        process.run(
            [str(programs / "initdb"), "-D", str(half), "-U", SUPERUSER, "--auth=scram-sha-256",
             f"--pwfile={secret}", "--encoding=UTF8", "--no-locale", "--no-instructions", "--no-sync"],
            cwd=data.parent, log=log, doing="initdb", account=account, env=_messages(data),
        )
        # fmt: on
        half.rename(data)
    except OSError as exc:
        raise LabFailed(f"cannot make a database cluster in {data}: {exc}", next_act="mend the state folder") from exc
    finally:
        secret.unlink(missing_ok=True)


def start(
    programs: Path,
    data: Path,
    *,
    port: int,
    password: str,
    log: Path,
    account: Account | None,
    settings: dict[str, str] | None = None,
) -> Postgres:
    """
    Start a server on `data` and wait until it answers a query.

    Raises:
        LabFailed: it ends instead; the message has the end of its log.
    """
    server = start_unwatched(programs, data, port=port, password=password, log=log, account=account, settings=settings)
    wait_for(server, log, server.url)
    return server


def start_unwatched(
    programs: Path,
    data: Path,
    *,
    port: int,
    password: str,
    log: Path,
    account: Account | None,
    settings: dict[str, str] | None = None,
) -> Postgres:
    """Start a server on `data` and return at once: `wait_for` waits, for one whose password is not known yet too."""
    options = [f"--{name}={value}" for name, value in {**SETTINGS, **(settings or {})}.items()]
    argv = [str(programs / "postgres"), "-D", str(data), "-p", str(port), *options]
    identity = process.spawn(argv, cwd=data, log=log, account=account, env=_messages(data))
    return Postgres(identity=identity, port=port, password=password)


def copy(programs: Path, data: Path, *, source: Postgres, slot: str, log: Path, account: Account | None) -> None:
    """
    Make `data` a streaming replica of `source`, whole or not at all, and keep a replication slot for it.

    Raises:
        LabFailed: pg_basebackup fails.
    """
    half = _half(data)
    with psycopg.connect(source.url, autocommit=True) as connection:
        drop_slot(connection, slot)
    # fmt: off
    process.run(
        [str(programs / "pg_basebackup"), "-d", f"host={HOST} port={source.port} user={SUPERUSER}", "-D", str(half),
         "-R", "-X", "stream", "-c", "fast", "-C", "-S", slot, "--no-sync"],
        cwd=data.parent, log=log, doing="pg_basebackup", account=account,
        env={**_messages(data), "PGPASSWORD": source.password},
    )
    # fmt: on
    half.rename(data)


def drop_slot(connection: psycopg.Connection[tuple[object, ...]], slot: str) -> None:
    """Drop an unused replication slot, which would otherwise keep write-ahead log for ever."""
    connection.execute(
        "/* headway */ SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
        " WHERE slot_name = %s AND NOT active",
        (slot,),
    )


def forget_replica(server: Postgres, slot: str) -> None:
    """Drop the slot of a replica that is stopped, waiting a little for the server to notice that it is."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        for _ in range(50):
            drop_slot(connection, slot)
            query = "/* headway */ SELECT 1 FROM pg_replication_slots WHERE slot_name = %s"
            if connection.execute(query, (slot,)).fetchone() is None:
                return
            time.sleep(0.1)


def replicates(source: Postgres, replica_url: str) -> bool:
    """Whether the replica answers, is in recovery, and streams from `source`."""
    try:
        with psycopg.connect(replica_url, connect_timeout=5) as connection:
            row = connection.execute(
                "/* headway */ SELECT count(*) FROM pg_stat_wal_receiver"
                " WHERE status = 'streaming' AND sender_port = %s",
                (source.port,),
            ).fetchone()
    except psycopg.Error:
        return False
    return row is not None and row[0] == 1


def catch_up(source: Postgres, replica_url: str, log: Path, patience_s: float = 60.0) -> None:
    """
    Wait until the replica has replayed what the source has written by now.

    Raises:
        LabFailed: it has not within `patience_s`.
    """
    with psycopg.connect(source.url, autocommit=True) as connection:
        row = connection.execute("/* headway */ SELECT pg_current_wal_lsn()::text").fetchone()
    until = time.monotonic() + patience_s
    query = "/* headway */ SELECT coalesce(pg_last_wal_replay_lsn() >= %s::pg_lsn, false)"
    with psycopg.connect(replica_url, autocommit=True) as connection:
        while True:
            reached = connection.execute(query, row).fetchone()
            if reached is not None and reached[0]:
                break
            if time.monotonic() > until:
                raise LabFailed(f"the replica did not catch up in {patience_s:.0f} s", next_act=f"read {log}")
            time.sleep(0.05)


def stop(identity: Identity) -> None:
    """Fast shutdown (sessions are ended, data is flushed); then immediate; then by force. Bounded time."""
    process.stop(identity, (signal.SIGINT, 15.0), (signal.SIGQUIT, 3.0))


def create_database(server: Postgres, name: str, *, owner: str | None = None) -> str:
    """Make a database with pg_stat_statements, unless it is there. Returns the superuser's URL of it."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        there = connection.execute("/* headway */ SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone()
        if there is None:
            connection.execute(
                sql.SQL("/* headway */ CREATE DATABASE {} OWNER {}").format(
                    sql.Identifier(name), sql.Identifier(owner or SUPERUSER)
                )
            )
    own = url(server.port, server.password, database=name)
    with psycopg.connect(own, autocommit=True) as connection:
        connection.execute("/* headway */ CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    return own


def drop_database(server: Postgres, name: str) -> None:
    """Drop a database, ending the sessions in it."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        statement = sql.SQL("/* headway */ DROP DATABASE IF EXISTS {} WITH (FORCE)")
        connection.execute(statement.format(sql.Identifier(name)))


def _half(data: Path) -> Path:
    half = data.with_name(f"{data.name}.half")
    shutil.rmtree(half, ignore_errors=True)
    return half


def _messages(data: Path) -> dict[str, str]:
    """English messages whatever the user's locale, and a home the account may enter."""
    return {"LC_ALL": "C", "HOME": str(data.parent)}


def wait_for(server: Postgres, log: Path, reached: str, patience_s: float = 60.0) -> None:
    """
    Wait until a started server answers at the connection string `reached`.

    Raises:
        LabFailed: it ends instead, or takes too long; the message has the end of its log.
    """
    until = time.monotonic() + patience_s
    while True:
        try:
            psycopg.connect(reached, connect_timeout=3).close()
        except psycopg.OperationalError as exc:
            if not process.runs(server.identity):
                raise LabFailed(f"PostgreSQL ended at once:\n{process.tail(log)}", next_act=f"read {log}") from exc
            if time.monotonic() > until:
                stop(server.identity)
                raise LabFailed(f"PostgreSQL is not ready after {patience_s:.0f} s", next_act=f"read {log}") from exc
            time.sleep(0.03)
        else:
            return
