"""What a run left behind, source by source."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from headway.model.activity import Blocking, Connections, PoolUse, ReplicaLag, Wait
from headway.model.cache import CacheCommand, CacheKeys, CacheKeyUse, CacheSlow, CacheUse
from headway.model.database import Column, Database, Index, Statement, Table
from headway.model.hits import PhaseHits
from headway.model.traces import Received
from headway.model.traffic import Scenario

if TYPE_CHECKING:
    from collections.abc import Mapping


class Presence(StrEnum):
    """Whether a source of evidence could be read. Absent is said as absent."""

    PRESENT = "present"
    ABSENT = "absent"  # nobody named it
    FAILED = "failed"  # named, and could not be read


@dataclass(frozen=True, kw_only=True)
class SourceState:
    """One source of evidence: whether it could be read, why not, and what would mend it."""

    name: str  # load, statements, database, waits, tables, plans, cache, edge, host, metrics, alerts ...
    presence: Presence
    detail: str = ""  # version and scope when present; the reason otherwise
    next_act: str = ""


@dataclass(frozen=True, kw_only=True)
class TraceIntake:
    """Where the run listens for OpenTelemetry spans. Port 0: a free one."""

    host: str = "127.0.0.1"
    port: int = 4318


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Where to look while the load runs. What is None is said as absent."""

    target_url: str
    database_url: str | None = None
    cache_url: str | None = None
    edge_log: Path | None = None
    metrics_url: str | None = None
    prometheus_url: str | None = None
    rule_files: tuple[Path, ...] = ()
    processes: tuple[tuple[str, int], ...] = ()  # (name, pid) to watch, children included
    database_log: Path | None = None  # the server's log, JSON or CSV, for plans with real parameters
    pgbouncer_url: str | None = None  # its admin console
    traces: TraceIntake | None = None
    answers: bool = False  # ask each GET route a few times when the load is over, for its headers
    cache_monitor: bool = False  # watch the cache's commands in short bursts of MONITOR: it slows the cache meanwhile
    profile: bool = False  # sample the stacks of `processes` and their children
    show_values: bool = False  # keep statements' and keys' values as they are; else they are redacted


@dataclass(frozen=True, kw_only=True)
class EdgeUse:
    """Answers by cache status in the edge's access log during one phase: HIT, MISS, EXPIRED, STALE, BYPASS, -."""

    phase: str
    by_status: Mapping[str, int]
    per_second: tuple[tuple[int, int, int], ...] = ()  # (second, served from cache, asked of the origin)
    unread_lines: int = 0


@dataclass(frozen=True, kw_only=True)
class HostSecond:
    """The machine during one second. Ratios are of all cores."""

    at_s: float  # unix time
    cpu_ratio: float
    iowait_ratio: float
    steal_ratio: float
    memory_used_ratio: float
    disk_read_bytes: int
    disk_write_bytes: int
    network_sent_bytes: int
    network_received_bytes: int
    disk_busy_ratio: float | None = None  # of the busiest disk's time; None: this machine doesn't say
    network_used_ratio: float | None = None  # of the speed of the interface nearest to its own; None: none says one
    network_dropped: int | None = None  # packets dropped or in error, loopback apart
    cpu_pressure_ratio: float | None = None  # of the time in which some task had to wait for it: Linux, PSI "some"
    memory_pressure_ratio: float | None = None
    io_pressure_ratio: float | None = None


@dataclass(frozen=True, kw_only=True)
class ProcessSecond:
    """One watched process and its children during one second. cpu_cores: 1.0 is one core busy."""

    at_s: float
    name: str
    cpu_cores: float
    resident_bytes: int
    open_files: int | None
    threads: int


