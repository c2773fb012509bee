"""What the database's sessions did in a phase, by statement: how many ran, how many waited and for what."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headway.model import Evidence, Wait

MOST_STATEMENTS = 8
MOST_WAITS = 4
LEAST_SESSIONS = 0.005
"""Below it a figure of two decimals is 0."""


@dataclass(frozen=True, kw_only=True)
class Activity:
    """One statement's sessions on average, and what they did: "0.71 ran, 0.20 waited for Lock transactionid"."""

    text: str
    sessions: float
    doing: str


def by_statement(evidence: Evidence, phase: str) -> tuple[Activity, ...]:
    """The statements with the most sessions at work, the most first; empty when nobody looked."""
    groups: dict[str, list[Wait]] = defaultdict(list)
    for each in evidence.waits:
        if each.phase == phase and each.state == "active":
            groups[each.text].append(each)
    found = [
        Activity(text=text or "(not told)", sessions=_sum(rows), doing=_doing(rows))
        for text, rows in groups.items()
        if _sum(rows) >= LEAST_SESSIONS
    ]
    return tuple(sorted(found, key=lambda each: -each.sessions)[:MOST_STATEMENTS])


def line(evidence: Evidence, phase: str) -> str | None:
    """All sessions of a phase in one line; None when nobody looked or none was at work."""
    rows = [each for each in evidence.waits if each.phase == phase]
    active = [each for each in rows if each.state == "active"]
    idle = _sum([each for each in rows if each.state.startswith("idle in transaction")])
    if _sum(active) + idle < LEAST_SESSIONS:
        return None
    parts = [f"{_sum(active):.2f} database sessions at work on average: {_doing(active)}"] if active else []
    parts += [f"{idle:.2f} idle in a transaction"] if idle >= LEAST_SESSIONS else []
    return "; ".join(parts)


def _doing(rows: list[Wait]) -> str:
    sums: dict[str, float] = defaultdict(float)
    for each in rows:
        sums["ran" if each.event_type is None else f"waited for {each.event_type} {each.event}"] += each.sessions
    told = sorted(sums.items(), key=lambda each: -each[1])
    shown = [f"{sessions:.2f} {what}" for what, sessions in told[:MOST_WAITS] if sessions >= LEAST_SESSIONS]
    return ", ".join(shown) or "next to nothing"


def _sum(rows: list[Wait]) -> float:
    return sum(each.sessions for each in rows)
