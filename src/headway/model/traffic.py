"""What is sent and what came back: scenarios, phases, hits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]


class LoadModel(StrEnum):
    """Open: arrivals come on their own schedule. Closed: each user waits for the answer before the next request."""

    OPEN = "open"
    CLOSED = "closed"


class Arrivals(StrEnum):
    CONSTANT = "constant"
    POISSON = "poisson"


class FailureKind(StrEnum):
    """Why a request got no good answer. A failed request is data."""

    STATUS = "unexpected status"
    CONNECT = "connection refused"
    CONNECT_TIMEOUT = "connect timeout"
    TIMEOUT = "timeout"
    RESET = "connection reset"
    PROTOCOL = "not HTTP"
    TOO_LARGE = "answer too large"
    UNSENT = "not sent: no connection came free in time"  # planned, and waited for the whole timeout: an open model
    ABORTED = "cut off by the end of the run"


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """
    Where the values of a `{name}` come from. Exactly one of the five sources is set.

    uniform/zipf draw whole numbers in [low, high]; zipf has exponent `exponent`, normalised over the real range, rank 1
    = low. `values` is a fixed list; `csv` a file and column; `query` one SQL column, read once before the run, at most
    `limit` rows. `values`, csv and query are drawn uniformly, or zipf by position when `exponent` is set.
    """

    name: str
    distribution: str  # "uniform" | "zipf" | "values" | "csv" | "query"
    low: int | None = None
    high: int | None = None
    exponent: float | None = None
    values: tuple[str, ...] = ()
    csv_file: Path | None = None
    csv_column: str | None = None
    query: str | None = None
    limit: int = 100_000


@dataclass(frozen=True, kw_only=True)
class Route:
    """One weighted request template; `{name}` in path, body and header values is filled from the parameters."""

    name: str  # "GET /users/{id}": what criteria refer to
    method: str
    path: str
    weight: float = 1.0
    headers: tuple[tuple[str, str], ...] = ()
    body: str | None = None
    expect_status: tuple[int, ...] = ()  # empty: any 2xx or 3xx is good


@dataclass(frozen=True, kw_only=True)
class Phase:
    """
    One stretch of load. Open: `rate_per_s` is set; closed: `users` is set.

    `duration_s` excludes `warmup_s`. `max_connections` bounds the open connections of all workers together.
    """

    name: str
    model: LoadModel
    duration_s: float
    warmup_s: float
    arrivals: Arrivals = Arrivals.CONSTANT
    rate_per_s: float | None = None
    users: int | None = None
    max_connections: int = 256
    timeout_s: float = 10.0
    seed: int = 1

    @property
    def whole_seconds(self) -> int:
        """What is measured: `duration_s` rounded up, so that each second counted is a whole one."""
        return max(1, math.ceil(self.duration_s))


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What traffic to make. `default_phase` is the load the scenario's author calls ordinary."""

    name: str
    file: Path | None
    routes: tuple[Route, ...]
    parameters: tuple[Parameter, ...]
    default_phase: Phase


@dataclass(frozen=True, kw_only=True)
class LatencyCells:
    """
    Sparse histogram of one measure of one phase: n cells, warm-up excluded.

    second: (n,) whole seconds since the warm-up ended, by completion time; route: (n,) index into the run's routes;
    bucket: (n,) index of the histogram's bucket (`load.histogram` turns it into ns); count: (n,) requests.
    """

    second: IntArray
    route: IntArray
    bucket: IntArray
    count: IntArray


@dataclass(frozen=True, kw_only=True)
class FailureCells:
    """Failed requests of one phase: second, route as in LatencyCells; kind: (n,) index into list(FailureKind)."""

    second: IntArray
    route: IntArray
    kind: IntArray
    count: IntArray


@dataclass(frozen=True, kw_only=True)
class GeneratorHealth:
    """
    Whether the generator could do its work, warm-up excluded. Times of the worst worker.

    lateness: actual send time minus the moment it could have been sent, which is the later of the intended send time
    and the moment a connection came free: the generator's own fault alone. Waiting for a free connection is the
    service's doing and is counted in the response time.
    """

    lateness_p50_ns: float | None
    lateness_p99_ns: float | None
    lateness_max_ns: float | None
    loop_lag_p99_ns: float | None
    loop_lag_max_ns: float | None
    cpu_ratio: float | None  # busiest worker, share of one core
    workers: int
    connections_peak: int
    backlog_peak: int  # requests due but waiting for a connection, most at any second
    workers_lost: int = 0


@dataclass(frozen=True, kw_only=True)
class PhaseHits:
    """
    What the load of one phase measured.

    `response` counts from the intended send time (corrected for coordinated omission), `service` from the actual send
    time. Only good answers are in the two; failures are in `failures`. Per-second arrays have (s,) entries, by
    intended time for `planned`, by actual time for `sent`, by completion time for `good`.
    In a closed model a request's intended time is the moment its user was free to send, so planned == sent.
    """

    phase: Phase
    seconds: int  # measured length in whole seconds, shorter than planned when the run was cut short
    planned: IntArray
    sent: IntArray
    good: IntArray
    response: LatencyCells
    service: LatencyCells
    failures: FailureCells
    statuses: Mapping[int, int]  # HTTP status -> answers
    received_bytes: int
    health: GeneratorHealth
    started_at_s: float  # unix time at which the warm-up ended
    finished: bool  # False: cut short by Ctrl-C, by a lost worker, by a dead target
    error_samples: tuple[str, ...] = ()  # at most a handful of first messages, for people


@dataclass(frozen=True, kw_only=True)
class Progress:
    """The last second of a running phase, all workers together, for a live view. Quantiles are of good answers."""

    phase: Phase
    warming_up: bool
    elapsed_s: float  # since the phase began, warm-up included
    planned_per_s: float
    sent_per_s: float
    good_per_s: float
    failed: int  # in this second
    failed_total: int  # since the warm-up ended
    response_p50_ns: float | None
    response_p95_ns: float | None
    response_p99_ns: float | None
    service_p95_ns: float | None
    connections: int
    backlog: int
