"""What a PostgreSQL says of itself: statements and their plans, tables, columns, indexes."""

from __future__ import annotations

from dataclasses import dataclass

from headway.model.activity import LivePlan, LoggedPlan


@dataclass(frozen=True, kw_only=True)
class TableScan:
    """A sequential scan in a statement's plan. `rows` is the planner's count of the whole table (reltuples)."""

    table: str
    rows: float
    filter: str | None
    stops_early: bool  # under a Limit with nothing between that must read everything


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A statement's plan without its parameters' values: EXPLAIN (GENERIC_PLAN, FORMAT JSON)."""

    statement_id: str
    json: object
    scans: tuple[TableScan, ...]


@dataclass(frozen=True, kw_only=True)
class Statement:
    """
    What pg_stat_statements counted for one statement in one phase (difference of two readings).

    Headway's own statements are left out. `share_ratio` is of all execution time in the phase.
    `text` is normalised: `$1` for constants. `minimum_ns`/`maximum_ns` are None when they may be from before the phase.
    """

    phase: str
    id: str
    text: str
    calls: int
    rows: int
    total_ns: float
    mean_ns: float
    stddev_ns: float
    share_ratio: float
    minimum_ns: float | None = None
    maximum_ns: float | None = None
    blocks_hit: int = 0
    blocks_read: int = 0
    temp_blocks_written: int = 0
    wal_bytes: int = 0
    plan: Plan | None = None
    plan_error: str | None = None  # why there is no plan
    is_utility: bool = False  # BEGIN, COMMIT, SET: has no plan
    nested: bool = False  # ran inside a function: its time is also in its caller's
    logged: LoggedPlan | None = None  # what auto_explain logged of it
    live: LivePlan | None = None  # what its text had while it ran


@dataclass(frozen=True, kw_only=True)
class Table:
    """One user table: size, and scans during one phase (differences)."""

    phase: str
    name: str  # schema-qualified unless public
    rows: float  # reltuples, or n_live_tup when never analysed
    size_bytes: int
    indexes: int
    sequential_scans: int
    sequential_rows: int
    index_scans: int
    inserted: int = 0
    updated: int = 0
    hot_updated: int = 0  # of those: no index had to be touched
    deleted: int = 0
    blocks_hit: int = 0  # of table, indexes and TOAST in shared buffers
    blocks_read: int = 0
    dead_rows: int | None = None  # PostgreSQL's estimate at the end of the phase
    bloat_ratio: float | None = None  # a hint: pages beyond those its rows would fill, of all; None: not known

    @property
    def hot_ratio(self) -> float | None:
        """Share of updates that touched no index; None: nothing was updated."""
        return self.hot_updated / self.updated if self.updated else None


@dataclass(frozen=True, kw_only=True)
class Index:
    """
    One index of a user table. `columns` are keys in order, an expression as PostgreSQL writes it.

    `scans` is how often this server used it since its statistics were reset; replicas keep counts of their own.
    """

    table: str  # schema-qualified unless public
    name: str
    columns: tuple[str, ...]
    definition: str  # CREATE INDEX ...
    method: str  # btree, gin, ...
    unique: bool
    primary: bool
    constraint: bool  # enforces a key or an exclusion
    valid: bool
    size_bytes: int
    scans: int
    included: tuple[str, ...] = ()
    descending: tuple[bool, ...] = ()
    predicate: str | None = None
    counted_since: str | None = None  # ISO 8601, when the statistics were reset


@dataclass(frozen=True, kw_only=True)
class Column:
    """
    One column of a user table, as pg_stats knows it; None where the table was never analysed. No value is kept.

    `distinct` is the number of different values: below 0 it is minus their ratio to the rows, as n_distinct is.
    `commonest_ratio` is the share of the rows that have the most common value.
    """

    table: str
    name: str
    type: str
    not_null: bool
    null_ratio: float | None = None
    distinct: float | None = None
    commonest_ratio: float | None = None
    correlation: float | None = None
    average_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class Database:
    """pg_stat_database during one phase (differences); `connections` is the highest seen."""

    phase: str
    commits: int
    rollbacks: int
    blocks_hit: int
    blocks_read: int
    temp_bytes: int
    deadlocks: int
    sessions: int  # connections opened during the phase
    connections: int
    max_connections: int
    statements_reset: bool  # the counters were reset during the phase: the differences are lower bounds
    replicas: int = 0  # servers it streams to; what they answer is in none of its counters
    written_transactions: int | None = None  # ids given out: transactions, and savepoints, that wrote; of all databases

    @property
    def hit_ratio(self) -> float | None:
        """Share of blocks found in shared buffers; what the kernel's cache had counts as read. None: none was asked."""
        asked = self.blocks_hit + self.blocks_read
        return self.blocks_hit / asked if asked else None
