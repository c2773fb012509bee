"""What follows from a run: findings, judgements, the verdict."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from headway.model.advice import Confidence, Location, Remedy
from headway.model.promise import Clause, Subject

if TYPE_CHECKING:
    from collections.abc import Mapping


class ExitCode(IntEnum):
    """What the process says to its caller."""

    KEPT = 0
    FAILED = 1
    USAGE = 2
    BROKEN = 3
    INCONCLUSIVE = 4
    INVALID = 5


@dataclass(frozen=True, kw_only=True)
class Finding:
    """
    One thing that costs the promise its budget.

    `line` is the one sentence a person reads. `share_ratio` is the share of what `share_of` names. `weight_ratio` is
    how much it explains beside the others, by which findings are ranked; None: as much as its share. `fingerprint` is
    stable over runs. `cost_ns` is what it costs a request of its route on average, None when that is not known.
    `reasons_for` and `reasons_against` say when its remedies are right and when they are not, with this run's figures.
    """

    rule: str
    phase: str
    line: str
    explains: tuple[Subject, ...]
    share_ratio: float
    share_of: str  # "database time", "requests", "the machine's CPU"
    fingerprint: str
    details: tuple[str, ...] = ()
    weight_ratio: float | None = None
    location: Location = field(default_factory=Location)
    confidence: Confidence = Confidence.LIKELY
    cost_ns: float | None = None
    reasons_for: tuple[str, ...] = ()
    reasons_against: tuple[str, ...] = ()
    remedies: tuple[Remedy, ...] = ()


class State(StrEnum):
    KEPT = "kept"
    BROKEN = "broken"
    INCONCLUSIVE = "inconclusive"
    INVALID = "invalid"


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """
    One clause of one criterion, judged.

    `measured`, `low`, `high` are in the clause's base unit (`Clause.limit`); low and high bound the 95% confidence
    interval; `high` is inf when failures or too few samples leave it open. `samples` is what the number rests on.
    `reason` says in words why the state is what it is; `explanation` is the evidence line for a broken one.
    `requests_to_settle` is how many further requests would decide an inconclusive one.
    """

    criterion: str
    text: str
    priority: str | None
    clause: Clause | None  # None: not understood
    state: State
    reason: str
    measured: float | None = None
    low: float | None = None
    high: float | None = None
    samples: int | None = None
    source: str = ""
    phase: str | None = None
    load: str = ""  # the load it was measured under, in words: "200 req/s, Poisson"
    explanation: str | None = None
    requests_to_settle: int | None = None
    file: Path | None = None
    line: int | None = None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The gate's answer for one run."""

    promise_id: str
    promise_title: str
    run_id: str
    state: State
    exit_code: ExitCode
    judgements: tuple[Judgement, ...]
    invalid_phases: Mapping[str, str] = field(default_factory=dict)  # phase -> why, and the cure
    notes: tuple[str, ...] = ()  # what was not seen, what was assumed
