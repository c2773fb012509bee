"""Estimate beside truth, kept over time: how far estimates were off, and how often they had the sign right."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from headway.model import ProofState
from headway.prove.prediction import deciding
from headway.thresholds import PROVE_MATTERS_RATIO

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from headway.model import Effect, Proof

PLANNER = "planner cost"


@dataclass(frozen=True, kw_only=True)
class Row:
    """
    One rule's estimates of one kind. `error`: the middle factor between estimated and measured ratio of after to
    before, 1.0 is exact; None without a pair. `signs_right` of `decided` had the sign that was measured.
    """

    rule: str
    by: str
    proofs: int
    worth_it: int
    not_worth_it: int
    unproven: int
    decided: int
    signs_right: int
    error: float | None


def entries(run_id: str, proofs: Sequence[Proof]) -> list[dict[str, Any]]:
    """A ledger line for each proof."""
    return [_entry(run_id, each) for each in proofs]


def rows(lines: Iterable[dict[str, Any]]) -> tuple[Row, ...]:
    """The ledger folded by rule and by what estimated. A remedy proven again counts again."""
    grouped: dict[tuple[str, str], list[tuple[str, tuple[float, float] | None]]] = defaultdict(list)
    for line in lines:
        if line.get("kind") != "proof":
            continue
        truth = line.get("measured")
        estimates = [each for each in (line.get("estimate"), line.get("planner")) if each]
        for each in estimates or [{"by": "nothing estimated"}]:
            pair = None
            if truth and each.get("before") and truth.get("before"):
                pair = each["after"] / each["before"], truth["after"] / truth["before"]
            grouped[line["rule"], each["by"]].append((line["state"], pair))
    return tuple(_row(rule, by, found) for (rule, by), found in sorted(grouped.items()))


def _entry(run_id: str, proof: Proof) -> dict[str, Any]:
    own = deciding(proof)
    planner = next((each for each in proof.effects if each.unit == "planner cost units"), None)
    estimate = proof.remedy.estimate
    return {
        "kind": "proof", "at": proof.at, "run": run_id, "fingerprint": proof.fingerprint, "rule": proof.rule,
        "remedy": proof.remedy.kind.value, "title": proof.remedy.title, "state": proof.state.value,
        "applied": proof.applied,
        "estimate": None if estimate is None else {
            "by": estimate.by, "metric": estimate.metric, "unit": estimate.unit,
            "before": estimate.before, "after": estimate.after,
        },
        "planner": _pair(planner, PLANNER),
        "measured": _pair(own, "measured"),
    }  # fmt: skip


def _pair(effect: Effect | None, by: str) -> dict[str, Any] | None:
    if effect is None:
        return None
    return {"by": by, "metric": effect.metric, "unit": effect.unit, "before": effect.before, "after": effect.after}


def _row(rule: str, by: str, found: list[tuple[str, tuple[float, float] | None]]) -> Row:
    states = [state for state, _ in found]
    pairs = [pair for state, pair in found if pair is not None and state != ProofState.UNPROVEN.value]
    right = sum(_better(guess) == _better(truth) for guess, truth in pairs)
    logs = [abs(math.log(guess / truth)) for guess, truth in pairs if guess > 0 and truth > 0]
    return Row(
        rule=rule, by=by, proofs=len(found),
        worth_it=states.count(ProofState.WORTH_IT.value), not_worth_it=states.count(ProofState.NOT_WORTH_IT.value),
        unproven=states.count(ProofState.UNPROVEN.value), decided=len(pairs), signs_right=right,
        error=math.exp(median(logs)) if logs else None,
    )  # fmt: skip


def _better(ratio: float) -> bool:
    return ratio < 1 - PROVE_MATTERS_RATIO
