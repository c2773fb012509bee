"""
An index dropped on the copy: what the workload's writes and the disk gain, and whether any of its reads need it.

"With" the remedy is without the index. Reads are those of the run on that table: what ran at other times, on a replica
or once a month isn't among them, and that is said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg

from headway.diagnose.words import one_line
from headway.evidence.collector import in_words
from headway.model import Price, ProofState
from headway.promises.spoken import duration_text
from headway.prove import trial
from headway.prove.definition import existing
from headway.prove.measure import Paired
from headway.prove.outcome import NO_PLACE, proof, unproven
from headway.prove.session import TrialSession
from headway.thresholds import PROVE_MATTERS_RATIO

if TYPE_CHECKING:
    from headway.model import Effect, Finding, Proof, Remedy
    from headway.prove.grounds import Grounds
    from headway.prove.trial import Turns

MOST_READS, MOST_WRITES = 8, 4
ELSEWHERE = "replicas, reports and jobs outside the run may use it: look at idx_scan there before it is dropped"


def prove(finding: Finding, remedy: Remedy, grounds: Grounds) -> Proof:
    """Try it; the copy keeps its index."""
    if grounds.staging_url is None:
        return unproven(finding, remedy, grounds, NO_PLACE)
    whole = existing(remedy.parameters)
    try:
        with TrialSession(grounds.staging_url, statement_s=grounds.budget_s) as session:
            return _tried(session, whole, finding, remedy, grounds)
    except psycopg.Error as exc:
        return unproven(finding, remedy, grounds, f"the copy refused: {in_words(exc)}")
    except trial.OutOfBudget as exc:
        return unproven(finding, remedy, grounds, f"{exc}; give it more time with --budget")


def _tried(session: TrialSession, name: str, finding: Finding, remedy: Remedy, grounds: Grounds) -> Proof:
    facts = session.ask("index_definition", {"name": name})
    if not facts:
        return unproven(finding, remedy, grounds, f"the copy has no index {name}")
    index = facts[0]
    if index["constraints"] or index["unique"]:
        why = f"{name} keeps values unique or a key true: it is not there for speed alone"
        return proof(finding, remedy, grounds, ProofState.NOT_WORTH_IT, why)
    table = str(index["table_name"])
    reads, said = trial.cases(
        session, trial.neighbours(grounds.evidence, table, (), writes=False, most=MOST_READS), seed=grounds.seed
    )
    writes, unsaid = trial.cases(
        session, trial.neighbours(grounds.evidence, table, (), writes=True, most=MOST_WRITES), seed=grounds.seed
    )
    session.limit(grounds.budget_s)
    session.ask("vacuum_analyze", table=[str(index["table_schema"]), table])
    turns: list[Turns] = []
    remark = None
    if reads or writes:
        turns, remark = trial.in_turns(session, [*reads, *writes], [name], budget_s=grounds.budget_s, seed=grounds.seed)
    slower = [each for each in turns[: len(reads)] if each.time.saving(grounds.seed)[0] >= PROVE_MATTERS_RATIO]
    state, reason = _judged(slower, turns, len(reads), int(index["size_bytes"]), grounds, unread=bool(said))
    return proof(
        finding, remedy, grounds, state, reason,
        effects=tuple(_turned(each, decides=number >= len(reads)) for number, each in enumerate(turns)),
        prices=(Price(what=f"size of {name} on disk", unit="bytes", before=float(index["size_bytes"]), after=0.0),),
        notes=tuple(each for each in (*said, *unsaid, remark, ELSEWHERE) if each),
    )  # fmt: skip


def _judged(
    slower: list[Turns], turns: list[Turns], reads: int, size_bytes: int, grounds: Grounds, *, unread: bool
) -> tuple[ProofState, str]:
    if slower:
        names = "; ".join(each.case.name for each in slower)
        return ProofState.NOT_WORTH_IT, f"{len(slower)} statements of the run need it: {names}"
    if unread:
        return ProofState.UNPROVEN, "some statements of the run on this table could not be tried without it"
    # What "without" saves here is what dropping gains: the sides are the other way round.
    saved = sum(-each.time.saved(grounds.seed)[2] * each.case.statement.calls for each in turns[reads:])
    gain = f"{size_bytes / 2**20:,.1f} MiB of disk"
    if saved > 0:
        gain += f" and {duration_text(saved)} of the run's writes"
    reason = f"none of {reads} statements of the run on this table needs it; gains {gain}"
    return ProofState.WORTH_IT, one_line(reason, 200)


def _turned(turns: Turns, *, decides: bool) -> Effect:
    """Before is with the index, after without it: here the remedy is its absence."""
    swapped = Paired(without=turns.time.with_, with_=turns.time.without)
    return swapped.effect(f"mean of {turns.case.name}", "ns", decides=decides)
