"""Numbers that decide how reads are routed and how long anything waits. Each says why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True)
class Settings:
    """
    Bounds of one `Database`. All times are seconds.

    Args:
        pool_min: connections kept to each server.
        pool_max: most connections to each server, from this process. `sizing.advise` says how many are needed.
        wait_s: how long a read or a write waits for a connection, over all servers tried; then `DatabaseUnavailable`.
        connect_timeout_s: libpq's; below 2 libpq itself takes 2.
        catch_up_s: how long a read waits for a replica to replay what its session wrote; then the primary answers.
            A primary answers in about a millisecond: waiting much longer than a slow read buys nothing.
        max_lag_s: a replica further behind than this gets no reads.
        probe_every_s: between two looks at a server. Reads that need no write of their own are not slowed by it.
        probe_timeout_s: a server that has not answered a look in this time is not asked until it does again.
        cut_off_s: a server silent for this long gets its connections cut, so that who waits for it gets an error. Long
            statements on a server that answers looks are left alone: bound these with `statement_timeout_s`.
        statement_timeout_s: PostgreSQL's statement_timeout of every scope that names none; None leaves the server's.
        held_too_long_s: a connection held longer is named in the log once, with the line that took it.
        connection: further keywords of `psycopg.connect`, for example row_factory.
    """

    pool_min: int = 1
    pool_max: int = 10
    wait_s: float = 2.0
    connect_timeout_s: int = 3
    catch_up_s: float = 0.05
    max_lag_s: float = 5.0
    probe_every_s: float = 0.1
    probe_timeout_s: float = 1.0
    cut_off_s: float = 3.0
    statement_timeout_s: float | None = None
    held_too_long_s: float = 30.0
    connection: Mapping[str, Any] = field(default_factory=dict)

    @property
    def unseen_s(self) -> float:
        """Without a look for this long nothing is known of a server: the prober itself may be gone."""
        return 5 * self.probe_every_s + 2 * self.probe_timeout_s
