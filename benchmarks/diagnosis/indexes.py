"""
Precision and recall of the missing-index rule on labelled statements, beside what planner cost alone would advise.

Each case runs on one PostgreSQL with the tables of index_schema.py; evidence is collected as in any run, and judged
without the plans that auto_explain logged and with them. Statements are sent as by a client that puts values into the
text; with `--bound` as most drivers do, values apart (what is compared, that is: a document's member or an interval's
length stands in a service's SQL). "Texts not read" is what was known before texts were read as they run.

The peer builds, in a transaction that is rolled back, an index on every column that the statement's text names, singly
and in pairs, and advises the one with the lowest estimated cost when that is at most half: what an advisor can do that
looks at the planner's cost and nothing else.
`PYTHONPATH=tests .venv/bin/python benchmarks/diagnosis/indexes.py`; `--quick` leaves out the peer.
"""

from __future__ import annotations

import argparse
import itertools
import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
from index_cases import CASES, HELD_OUT, LATER, LATER_HELD_OUT, LOGGED_HELD_OUT, SEEN, Case
from index_schema import SCHEMA

from headway.conventions import LIVE_PLANS_FILE, LOGGED_PLANS_FILE
from headway.diagnose.rules import missing_index
from headway.evidence import reading, redact
from headway.evidence.indexes import Indexes
from headway.evidence.logged import LoggedPlans
from headway.evidence.looks import Looks
from headway.evidence.plans import Plans
from headway.evidence.session import Session
from headway.evidence.statements import Statements
from headway.evidence.tables import Tables
from headway.evidence.waits import Waits
from headway.model import Evidence, LivePlan, LoggedPlan, Plan, TableScan
from headway.servers import binaries, ports, postgres, process
from made.judged import PHASE, made_evidence, made_hits

HALF = 0.5
GROUPS = {
    "seen": SEEN, "seen, later": LATER, "held out": HELD_OUT, "held out, later": LATER_HELD_OUT,
    "held out, last": LOGGED_HELD_OUT,
}  # fmt: skip
COMPARED = re.compile(
    r"(?:(?<!-)(?<!->)[=<>~]|~\*|@>|\|\||\bI?LIKE|\bBETWEEN|\bBETWEEN \S+ AND|\bIN \((?:[^()]*,)?|\bANY\(|\bARRAY\[)"
    r"\s*(?:date )?\Z"
)
BEGINS = re.compile(r"\b(?:WHERE|AND) \Z")
TYPED = re.compile(r"\bdate \Z")
CASE = replace(PHASE, name="case", duration_s=10, warmup_s=0)


@dataclass(frozen=True, kw_only=True)
class Score:
    """Cases by what was advised: right, wrong (another index, or one where none should be), missed."""

    right: int = 0
    wrong: int = 0
    missed: int = 0
    quiet: int = 0  # rightly nothing

    def text(self) -> str:
        """Precision and recall, and what they are of."""
        advised, wanted = self.right + self.wrong, self.right + self.missed
        precision = self.right / advised if advised else 1.0
        recall = self.right / wanted if wanted else 1.0
        return (
            f"precision {precision:.3f} ({self.right} of {advised}), recall {recall:.3f} ({self.right} of {wanted}),"
            f" rightly silent {self.quiet}"
        )


@contextmanager
def server() -> Iterator[tuple[str, Path]]:
    """A PostgreSQL of its own with the tables; its URL, and the folder of its log."""
    with tempfile.TemporaryDirectory(prefix="headway-bench-") as name:
        Path(name).chmod(0o711)
        account = process.unprivileged()
        binary = binaries.postgres(Path(name), account)
        room = Path(name) / "room"
        room.mkdir()
        process.own(room, account)
        log = Path(name) / "log"
        postgres.initialise(binary.path, room / "data", password="bench", log=log, account=account)
        found = postgres.start(
            binary.path, room / "data", port=ports.choose(), password="bench", log=log, account=account,
            settings={
                "logging_collector": "on", "log_destination": "jsonlog", "log_directory": str(room / "log"),
                "log_filename": "plans.log", "auto_explain.log_format": "json",
            },
        )  # fmt: skip
        try:
            with psycopg.connect(found.url, autocommit=True) as connection:
                connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
                connection.execute(SCHEMA)
                connection.execute("VACUUM ANALYZE")
            yield found.url, room / "log"
        finally:
            postgres.stop(found.identity)


