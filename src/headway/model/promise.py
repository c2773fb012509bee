"""What must hold: increments, criteria, clauses."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Subject(StrEnum):
    """What a clause speaks of."""

    LATENCY = "latency"
    THROUGHPUT = "throughput"
    HIT_RATE = "hit rate"
    ERROR_RATE = "error rate"
    AVAILABILITY = "availability"
    INDEXED = "indexed"
    MONITORING = "monitoring"
    ALERTS = "alerts"


class Side(StrEnum):
    """Where a latency is measured, or which cache a hit rate belongs to."""

    CLIENT = "client"
    DATABASE = "database"
    CACHE = "cache"  # Redis or Valkey
    EDGE = "edge"  # the HTTP cache in front: nginx, CDN


class Comparison(StrEnum):
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="


@dataclass(frozen=True, kw_only=True)
class Statistic:
    """
    Which number of a distribution: `average`, `maximum`, or a quantile.

    Exactly one of the three is set; `quantile` is a ratio in (0, 1).
    """

    average: bool = False
    maximum: bool = False
    quantile: float | None = None

    def __str__(self) -> str:
        if self.quantile is not None:
            return f"P{self.quantile * 100:.10g}"
        return "max" if self.maximum else "avg"


@dataclass(frozen=True, kw_only=True)
class Clause:
    """
    One thing that must hold, machine-readable.

    `limit` is in the subject's base unit: ns for latency, requests per second for throughput, a ratio for hit rate,
    error rate and availability; None for indexed, monitoring, alerts (they hold or they don't).
    `route` is None for the whole API, else "GET /users/{id}". `at_rate_per_s` is the load under which it must hold,
    None when the text names none. `assumed` lists, in words, what the text left open and how it was read.
    `windows_ratio`, when set, is the share of the run's windows of `window_s` seconds in each of which it must hold.
    """

    subject: Subject
    side: Side
    statistic: Statistic | None = None
    comparison: Comparison | None = None
    limit: float | None = None
    route: str | None = None
    at_rate_per_s: float | None = None
    assumed: tuple[str, ...] = ()
    windows_ratio: float | None = None
    window_s: int | None = None


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """
    One acceptance criterion, as written and as understood.

    `clauses` is empty exactly when the text was not understood; then `not_understood` says why and `instead` what
    could be said. A criterion holds when each of its clauses holds.
    """

    id: str
    text: str
    file: Path
    line: int
    priority: str | None = None
    checked: bool | None = None
    clauses: tuple[Clause, ...] = ()
    not_understood: str | None = None
    instead: str | None = None


@dataclass(frozen=True, kw_only=True)
class Section:
    """A free section of an increment (baselines, targets, test plan, cost): its heading and its lines as written."""

    title: str
    line: int
    lines: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Promise:
    """What one increment promises."""

    id: str
    title: str
    folder: Path | None
    criteria: tuple[Criterion, ...]
    sections: tuple[Section, ...] = ()
