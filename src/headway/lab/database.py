"""The shop's database on the lab's own server, and what somebody else's must look like to be used."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from headway.errors import LabFailed, SourceRefused
from headway.servers import postgres
from headway.servers.process import identify

if TYPE_CHECKING:
    from pathlib import Path

    from headway.servers.postgres import Postgres

NAME = "shop"
"""The database, and the role that owns it. The role is no superuser: when the shop uses up all connections, those
reserved for superusers still let evidence be read."""

PLANS = {
    "log_line_prefix": "%m [%p] %u@%d %Q ",
    "auto_explain.log_min_duration": "50ms",
    "auto_explain.sample_rate": "0.1",
    "auto_explain.log_format": "json",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_timing": "off",
}
"""One in ten of the statements that take 50 ms goes to the server's log with its plan and how many rows it had. A fast
service has none of them; rows are counted in one statement of ten, times never."""

LOG_MOST_BYTES = 32 << 20
"""A log that is longer when the server starts makes room: one older one is kept."""

SHOP_MARK = "shop_load"
"""The table in which the shop's loader says what it loaded."""

SHOP_TABLES = frozenset({"users", "posts", "products", "orders", SHOP_MARK})


def make(server: Postgres) -> None:
    """Make the shop's role and database, unless they are there."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        found = connection.execute("/* headway */ SELECT 1 FROM pg_roles WHERE rolname = %s", (NAME,)).fetchone()
        if found is None:
            statement = sql.SQL("/* headway */ CREATE ROLE {} LOGIN PASSWORD {}")
            connection.execute(statement.format(sql.Identifier(NAME), sql.Literal(server.password)))
    postgres.create_database(server, NAME, owner=NAME)


def app_url(port: int, password: str) -> str:
    """The URL the shop gets."""
    return postgres.url(port, password, user=NAME, database=NAME)


def evidence_url(port: int, password: str) -> str:
    """The URL evidence is read with: the superuser's."""
    return postgres.url(port, password, database=NAME)


def check_foreign(url: str, *, will_load: bool) -> str:
    """
    Somebody else's database: that it answers, and that loading the shop into it would not meet other tables.

    Returns:
        Its version.

    Raises:
        SourceRefused: it does not answer, or refuses.
        LabFailed: it holds tables that are not the shop's.
    """
    where = urlsplit(url).hostname or "its socket"
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            rows = connection.execute(
                "/* headway */ SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
                " WHERE c.relkind IN ('r', 'p') AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'"
            ).fetchall()
            version = connection.info.parameter_status("server_version") or "unknown version"
    except psycopg.Error as exc:
        raise SourceRefused(
            f"the PostgreSQL of --database-url on {where} refuses: {' '.join(str(exc).split())}",
            next_act="mend the URL, or leave it out for the lab's own PostgreSQL",
        ) from exc
    tables = {str(row[0]) for row in rows}
    if will_load and not _is_free_for_the_shop(tables):
        raise LabFailed(
            f"the database of --database-url on {where} holds tables that are not the shop's:"
            f" {', '.join(sorted(tables)[:5])}",
            next_act="name an empty database, or say --no-data to leave its tables alone",
        )
    return version


def make_room(log: Path) -> None:
    """Begin a new log when this one has grown long."""
    if log.exists() and log.stat().st_size > LOG_MOST_BYTES:
        log.replace(log.with_name(f"{log.name}.1"))


def remove_stale_pid_file(data: Path) -> None:
    """
    Remove a postmaster.pid whose process has ended: PostgreSQL itself refuses when the number was given to another.

    Raises:
        LabFailed: a server does run on that folder.
    """
    file = data / "postmaster.pid"
    try:
        pid = int(file.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return
    if _works_in(pid, data):
        raise LabFailed(f"another PostgreSQL (pid {pid}) runs on {data}", next_act=f"stop it: kill -INT {pid}")
    file.unlink(missing_ok=True)


def _is_free_for_the_shop(tables: set[str]) -> bool:
    return not tables or (SHOP_MARK in tables and tables <= SHOP_TABLES)


def _works_in(pid: int, folder: Path) -> bool:
    import psutil

    if identify(pid) is None:
        return False
    try:
        return psutil.Process(pid).cwd() == str(folder)
    except psutil.Error:
        return False
