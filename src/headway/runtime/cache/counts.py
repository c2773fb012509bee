"""What a cache has done, as plain integers: cheap to count, and exported by metrics.py."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(slots=True)
class Counts:
    """
    Totals since the cache was made. Under threads a count may be lost now and then: the hot path takes no lock.
    """

    local_hits: int = 0
    remote_hits: int = 0
    misses: int = 0
    """Calls that found it in neither level, without those that joined a flight."""
    loads: int = 0
    load_failures: int = 0
    joined: int = 0
    """Calls that waited for a load already on its way in this process."""
    lease_waits: int = 0
    """Loads that first waited for another process's."""
    stale_served: int = 0
    early_refreshes: int = 0
    fail_safe_served: int = 0
    soft_timeouts: int = 0
    hard_timeouts: int = 0
    stores: int = 0
    stores_refused: int = 0
    """Loads not stored because something newer was invalidated or stored meanwhile."""
    invalidations: int = 0
    remote_failures: int = 0
    remote_skipped: int = 0
    """Not asked, because the circuit was open."""
    remote_refused: int = 0
    unreadable: int = 0
    flushes: int = 0

    def as_dict(self) -> dict[str, int]:
        """Name to total."""
        return {each.name: getattr(self, each.name) for each in fields(self)}
