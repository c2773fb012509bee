"""What could be done about a finding, what it would be worth, and what it was worth when it was tried."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any  # Any too: what is read back from JSON looks at these annotations

if TYPE_CHECKING:
    from collections.abc import Mapping


class Confidence(StrEnum):
    """How sure a rule is that what it says is so; what it costs is measured or estimated apart from that."""

    CERTAIN = "certain"  # counted, not inferred
    LIKELY = "likely"
    POSSIBLE = "possible"


@dataclass(frozen=True, kw_only=True)
class Location:
    """
    Where a finding is. What is not known is None.

    `route` is "GET /users/{id}"; `statement_id` as in `Statement.id`, `statement` its normalised text; `table` is
    schema-qualified unless public; `code` is "shop/routes/users.py:41 in list_users"; `key` a cache key's template.
    """

    route: str | None = None
    statement_id: str | None = None
    statement: str | None = None
    table: str | None = None
    code: str | None = None
    key: str | None = None


class RemedyKind(StrEnum):
    """What is done. Each has one file in prove/remedies."""

    INDEX = "index"
    DROP_INDEX = "drop index"
    BATCH = "batched statement"
    REWRITE = "rewritten statement"
    CACHE = "cache"
    HTTP_CACHE = "HTTP cache"
    COMPRESSION = "compression"
    POOL = "connection pool"
    PROCESSES = "more processes"
    REPLICA = "read replica"
    CODE = "code"  # told, with its place; nothing Headway could try


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """
    What a remedy is thought to be worth before it is tried, and by what: "planner cost", "spans", "stack distances".

    `metric` says what of which thing ("mean of the statement", "hit rate"); before and after are in `unit`.
    """

    metric: str
    before: float
    after: float
    unit: str  # "ns", "ratio", "planner cost units", "queries a request"
    by: str


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """
    One thing that could be done about a finding.

    `act` is what a person would run or write: a statement, a setting, a changed line. `parameters` is what
    prove/remedies needs to try it: strings, numbers, booleans and lists of these, so that it can be kept as JSON.
    """

    kind: RemedyKind
    title: str
    act: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    estimate: Estimate | None = None


@dataclass(frozen=True, kw_only=True)
class Effect:
    """
    Something measured with and without a remedy, in one unit; low and high bound the 95% interval of each.

    `decides`: the verdict rests on it. `samples` is how many each side has.
    """

    metric: str
    unit: str
    before: float
    before_low: float
    before_high: float
    after: float
    after_low: float
    after_high: float
    samples: int
    decides: bool = False


@dataclass(frozen=True, kw_only=True)
class Price:
    """What a remedy costs: disk, build time, slower writes, stale answers. `before` None: it wasn't there before."""

    what: str
    unit: str
    before: float | None
    after: float


class ProofState(StrEnum):
    WORTH_IT = "worth it"
    NOT_WORTH_IT = "not worth it"
    UNPROVEN = "could not be proven"


@dataclass(frozen=True, kw_only=True)
class Proof:
    """
    A remedy, tried.

    `reason` says why the state is what it is. `where` is what it was tried on: "a copy of database shop on the same
    server, 1.2 GB". `fingerprint` is the finding's. `applied`: it was left in place on the real system, as was asked.
    """

    fingerprint: str
    rule: str
    remedy: Remedy
    state: ProofState
    reason: str
    effects: tuple[Effect, ...] = ()
    prices: tuple[Price, ...] = ()
    where: str = ""
    at: str = ""  # ISO 8601, UTC
    applied: bool = False
    notes: tuple[str, ...] = ()
