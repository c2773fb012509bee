"""Statements of the workload run for real on the copy, with and without an index, in turns."""

from __future__ import annotations

import random
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg

from headway.diagnose.words import one_line
from headway.evidence.collector import in_words
from headway.prove import values as drawing
from headway.prove.measure import Paired, paired
from headway.prove.values import NoValues
from headway.thresholds import PROVE_MAX_ROUNDS, PROVE_MIN_ROUNDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from headway.model import Evidence, Statement
    from headway.prove.session import TrialSession
    from headway.prove.values import Values

READ = "EXPLAIN (ANALYZE, BUFFERS, SETTINGS, TIMING OFF, FORMAT JSON)"
READ_WHOLE = "EXPLAIN (ANALYZE, BUFFERS, SETTINGS, SERIALIZE TEXT, TIMING OFF, FORMAT JSON)"
"""From PostgreSQL 17 on: with rows made into what is sent, which an index spares nobody and is counted in every run."""
SERIALIZES = 170_000
WRITE = "EXPLAIN (ANALYZE, BUFFERS, WAL, TIMING OFF, FORMAT JSON)"
PLAN = "EXPLAIN (FORMAT JSON)"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A statement with the sets of parameters it is measured with."""

    statement: Statement
    sets: tuple[Values, ...]
    write: bool

    @property
    def name(self) -> str:
        """The statement on one short line."""
        return one_line(self.statement.text, 70)


@dataclass(frozen=True, kw_only=True)
class Ran:
    """One execution: ns, the plan's cost, the indexes it used, rows, write-ahead log."""

    ns: float
    cost: float
    indexes: frozenset[str]
    rows: float
    wal_records: int = 0
    wal_images: int = 0
    wal_bytes: int = 0


@dataclass(kw_only=True)
class Turns:
    """What was measured of one case: one list a round, of one execution a set of parameters."""

    case: Case
    without: list[list[Ran]] = field(default_factory=list)
    with_: list[list[Ran]] = field(default_factory=list)

    def pairs(self, of: Callable[[Ran], float]) -> Paired:
        """One quantity of every execution."""
        return paired([[of(ran) for ran in r] for r in self.without], [[of(ran) for ran in r] for r in self.with_])

    @property
    def time(self) -> Paired:
        """Execution times, ns."""
        return self.pairs(lambda ran: ran.ns)

    @property
    def cost(self) -> Paired:
        """What the planner reckoned."""
        return self.pairs(lambda ran: ran.cost)

    def uses(self, index: str) -> float:
        """Share of the executions on the side with the index that used it."""
        flat = [index in ran.indexes for each in self.with_ for ran in each]
        return sum(flat) / len(flat) if flat else 0.0


class OutOfBudget(Exception):
    """One round alone takes too long."""


def cases(session: TrialSession, statements: Sequence[Statement], *, seed: int) -> tuple[list[Case], list[str]]:
    """Statements with values for their parameters, and why the others have none."""
    found, said = [], []
    for each in statements:
        try:
            write = drawing.is_write(drawing.parsed(each.text))
            sets = tuple(drawing.draw(session, each, seed=seed))
            if each.logged is not None and set(sets) <= set(each.logged.values):
                said.append(
                    f"{len(sets)} set{'s' * (len(sets) != 1)} of parameters from the log: {one_line(each.text, 60)}"
                )
            _plan(session, each.text, sets[0])
        except NoValues as exc:
            said.append(f"not tried: {one_line(each.text, 60)}: {exc.what}")
        except psycopg.Error as exc:
            said.append(f"not tried: {one_line(each.text, 60)}: {one_line(in_words(exc), 120)}")
        else:
            found.append(Case(statement=each, sets=sets, write=write))
    return found, said


def run(session: TrialSession, case: Case, values: Values) -> Ran:
    """
    One execution. A write is undone at once.

    Raises:
        psycopg.Error: PostgreSQL says no.
    """
    if case.write:
        with session.undone():
            rows = session.own(case.statement.text, values, prefix=WRITE)
    else:
        whole = session.connection.info.server_version >= SERIALIZES
        rows = session.own(case.statement.text, values, prefix=READ_WHOLE if whole else READ)
    return _read(rows)


