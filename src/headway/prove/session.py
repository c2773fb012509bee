"""The prove room's own connection: it may write, so it goes to a place for trying things on and nowhere else."""

from __future__ import annotations

import re
from contextlib import contextmanager
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import conninfo, sql
from psycopg.rows import DictRow, dict_row

from headway.conventions import SQL_TAG
from headway.errors import BadInput, HeadwayError
from headway.evidence.collector import in_words
from headway.evidence.session import CONNECT_TIMEOUT_S, place_of, refused
from headway.thresholds import PROVE_LOCK_TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from psycopg.abc import Params

Rows = list[dict[str, Any]]


@cache
def queries() -> Mapping[str, str]:
    """Name -> statement, from this room's `sql/*.sql`: each under `-- name: x` and a line saying what it answers."""
    found: dict[str, str] = {}
    for file in sorted(resources.files("headway.prove").joinpath("sql").iterdir(), key=lambda each: each.name):
        if file.name.endswith(".sql"):
            for block in re.split(r"^-- name: ", file.read_text("utf-8"), flags=re.MULTILINE)[1:]:
                name, _, rest = block.partition("\n")
                body = "\n".join(line for line in rest.splitlines() if not line.startswith("--"))
                found[name.strip()] = body.strip().rstrip(";")
    return found


class TrialSession:
    """
    An open connection to a database that may be changed: tagged, named headway, waiting for no lock longer than
    `PROVE_LOCK_TIMEOUT_S` and for no statement longer than it is told.

    Raises:
        SourceRefused: wrong host, port, database, user, password.
    """

    def __init__(self, url: str, *, statement_s: float, search_path: str | None = None) -> None:
        self.url = url
        self.place = place_of(url)
        try:
            given = conninfo.conninfo_to_dict(url)
        except psycopg.Error as exc:
            raise BadInput(
                "the database URL cannot be read", next_act="write postgresql://user:password@host:5432/database"
            ) from exc
        # jit is left as the server has it: what is measured is what the service would get.
        options = (
            f"-c statement_timeout={max(1, int(statement_s * 1000))} -c lock_timeout={PROVE_LOCK_TIMEOUT_S * 1000:.0f}"
            " -c idle_in_transaction_session_timeout=60s -c plan_cache_mode=force_custom_plan"
        )
        keywords: dict[str, Any] = {
            "connect_timeout": CONNECT_TIMEOUT_S, "tcp_user_timeout": 10_000, "client_encoding": "UTF8", **given,
            "application_name": "headway", "options": f"{given.get('options') or ''} {options}".strip(),
        }  # fmt: skip
        try:
            self.connection: psycopg.Connection[DictRow] = psycopg.connect(
                **keywords, autocommit=True, prepare_threshold=None, row_factory=dict_row
            )
        except psycopg.Error as exc:
            raise refused(self.place, exc) from exc
        if search_path is not None:
            self.ask("set_search_path", {"path": search_path})

    def __enter__(self) -> TrialSession:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; what it had not committed is gone."""
        self.connection.close()

    def ask(self, name: str, values: Mapping[str, object] | None = None, **names: str | Sequence[str]) -> Rows:
        """
        The rows of one statement of `sql/`.

        Args:
            name: its name.
            values: its `%(name)s` parameters.
            names: put in place of `{name}`, each part quoted as an identifier.

        Raises:
            psycopg.Error: PostgreSQL says no.
        """
        parts = {key: sql.Identifier(*([each] if isinstance(each, str) else each)) for key, each in names.items()}
        text = sql.SQL(queries()[name])
        return self.run(text.format(**parts) if parts else text, values)

    def run(self, statement: sql.SQL | sql.Composed, values: Mapping[str, object] | None = None) -> Rows:
        """Run one composed statement, tagged; its rows, none when it gives none."""
        cursor = self.connection.execute(sql.SQL(SQL_TAG + " ") + statement, values)
        return cursor.fetchall() if cursor.description else []

    def own(self, text: str, values: Params | None = None, *, prefix: str = "") -> Rows:
        """
        Run one statement of the workload with `$1` parameters, in the extended protocol: never two statements at once.

        Args:
            text: the statement as the workload sends it; may hold anything.
            values: one for each parameter: text, read by PostgreSQL as the parameter's type; or None.
            prefix: put before it: "EXPLAIN (ANALYZE)".

        Raises:
            psycopg.Error: PostgreSQL says no.
        """
        cursor = psycopg.RawCursor(self.connection, row_factory=dict_row)
        with cursor:
            # Without parameters it is the binary format that asks for the extended protocol, which refuses two
            # statements in one.
            cursor.execute(f"{SQL_TAG} {prefix} {text}".encode(), values or (), binary=not values)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def undone(self) -> Iterator[None]:
        """A transaction that is rolled back at the end, whatever happened in it."""
        with self.connection.transaction(force_rollback=True):
            yield

    def limit(self, statement_s: float) -> None:
        """Let statements take so long from now on."""
        self.ask("set_statement_timeout", {"ms": str(max(1, int(statement_s * 1000)))})


def same_database(one: str, other: str) -> bool:
    """
    Whether two URLs lead to the same database of the same running server, however they are written.

    Raises:
        SourceRefused: either refuses.
    """
    seen = []
    for each in (one, other):
        with TrialSession(each, statement_s=5) as session:
            seen.append(tuple(session.ask("server_identity")[0].values()))
    return seen[0] == seen[1]


def failed_on(place: str, exc: psycopg.Error) -> HeadwayError:
    """A driver's error as one of ours."""
    return HeadwayError(f"{place}: {in_words(exc)}", next_act="see the database's log, then prove again")
