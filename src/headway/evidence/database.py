"""What the whole database did in each phase: differences of pg_stat_database, and the most connections seen."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

import psycopg

from headway.conventions import DATABASE_FILE
from headway.errors import HeadwayError
from headway.evidence import columns
from headway.evidence.collector import Collector, absent, present
from headway.model import Database, SourceState

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from headway.evidence.session import Session
    from headway.model import Phase


class DatabaseUse(Collector):
    """
    pg_stat_database of the current database.

    PostgreSQL's sessions report their counts at most once a second, and an idle one up to ten seconds later, so the
    window is up to a second early at both ends. Headway's own transactions are taken off.
    """

    name = "database"

    def __init__(self, session: Session | None, *others: Session) -> None:
        super().__init__()
        self._session = session
        self._others = others  # Headway's further connections, whose transactions and places aren't the service's
        self._before: tuple[Mapping[str, Any], int] | None = None
        self._connections = 0
        self.databases: list[Database] = []

    def check(self) -> SourceState:
        if self._session is None:
            return absent(self.name, "--database-url")
        counters, _ = self._read(self._session)
        self.versions["postgresql"] = counters["server_version"]
        return present(self.name, f"PostgreSQL {counters['server_version']}, {self._session.place}")

    def begin(self, phase: Phase, at_s: float) -> None:
        if self._session is not None:
            self._connections = 0
            self._before = self._read(self._session)
            self.sample(at_s)

    def sample(self, at_s: float) -> None:
        if self._session is not None and self._before is not None:
            own = 1 + sum(each.opened for each in self._others)
            (row,) = self._session.rows("database_connections", {"own": own})
            self._connections = max(self._connections, row["connections"])

    def end(self, phase: Phase, at_s: float) -> None:
        if self._session is None or self._before is None:
            return
        self.sample(at_s)
        (before, own_before), (after, own_after) = self._before, self._read(self._session)
        self._before = None
        reset = before["stats_reset"] != after["stats_reset"] or after["xact_commit"] < before["xact_commit"]
        if reset:
            self.lower_bound_phases.add(phase.name)

        def added(name: str) -> int:
            return int(after[name]) - (0 if reset else int(before[name]))

        self.databases.append(
            Database(
                phase=phase.name,
                commits=max(added("xact_commit") - (own_after - own_before), 0),
                rollbacks=added("xact_rollback"),
                blocks_hit=added("blks_hit"),
                blocks_read=added("blks_read"),
                temp_bytes=added("temp_bytes"),
                deadlocks=added("deadlocks"),
                sessions=added("sessions"),
                connections=self._connections,
                max_connections=after["max_connections"],
                statements_reset=reset,
                replicas=after["replicas"],
                written_transactions=after["next_transaction"] - before["next_transaction"],
            )
        )

    def write(self, folder: Path) -> None:
        if self._session is not None:
            columns.write(folder / DATABASE_FILE, Database, self.databases)

    def _read(self, session: Session) -> tuple[Mapping[str, Any], int]:
        """The counters, and how many of Headway's own statements are in them: all but the one that reads."""
        with ExitStack() as stack:
            for other in self._others:
                stack.enter_context(other.alone())
                if other.opened:
                    with suppress(HeadwayError, psycopg.Error):  # whoever looks with it says that it was lost
                        other.rows("database_flush")
            stack.enter_context(session.alone())
            session.rows("database_flush")
            own = session.sent + sum(other.sent for other in self._others)
            (row,) = session.rows("database_counters")
        return row, own