def evidence(url: str, case: Case, log: Path, *, binding: bool) -> Evidence:
    """One phase in which the case's statement ran, as the collectors saw it."""
    session = Session(url)
    statements, tables, indexes = Statements(session), Tables(session), Indexes(session)
    plans, logged = Plans(session, statements), LoggedPlans(log, session, show_values=False)
    waits = Waits(Session(url))
    for each in (statements, tables, indexes, plans, logged, waits):
        each.check()
    for counting in (statements, tables):
        counting.begin(CASE, time.time())
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET auto_explain.log_min_duration = 0")
        for _ in range(case.calls):
            for text, values in bound(case.sql) if binding else [(case.sql, [])]:
                if values:
                    sent(connection, text, values)
                else:
                    connection.execute(text.encode())
                waits.look(Looks(phase=CASE.name))  # a run has ten looks a second: more of them than this a call
    if case.writes:
        write(url, case)
    for counting in (statements, tables):
        counting.end(CASE, time.time())
    for asking in (statements, tables, indexes, plans, waits):
        asking.finish()
    kept, live = read_log(logged, case), read_live(waits)
    session.close()
    waits.close()
    seen = tuple(
        replace(each, plan=_plan(plans, each.id), logged=kept.get(each.id), live=live.get(each.id))
        for each in statements.statements
    )
    return replace(
        made_evidence(made_hits([[1.0] * 10] * 10, phase=CASE)), statements=seen, tables=tuple(tables.tables),
        indexes=tuple(indexes.indexes), columns=tuple(indexes.columns),
    )  # fmt: skip


def bound(sql: str) -> list[tuple[str, list[str]]]:
    """The statements with `$1` for each value that is compared, and those values as text."""
    found = []
    for one in filter(None, map(str.strip, sql.split(";"))):
        values: list[str] = []
        text, place = "", 0
        for constant in redact.constant_places(one):
            before, after = one[: constant.start()], one[constant.end() :].lstrip()
            if not COMPARED.search(before) and not (BEGINS.search(before) and after.startswith("=")):
                continue
            if constant[0] == "'%'":
                continue
            values.append(constant[0].strip("'"))
            text += f"{TYPED.sub('', one[place : constant.start()])}${len(values)}"
            place = constant.end()
        found.append((text + one[place:], values))
    return found


def sent(connection: psycopg.Connection, text: str, values: list[str]) -> None:
    """One statement with its values apart, their types left to PostgreSQL, as drivers leave them that bind text."""
    answer = connection.pgconn.exec_params(text.encode(), [each.encode() for each in values])
    if answer.status == psycopg.pq.ExecStatus.FATAL_ERROR:
        raise RuntimeError(f"{text}: {answer.error_message.decode()}")


def read_log(logged: LoggedPlans, case: Case) -> dict[str, LoggedPlan]:
    """What was logged of the case's statements: PostgreSQL writes its log behind them."""
    until = time.monotonic() + 3
    while sum(each.seen for each in logged.statements.values()) < case.calls * (case.sql.count(";") + 1):
        if time.monotonic() > until:
            print(f"{case.name}: not all plans were logged")
            break
        time.sleep(0.02)
        logged.sample(0.0)
    with tempfile.TemporaryDirectory(prefix="headway-bench-") as name:
        logged.write(Path(name))
        logged.close()
        return reading.logged_plans(Path(name) / LOGGED_PLANS_FILE)


def read_live(waits: Waits) -> dict[str, LivePlan]:
    """What texts had as they ran."""
    with tempfile.TemporaryDirectory(prefix="headway-bench-") as name:
        waits.write(Path(name))
        return reading.live_plans(Path(name) / LIVE_PLANS_FILE)


def write(url: str, case: Case) -> None:
    """Run what is written, and undo it."""
    with psycopg.connect(url) as connection:
        with connection.pipeline():
            for number in range(1, case.writes + 1):
                connection.execute(case.written.replace("{n}", str(number)).encode())
        connection.rollback()
        connection.autocommit = True
        connection.execute("VACUUM")


def _plan(plans: Plans, statement_id: str) -> Plan | None:
    found = plans.plans.get(statement_id)
    scans = tuple(TableScan(**each) for each in found["scans"]) if found is not None else ()
    return None if found is None else Plan(statement_id=statement_id, json=found["json"], scans=scans)