def in_turns(
    session: TrialSession, chosen: Sequence[Case], hide: Sequence[str], *, budget_s: float, seed: int
) -> tuple[list[Turns], str | None]:
    """
    Run the cases with the indexes `hide` and without them, in turns, until the intervals are fair or time is up.

    Args:
        session: of the copy, where the indexes exist.
        chosen: what to run.
        hide: quoted names of the indexes; "without" drops them in a transaction that is rolled back.
        budget_s: about how long all rounds may take.
        seed: of the order within rounds.

    Returns:
        What was measured, and what the reader should know of how.

    Raises:
        OutOfBudget: the fewest rounds would take longer than the budget.
        psycopg.Error: PostgreSQL says no.
    """
    chance = random.Random(seed)  # noqa: S311 - an order, not a secret
    began = time.monotonic()
    session.limit(max(1.0, budget_s / 2))
    try:
        for hidden in (
            hide,
            (),
        ):  # not counted: brings pages and catalogs into memory, and shows how long a round takes
            _side(session, [_first(each) for each in chosen], hidden)
    except psycopg.errors.QueryCanceled as exc:
        raise OutOfBudget(f"one execution takes more than {budget_s / 2:.0f} s") from exc
    warm_s = time.monotonic() - began
    most_sets = max(len(each.sets) for each in chosen)
    fit = int((budget_s - warm_s) / PROVE_MIN_ROUNDS / max(warm_s, 1e-6))
    if fit < 1:
        raise OutOfBudget(f"a round takes {warm_s:.1f} s, and {PROVE_MIN_ROUNDS} are the fewest that can tell")
    kept = [Case(statement=c.statement, sets=c.sets[:fit], write=c.write) for c in chosen]
    note = f"{fit} of {most_sets} sets of parameters, for want of time" if fit < most_sets else None
    turns = [Turns(case=each) for each in kept]
    for number in range(PROVE_MAX_ROUNDS):
        if number >= PROVE_MIN_ROUNDS and time.monotonic() - began > budget_s:
            break
        sides = [(True, hide), (False, ())]
        chance.shuffle(sides)
        for without, hidden in sides:
            for each, ran in zip(turns, _side(session, kept, hidden), strict=True):
                (each.without if without else each.with_).append(ran)
    return turns, note


def statements(evidence: Evidence, ids: Sequence[str]) -> list[Statement]:
    """The run's statements with these ids, the phase with most calls of each."""
    best: dict[str, Statement] = {}
    for each in evidence.statements:
        if each.id in ids and (each.id not in best or each.calls > best[each.id].calls):
            best[each.id] = each
    return [best[each] for each in ids if each in best]


def neighbours(evidence: Evidence, table: str, without: Sequence[str], *, writes: bool, most: int) -> list[Statement]:
    """Other statements of the run on a table, those that took most time first."""
    found: dict[str, Statement] = {}
    for each in sorted(evidence.statements, key=lambda s: -s.total_ns):
        if each.id in without or each.id in found or each.is_utility or each.nested:
            continue
        try:
            tree = drawing.parsed(each.text)
        except NoValues:
            continue
        named = {name.rpartition(".")[2].lower() for name in drawing.tables(tree).values()}
        if table.rpartition(".")[2].lower() in named and drawing.is_write(tree) == writes:
            found[each.id] = each
    return list(found.values())[:most]


def _first(case: Case) -> Case:
    return Case(statement=case.statement, sets=case.sets[:1], write=case.write)


def _side(session: TrialSession, chosen: Sequence[Case], hidden: Sequence[str]) -> list[list[Ran]]:
    """Every case once with each of its sets; hidden indexes are gone for as long."""
    with session.undone() if hidden else nullcontext():
        for name in hidden:
            session.own(f"DROP INDEX {name}")
        for each in chosen:  # not counted: the catalog has changed under the session's feet
            run(session, each, each.sets[0])
        return [[run(session, each, values) for values in each.sets] for each in chosen]


def _plan(session: TrialSession, text: str, values: Values) -> None:
    """
    Refuse what would act outside this database.

    Raises:
        NoValues: it reads or writes a foreign table.
        psycopg.Error: it can't be planned with these values.
    """
    plan = _json(session.own(text, values, prefix=PLAN))
    if any(str(node.get("Node Type", "")).startswith("Foreign") for node in _nodes(plan["Plan"])):
        raise NoValues("it reaches a foreign server", next_act="try it by hand")


def _json(rows: list[dict[str, Any]]) -> Any:
    return rows[0]["QUERY PLAN"][0]


def _read(rows: list[dict[str, Any]]) -> Ran:
    whole = _json(rows)
    top = whole["Plan"]
    return Ran(
        ns=float(whole["Execution Time"]) * 1e6,
        cost=float(top["Total Cost"]),
        indexes=frozenset(str(node["Index Name"]) for node in _nodes(top) if "Index Name" in node),
        rows=float(top.get("Actual Rows", 0)) * float(top.get("Actual Loops", 1)),
        wal_records=int(top.get("WAL Records", 0)),
        wal_images=int(top.get("WAL FPI", 0)),
        wal_bytes=int(top.get("WAL Bytes", 0)),
    )


def _nodes(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [node, *(deep for each in node.get("Plans", ()) for deep in _nodes(each))]
