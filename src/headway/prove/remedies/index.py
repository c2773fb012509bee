"""
An index, built for real on the copy: what it saves the statements it is for, and what it costs the workload's writes.

Both sides are measured in turns on the same data: "without" drops the index in a transaction that is rolled back. The
table is vacuumed first, and `indcheckxmin` is looked at: an index that has it set is ignored by older snapshots, and
a true remedy would seem to do nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from headway.errors import BadInput
from headway.evidence.collector import in_words
from headway.model import Effect, Price, ProofState
from headway.promises.spoken import duration_text
from headway.prove import endpoint, trial, writes
from headway.prove.definition import IndexDefinition, define
from headway.prove.outcome import NO_PLACE, proof, unproven
from headway.prove.session import TrialSession
from headway.thresholds import PROVE_MATTERS_NS, PROVE_MATTERS_RATIO

if TYPE_CHECKING:
    from headway.model import Finding, Proof, Remedy, Statement
    from headway.prove.grounds import Grounds
    from headway.prove.trial import Case, Turns
    from headway.prove.writes import WritePrice

BUILD_SHARE, READ_SHARE, WRITE_SHARE = 0.5, 0.4, 0.2
"""Of the budget; a build may take more of it than the rest."""
MOST_NEIGHBOURS = 4
XMIN_PATIENCE_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Built:
    """The index on the copy, and how it came to be."""

    definition: IndexDefinition
    seconds: float
    size_bytes: int


class Unprovable(Exception):
    """Why nothing can be said; in words."""


def prove(finding: Finding, remedy: Remedy, grounds: Grounds) -> Proof:
    """Try it; a reason comes back whatever happens, and the copy is left without the index."""
    if grounds.staging_url is None:
        return unproven(finding, remedy, grounds, NO_PLACE)
    try:
        with TrialSession(grounds.staging_url, statement_s=grounds.budget_s) as session:
            return _tried(session, finding, remedy, grounds)
    except Unprovable as exc:
        return unproven(finding, remedy, grounds, str(exc))
    except BadInput as exc:
        return unproven(finding, remedy, grounds, exc.what)
    except psycopg.Error as exc:
        return unproven(finding, remedy, grounds, f"the copy refused: {in_words(exc)}")


def _tried(session: TrialSession, finding: Finding, remedy: Remedy, grounds: Grounds) -> Proof:
    chosen, notes = _chosen(session, finding, remedy, grounds)
    table = str(remedy.parameters.get("table", ""))
    others, _ = trial.cases(session, trial.neighbours(
        grounds.evidence, table, [each.statement.id for each in chosen], writes=False, most=MOST_NEIGHBOURS
    ), seed=grounds.seed)  # fmt: skip
    built = build(session, define(session, remedy.parameters), budget_s=grounds.budget_s * BUILD_SHARE)
    name = built.definition.qualified
    try:
        turns, remark = trial.in_turns(
            session, [*chosen, *others], [name], budget_s=grounds.budget_s * READ_SHARE, seed=grounds.seed
        )
        price = writes.price(
            session, grounds.evidence, table, name,
            budget_s=grounds.budget_s * WRITE_SHARE, seed=grounds.seed, private=grounds.private,
        )  # fmt: skip
        measured = endpoint.effects(session, built.definition, finding, grounds)
    except trial.OutOfBudget as exc:
        raise Unprovable(f"{exc}; give it more time with --budget") from exc
    finally:
        remove(session, built.definition)
    state, reason = judged(turns[: len(chosen)], turns[len(chosen) :], built, price, grounds)
    return proof(
        finding, remedy, grounds, state, reason,
        effects=(*_effects(turns, len(chosen)), *measured.effects),
        prices=(
            Price(what=f"size of {built.definition.name}", unit="bytes", before=None, after=float(built.size_bytes)),
            Price(what="build, nobody else writing", unit="ns", before=None, after=built.seconds * 1e9),
            *price.prices,
        ),
        notes=tuple(filter(None, (*notes, remark, *_unlike(turns[: len(chosen)]), *price.notes, *measured.notes))),
    )  # fmt: skip


def build(session: TrialSession, definition: IndexDefinition, *, budget_s: float) -> Built:
    """
    Vacuum the table, build the index, and wait until every snapshot may use it.

    Raises:
        Unprovable: an old transaction keeps it from being used.
        psycopg.Error: it cannot be built.
    """
    session.limit(budget_s)
    session.ask("vacuum_analyze", table=[definition.schema, definition.table])
    began = time.perf_counter()
    session.own(definition.create().as_string(session.connection))
    seconds = time.perf_counter() - began
    until = time.monotonic() + XMIN_PATIENCE_S
    while (state := session.ask("index_state", {"name": definition.qualified})[0])["check_xmin"]:
        remove(session, definition)
        if time.monotonic() > until:
            raise Unprovable("an open transaction on the copy keeps the new index from being used (indcheckxmin)")
        session.ask("vacuum_analyze", table=[definition.schema, definition.table])
        session.own(definition.create().as_string(session.connection))
    return Built(definition=definition, seconds=seconds, size_bytes=int(state["size_bytes"]))


def judged(
    wanted: list[Turns], others: list[Turns], built: Built, price: WritePrice, grounds: Grounds
) -> tuple[ProofState, str]:
    """
    Worth it: the nearer end of the saving's interval is past `PROVE_MATTERS_RATIO` of a statement's time, and over the
    run's own counts the reads save more than the writes pay, with the further end of what they pay.
    """
    name = built.definition.name
    best = max(wanted, key=lambda each: each.time.saving(grounds.seed)[0])
    low, share, high = best.time.saving(grounds.seed)
    if all(each.uses(name) == 0 for each in wanted):
        return ProofState.NOT_WORTH_IT, f"the planner does not use {name}: time stays {_change(best)}"
    if high < PROVE_MATTERS_RATIO:
        return ProofState.NOT_WORTH_IT, f"it saves {share:.0%} at most {high:.0%} of the time: {_change(best)}"
    if low < PROVE_MATTERS_RATIO and best.time.saved(grounds.seed)[2] < PROVE_MATTERS_NS:
        most = duration_text(max(1.0, best.time.saved(grounds.seed)[2]))
        return ProofState.NOT_WORTH_IT, f"it saves {most} a time at most: {_change(best)}"
    if low < PROVE_MATTERS_RATIO:
        return ProofState.UNPROVEN, f"between {low:.0%} and {high:.0%} of the time: too wide to tell; {_change(best)}"
    saved = sum(each.time.saved(grounds.seed)[0] * each.case.statement.calls for each in wanted)
    for each in others:
        worse_low, _, _ = (-value for value in reversed(each.time.saved(grounds.seed)))
        saved -= max(0.0, worse_low) * each.case.statement.calls
    return _over_the_run(_change(best), saved, price)


def _over_the_run(change: str, saved: float, price: WritePrice) -> tuple[ProofState, str]:
    paid, at_most = (max(0.0, each) for each in price.extra_ns[1:])
    figures = f"saves {duration_text(max(saved, 1.0))} of the run's database time at least"
    if paid:
        figures += f", writes pay {duration_text(paid)}"
    if saved <= paid:
        return ProofState.NOT_WORTH_IT, f"{change}, but over the run it {figures}"
    if saved <= at_most:
        wide = f"may pay up to {duration_text(at_most)}: too wide to tell; give it more time with --budget"
        return ProofState.UNPROVEN, f"{change}, but over the run it {figures}, and {wide}"
    return ProofState.WORTH_IT, f"{change}; {figures}"


def _chosen(session: TrialSession, finding: Finding, remedy: Remedy, grounds: Grounds) -> tuple[list[Case], list[str]]:
    ids = [str(each) for each in remedy.parameters.get("statement_ids") or ()]
    if not ids and finding.location.statement_id is not None:
        ids = [finding.location.statement_id]
    known: list[Statement] = trial.statements(grounds.evidence, ids)
    if not known:
        raise Unprovable("the run has no statement that the index is for")
    chosen, notes = trial.cases(session, known, seed=grounds.seed)
    if not chosen:
        raise Unprovable("; ".join(notes))
    return chosen, notes


def _effects(turns: list[Turns], wanted: int) -> tuple[Effect, ...]:
    found = []
    for place, each in enumerate(turns):
        found.append(each.time.effect(f"mean of {each.case.name}", "ns", decides=place < wanted))
        if place < wanted:
            found.append(each.cost.effect(f"planner cost of {each.case.name}", "planner cost units"))
    return tuple(found)


def _unlike(wanted: list[Turns]) -> list[str]:
    """Where the values drawn return other numbers of rows than the run's own did, the trial is not the workload."""
    said = []
    for each in wanted:
        own = each.case.statement.rows / max(1, each.case.statement.calls)
        flat = [ran.rows for side in each.with_ for ran in side]
        drawn = sum(flat) / len(flat)
        if max(own, drawn) > 3 * max(min(own, drawn), 1.0):
            said.append(
                f"the values drawn return {drawn:,.1f} rows a call, in the run it was {own:,.1f}: {each.case.name}"
            )
    return said


def _change(turns: Turns) -> str:
    effect = turns.time.effect("", "ns")
    return f"{duration_text(effect.before)} → {duration_text(effect.after)} ({turns.case.name})"


def remove(session: TrialSession, definition: IndexDefinition) -> None:
    """Drop the index from the copy, if it is there."""
    if not session.connection.closed:
        session.ask("drop_index_if_there", index=[definition.schema, definition.name])
