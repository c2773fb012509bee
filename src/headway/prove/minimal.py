"""
The smallest set of indexes: all that proved worth it are built together, and each is left out once.

An index whose absence no statement feels when the others are there is not worth its upkeep, however well it did alone.
The least needed goes first, and the rest are looked at again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg

from headway.diagnose.words import one_line
from headway.errors import BadInput
from headway.evidence.collector import in_words
from headway.model import ProofState, RemedyKind
from headway.prove import trial
from headway.prove.definition import define
from headway.prove.prediction import deciding
from headway.prove.session import TrialSession
from headway.thresholds import PROVE_MATTERS_RATIO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headway.model import Proof
    from headway.prove.definition import IndexDefinition
    from headway.prove.grounds import Grounds


def without_needless(proofs: Sequence[Proof], grounds: Grounds) -> list[Proof]:
    """The proofs, those of indexes that the others make needless turned to "not worth it" with the reason."""
    found = list(proofs)
    worth = [
        place for place, each in enumerate(found)
        if each.state is ProofState.WORTH_IT and each.remedy.kind is RemedyKind.INDEX
    ]  # fmt: skip
    if len(worth) < 2 or grounds.staging_url is None:
        return found
    grounds.say(f"{len(worth)} indexes together, each left out once")
    try:
        with TrialSession(grounds.staging_url, statement_s=grounds.budget_s) as session:
            return _left_out(session, found, worth, grounds)
    except (psycopg.Error, BadInput, trial.OutOfBudget) as exc:
        said = in_words(exc) if isinstance(exc, psycopg.Error) else str(exc)
        note = f"not tried beside the other indexes: {one_line(said, 150)}"
        return [replace(p, notes=(*p.notes, note)) if place in worth else p for place, p in enumerate(found)]


def _left_out(session: TrialSession, found: list[Proof], worth: list[int], grounds: Grounds) -> list[Proof]:
    built: dict[int, IndexDefinition] = {}
    try:
        for place in worth:
            definition = define(session, found[place].remedy.parameters)
            session.own(definition.create().as_string(session.connection))
            built[place] = definition
            session.ask("vacuum_analyze", table=[definition.schema, definition.table])
        while len(built) > 1:
            needs = {place: _need(session, found[place], built[place], grounds, len(worth)) for place in built}
            least = min(needs, key=lambda place: needs[place][0])
            if needs[least][1] >= PROVE_MATTERS_RATIO:
                break
            gone = built.pop(least)
            session.ask("drop_index_if_there", index=[gone.schema, gone.name])
            others = ", ".join(each.name for each in built.values())
            back = max(0.0, needs[least][1])
            reason = f"alone it helps, but with {others} there its absence brings back {back:.1%} of the time at most"
            found[least] = replace(found[least], state=ProofState.NOT_WORTH_IT, reason=reason)
    finally:
        if not session.connection.closed:
            for each in built.values():
                session.ask("drop_index_if_there", index=[each.schema, each.name])
    return found


def _need(
    session: TrialSession, proof: Proof, index: IndexDefinition, grounds: Grounds, among: int
) -> tuple[float, float]:
    """What its absence brings back with all others there, and at most, as a share of the time without any."""
    ids = [str(each) for each in proof.remedy.parameters.get("statement_ids") or ()]
    chosen, _ = trial.cases(session, trial.statements(grounds.evidence, ids), seed=grounds.seed)
    alone = deciding(proof)
    if not chosen or alone is None:
        return 1.0, 1.0
    turns, _ = trial.in_turns(session, chosen, [index.qualified], budget_s=grounds.budget_s / among, seed=grounds.seed)
    saved = [each.time.saved(grounds.seed) for each in turns]
    return max(each[1] for each in saved) / alone.before, max(each[2] for each in saved) / alone.before
