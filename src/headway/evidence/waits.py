"""What the database's sessions did and waited for, by statement: pg_stat_activity, looked at ten times a second."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import psycopg

from headway.conventions import BLOCKERS_FILE, CONNECTIONS_FILE, WAITS_FILE
from headway.errors import HeadwayError
from headway.evidence import columns, redact
from headway.evidence.collector import Collector, absent, failed, present
from headway.evidence.live import LiveTexts
from headway.evidence.looks import Looks
from headway.model import Blocking, Connections, SourceState, Wait
from headway.thresholds import POOL_SPARE_AFTER_NS, WAITS_EVERY_NS, WAITS_LOCKS_EVERY_NS, WAITS_MOST_BUSY_RATIO

if TYPE_CHECKING:
    from pathlib import Path

    from headway.evidence.session import Session
    from headway.model import Phase


class Waits(Collector):
    """
    Active sessions by statement and wait event, lock queues and who holds them up, connections by client.

    Looks are taken by a thread and over a connection of its own, in phases only. A look that takes long makes the
    next one later, so that looking takes a tenth of the time at most. Client backends of the connection's own database;
    Headway's are left out.
    """

    name = "waits"

    def __init__(self, session: Session | None) -> None:
        super().__init__()
        self._session = session
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._failure: Exception | None = None
        self._schema: str | None = None
        self._took_s = 0.0
        self.phases: list[Looks] = []
        self.live = LiveTexts()

    def check(self) -> SourceState:
        if self._session is None:
            return absent(self.name, "--database-url")
        try:
            (scope,) = self._session.rows("statements_scope")
        except HeadwayError as exc:  # the other connection was let in: no reason to refuse the run
            return failed(self.name, f"no second connection: {exc.what}", exc.next_act)
        if not scope["reads_all"]:
            what = f"role {scope['role']} may not see what other roles' sessions do"
            return failed(self.name, what, f"as a superuser: GRANT pg_monitor TO {scope['role']}")
        self._schema = scope["schema"]
        self.look(Looks(phase=""))
        by = "by statement"
        if scope["compute_query_id"] == "off" or (scope["compute_query_id"] == "auto" and not scope["track"]):
            by = "statements not told apart: compute_query_id is off"
        return present(self.name, f"sessions of {self._session.place}, {1e9 / WAITS_EVERY_NS:.0f} looks a second, {by}")

    def begin(self, phase: Phase, at_s: float) -> None:
        if self._session is None:
            return
        self.phases.append(Looks(phase=phase.name))
        self._over.clear()
        self._thread = threading.Thread(target=self._watch, args=(self.phases[-1],), name="headway-looks", daemon=True)
        self._thread.start()

    def sample(self, at_s: float) -> None:
        if self._failure is not None:
            raise self._failure

    def end(self, phase: Phase, at_s: float) -> None:
        self._stop()
        if self._failure is not None:
            raise self._failure
        if self._session is not None and self._schema is not None and self.phases and (ids := self.phases[-1].ids()):
            rows = self._session.rows("waits_texts", {"ids": ids}, schema=self._schema)
            self.phases[-1].texts = {row["queryid"]: redact.statement(row["query"] or "") for row in rows}

    def finish(self) -> None:
        if self._session is not None and self._schema is not None:
            self.live.plan(self._session)
            if self.live.plans:
                self.remark += f"; {len(self.live.plans)} statements planned with constants of their text"

    def write(self, folder: Path) -> None:
        if self._session is None:
            return
        self.live.write(folder)
        looked = [each for each in self.phases if each.count]
        columns.write(folder / WAITS_FILE, Wait, [row for each in looked for row in each.waits()])
        columns.write(folder / BLOCKERS_FILE, Blocking, [row for each in looked for row in each.blockings()])
        columns.write(folder / CONNECTIONS_FILE, Connections, [row for each in looked for row in each.connections()])

    def close(self) -> None:
        self._over.set()
        if self._session is not None:
            self._session.close()

    def _stop(self) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join(timeout=10.0)
            self._thread = None
        if looks := sum(each.count for each in self.phases):
            self.remark = f"{looks:,} looks of {1e3 * self._took_s / looks:.1f} ms each"

    def _watch(self, looks: Looks) -> None:
        locks_due = due = time.monotonic()
        try:
            while not self._over.wait(max(due - time.monotonic(), 0.0)):
                begun = time.monotonic()
                waiting = self.look(looks)
                if waiting and begun >= locks_due and self._session is not None:
                    asked = time.monotonic()
                    looks.blocked(self._session.rows("waits_blockers"))
                    took = time.monotonic() - asked
                    locks_due = asked + max(WAITS_LOCKS_EVERY_NS / 1e9, took / WAITS_MOST_BUSY_RATIO)
                took = time.monotonic() - begun
                self._took_s += took
                due = max(due + WAITS_EVERY_NS / 1e9, begun + took / WAITS_MOST_BUSY_RATIO)
        except (psycopg.Error, HeadwayError) as exc:
            self._failure = exc

    def look(self, looks: Looks) -> bool:
        """Take one look; whether somebody waited for a lock."""
        if self._session is None:
            return False
        asked = {"spare_s": POOL_SPARE_AFTER_NS / 1e9, **self.live.asked()}
        rows = self._session.rows("waits_sample", asked)
        self.live.take(rows)
        return looks.sampled(rows)
