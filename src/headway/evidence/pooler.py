"""PgBouncer's pools in each phase: SHOW POOLS once a second, SHOW STATS at both ends, over its admin console."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import conninfo
from psycopg.rows import DictRow, dict_row

from headway.conventions import POOLS_FILE
from headway.errors import SourceRefused
from headway.evidence import columns
from headway.evidence.collector import Collector, absent, in_words, present
from headway.evidence.session import CONNECT_TIMEOUT_S, place_of
from headway.model import PoolUse, SourceState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from headway.model import Phase

CONSOLE = "pgbouncer"
"""Both the console's database and the database the console counts its own statements under."""

Rows = list[dict[str, Any]]


@dataclass(kw_only=True)
class Window:
    """One phase: looks at the pools by (database, user), and the totals by database at both ends."""

    phase: str
    looks: dict[tuple[str, str], list[Mapping[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    before: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    after: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


class Pooler(Collector):
    """Every pool of the PgBouncer named, its console's own left out. A role in `stats_users` is enough."""

    name = "pgbouncer"

    def __init__(self, url: str | None) -> None:
        super().__init__()
        self._url = url
        self._console: psycopg.Connection[DictRow] | None = None
        self._sizes: dict[str, int | None] = {}
        self.windows: list[Window] = []
        self._open = False

    def check(self) -> SourceState:
        if self._url is None:
            return absent(self.name, "--pgbouncer-url")
        place = place_of(self._url)
        try:
            self._console = psycopg.connect(
                **_keywords(self._url), autocommit=True, prepare_threshold=None, row_factory=dict_row
            )
            pools = self._ask("SHOW POOLS")
            self._sizes = {row["name"]: row.get("pool_size") for row in self._ask("SHOW DATABASES")}
        except psycopg.Error as exc:
            self.close()
            raise SourceRefused(
                f"the PgBouncer console {place} refuses: {in_words(exc)}",
                next_act="name its console, postgresql://user@host:6432/pgbouncer, with a role in stats_users",
            ) from exc
        version = self._console.info.parameter_status("server_version") or ""
        self.versions["pgbouncer"] = version.partition("/")[0]
        return present(self.name, f"PgBouncer {self.versions['pgbouncer']}, {len(pools)} pools")

    def begin(self, phase: Phase, at_s: float) -> None:
        if self._console is not None:
            self.windows.append(Window(phase=phase.name, before=self._totals()))
            self._open = True
            self.sample(at_s)

    def sample(self, at_s: float) -> None:
        if self._open:
            for row in self._ask("SHOW POOLS"):
                if row["database"] != CONSOLE:
                    self.windows[-1].looks[row["database"], row["user"]].append(row)

    def end(self, phase: Phase, at_s: float) -> None:
        if self._open:
            self.sample(at_s)
            self._open = False
            self.windows[-1].after = self._totals()

    def write(self, folder: Path) -> None:
        if self._url is not None:
            uses = [_use(each, pool, self._sizes) for each in self.windows for pool in each.looks]
            columns.write(folder / POOLS_FILE, PoolUse, uses)

    def close(self) -> None:
        if self._console is not None:
            self._console.close()

    def _totals(self) -> dict[str, Mapping[str, Any]]:
        return {row["database"]: row for row in self._ask("SHOW STATS")}

    def _ask(self, command: str) -> Rows:
        # The console reads no comments and knows the simple protocol only: what psycopg sends when there are no values
        # and nothing is prepared.
        return [] if self._console is None else self._console.execute(command.encode()).fetchall()


def _keywords(url: str) -> dict[str, Any]:
    try:
        given = conninfo.conninfo_to_dict(url)
    except psycopg.Error as exc:
        raise SourceRefused(
            "the PgBouncer URL cannot be read", next_act="write postgresql://user:password@host:6432/pgbouncer"
        ) from exc
    return {
        "connect_timeout": CONNECT_TIMEOUT_S, "tcp_user_timeout": 10_000, "dbname": CONSOLE, **given,
        "application_name": "headway",
    }  # fmt: skip


def _use(window: Window, pool: tuple[str, str], sizes: Mapping[str, int | None]) -> PoolUse:
    database, user = pool
    looks = window.looks[pool]

    def values(*names: str) -> Sequence[int]:
        return [sum(int(row.get(name) or 0) for name in names) for row in looks]

    def mean(*names: str) -> float:
        return sum(values(*names)) / len(looks)

    waiting = values("cl_waiting")
    waits_us = [int(row["maxwait"]) * 1_000_000 + int(row.get("maxwait_us") or 0) for row in looks]
    return PoolUse(
        phase=window.phase, database=database, user=user, mode=str(looks[-1]["pool_mode"]), size=sizes.get(database),
        looks=len(looks), clients_active_mean=mean("cl_active"), clients_waiting_mean=mean("cl_waiting"),
        clients_waiting_most=max(waiting), waiting_looks=sum(each > 0 for each in waiting),
        servers_active_mean=mean("sv_active"), servers_idle_mean=mean("sv_idle", "sv_used", "sv_tested"),
        servers_most=max(values("sv_active", "sv_idle", "sv_used", "sv_tested", "sv_login")),
        longest_wait_ns=max(waits_us) * 1000, transactions=_added(window, database, "total_xact_count", 1),
        waited_ns=_added(window, database, "total_wait_time", 1000),
    )  # fmt: skip


def _added(window: Window, database: str, column: str, unit: int) -> int | None:
    """What a total added over the phase; None when it fell or one end is missing: PgBouncer was started anew."""
    before, after = window.before.get(database), window.after.get(database)
    added = int(after[column]) - int(before[column] if before else 0) if after else -1
    return added * unit if added >= 0 else None