def advised(found: Evidence) -> list[str]:
    """What the rule advises, in the form of the labels."""
    texts = []
    for finding in missing_index.find(found):
        parameters = finding.remedies[0].parameters
        keys = ", ".join(str(each) for each in parameters["columns"])
        included = (
            f" include ({', '.join(str(each) for each in parameters['include'])})" if parameters["include"] else ""
        )
        where = f" where {parameters['where']}" if parameters["where"] else ""
        using = "" if parameters["method"] == "btree" else f" using {parameters['method']}"
        texts.append(f"{parameters['table']}({keys}){included}{where}{using}")
    return texts


def plain(text: str) -> str:
    """A label to compare by: without case, blanks and parentheses around expressions."""
    return re.sub(r'[\s"()]', "", text).lower()


def scored(score: Score, case: Case, found: list[str]) -> Score:
    """The score with one more case: every index that is advised counts."""
    labels = {plain(each) for each in case.expected}
    right = [each for each in found if plain(each) in labels]
    wrong = len(found) - len(right)
    if not case.expected:
        return replace(score, wrong=score.wrong + wrong, quiet=score.quiet + (not found))
    return replace(score, right=score.right + bool(right), wrong=score.wrong + wrong, missed=score.missed + (not right))


def by_cost(url: str, case: Case) -> list[str]:
    """What planner cost alone advises, in the form of the labels."""
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT format('%I.%I', n.nspname, c.relname), n.nspname, c.relname FROM pg_class c JOIN pg_namespace n"
            " ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND n.nspname IN ('public', 'billing')"
        ).fetchall()
        base = cost(connection, case.sql)
        best: tuple[float, str] | None = None
        for quoted, schema, name in tables:
            if not re.search(rf'\b"?{name}"?\b', case.sql):
                continue
            columns = [
                row[0] for row in connection.execute(
                    "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0", (quoted,)
                ) if re.search(rf'\b"?{row[0]}"?\b', case.sql)
            ]  # fmt: skip
            for keys in itertools.chain(((each,) for each in columns), itertools.permutations(columns, 2)):
                listed = ", ".join(f'"{each}"' for each in keys)
                try:
                    with connection.transaction(force_rollback=True):
                        connection.execute(f"CREATE INDEX ON {quoted} ({listed})".encode())
                        found = cost(connection, case.sql)
                except psycopg.Error:
                    continue
                if best is None or found < best[0]:
                    where = "" if schema == "public" else f"{schema}."
                    best = found, f"{where}{name}({', '.join(keys)})"
        connection.rollback()
    return [best[1]] if best is not None and best[0] <= HALF * base else []


def cost(connection: psycopg.Connection, sql: str) -> float:
    """The planner's estimate for a statement."""
    row = connection.execute(f"EXPLAIN (FORMAT JSON) {sql}".encode()).fetchone()
    return float(row[0][0]["Plan"]["Total Cost"]) if row is not None else 0.0


def main() -> None:
    """Print each miss and each wrong advice, then the scores: of each group of cases, each kind, and the peer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="without the peer, and no held-out cases")
    parser.add_argument("--bound", action="store_true", help="statements whose values are sent apart from their text")
    parser.add_argument("--part", default="1/1", help="the first of three parts of the cases, say: 1/3")
    asked = parser.parse_args()
    part, parts = (int(each) for each in asked.part.split("/"))
    scores: dict[str, Score] = defaultdict(Score)
    with server() as (url, log):
        for case in CASES[part - 1 :: parts]:
            group = next(name for name, those in GROUPS.items() if case in those)
            if asked.quick and "held out" in group:
                continue
            run = evidence(url, case, log, binding=asked.bound)
            bare = replace(run, statements=tuple(replace(each, logged=None) for each in run.statements))
            blind = replace(bare, statements=tuple(replace(each, live=None) for each in bare.statements))
            for logged, of in ((", texts not read", blind), ("", bare), (", plans logged", run)):
                found = advised(of)
                for name in (group, "all", f"  {case.kind}"):
                    scores[name + logged] = scored(scores[name + logged], case, found)
                labels = {plain(each) for each in case.expected}
                if {plain(each) for each in found} - labels or (labels and not found):
                    wanted = list(case.expected) or "none"
                    print(f"{group}{logged}: {case.name}: advised {found}, expected one of {wanted}")
            if not asked.quick:
                peers = by_cost(url, case)
                scores["planner cost alone"] = scored(scores["planner cost alone"], case, peers)
    for group, score in scores.items():
        print(f"{group}: {score.text()}")


if __name__ == "__main__":
    main()
