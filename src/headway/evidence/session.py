"""One careful connection to the service's PostgreSQL, shared by all collectors that ask it."""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import conninfo, sql
from psycopg.rows import DictRow, dict_row

from headway.conventions import SQL_TAG
from headway.errors import HeadwayError, SourceRefused
from headway.evidence.collector import in_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CONNECT_TIMEOUT_S = 5
OPTIONS = (
    "-c default_transaction_read_only=on -c statement_timeout=5s -c lock_timeout=1s "
    "-c idle_in_transaction_session_timeout=10s -c jit=off"
)
"""Read-only, and it gives way: nothing Headway asks may hold up the service."""

MINIMUM_VERSION = 150_000


@cache
def queries() -> Mapping[str, str]:
    """Name -> statement, from `sql/*.sql`: each begins with `-- name: x` and a line saying what it answers."""
    found: dict[str, str] = {}
    for file in sorted(resources.files("headway.evidence").joinpath("sql").iterdir(), key=lambda each: each.name):
        if not file.name.endswith(".sql"):
            continue
        for block in re.split(r"^-- name: ", file.read_text("utf-8"), flags=re.MULTILINE)[1:]:
            name, _, rest = block.partition("\n")
            body = "\n".join(line for line in rest.splitlines() if not line.startswith("--"))
            found[name.strip()] = body.strip().rstrip(";")
    return found


class Session:
    """
    A lazily opened connection: read-only, with timeouts, named headway.

    `sent` counts the statements sent, so that they can be taken off the database's own counters. Once lost it stays
    lost, and says why it was lost first. One statement at a time: safe to share between threads.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.Connection[DictRow] | None = None
        self._lock = threading.RLock()
        self._lost: str | None = None
        self.sent = 0

    @property
    def connection(self) -> psycopg.Connection[DictRow]:
        """
        The open connection.

        Raises:
            SourceRefused: wrong host, port, database, user, password; not PostgreSQL; too old.
        """
        with self._lock:
            if self._connection is None:
                self._connection = self._open()
            return self._connection

    @property
    def opened(self) -> bool:
        """Whether it is open now."""
        return self._connection is not None and not self._connection.closed

    @property
    def place(self) -> str:
        """Where and as whom, without the password."""
        return place_of(self._url)

    @property
    def version(self) -> int:
        """server_version_num: 180006 is 18.6."""
        return self.connection.info.server_version

    def rows(
        self, name: str, values: Mapping[str, object] | None = None, *, schema: str | None = None
    ) -> list[dict[str, Any]]:
        """
        The rows of one statement of `sql/`.

        Args:
            name: its name.
            values: its `%(name)s` parameters.
            schema: put in place of `{schema}`, quoted.

        Raises:
            psycopg.Error: PostgreSQL says no to this statement.
            HeadwayError: the connection is lost.
        """
        text = sql.SQL(queries()[name])
        statement = sql.SQL(SQL_TAG + " ") + (text.format(schema=sql.Identifier(schema)) if schema else text)
        with self._lock:
            return self._send(statement, values)

    def explain(self, text: str) -> Any:
        """
        EXPLAIN (GENERIC_PLAN) of one normalised statement; nothing of it is executed.

        Raises:
            psycopg.Error: PostgreSQL can't plan it.
            HeadwayError: the connection is lost.
        """
        statement = f"{SQL_TAG} EXPLAIN (GENERIC_PLAN, VERBOSE, FORMAT JSON) {text}"
        with self._lock:
            # GENERIC_PLAN works in the simple protocol, which would also run a second statement after a semicolon.
            # Parsing alone refuses more than one.
            parsed = self.connection.pgconn.prepare(b"", statement.encode())
            state = parsed.error_field(psycopg.pq.DiagnosticField.SQLSTATE)
            if state is not None:
                raise psycopg.errors.lookup(state.decode())(parsed.get_error_message())
            return self._send(sql.SQL(statement), None)[0]["QUERY PLAN"]

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Send several statements with nobody else's between them."""
        with self._lock:
            yield

    def close(self) -> None:
        """Close the connection, if it is open."""
        # Not under the lock: another thread may be stuck in a server that never answers.
        if self._connection is not None:
            self._connection.close()

    def _send(self, statement: sql.SQL | sql.Composed, values: Mapping[str, object] | None) -> list[dict[str, Any]]:
        connection = self.connection
        if self._lost:
            raise HeadwayError(self._lost, next_act="see the database's log, then run again")
        try:
            self.sent += 1
            cursor = connection.execute(statement, values)
        except psycopg.OperationalError as exc:
            if connection.closed:
                self._lost = f"the database's connection was lost: {in_words(exc)}"
                raise HeadwayError(self._lost, next_act="see the database's log, then run again") from exc
            raise
        return cursor.fetchall()

    def _open(self) -> psycopg.Connection[DictRow]:
        try:
            given = conninfo.conninfo_to_dict(self._url)
        except psycopg.Error as exc:
            raise SourceRefused(
                "the database URL cannot be read", next_act="write postgresql://user:password@host:5432/database"
            ) from exc
        keywords: dict[str, Any] = {
            "connect_timeout": CONNECT_TIMEOUT_S,
            "tcp_user_timeout": 10_000,
            "client_encoding": "UTF8",
            **given,
            "application_name": "headway",
            "options": f"{given.get('options') or ''} {OPTIONS}".strip(),
        }
        try:
            opened = psycopg.connect(**keywords, autocommit=True, prepare_threshold=None, row_factory=dict_row)
        except psycopg.Error as exc:
            raise refused(self.place, exc) from exc
        if opened.info.server_version < MINIMUM_VERSION:
            version = opened.info.server_version // 10_000
            opened.close()
            raise SourceRefused(
                f"{self.place} is PostgreSQL {version}", next_act="Headway reads PostgreSQL 15 or newer"
            )
        return opened


def place_of(url: str) -> str:
    """A connection string as words, without the password: `user@host:port/database`."""
    try:
        parts = conninfo.conninfo_to_dict(url)
    except psycopg.Error:
        return "the database"
    user = f"{parts['user']}@" if parts.get("user") else ""
    name = parts.get("dbname") or parts.get("user") or ""
    return f"{user}{parts.get('host') or 'localhost'}:{parts.get('port') or 5432}/{name}"


def refused(place: str, exc: psycopg.Error) -> SourceRefused:
    """Why a connection was refused, in words, with the cure."""
    reason = in_words(exc)
    cures = {
        "password authentication failed": "check user and password in the database URL",
        "no password supplied": "put the password in the database URL or in ~/.pgpass",
        "does not exist": "check the names in the database URL",
        "unsupported startup parameter": "name PostgreSQL itself, not PgBouncer: session settings must not leak",
        "Connection refused": "start PostgreSQL or check host and port in the database URL",
        "too many clients": "free a connection or raise max_connections",
        "remaining connection slots": "free a connection or raise max_connections",
        "pg_hba.conf": "allow this host and user in pg_hba.conf",
        "SSL": "check sslmode in the database URL",
    }
    cure = next((cure for words, cure in cures.items() if words in reason), "check the database URL")
    return SourceRefused(f"the database {place} refuses: {_without_prefix(reason)}", next_act=cure)


def _without_prefix(reason: str) -> str:
    """libpq repeats the address before each reason; the place has been said."""
    return re.sub(r"^connection failed: (connection to server at .*? failed: )?", "", reason)
