"""Plans of the workload's statements, asked for after the load: EXPLAIN (GENERIC_PLAN), never ANALYZE."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import psycopg

from headway.conventions import PLANS_FILE
from headway.evidence import bundle
from headway.evidence.collector import Collector, absent, failed, in_words, present
from headway.evidence.scans import scans, slim
from headway.evidence.statements import plannable
from headway.evidence.tables import qualified, rows
from headway.model import Presence, SourceState
from headway.thresholds import INDEXED_MIN_CALLS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from headway.evidence.session import Session
    from headway.evidence.statements import Statements
    from headway.model import Statement

MOST_STATEMENTS = 500
BUDGET_S = 10.0
GENERIC_PLAN_VERSION = 160_000


class Plans(Collector):
    """
    One plan a statement: those called most in the run first (they decide "indexed"), then those that cost most time.

    The plan is made without the parameters' values, by the role and search path of Headway's connection; the service's
    own may differ where its data is skewed or its settings are its own.
    """

    name = "plans"

    def __init__(self, session: Session | None, statements: Statements) -> None:
        super().__init__()
        self._session = session
        self._statements = statements
        self.plans: dict[str, dict[str, Any]] = {}
        self.errors: dict[str, str] = {}

    def check(self) -> SourceState:
        if self._session is None:
            return absent(self.name, "--database-url")
        if self._session.version < GENERIC_PLAN_VERSION:
            major = self._session.version // 10_000
            what = f"PostgreSQL {major} can't plan a statement without its values"
            return failed(self.name, what, "use PostgreSQL 16 or newer")
        state = self._statements.check()
        if state.presence is not Presence.PRESENT:
            return failed(self.name, "no statements to plan", state.next_act)
        return present(self.name, "EXPLAIN (GENERIC_PLAN)")

    def finish(self) -> None:
        if self._session is None:
            return
        statements = wanted(self._statements.statements)
        if not statements:
            self.remark = "no statements were seen"
            return
        known = self._session.rows("tables_rows")
        rows_of = {qualified(row["schema"], row["name"]): rows(row) for row in known}
        until = time.monotonic() + BUDGET_S
        for number, statement in enumerate(statements):
            if number >= MOST_STATEMENTS or time.monotonic() > until:
                self.errors[statement.id] = f"not planned: {number} of {len(statements)} statements were"
                continue
            self._plan(self._session, statement, rows_of)
        self.remark = f"{len(self.plans)} of {len(statements)} statements planned"

    def _plan(self, session: Session, statement: Statement, rows_of: Mapping[str, float]) -> None:
        text = plannable(statement.text)
        if text is None:
            self.errors[statement.id] = "PostgreSQL no longer has its text"
            return
        try:
            plan = session.explain(text)
        except psycopg.Error as exc:
            self.errors[statement.id] = _why_not(exc, session)
            return
        found = scans(plan[0]["Plan"], rows_of)
        self.plans[statement.id] = {
            "json": slim(plan),
            "scans": [
                {"table": each.table, "rows": each.rows, "filter": each.filter, "stops_early": each.stops_early}
                for each in found
            ],
        }

    def close(self) -> None:
        if self._session is not None:
            self._session.close()

    def write(self, folder: Path) -> None:
        if self._session is not None:
            bundle.put_json(folder / PLANS_FILE, {"plans": self.plans, "errors": self.errors})


def wanted(statements: list[Statement]) -> list[Statement]:
    """One of each plannable statement over all phases: the workload's own by calls, then the rest by time."""
    calls: dict[str, int] = defaultdict(int)
    total: dict[str, float] = defaultdict(float)
    first: dict[str, Statement] = {}
    for each in statements:
        if not each.is_utility:
            calls[each.id] += each.calls
            total[each.id] += each.total_ns
            first.setdefault(each.id, each)
    return sorted(first.values(), key=lambda each: (calls[each.id] <= INDEXED_MIN_CALLS, -total[each.id]))


def _why_not(exc: psycopg.Error, session: Session) -> str:
    reason = exc.diag.message_primary or in_words(exc).partition("LINE 1:")[0].removeprefix("ERROR:").strip()
    match exc:
        case psycopg.errors.InsufficientPrivilege():
            return f"{reason}; the role of {session.place} needs the same rights on the table as the statement"
        case psycopg.errors.UndefinedTable() | psycopg.errors.UndefinedFunction():
            return f"{reason}; not in the search path of {session.place}, or gone since"
        case psycopg.errors.IndeterminateDatatype() | psycopg.errors.SyntaxError():
            return f"{reason}; the text without its constants can't be planned"
        case psycopg.errors.LockNotAvailable() | psycopg.errors.QueryCanceled():
            return f"{reason}; a lock was held"
        case _:
            return reason
