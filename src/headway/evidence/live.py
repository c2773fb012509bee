"""
Statements as they are sent, read in pg_stat_activity while they run: with the constants that their text has.

pg_stat_statements replaces every constant. What a service writes into its SQL (`settings ->> 'token'`,
`now() - interval '5 minutes'`), and all values of a client that puts them into the text, stand in the activity view.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg

from headway.conventions import LIVE_PLANS_FILE
from headway.evidence import bundle, redact
from headway.evidence.executions import Executions
from headway.evidence.explained import hidden
from headway.evidence.plans import GENERIC_PLAN_VERSION
from headway.evidence.statements import is_own, plannable
from headway.thresholds import LIVE_ENOUGH_SEEN, LIVE_MOST_TEXTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from headway.evidence.session import Session

MOST_STATEMENTS = 200
BUDGET_S = 5.0


@dataclass(kw_only=True)
class Seen(Executions):
    """One statement so far, with some of its texts."""

    texts: list[str] = field(default_factory=list)


class LiveTexts:
    """
    Takes looks, and plans afterwards what it saw: EXPLAIN, never ANALYZE.

    Texts are held in memory until the run's end and never written. Of a plan the constants are left out; what is kept
    are names of a document's members and what `coalesce` puts for NULL, where every execution seen had the same.
    """

    def __init__(self) -> None:
        self.statements: dict[int, Seen] = {}
        self.plans: dict[int, dict[str, Any]] = {}
        self._last_s = 0.0
        self._chance = random.Random(0)  # noqa: S311 - which texts are kept, not a secret

    def asked(self) -> dict[str, object]:
        """Parameters of a look: executions that are new, of statements of which too few were seen yet."""
        full = len(self.statements) >= MOST_STATEMENTS
        return {
            "enough": [identity for identity, each in self.statements.items() if each.seen >= LIVE_ENOUGH_SEEN],
            "only": list(self.statements) if full else None,
            "since_s": self._last_s,
        }

    def take(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """What one look gave: of each group of sessions the executions that are new, oldest first."""
        found = [one for row in rows for one in row["texts"] or ()]
        for began_s, identity, text in sorted(found):
            self._last_s = max(self._last_s, began_s)
            if not is_own(text) and (identity in self.statements or len(self.statements) < MOST_STATEMENTS):
                each = self.statements.setdefault(identity, Seen())
                each.note(text)
                each.keep(each.texts, text, LIVE_MOST_TEXTS, self._chance)

    def plan(self, session: Session) -> None:
        """Plan the texts that have constants; of one statement's plans the dearest is kept."""
        if session.version < GENERIC_PLAN_VERSION:
            return
        until = time.monotonic() + BUDGET_S
        for identity, each in sorted(self.statements.items(), key=lambda pair: -pair[1].seen):
            for text in dict.fromkeys(each.texts):
                if time.monotonic() > until:
                    return
                plan = _planned(session, text)
                if plan is not None:
                    self.plans[identity] = max(plan, self.plans.get(identity, plan), key=lambda one: one["Total Cost"])

    def write(self, folder: Path) -> None:
        """One entry a statement of which something is known that its normalised text does not say."""
        content = {
            str(identity): {
                "seen": each.seen,
                "plan": hidden(self.plans[identity]) if identity in self.plans else None,
                "fixed": each.fixed(),
            }
            for identity, each in self.statements.items()
        }
        known = {identity: each for identity, each in content.items() if each["plan"] or each["fixed"]}
        bundle.put_json(folder / LIVE_PLANS_FILE, known)


def _planned(session: Session, text: str) -> dict[str, Any] | None:
    """The plan of one text; None: it has no constants, or can't be planned by Headway's role."""
    whole = plannable(text)
    if whole is None or not any(True for _ in redact.constant_places(whole)):
        return None
    try:
        plan: dict[str, Any] = session.explain(whole)[0]["Plan"]
    except psycopg.Error:
        return None
    return plan
