"""Doing on the real system what was proven on the copy: only when asked with that word, and undone when it fails."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg

from headway.errors import HeadwayError
from headway.evidence.collector import in_words
from headway.prove.definition import define, existing
from headway.prove.session import TrialSession
from headway.thresholds import PROVE_LOCK_TIMEOUT_S

if TYPE_CHECKING:
    from headway.model import Proof
    from headway.prove.definition import IndexDefinition
    from headway.prove.grounds import Grounds

LONGEST_BUILD_S = 6 * 3_600.0
DROP_S = 600.0
TRIES = 3
CLEANING_TRIES = 15
"""A minute in all: nobody waits for this, and an invalid index that stays slows every write for nothing."""
PAUSE_S = 2.0


def create_index(proof: Proof, grounds: Grounds) -> Proof:
    """
    CREATE INDEX CONCURRENTLY on the real system: nobody who writes waits for it.

    What it waits for itself, a transaction that is open on the table, it waits for `PROVE_LOCK_TIMEOUT_S`; then it is
    given up, the invalid index it leaves is dropped, and it is tried again, `TRIES` times in all. The proof comes back
    with what became of it.
    """
    if grounds.sources.database_url is None:
        return _said(proof, "not applied: no --database-url names the real system")
    try:
        with TrialSession(grounds.sources.database_url, statement_s=LONGEST_BUILD_S) as session:
            definition = define(session, proof.remedy.parameters)
            return _create(session, definition, proof, grounds)
    except (psycopg.Error, HeadwayError) as exc:
        return _said(proof, f"not applied: {in_words(exc) if isinstance(exc, psycopg.Error) else exc.what}")


def drop_index(proof: Proof, grounds: Grounds) -> Proof:
    """DROP INDEX CONCURRENTLY on the real system; how to have it again stands in the proof."""
    if grounds.sources.database_url is None:
        return _said(proof, "not applied: no --database-url names the real system")
    whole = existing(proof.remedy.parameters)
    try:
        with TrialSession(grounds.sources.database_url, statement_s=DROP_S) as session:
            facts = session.ask("index_definition", {"name": whole})
            if not facts or facts[0]["constraints"] or facts[0]["unique"]:
                return _said(proof, f"not applied: {whole} is gone, or keeps values unique")
            session.own(f"DROP INDEX CONCURRENTLY {whole}")
            again = f"applied on {session.place}; to have it again: {facts[0]['definition']}"
            return replace(_said(proof, again), applied=True)
    except (psycopg.Error, HeadwayError) as exc:
        return _said(proof, f"not applied: {in_words(exc) if isinstance(exc, psycopg.Error) else exc.what}")


def _create(session: TrialSession, definition: IndexDefinition, proof: Proof, grounds: Grounds) -> Proof:
    statement = definition.create(concurrently=True).as_string(session.connection)
    for number in range(1, TRIES + 1):
        grounds.say(f"on {session.place}: {statement}")
        try:
            session.own(statement)
        except psycopg.errors.LockNotAvailable:
            left = _cleaned(session, definition)
            if left is not None:
                return _said(proof, left)
            grounds.say(f"a transaction was open on {definition.table} for over {PROVE_LOCK_TIMEOUT_S:.0f} s; undone")
            if number < TRIES:
                time.sleep(PAUSE_S)
        except BaseException as exc:
            left = _after(session, definition, grounds)
            if not isinstance(exc, psycopg.Error):
                raise
            return _said(proof, left or f"not applied: {in_words(exc)}; nothing was left behind")
        else:
            state = session.ask("index_state", {"name": definition.qualified})
            if state and state[0]["valid"]:
                return replace(_said(proof, f"applied on {session.place}: {statement}"), applied=True)
            return _said(proof, _cleaned(session, definition) or "not applied: the build ended invalid, and was undone")
    return _said(
        proof,
        f"not applied: in {TRIES} tries a transaction was open on {definition.table} for over"
        f" {PROVE_LOCK_TIMEOUT_S:.0f} s; nothing was left behind",
    )


def _after(session: TrialSession, definition: IndexDefinition, grounds: Grounds) -> str | None:
    """Clean up after a build that was cut off, by a new connection: the old one may be stuck or gone."""
    with contextlib.suppress(psycopg.Error):
        session.connection.cancel_safe(timeout=5)
    session.close()
    try:
        with TrialSession(str(grounds.sources.database_url), statement_s=60) as fresh:
            return _cleaned(fresh, definition)
    except (psycopg.Error, HeadwayError):
        return _left(definition)


def _cleaned(session: TrialSession, definition: IndexDefinition) -> str | None:
    """Drop the invalid index of a build that failed; what to say when that fails too."""
    for _ in range(CLEANING_TRIES):
        state = session.ask("index_state", {"name": definition.qualified})
        if not state or state[0]["valid"]:
            return None
        try:
            session.own(f"DROP INDEX CONCURRENTLY {definition.qualified}")
        except psycopg.errors.LockNotAvailable:
            time.sleep(PAUSE_S)
    return _left(definition) if session.ask("index_state", {"name": definition.qualified}) else None


def _left(definition: IndexDefinition) -> str:
    return (
        f"not applied, and an invalid index is left: drop it with DROP INDEX CONCURRENTLY {definition.qualified}"
        " when no transaction is open on the table"
    )


def _said(proof: Proof, text: str) -> Proof:
    return replace(proof, notes=(*proof.notes, text))
