"""
How often a proof has the sign right, and how often planner cost alone would have had it.

    .venv/bin/python benchmarks/diagnosis/proofs.py --quick

Each labelled index case gives one candidate: the key list a DBA would make, or for a case that should get none the
first column the statement compares or sorts by, as a naive adviser would. The truth is measured apart from the proof,
by the client's clock: the statement runs in one copy of the database that has the index and in one that has not, in
turns. An index helps when the median time falls by a tenth or more, which is what a proof asks for too. A candidate
within a third of that line either way is left out of the count, and so is one of which three pairs of connections do
not say the same: there the truth itself is in doubt.
"""

from __future__ import annotations

import argparse
import random
import re
import secrets
import statistics
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import psycopg
from index_cases import CASES, Case
from index_schema import SCHEMA
from sqlglot import exp

from headway.evidence import machine
from headway.model import (
    Evidence,
    Finding,
    LoadModel,
    Location,
    Phase,
    Proof,
    ProofState,
    Remedy,
    RemedyKind,
    Scenario,
    Sources,
    Statement,
)
from headway.prove.definition import define
from headway.prove.grounds import Grounds
from headway.prove.remedies import index
from headway.prove.session import TrialSession
from headway.prove.values import NoValues, parsed, tables
from headway.servers import binaries, ports, postgres, process
from headway.thresholds import PROVE_MATTERS_RATIO

LABEL = re.compile(r"([\w.]+)\((.*?)\)(?: include \((.*?)\))?(?: where (.+?))?(?: using (\w+))?")
TRUE_RUNS = (9, 300)  # at least, at most
TRUE_AT_MOST_S = 0.4
TRUE_PAIRS = 3
"""A connection's process stays on a core for a while: on a busy machine one pair alone may be on unlike cores."""
BUDGET_S = 6.0
DOUBT = (1 - PROVE_MATTERS_RATIO * 4 / 3, 1 - PROVE_MATTERS_RATIO * 2 / 3)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An index to try, for one statement."""

    case: Case
    table: str
    columns: tuple[str, ...]
    where: str | None = None
    included: tuple[str, ...] = ()
    method: str = "btree"

    @property
    def parameters(self) -> dict[str, object]:
        """As a remedy has them."""
        return {
            "table": self.table, "columns": list(self.columns), "include": list(self.included), "where": self.where,
            "method": self.method,
        }  # fmt: skip


def candidate(case: Case) -> Candidate | None:
    """The labelled key list, or what a naive adviser would say; None when the statement compares and sorts nothing."""
    if case.expected:
        found = LABEL.fullmatch(case.expected[0])
        if found is None:
            raise ValueError(f"{case.name}: {case.expected[0]} is no key list")
        keys = tuple(each.strip().strip('"') for each in re.split(r",(?![^(]*\))", found[2]))
        included = tuple(each.strip() for each in (found[3] or "").split(",") if each.strip())
        return Candidate(
            case=case, table=found[1], columns=keys, included=included, where=found[4], method=found[5] or "btree"
        )
    tree = parsed(case.sql.partition(";")[0])
    aliases = tables(tree)
    for kind in (exp.Where, exp.Order):
        part = tree.find(kind)
        column = None if part is None else part.find(exp.Column)
        if column is not None:
            table = aliases.get(column.table) or next(iter(aliases.values()))
            return Candidate(case=case, table=table, columns=(column.name,))
    return None


def evidence(sql: str, folder: Path) -> Evidence:
    """A run of this one statement."""
    statement = Statement(
        phase="made",
        id="1",
        text=sql,
        calls=1_000,
        rows=1_000,
        total_ns=1e10,
        mean_ns=1e7,
        stddev_ns=1e6,
        share_ratio=1.0,
    )
    phase = Phase(name="made", model=LoadModel.CLOSED, duration_s=1, warmup_s=0, users=1)
    return Evidence(
        folder=folder, id="made", started_at="", finished_at=None, interrupted=False, headway_version="", versions={},
        machine=machine.machine(), target_url="", routes=(), phases=(), sources={}, statements=(statement,),
        scenario=Scenario(name="made", file=None, routes=(), parameters=(), default_phase=phase),
    )  # fmt: skip


def proven(url: str, made: Candidate, sql: str, folder: Path) -> Proof:
    """The proof of the candidate."""
    parameters = made.parameters | {"statement_ids": ["1"]}
    remedy = Remedy(kind=RemedyKind.INDEX, title=made.case.name, act="", parameters=parameters)
    finding = Finding(
        rule="missing-index", phase="made", line="", explains=(), share_ratio=1.0, share_of="", fingerprint="f",
        location=Location(statement_id="1"), remedies=(remedy,),
    )  # fmt: skip
    grounds = Grounds(
        evidence=evidence(sql, folder), sources=Sources(target_url=""), work=folder, budget_s=BUDGET_S,
        say=lambda _text: None, staging_url=url, private=True,
    )  # fmt: skip
    return index.prove(finding, remedy, grounds)


def truth(without_url: str, with_url: str, made: Candidate, sql: str) -> list[float]:
    """Median time with the index over that without, by the client's clock, of three pairs of connections, in order."""
    with TrialSession(with_url, statement_s=60) as session:
        definition = define(session, made.parameters)
        session.own(definition.create().as_string(session.connection))
        session.ask("vacuum_analyze", table=[definition.schema, definition.table])
        found = sorted(compared(without_url, with_url, sql.encode()) for _ in range(TRUE_PAIRS))
        session.ask("drop_index", index=[definition.schema, definition.name])
    return found


