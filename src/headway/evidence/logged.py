"""Plans with their real parameters: what auto_explain writes to PostgreSQL's log, followed while it grows."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from headway.conventions import LOGGED_PLANS_FILE
from headway.errors import SourceRefused
from headway.evidence import bundle
from headway.evidence.collector import Collector, absent, in_words, present
from headway.evidence.executions import Executions
from headway.evidence.explained import FORMS, RECORD_MAX_BYTES, Explained, Records, hidden
from headway.evidence.following import Following, Turned
from headway.evidence.scans import slim
from headway.evidence.statements import is_own
from headway.thresholds import PROVE_MOST_VALUES

if TYPE_CHECKING:
    from pathlib import Path

    from headway.evidence.explained import Values
    from headway.evidence.session import Session
    from headway.model import SourceState

MOST_STATEMENTS = 500


@dataclass(kw_only=True)
class Seen(Executions):
    """One statement so far: its slowest execution, and sets of its parameters drawn by chance."""

    slowest_ns: float = -1.0
    plan: dict[str, Any] | None = None
    values: list[Values] = field(default_factory=list)


class LoggedPlans(Collector):
    """
    The log of this machine's PostgreSQL, in JSON, CSV or plain; of a folder, the JSON or CSV one written last.

    Constants of plans, and parameters, are kept only when values were asked for (`--show-values`). What is kept without
    are names of a document's members and what `coalesce` puts for NULL, where every execution seen had the same.
    """

    name = "logged plans"

    def __init__(self, log: Path | None, session: Session | None, *, show_values: bool) -> None:
        super().__init__()
        self._log = log
        self._session = session
        self._show_values = show_values
        self._following: Following | None = None
        self._records = Records()
        self._database: str | None = None
        self._silent = ""
        self._left_out = 0
        self._chance = random.Random(0)  # noqa: S311 - which sets are kept, not a secret
        self.statements: dict[int, Seen] = {}

    def check(self) -> SourceState:
        if self._log is None:
            return absent(self.name, "--database-log")
        try:
            file = _newest(self._log) if self._log.is_dir() else self._log
            self._records = Records(file.suffix)
            self._following = Following(file, line_max_bytes=RECORD_MAX_BYTES, by_name=True)
        except OSError as exc:
            cure = (
                "name PostgreSQL's log (jsonlog, csvlog, or plain with the prefix of docs/evidence.md), readable to you"
            )
            raise SourceRefused(f"the database log {self._log} cannot be read: {in_words(exc)}", next_act=cure) from exc
        if self._session is not None:
            (scope,) = self._session.rows("logged_scope")
            self._database = scope["database"]
            if scope["min_duration"] == "-1":
                self._silent = "; auto_explain.log_min_duration is -1: it logs nothing"
        return present(self.name, file.name)

    def sample(self, at_s: float) -> None:
        if self._following is None:
            return
        for line in self._following.lines():
            if self._following.turned is not Turned.NOT:
                self._following.turned = Turned.NOT
                self._records.restart()
            found = self._records.take(line)
            if found is not None and self._database in {None, found.database} and not is_own(found.text):
                self._keep(found)

    def finish(self) -> None:
        self.sample(0.0)
        seen = sum(each.seen for each in self.statements.values())
        self.remark = f"{seen:,} plans of {len(self.statements)} statements{'' if seen else self._silent}"
        if seen and not any(each.plan for each in self.statements.values()):
            self.remark += "; as text, so only their parameters were read: set auto_explain.log_format to json"
        if self._left_out:
            self.remark += f"; {self._left_out:,} of further statements left out"
        if self._records.unread:
            self.remark += f"; {self._records.unread:,} lines of other forms"

    def write(self, folder: Path) -> None:
        if self._log is None:
            return
        content = {
            str(identity): {
                "seen": each.seen,
                "slowest_ns": each.slowest_ns,
                "plan": None if each.plan is None else slim(each.plan) if self._show_values else hidden(each.plan),
                "fixed": each.fixed(),
                "values": [list(each) for each in dict.fromkeys(each.values)] if self._show_values else [],
            }
            for identity, each in self.statements.items()
        }
        bundle.put_json(folder / LOGGED_PLANS_FILE, content)

    def close(self) -> None:
        if self._following is not None:
            self._following.close()

    def _keep(self, found: Explained) -> None:
        if found.query_id not in self.statements and len(self.statements) >= MOST_STATEMENTS:
            self._left_out += 1
            return
        each = self.statements.setdefault(found.query_id, Seen())
        each.note(found.text)
        if found.duration_ns > each.slowest_ns:
            each.slowest_ns, each.plan = found.duration_ns, found.plan or each.plan
        if found.values is not None and self._show_values:
            each.keep(each.values, found.values, PROVE_MOST_VALUES, self._chance)


def _newest(folder: Path) -> Path:
    """
    The log in a folder that was written last.

    Raises:
        OSError: there is none.
    """
    logs = [each for each in folder.iterdir() if each.suffix in FORMS]
    if not logs:
        raise FileNotFoundError("no .json or .csv file in this folder")
    return max(logs, key=lambda each: each.stat().st_mtime_ns)
