"""A cache's counters for Prometheus and for OpenTelemetry: read when they are asked for, so they cost a hit nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from headway.runtime.cache.shell import Shell

STATES = frozenset({"local_entries", "local_bytes", "local_most_bytes", "listening", "circuit_open", "untold"})
"""These go up and down; all others only count."""


class CacheCollector:
    """For prometheus-client: `REGISTRY.register(CacheCollector(shop=cache))`."""

    def __init__(self, **caches: Shell) -> None:
        self._caches = caches

    def collect(self) -> Iterator[Any]:
        """What prometheus-client asks for."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        told = {name: cache.stats() for name, cache in self._caches.items()}
        for each in next(iter(told.values()), {}):
            kind = GaugeMetricFamily if each in STATES else CounterMetricFamily
            family = kind(f"headway_cache_{each}", f"Headway cache: {each.replace('_', ' ')}", labels=["cache"])
            for name, stats in told.items():
                family.add_metric([name], stats[each])
            yield family


def observe(meter: Any, **caches: Shell) -> None:
    """For OpenTelemetry: observable instruments on a meter, named as Prometheus's are."""
    from opentelemetry.metrics import Observation

    def reader(each: str) -> Callable[[Any], Iterable[Any]]:
        return lambda _options: [Observation(cache.stats()[each], {"cache": name}) for name, cache in caches.items()]

    for each in next(iter(caches.values())).stats() if caches else ():
        make = meter.create_observable_gauge if each in STATES else meter.create_observable_counter
        make(f"headway_cache_{each}", callbacks=[reader(each)])
