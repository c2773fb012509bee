"""Index and statement advice on a real PostgreSQL: what is advised can be run as it stands, and it helps."""

from __future__ import annotations

import time
from dataclasses import replace

import psycopg

from headway.diagnose.rules import duplicate_index, missing_index, slow_statement, unused_index
from headway.evidence.indexes import Indexes
from headway.evidence.plans import Plans
from headway.evidence.session import Session
from headway.evidence.statements import Statements
from headway.evidence.tables import Tables
from headway.model import Evidence, Plan, TableScan
from made.judged import PHASE, made_evidence, made_hits

TABLES = """
CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
CREATE SCHEMA "Odd";
CREATE TABLE "Odd"."Notes; --" (id int PRIMARY KEY, "Who's" int NOT NULL, body text, at timestamptz NOT NULL);
INSERT INTO "Odd"."Notes; --" SELECT n, n % 9000, repeat('x', 300), now() - n * interval '1 second'
  FROM generate_series(1, 60000) n;
CREATE INDEX at_once ON "Odd"."Notes; --" (at);
CREATE INDEX "at ""again" ON "Odd"."Notes; --" (at);
VACUUM ANALYZE;
"""
WORKLOAD = (
    'SELECT id FROM "Odd"."Notes; --" WHERE "Who\'s" = 77',
    'SELECT id, at FROM "Odd"."Notes; --" ORDER BY at DESC, id DESC LIMIT 5 OFFSET 50000',
    'SELECT id FROM "Odd"."Notes; --" WHERE at::date = \'2001-02-03\'',
)


def seen(url: str) -> Evidence:
    """The workload, ten times, as the collectors saw it."""
    phase = replace(PHASE, duration_s=10, warmup_s=0)
    session = Session(url)
    statements, tables, indexes = Statements(session), Tables(session), Indexes(session)
    plans = Plans(session, statements)
    for each in (statements, tables, indexes, plans):
        each.check()
    statements.begin(phase, time.time())
    tables.begin(phase, time.time())
    with psycopg.connect(url, autocommit=True) as service:
        for text in WORKLOAD * 10:
            service.execute(text.encode())
    statements.end(phase, time.time())
    tables.end(phase, time.time())
    for asked in (statements, tables, indexes, plans):
        asked.finish()
    session.close()
    known = []
    for statement in statements.statements:
        found = plans.plans.get(statement.id)
        scans = tuple(TableScan(**each) for each in found["scans"]) if found else ()
        plan = Plan(statement_id=statement.id, json=found["json"], scans=scans) if found else None
        known.append(replace(statement, plan=plan))
    return replace(
        made_evidence(made_hits([[1.0] * 10] * 10, phase=phase)), statements=tuple(known), tables=tuple(tables.tables),
        indexes=tuple(indexes.indexes), columns=tuple(indexes.columns),
    )  # fmt: skip


def test_what_is_advised_runs_as_it_stands_on_tables_with_hostile_names(postgres_url: str) -> None:
    """CREATE and DROP INDEX CONCURRENTLY are valid; with the index there is no more advice, and a reason instead."""
    with psycopg.connect(postgres_url, autocommit=True) as service:
        for each in TABLES.split(";\n"):
            service.execute(each.encode())
    found = seen(postgres_url)
    (missing,) = [each for each in missing_index.find(found) if "Who's" in each.remedies[0].act]
    (double,) = duplicate_index.find(found)
    assert list(unused_index.find(found)) == []  # the server has not counted for a week
    reasons = {each.remedies[0].parameters["reason"]: each for each in slow_statement.find(found)}
    assert {"offset", "function"} <= set(reasons)
    statement = missing.location.statement_id
    assert statement is not None
    assert missing_index.why_not(found, statement) is None
    with psycopg.connect(postgres_url, autocommit=True) as service:
        service.execute(missing.remedies[0].act.encode())
        service.execute(double.remedies[0].act.encode())
        service.execute(b"ANALYZE")
        changed = reasons["offset"].remedies[0].act
        service.execute(f"PREPARE page (int, timestamptz, int) AS {changed}".encode())
    again = seen(postgres_url)
    assert [each for each in missing_index.find(again) if "Who's" in each.remedies[0].act] == []
    assert list(duplicate_index.find(again)) == []


def test_nothing_seen_is_nothing_said() -> None:
    """A run without a database has no findings and no reasons."""
    empty = made_evidence()
    assert list(missing_index.find(empty)) == list(slow_statement.find(empty)) == []
    assert missing_index.why_not(empty, "1") is slow_statement.why_not(empty, "1") is None