def compared(without_url: str, with_url: str, sql: bytes) -> float:
    """Of one pair of connections, that ask in turns."""
    took: dict[bool, list[float]] = {False: [], True: []}
    with psycopg.connect(without_url) as bare, psycopg.connect(with_url) as indexed:
        begun = time.perf_counter()
        while len(took[True]) < TRUE_RUNS[1] and (
            len(took[True]) < TRUE_RUNS[0] or time.perf_counter() - begun < TRUE_AT_MOST_S
        ):
            for there, each in random.sample([(False, bare.pgconn), (True, indexed.pgconn)], 2):
                took[there].append(asked(each, sql))
    return statistics.median(took[True]) / statistics.median(took[False])


def asked(connection: psycopg.pq.abc.PGconn, sql: bytes) -> float:
    """Seconds of one execution, which is undone; all rows come over, and Python's own time for them is not in it."""
    connection.exec_(b"BEGIN")
    begun = time.perf_counter()
    answer = connection.exec_(sql)
    took = time.perf_counter() - begun
    if answer.status == psycopg.pq.ExecStatus.FATAL_ERROR:
        raise RuntimeError(answer.error_message.decode())
    connection.exec_(b"ROLLBACK")
    return took


def planner_says(proof: Proof) -> bool | None:
    """Whether planner cost alone would call it worth it; None where nothing was planned."""
    cost = next((each for each in proof.effects if each.unit == "planner cost units"), None)
    return None if cost is None else cost.after < cost.before * (1 - PROVE_MATTERS_RATIO)


def tried(urls: tuple[str, str], cases: list[Case], folder: Path) -> None:
    """Every case, one line each, and the shares."""
    seen = Counter[str]()
    for case in cases:
        sql = case.sql.partition(";")[0].strip()
        try:
            made = candidate(case)
        except NoValues:
            made = None
        if made is None:
            seen["no candidate"] += 1
            continue
        ratios = truth(urls[0], urls[1], made, sql)
        ratio = ratios[TRUE_PAIRS // 2]
        proof = proven(urls[1], made, sql, folder)
        planner = planner_says(proof)
        helps = ratio < 1 - PROVE_MATTERS_RATIO
        doubtful = DOUBT[0] < ratio < DOUBT[1] or len({each < 1 - PROVE_MATTERS_RATIO for each in ratios}) > 1
        verdict = "in doubt" if doubtful else score(proof, helps=helps)
        seen[f"proof {verdict}"] += 1
        if verdict != "in doubt" and planner is not None:
            seen[f"planner {'right' if planner == helps else 'wrong'}"] += 1
        print(
            f"{case.name:<34} ×{ratio:6.3f}  proof: {proof.state.value:<20} planner: {planner!s:<6} {verdict}",
            flush=True,
        )
        if verdict not in {"right", "in doubt"}:
            print(f"    {proof.reason}")
    told(seen)


def score(proof: Proof, *, helps: bool) -> str:
    """Right, wrong, or not decided."""
    if proof.state is ProofState.UNPROVEN:
        return "undecided"
    return "right" if (proof.state is ProofState.WORTH_IT) == helps else "wrong"


def told(seen: Counter[str]) -> None:
    """The shares."""
    for who in ("proof", "planner"):
        right, wrong = seen[f"{who} right"], seen[f"{who} wrong"]
        share = f"{right / (right + wrong):.1%}" if right + wrong else "none decided"
        print(f"{who}: sign right in {right} of {right + wrong} ({share})")
    print(f"proofs undecided: {seen['proof undecided']}; truth in doubt: {seen['proof in doubt']};"
          f" no candidate: {seen['no candidate']}")  # fmt: skip


def main() -> None:
    """Start a PostgreSQL of one's own, fill it twice, try the cases, leave nothing."""
    parser = argparse.ArgumentParser(description="Share of proofs whose sign was right.")
    parser.add_argument("--quick", action="store_true", help="every sixth case")
    parser.add_argument("--every", type=int, default=6, help="of --quick: every twelfth, say, is half a part")
    parser.add_argument("--first", type=int, default=0, help="of --quick: the number of the first case, from 0")
    asked = parser.parse_args()
    cases = list(CASES)[asked.first :: asked.every if asked.quick else 1]
    account = process.unprivileged()
    with tempfile.TemporaryDirectory(prefix="headway-bench-", dir="/var/tmp") as room:
        folder = Path(room)
        folder.chmod(0o711)
        process.own(folder, account)
        programs, password = binaries.postgres(folder, account).path, secrets.token_hex(16)
        log = folder / "postgres.log"
        postgres.initialise(programs, folder / "data", password=password, log=log, account=account)
        server = postgres.start(
            programs, folder / "data", port=ports.choose(), password=password, log=log, account=account
        )
        try:
            first = postgres.create_database(server, "without")
            with psycopg.connect(first, autocommit=True) as connection:
                connection.execute("CREATE EXTENSION pg_trgm")
                for statement in SCHEMA.split(";"):
                    if statement.strip():
                        connection.execute(statement.encode())
                connection.execute("VACUUM ANALYZE")  # both sides are to know as much of their rows
            with psycopg.connect(server.url, autocommit=True) as connection:
                connection.execute('CREATE DATABASE "with" TEMPLATE without')
            tried((first, postgres.url(server.port, password, database="with")), cases, folder)
        finally:
            postgres.stop(server.identity)


if __name__ == "__main__":
    main()
