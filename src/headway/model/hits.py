"""What came back of the load: hits, failures, the generator's own health."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from headway.model.traffic import Phase

    IntArray = NDArray[np.int64]


class FailureKind(StrEnum):
    """Why a request got no good answer. A failed request is data."""

    STATUS = "unexpected status"
    CHECK = "check failed"  # the answer came, and does not say what it was to say
    EXTRACT = "nothing to extract"  # the answer lacks what the journey's next step needs
    CONNECT = "connection refused"
    CONNECT_TIMEOUT = "connect timeout"
    TLS = "TLS failed"
    TIMEOUT = "timeout"
    RESET = "connection reset"
    PROTOCOL = "not HTTP"
    TOO_LARGE = "answer too large"
    REDIRECT = "redirect not followed"  # to another host, or one too many
    OTHER = "failed, as another tool says"  # of imported results only; the sample has its words
    UNSENT = "not sent: no connection came free in time"  # planned, and waited for the whole timeout: an open model
    EXHAUSTED = "generator out of resources"  # files or local ports: our own fault, the run is invalid
    ABORTED = "cut off by the end of the run"


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
    files_peak: int | None = None  # file descriptors of the worker nearest to its limit
    files_allowed: int | None = None
    ports_peak: int | None = None  # local ports in use towards the target, all workers together
    ports_allowed: int | None = None
    calibrated_per_s: float | None = None  # what this machine's workers reach together against a null server
    calibrated_at_s: float | None = None  # unix time of that measurement
    floor_p50_ns: float | None = None  # the generator's own latency against the null server at half that rate
    floor_p99_ns: float | None = None
    steal_ratio: float | None = None  # share of the machine's CPU time that its hypervisor gave to others
    cpu_wanted_ratio: float | None = None  # the same and the time it was ready to run and had no core; busiest worker
    workers_tolerated: int = 0  # how many may be lost without making the phase invalid
    losses: tuple[str, ...] = ()  # why each lost worker was lost
    load_lost_ratio: float = 0.0  # share of the phase's requests that lost workers did not make
    start_skew_ns: float | None = None  # workers on several machines began within so much of one another


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
    details: Mapping[str, LatencyCells] = field(default_factory=dict)
    """On demand: "connect", "tls", "first_byte", "body" -> times of the requests that had such a part."""
    journeys_ended: int = 0  # journeys that a failed step ended early; their later steps were never due


@dataclass(frozen=True, kw_only=True)
class RouteSecond:
    """
    One route during one second, all workers together.

    failures: kind's name -> requests. response, service: (buckets, counts) of good answers, equally long.
    """

    route: int
    failures: Mapping[str, int]
    response: tuple[IntArray, IntArray]
    service: tuple[IntArray, IntArray]


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
    routes: tuple[RouteSecond, ...] = ()  # those with an answer or a failure; none in the warm-up
    lateness: tuple[IntArray, IntArray] | None = None  # (buckets, counts) of the requests sent
