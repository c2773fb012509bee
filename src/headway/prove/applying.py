"""Which remedies Headway itself can put in place on the real system. The others are a change of code or of settings."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from headway.model import ProofState, RemedyKind
from headway.prove import acting

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headway.model import Proof
    from headway.prove.grounds import Grounds

APPLIERS: Mapping[RemedyKind, Callable[[Proof, Grounds], Proof]] = {
    RemedyKind.INDEX: acting.create_index,
    RemedyKind.DROP_INDEX: acting.drop_index,
}


def apply(proof: Proof, grounds: Grounds) -> Proof:
    """Put a remedy in place that proved worth it; the proof comes back saying what became of it."""
    if not grounds.apply or proof.state is not ProofState.WORTH_IT:
        return proof
    applier = APPLIERS.get(proof.remedy.kind)
    if applier is None:
        return replace(proof, notes=(*proof.notes, "not applied: it is a change of the service, yours to make"))
    return applier(proof, grounds)
