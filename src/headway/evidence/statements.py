"""What each SQL statement cost in each phase: differences of pg_stat_statements."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg

from headway.conventions import SQL_TAG, STATEMENTS_FILE
from headway.evidence import columns, redact
from headway.evidence.collector import Collector, absent, failed, in_words, present
from headway.evidence.moments import Between, Moments, between, joined
from headway.model import SourceState, Statement

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from pathlib import Path

    from headway.evidence.session import Session
    from headway.model import Phase

NS_PER_MS = 1e6
COUNTED = ("rows", "shared_blks_hit", "shared_blks_read", "temp_blks_written", "wal_bytes")
PRELOAD = "add pg_stat_statements to shared_preload_libraries, restart PostgreSQL, then CREATE EXTENSION"
_COMMENTS = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/|\()*", re.DOTALL)
_PLANNABLE = frozenset({"select", "insert", "update", "delete", "merge", "with", "values", "table"})
_PREPARED = re.compile(r"prepare\s+(?:\"[^\"]*\"|\w+)\s*(?:\([^)]*\))?\s+as\s+", re.IGNORECASE)

Key = tuple[int, bool, int]  # userid, toplevel, queryid; the database is the connection's own


@dataclass(frozen=True, kw_only=True)
class Reading:
    """All counters at one moment, by the server's clock."""

    at: datetime
    reset_at: datetime
    evictions: int
    counters: Mapping[Key, Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Added:
    """What one user's use of one statement added in one phase."""

    time: Between
    counted: Mapping[str, int]


class Statements(Collector):
    """pg_stat_statements of the current database, by phase."""

    name = "statements"

    def __init__(self, session: Session | None) -> None:
        super().__init__()
        self._session = session
        self._schema = ""
        self._counters_query = "statements_counters"
        self._before: Reading | None = None
        self.statements: list[Statement] = []

    def check(self) -> SourceState:
        if self._session is None:
            return absent(self.name, "--database-url")
        (scope,) = self._session.rows("statements_scope")
        if not scope["schema"]:
            cure = f"as a superuser, in database {scope['database']}: CREATE EXTENSION pg_stat_statements"
            cure += "" if scope["track"] else " (and add it to shared_preload_libraries first, then restart)"
            return failed(self.name, f"database {scope['database']} has no extension pg_stat_statements", cure)
        if not scope["reads_all"]:
            what = f"role {scope['role']} may not read other roles' statements"
            return failed(self.name, what, f"as a superuser: GRANT pg_monitor TO {scope['role']}")
        if scope["track"] == "none":
            return failed(
                self.name, "pg_stat_statements.track is none", "set it to top: ALTER SYSTEM, pg_reload_conf()"
            )
        if scope["compute_query_id"] == "off":
            return failed(self.name, "compute_query_id is off", "set it to auto: ALTER SYSTEM, pg_reload_conf()")
        return self._check_reading(scope)

    def _check_reading(self, scope: Mapping[str, Any]) -> SourceState:
        session = self._the_session
        self._schema, version = scope["schema"], scope["extension_version"]
        names = {row["name"] for row in session.rows("statements_columns", {"schema": self._schema})}
        if not {"toplevel", "total_exec_time", "wal_bytes"} <= names:
            cure = "as a superuser: ALTER EXTENSION pg_stat_statements UPDATE"
            return failed(self.name, f"pg_stat_statements {version} is too old", cure)
        if {"stats_since", "minmax_stats_since"} <= names:
            self._counters_query = "statements_counters_dated"
        try:
            session.rows("statements_info", schema=self._schema)
        except psycopg.errors.ObjectNotInPrerequisiteState as exc:
            return failed(self.name, in_words(exc), PRELOAD)
        except psycopg.errors.InsufficientPrivilege as exc:
            return failed(self.name, in_words(exc), f"as a superuser: GRANT pg_monitor TO {scope['role']}")
        self.versions["pg_stat_statements"] = version
        nested = "statements inside functions too" if scope["track"] == "all" else "top-level statements"
        return present(self.name, f"pg_stat_statements {version}, database {scope['database']}, {nested}")

    def begin(self, phase: Phase, at_s: float) -> None:
        self._before = self._read()

    def end(self, phase: Phase, at_s: float) -> None:
        if self._before is None:
            return
        before, after = self._before, self._read()
        self._before = None
        session = self._the_session
        texts = {_key(row): row["query"] for row in session.rows("statements_texts", schema=self._schema)}
        added, broken = differences(before, after)
        if broken:
            self.lower_bound_phases.add(phase.name)
            self.remark = f"counters were reset or thrown out during {', '.join(sorted(self.lower_bound_phases))}"
        self.statements += by_statement(phase.name, added, texts)

    def write(self, folder: Path) -> None:
        if self._session is not None:
            columns.write(
                folder / STATEMENTS_FILE,
                Statement,
                self.statements,
                leave_out=frozenset({"plan", "plan_error", "logged", "live"}),
            )

    @property
    def _the_session(self) -> Session:
        if self._session is None:
            raise RuntimeError("asked without a database")
        return self._session

    def _read(self) -> Reading:
        session = self._the_session
        (info,) = session.rows("statements_info", schema=self._schema)
        rows = session.rows(self._counters_query, schema=self._schema)
        return Reading(
            at=info["now"],
            reset_at=info["stats_reset"],
            evictions=info["dealloc"],
            counters={_key(row): row for row in rows},
        )


def differences(before: Reading, after: Reading) -> tuple[dict[Key, Added], bool]:
    """
    What each statement added between two readings, and whether that may be too little.

    Counters are too low after pg_stat_statements_reset(), whole or of one statement, and after an entry was thrown out
    for lack of room (`dealloc`) and came back. Then the whole new count is taken: it was all made since.
    """
    incomplete = before.reset_at != after.reset_at or before.evictions != after.evictions
    incomplete |= bool(before.counters.keys() - after.counters.keys())
    added: dict[Key, Added] = {}
    for key, now in after.counters.items():
        then = before.counters.get(key)
        if then is not None and (_began_again(then, now) or before.reset_at != after.reset_at):
            then, incomplete = None, True
        if now["calls"] > (then["calls"] if then else 0):
            added[key] = _added(then, now, before.at)
    return added, incomplete


def _began_again(then: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    return bool(now["calls"] < then["calls"] or now.get("stats_since") != then.get("stats_since"))


def _added(then: Mapping[str, Any] | None, now: Mapping[str, Any], begun: datetime) -> Added:
    time = between(_moments(then) if then else Moments(), _moments(now))
    since = now.get("minmax_stats_since")
    if since is not None and since >= begun:  # the extremes alone were reset, within the phase
        time = Between(
            count=time.count,
            total=time.total,
            squares=time.squares,
            minimum=now["min_exec_time"],
            maximum=now["max_exec_time"],
        )
    return Added(time=time, counted={name: int(now[name]) - int(then[name] if then else 0) for name in COUNTED})


def _moments(row: Mapping[str, Any]) -> Moments:
    return Moments(
        count=row["calls"],
        total=row["total_exec_time"],
        mean=row["mean_exec_time"],
        deviation=row["stddev_exec_time"],
        minimum=row["min_exec_time"],
        maximum=row["max_exec_time"],
    )


def by_statement(phase: str, added: Mapping[Key, Added], texts: Mapping[Key, str]) -> list[Statement]:
    """
    Statements of one phase, dearest first: users joined, Headway's own left out.

    The share is of the time of all top-level statements; a nested one's time is in its caller's too.
    """
    groups: dict[tuple[bool, int], list[Key]] = defaultdict(list)
    for key in added:
        if not is_own(texts.get(key, "")):
            groups[key[1:]].append(key)
    times = {group: joined([added[key].time for key in keys]) for group, keys in groups.items()}
    whole = sum(time.total for (toplevel, _), time in times.items() if toplevel)
    found = [
        _statement(phase, group, [added[key] for key in keys], _text(keys, texts), times[group], whole)
        for group, keys in groups.items()
    ]
    return sorted(found, key=lambda each: -each.total_ns)


def _statement(
    phase: str, group: tuple[bool, int], parts: Iterable[Added], text: str, time: Between, whole: float
) -> Statement:
    toplevel, queryid = group
    counted = {name: sum(part.counted[name] for part in parts) for name in COUNTED}
    return Statement(
        phase=phase,
        id=f"{queryid}" if toplevel else f"{queryid}/nested",
        text=redact.statement(text),
        calls=time.count,
        rows=counted["rows"],
        total_ns=time.total * NS_PER_MS,
        mean_ns=time.mean * NS_PER_MS,
        stddev_ns=time.deviation * NS_PER_MS,
        share_ratio=time.total / whole if whole else 0.0,
        minimum_ns=None if time.minimum is None else time.minimum * NS_PER_MS,
        maximum_ns=None if time.maximum is None else time.maximum * NS_PER_MS,
        blocks_hit=counted["shared_blks_hit"],
        blocks_read=counted["shared_blks_read"],
        temp_blocks_written=counted["temp_blks_written"],
        wal_bytes=counted["wal_bytes"],
        is_utility=bool(text) and plannable(text) is None,
        nested=not toplevel,
    )


def is_own(text: str) -> bool:
    """
    Whether a statement is one of the evidence's own: they have the tag inside, not only before.

    PostgreSQL 18 keeps no comment from before a statement, so that one can't be relied on; and where older ones keep
    it, the first to run a statement names it for all: a parameter's query that the service runs too would be lost.
    """
    return SQL_TAG in _without_comments(text)


def _without_comments(text: str) -> str:
    start = _COMMENTS.match(text)
    return text[start.end() :] if start else text


def plannable(text: str) -> str | None:
    """
    The part of a statement that EXPLAIN takes, or None for BEGIN, COMMIT, SET, COPY, DECLARE and their like.

    PREPARE x AS SELECT ... is how pg_stat_statements names the SELECT that EXECUTE runs: the SELECT is given back.
    """
    rest = _without_comments(text)
    if prepared := _PREPARED.match(rest):
        return plannable(rest[prepared.end() :])
    word = re.match(r"[a-z]+", rest, re.IGNORECASE)
    return text.strip() if word and word.group().lower() in _PLANNABLE else None


def _text(keys: Iterable[Key], texts: Mapping[Key, str]) -> str:
    """Its text; empty when PostgreSQL threw its texts away between two readings."""
    return next((texts[key] for key in keys if texts.get(key)), "")


def _key(row: Mapping[str, Any]) -> Key:
    return row["userid"], row["toplevel"], row["queryid"]
