"""What a Redis or Valkey says of itself: its counters, its commands, its slow ones, its keys by template."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class CacheUse:
    """
    Redis/Valkey INFO during one phase (differences; memory and keys are the last reading).

    None: not said by this server, or not known in a phase in which it was restarted.
    """

    phase: str
    hits: int
    misses: int
    evicted: int
    expired: int
    commands: int
    used_memory_bytes: int
    maxmemory_bytes: int
    restarted: bool  # run_id changed or counters fell: the differences say nothing
    per_second: tuple[tuple[int, int, int], ...] = ()  # (second, hits, misses)
    policy: str | None = None  # maxmemory_policy
    fragmentation_ratio: float | None = None  # resident set / used memory
    connections_opened: int | None = None  # Headway's own taken off
    connections_rejected: int | None = None
    clients_peak: int | None = None  # most connected at once, Headway's own taken off; looked at once a second
    blocked_peak: int | None = None  # most waiting in BLPOP and the like
    cpu_ratio: float | None = None  # of one core, of the thread that runs all commands
    lasted_s: float | None = None  # between the two readings
    keys_by_database: Mapping[str, int] = field(default_factory=dict)  # "db0" -> keys
    keys_mean: float | None = None  # of all databases, looked at once a second
    errors: Mapping[str, int] = field(default_factory=dict)  # "WRONGTYPE" -> answers that were this error
    pings: int = 0  # round trips that Headway timed, one a second
    ping_p50_ns: float | None = None
    ping_maximum_ns: float | None = None


@dataclass(frozen=True, kw_only=True)
class CacheCommand:
    """
    One command in one phase, as the server counted and timed it: its execution alone, no waiting, no network.

    `p50_ns` .. are upper ends of the server's own classes, which double from one to the next; None: this server has no
    LATENCY HISTOGRAM, or may not be asked for it. Headway's own calls are taken off.
    """

    phase: str
    name: str  # "get", "config|get"
    calls: int
    total_ns: float
    mean_ns: float
    rejected: int  # refused before it ran: NOPERM, OOM, wrong number of arguments
    failed: int  # ran and answered with an error
    p50_ns: float | None = None
    p99_ns: float | None = None
    p999_ns: float | None = None


@dataclass(frozen=True, kw_only=True)
class CacheSlow:
    """Entries of the SLOWLOG new in one phase, of one command on keys of one template."""

    phase: str
    command: str
    key: str  # a template; "" when the command names no key
    count: int
    total_ns: float
    maximum_ns: float
    clients: tuple[str, ...] = ()  # names that connections gave themselves


@dataclass(frozen=True, kw_only=True)
class CacheKeys:
    """
    Keys of one template and type among those looked at when the load was over.

    `looked_at` of `in_database` keys were looked at in all templates together. `used`: how many had been touched since
    the first phase began; None: this eviction policy keeps no time of use. `frequency_maximum`: the highest of
    OBJECT FREQ, a logarithmic counter that only LFU policies keep.
    """

    key: str
    type: str
    keys: int
    bytes: int
    largest_bytes: int
    largest_used: bool | None
    without_ttl: int
    used: int | None
    frequency_maximum: int | None
    looked_at: int
    in_database: int


@dataclass(frozen=True, kw_only=True)
class CacheKeyUse:
    """
    What was done with keys of one template in the bursts of MONITOR of one phase. Hits and misses are inferred.

    A read is taken as a miss when the same key was stored soon after it, and as a hit when keys of its template are
    stored after reads at all and this one was not, or when the burst itself saw the key stored before; else as
    `unknown`. `hottest` is how often the one key most used was named. `lookups_counted` and `misses_counted` are what
    the server counted in the same bursts, of all templates together.
    """

    phase: str
    key: str
    reads: int
    hits: int
    misses: int
    unknown: int
    writes: int
    hottest: int
    commands: int  # of all templates, in these bursts
    watched_s: float
    lookups_counted: int
    misses_counted: int
