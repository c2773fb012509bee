"""What a PostgreSQL was seen doing while the load ran: looks at its sessions, locks, poolers and replicas."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Wait:
    """
    Sessions of one client that were seen at the same statement, in the same state, waiting for the same.

    `seen` is the sum over all `looks` of a phase: `seen / looks` sessions on average. `event_type` None: it waited for
    nothing PostgreSQL knows of, so it ran or waited for a core. `longest_ns` is the longest time a session was seen to
    have been in that state.
    """

    phase: str
    client: str  # application_name, else the role
    statement_id: str | None  # as Statement.id; None: PostgreSQL doesn't tell
    text: str  # normalised; empty when not known
    state: str  # "active", "idle in transaction", "idle in transaction (aborted)", "fastpath function call"
    event_type: str | None  # "Lock", "LWLock", "IO", "Client", ...
    event: str | None
    seen: int
    looks: int
    longest_ns: int

    @property
    def sessions(self) -> float:
        """On average over the phase."""
        return self.seen / self.looks if self.looks else 0.0


@dataclass(frozen=True, kw_only=True)
class Blocking:
    """
    Who kept whom waiting for a lock in one phase.

    The holder is the session at the end of the chain: the one that waits for no lock itself. Its statement is the one
    it ran last, which need not be the one that took the lock. `seen` is waiting sessions summed over `looks`.
    """

    phase: str
    waiting_id: str | None
    waiting_text: str
    holding_id: str | None
    holding_text: str
    holding_state: str  # as Wait.state, or "prepared transaction", "autovacuum worker" and the like
    table: str | None  # schema-qualified unless public
    lock: str  # what is locked: "transactionid" (a row), "tuple", "relation", "advisory", ...
    mode: str  # as asked for: "ShareLock", "AccessExclusiveLock"
    seen: int
    looks: int
    most: int  # waiting at once
    longest_ns: int  # the longest that one had been waiting when it was seen


@dataclass(frozen=True, kw_only=True)
class Connections:
    """
    The connections one client holds open, over all looks of a phase.

    Busy: running a statement, in a transaction, or idle for less than `SPARE_AFTER_NS`. `spare_looks`: looks at which
    one at least had been idle for longer, so that a request would have found it free.
    """

    phase: str
    client: str
    looks: int
    open_mean: float
    open_most: int
    busy_mean: float
    busy_most: int
    spare_looks: int


@dataclass(frozen=True, kw_only=True)
class PoolUse:
    """
    One of PgBouncer's pools in one phase, looked at once a second.

    `transactions`, `waited_ns` are what all pools of its database added: the time clients waited for a server
    connection. None: PgBouncer was started anew. `longest_wait_ns`: the oldest client in the queue.
    """

    phase: str
    database: str
    user: str
    mode: str  # "session", "transaction", "statement"
    size: int | None  # connections to PostgreSQL it may open
    looks: int
    clients_active_mean: float
    clients_waiting_mean: float
    clients_waiting_most: int
    waiting_looks: int  # looks at which a client waited
    servers_active_mean: float
    servers_idle_mean: float
    servers_most: int
    longest_wait_ns: int
    transactions: int | None
    waited_ns: int | None


@dataclass(frozen=True, kw_only=True)
class ReplicaLag:
    """
    How far one streaming replica was behind in one phase, looked at once a second.

    The times are PostgreSQL's own for recent write-ahead log; None: it had nothing new to tell. `replay_bytes` is the
    write-ahead log that the replica had not replayed yet.
    """

    phase: str
    name: str  # its application_name
    state: str  # "streaming", "catchup", ...
    sync: str  # "async", "sync", "quorum", "potential"
    looks: int
    write_lag_most_ns: int | None
    flush_lag_most_ns: int | None
    replay_lag_mean_ns: float | None
    replay_lag_most_ns: int | None
    replay_bytes_mean: float | None
    replay_bytes_most: int | None


@dataclass(frozen=True, kw_only=True)
class LoggedPlan:
    """
    What auto_explain logged of one statement: the plan of its slowest execution, made with its real parameters.

    `plan` is as EXPLAIN (FORMAT JSON) writes it, None when the log has plans as text; its constants are `?` unless
    values were asked for. `values`: sets of parameters as text, empty unless they were asked for. `fixed`: constants
    inside expressions over a column that were always the same: `settings ->> 'token'`, `coalesce(city, '')`.
    """

    statement_id: str
    seen: int
    slowest_ns: float
    plan: object | None
    values: tuple[tuple[str | None, ...], ...] = ()
    fixed: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class LivePlan:
    """
    What was read of one statement's text while it ran, with the constants that it has.

    `plan` is the dearest of those made with them, as EXPLAIN (FORMAT JSON) writes it, its constants left out; None:
    there were none. `fixed` as in `LoggedPlan`.
    """

    statement_id: str
    seen: int
    plan: object | None
    fixed: tuple[str, ...] = ()