@dataclass(frozen=True, kw_only=True)
class Monitoring:
    """
    Whether the service shows metrics and whether alerts exist.

    `request_metric` is the counter (or histogram count) of HTTP requests that moved during the run, with how far it
    moved; None when no such metric moved. `alerts` are alerting rules; `loaded` says a Prometheus reported them, else
    they were read from files. `unknown_metrics` are metric names alert expressions use that the service doesn't expose.
    """

    metrics_url: str | None
    metrics_error: str | None
    metric_families: int
    request_metric: str | None
    request_metric_moved_by: float | None
    requests_sent: int | None
    alerts: tuple[str, ...]
    alerts_loaded: bool
    alerts_error: str | None
    unknown_metrics: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Answer:
    """
    What one GET route answered when the load was over, with the headers that say something of caching.

    `target` is its path as it is written, names for values. `headers` are lower case, of cookies the names alone;
    `encoded_headers` those of the answer when gzip and br were accepted, whose body had `encoded_bytes`. `body_bytes`
    is without compression, `gzip_bytes` and `gzip_ns` what gzip makes of it here. `revalidated`: asked with its own
    ETag or Last-Modified it said 304; None: it has neither. `credentials`: it was asked with an Authorization or Cookie
    header. `whole`: the body was read to its end.
    """

    route: str
    target: str
    status: int
    headers: Mapping[str, str]
    encoded_headers: Mapping[str, str]
    body_bytes: int
    encoded_bytes: int
    gzip_bytes: int
    gzip_ns: int
    whole: bool
    same_again: bool
    revalidated: bool | None
    credentials: bool


@dataclass(frozen=True, kw_only=True)
class Machine:
    cpu_model: str
    cores: int
    memory_bytes: int
    kernel: str
    id: str | None = field(default=None, compare=False)  # a digest of the installation's own id
    boot: str | None = field(default=None, compare=False)  # a digest of what the kernel calls this boot


@dataclass(frozen=True, kw_only=True)
class Told:
    """
    What another tool says of one route without showing the requests. `route` None: all together.

    statistics_ns: "p95", "p99.9", "avg", "min", "max" -> ns, by the tool's own rule; failed answers are in them.
    """

    route: str | None
    requests: int
    failed: int
    statistics_ns: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Imported:
    """
    Where a run comes from that another tool made. Its times are not corrected for coordinated omission.

    `samples`: the file has every request; without, only what is `told` is known and no interval can be made.
    `accepted`: the person who imported it said that uncorrected times are good enough to keep a promise on.
    """

    tool: str  # "k6", "vegeta", "Locust", "HdrHistogram"
    file: str
    timing: str  # what its clock counts, in words
    samples: bool
    accepted: bool = False
    told: tuple[Told, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One run, read back from its folder."""

    folder: Path
    id: str
    started_at: str  # ISO 8601, UTC
    finished_at: str | None  # None: the run never closed its folder
    interrupted: bool
    headway_version: str
    versions: Mapping[str, str]
    machine: Machine
    target_url: str
    scenario: Scenario
    routes: tuple[str, ...]
    phases: tuple[PhaseHits, ...]
    sources: Mapping[str, SourceState]
    statements: tuple[Statement, ...] = ()
    tables: tuple[Table, ...] = ()
    databases: tuple[Database, ...] = ()
    caches: tuple[CacheUse, ...] = ()
    cache_commands: tuple[CacheCommand, ...] = ()
    cache_slow: tuple[CacheSlow, ...] = ()
    cache_keys: tuple[CacheKeys, ...] = ()
    cache_key_uses: tuple[CacheKeyUse, ...] = ()
    edges: tuple[EdgeUse, ...] = ()
    host: tuple[HostSecond, ...] = ()
    processes: tuple[ProcessSecond, ...] = ()
    monitoring: Monitoring | None = None
    indexes: tuple[Index, ...] = ()
    columns: tuple[Column, ...] = ()
    answers: tuple[Answer, ...] = ()
    received: Received | None = None  # by the receiver of traces
    imported: Imported | None = None  # made by another tool; its `response` cells are empty
    waits: tuple[Wait, ...] = ()
    blockings: tuple[Blocking, ...] = ()
    connections: tuple[Connections, ...] = ()
    pools: tuple[PoolUse, ...] = ()
    replicas: tuple[ReplicaLag, ...] = ()
