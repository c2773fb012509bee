"""A service's caches among its metrics: the names of headway.runtime.cache.metrics, summed over processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, Histogram

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prometheus_client import CollectorRegistry

    from headway.runtime.cache import Cache, SyncCache

REMOTE_EDGES_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)


class CacheMetrics:
    """
    Args:
        caches: name, which becomes the label `cache`, to cache.
    """

    def __init__(self, caches: Mapping[str, Cache | SyncCache], registry: CollectorRegistry) -> None:
        from headway.runtime.cache.metrics import STATES  # only where there is a cache: it brings the cache's libraries

        self._caches = dict(caches)
        self._states: dict[str, Gauge] = {}
        self._counts: dict[str, Counter] = {}
        for each in next(iter(self._caches.values())).stats():
            name, what = f"headway_cache_{each}", f"Headway cache: {each.replace('_', ' ')}"
            if each in STATES:
                self._states[each] = Gauge(name, what, ("cache",), registry=registry, multiprocess_mode="livesum")
            else:
                self._counts[each] = Counter(name, what, ("cache",), registry=registry)
        seconds = Histogram(
            "headway_cache_remote_seconds", "How long the remote level took with a question.", ("cache", "answered"),
            buckets=REMOTE_EDGES_S, registry=registry,
        )  # fmt: skip
        for name, cache in self._caches.items():
            for counter in self._counts.values():
                counter.labels(name)  # there from the start, at 0: a first increase is one to Prometheus too
            children = {answered: seconds.labels(name, "yes" if answered else "no") for answered in (True, False)}
            cache._core.answered = lambda answered, took_s, children=children: children[answered].observe(took_s)
        self.begin_anew()

    def begin_anew(self) -> None:
        """Count from here: in a forked child, whose caches' totals begin with the parent's."""
        self._told = {name: cache.stats() for name, cache in self._caches.items()}

    def tick(self) -> None:
        """Tell what has come since the last time."""
        for name, cache in self._caches.items():
            before, now = self._told[name], cache.stats()
            self._told[name] = now
            for each, gauge in self._states.items():
                gauge.labels(name).set(now[each])
            for each, counter in self._counts.items():
                counter.labels(name).inc(max(0, now[each] - before[each]))
