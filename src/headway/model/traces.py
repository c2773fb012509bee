"""What a run's receiver of traces took in, and how much of the run that shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True)
class PoolSeen:
    """One connection pool, as its metrics say: the largest value of each, and how many readings there were."""

    name: str
    largest: Mapping[str, float]  # "count used" -> 10.0, "pending_requests" -> 3.0, "wait_time" -> 0.004 (its own unit)
    readings: int


@dataclass(frozen=True, kw_only=True)
class Received:
    """
    What came to the receiver. `refused` counts requests, `dropped` spans, each by reason; `stored` spans are in the
    file.

    `ahead_ns`: how far the senders' clock was ahead of the receiver's, at the most; 0 or less: not.
    """

    endpoint: str
    bodies: int
    bytes: int
    spans: int
    stored: int
    refused: Mapping[str, int] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
    services: Mapping[str, int] = field(default_factory=dict)
    sdks: tuple[str, ...] = ()
    instrumentations: tuple[str, ...] = ()
    pools: tuple[PoolSeen, ...] = ()
    other_metrics: int = 0
    ahead_ns: int = 0
    ended_early: str = ""  # why the receiver ended before the run did


@dataclass(frozen=True, kw_only=True)
class TraceCoverage:
    """
    How much of one phase traces show; `route` None: of all.

    `traced` are requests with a server span that began in the phase, `answered` those the client got an answer to.
    `by_edge`: answers that a cache in front of the service gave, which no span of the service can show; None: not
    known. `orphans`: spans whose parent never came.
    """

    phase: str
    route: str | None
    answered: int
    traced: int
    spans: int
    orphans: int
    database_spans: int
    with_text: int
    by_edge: int | None = None

    @property
    def ratio(self) -> float | None:
        """Requests with traces, at most 1; None: nothing was answered."""
        return min(1.0, self.traced / self.answered) if self.answered else None

    @property
    def text_ratio(self) -> float | None:
        """Spans of databases that have their statement; None: there are none."""
        return self.with_text / self.database_spans if self.database_spans else None
