"""
How many connections a pool needs, from what was measured.

Requests arrive at random and hold a connection for some time each: Erlang C says how many of them would wait with n
connections. The advice is the smallest n at which at most `waiting_ratio` of them wait. It counts on connections being
the only limit: past about two running statements per core of the database more of them only wait elsewhere, and that
is said.

Source: Erlang 1917; HikariCP, "About Pool Sizing" (connections = cores * 2 + disks).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headway.runtime.database.ledger import PoolState

LEAST_USES = 100
"""Fewer uses than this say nothing about a rate or a mean."""


@dataclass(frozen=True, kw_only=True)
class Advice:
    """
    A pool's size for one process.

    Args:
        size: connections; None when too little was seen.
        why: the numbers behind it, one line.
        warnings: what speaks against it: max_connections, the database's cores.
    """

    size: int | None
    why: str
    warnings: tuple[str, ...] = ()


def waiting_ratio(offered: float, size: int) -> float:
    """
    Erlang C: the share of requests that wait, for `offered` connections in use on average of `size`.

    Computed by Erlang B's recursion, which neither overflows nor cancels.
    """
    if offered >= size:
        return 1.0
    blocked = 1.0
    for number in range(1, size + 1):
        blocked = offered * blocked / (number + offered * blocked)
    return size * blocked / (size - offered * (1 - blocked))


def advise(
    state: PoolState,
    *,
    processes: int,
    max_connections: int,
    reserved: int = 13,
    database_cores: int | None = None,
    most_waiting_ratio: float = 0.01,
    peak_ratio: float = 2.0,
) -> Advice:
    """
    Advise a size for the pool whose state is given.

    Args:
        processes: processes of the service that have such a pool.
        max_connections: the server's setting.
        reserved: connections left to others: superuser_reserved_connections (3) and some for people and monitoring.
        database_cores: of the database's machine, when known.
        most_waiting_ratio: share of requests that may have to wait.
        peak_ratio: the peak's rate by the mean rate that was observed.
    """
    mean_s = state.uses.mean_s
    if mean_s is None or state.uses.number < LEAST_USES or state.observed_s <= 0:
        return Advice(size=None, why=f"{state.uses.number} uses seen; {LEAST_USES} are needed")
    rate = state.uses.number / state.observed_s * peak_ratio
    offered = rate * mean_s
    size = max(1, int(offered))
    while waiting_ratio(offered, size) > most_waiting_ratio:
        size += 1
    warnings = []
    if size * processes > max_connections - reserved:
        warnings.append(
            f"{processes} processes of {size} are more than max_connections {max_connections} less {reserved} kept back"
        )
    if database_cores is not None and offered * processes > 2 * database_cores:
        warnings.append(
            f"{offered * processes:.1f} connections busy at the peak on {database_cores} cores: shorten the time each"
            " is held before adding any"
        )
    why = (
        f"{rate:.1f} uses/s at the peak, {mean_s * 1e3:.2f} ms each: {offered:.2f} busy on average; with {size} at most"
        f" {most_waiting_ratio:.0%} wait"
    )
    return Advice(size=size, why=why, warnings=tuple(warnings))
