"""How a trial ends: a proof with its reason, whatever happened."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from headway.model import Proof, ProofState

if TYPE_CHECKING:
    from headway.model import Effect, Finding, Price, Remedy
    from headway.prove.grounds import Grounds

NO_PLACE = "there is no place to try it: name one with --staging-url, or let a copy be made with --copy"


def proof(
    finding: Finding,
    remedy: Remedy,
    grounds: Grounds,
    state: ProofState,
    reason: str,
    *,
    effects: tuple[Effect, ...] = (),
    prices: tuple[Price, ...] = (),
    notes: tuple[str, ...] = (),
    where: str | None = None,
) -> Proof:
    """A proof of now. `where` None: the place the grounds name."""
    return Proof(
        fingerprint=finding.fingerprint, rule=finding.rule, remedy=remedy, state=state, reason=reason, effects=effects,
        prices=prices, notes=notes, where=grounds.where if where is None else where, at=now(),
    )  # fmt: skip


def unproven(finding: Finding, remedy: Remedy, grounds: Grounds, reason: str, *, notes: tuple[str, ...] = ()) -> Proof:
    """It could not be tried, or what was seen decides nothing."""
    return proof(finding, remedy, grounds, ProofState.UNPROVEN, reason, notes=notes)


def now() -> str:
    """ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
