"""
The metrics: RED for each route, USE for pools and the event loop, and their text for Prometheus.

Several processes of one service share a folder (PROMETHEUS_MULTIPROC_DIR, prometheus_client's own way), and any of them
answers /metrics for all. Exemplars exist in one process only: prometheus_client's files have no room for them.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Gauge, Histogram, multiprocess
from prometheus_client.exposition import choose_encoder

from headway.runtime.instrument.cache_metrics import CacheMetrics
from headway.runtime.instrument.edges import LADDER_S
from headway.runtime.instrument.red import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from headway.runtime.cache import Cache, SyncCache
    from headway.runtime.database import AsyncDatabase, Database

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
POOL_EDGES_S = (0.0001, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """
    Args:
        edges: upper edges of the request histogram's buckets, seconds.
        databases: whose pools are watched.
        caches: by name; what they count, and how long their remote level takes.
        gauges: further numbers to show, by name: a cache's entries, a queue's length. Each function is called four
            times a second; over processes they are summed.
        loop: whether there is an event loop whose lag is to be shown.
    """

    def __init__(
        self,
        edges: Sequence[float],
        *,
        databases: Sequence[AsyncDatabase | Database] = (),
        caches: Mapping[str, Cache | SyncCache] | None = None,
        gauges: Mapping[str, Callable[[], float]] | None = None,
        loop: bool = True,
    ) -> None:
        self.registry = registry = CollectorRegistry()
        self._seconds = Histogram(
            "http_request_duration_seconds", "From the first byte in to the last byte out.",
            ("method", "route", "status"), buckets=edges, registry=registry,
        )  # fmt: skip
        self._running = Gauge(
            "http_requests_in_progress", "Requests being answered.", registry=registry, multiprocess_mode="livesum"
        )
        self.tally = Tally(edges)
        self.running = 0
        self._lag = None if not loop else Histogram(
            "event_loop_lag_seconds", "How late the event loop is with what is due.", buckets=LADDER_S,
            registry=registry,
        )  # fmt: skip
        self._databases = databases
        self._pool_gauges(registry)
        self._caches = CacheMetrics(caches, registry) if caches else None
        self._own = [
            (Gauge(name, "Shown by the service.", registry=registry, multiprocess_mode="livesum"), number)
            for name, number in (gauges or {}).items()
        ]

    def tick(self, late_s: float) -> None:
        """The event loop came by, so late: what it has counted is handed over, and all else is read."""
        if self._lag is not None:
            self._lag.observe(late_s)
        self.hand_over()
        self.look()

    def look(self) -> None:
        """Read pools, caches and the service's own numbers."""
        for database in self._databases:
            for pool in database.pools():
                for name, number in (
                    ("held", len(pool.holders)), ("open", pool.open), ("waiting", pool.waiting), ("most", pool.most),
                ):  # fmt: skip
                    self._pool.labels(pool.server, name).set(number)
            for server in database.standings():
                self._fit.labels(server.name).set(server.unfit is None)
        if self._caches is not None:
            self._caches.tick()
        for gauge, read in self._own:
            gauge.set(read())

    def begin_anew(self) -> None:
        """In a forked child: what the parent has counted is the parent's to tell."""
        self.running = 0
        self.tally.forget()
        if self._caches is not None:
            self._caches.begin_anew()

    def hand_over(self) -> None:
        """Give prometheus_client what has been counted; nobody may count meanwhile."""
        self._running.set(self.running)
        self.tally.hand_over(self._seconds, exemplars=FOLDER not in os.environ)

    async def show(self, accept: str) -> tuple[bytes, str]:
        """As `text`, with what has been counted since the last tick."""
        self.hand_over()  # here, in the loop's own thread: nobody counts meanwhile
        return await asyncio.to_thread(self.text, accept)

    def text(self, accept: str) -> tuple[bytes, str]:
        """What Prometheus reads, of all processes, and its content type; exemplars when it asks for OpenMetrics."""
        encode, content_type = choose_encoder(accept)
        return encode(self._all_processes()), content_type

    def _all_processes(self) -> CollectorRegistry:
        if FOLDER not in os.environ:
            return self.registry
        forget_the_dead(Path(os.environ[FOLDER]))
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return registry

    def _pool_gauges(self, registry: CollectorRegistry) -> None:
        if not self._databases:
            return
        self._pool = Gauge(
            "database_pool_connections", "Connections held, open, waited for, and allowed.", ("server", "state"),
            registry=registry, multiprocess_mode="livesum",
        )  # fmt: skip
        self._fit = Gauge(
            "database_server_fit", "1 when the server gets requests.", ("server",), registry=registry,
            multiprocess_mode="livemin",
        )  # fmt: skip
        spent = Histogram(
            "database_pool_seconds", "Time waited for a connection, and time it was held.", ("server", "kind"),
            buckets=POOL_EDGES_S, registry=registry,
        )  # fmt: skip
        for database in self._databases:
            for ledger in database.ledgers:
                children = {kind: spent.labels(ledger.server, kind) for kind in ("wait", "use")}
                ledger.watch = lambda kind, seconds, children=children: children[kind].observe(seconds)


def forget_the_dead(folder: Path) -> None:
    """Remove the live gauges of processes that are gone: servers do not tell prometheus_client of each that dies."""
    for file in folder.glob("gauge_live*_*.db"):
        pid = file.stem.rpartition("_")[2]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            file.unlink(missing_ok=True)
