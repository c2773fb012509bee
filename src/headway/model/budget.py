"""Where the time of a request goes, part by part, so that the parts and what is left add up to what was measured."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class BudgetPart(StrEnum):
    """
    What a request's time is spent on.

    ARRIVAL stands for accept queue and network together where they can't be told apart, OWN for own CPU and waiting.
    """

    QUEUE = "queue before it was sent"
    ARRIVAL = "accept queue and network"
    ACCEPT = "accept queue"
    NETWORK = "network"
    POOL = "pool wait"
    DATABASE = "database"
    CACHE = "cache"
    DOWNSTREAM = "downstream calls"
    CPU = "own CPU"
    OWN_WAITING = "own waiting"
    OWN = "own code, running or waiting"


@dataclass(frozen=True, kw_only=True)
class Spent:
    """One part's mean time of a request, ns, never below 0, and how it was come by."""

    part: BudgetPart
    ns: float
    how: str


@dataclass(frozen=True, kw_only=True)
class BudgetBand:
    """
    Requests of about one latency. The parts' ns and `residue_ns` add up to `measured_ns`, which the client measured.

    `requests` is how many the client's mean is of, `traced` how many traces the parts are of. `overlap_ns` is time of
    parallel calls that ran behind a longer one, and so made nobody wait: it is in no part. `residue_ns` is below 0 when
    the parts say more than was measured.
    """

    band: str  # "p50", "slowest 5%", "mean"
    requests: int
    traced: int
    measured_ns: float
    parts: tuple[Spent, ...]
    residue_ns: float
    overlap_ns: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Budget:
    """The latency budget of one route in one phase; `route` None: of all. `by` is "traces" or "statements"."""

    phase: str
    route: str | None
    by: str
    bands: tuple[BudgetBand, ...]
    notes: tuple[str, ...] = ()
