"""
Measure a service where it runs: rates, errors and durations with buckets at the promises' limits, pools, event loop,
W3C trace context.

Needs the extra `headway[instrument]` (prometheus_client).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headway.runtime.instrument.edges import edges_s, read_limits_s
from headway.runtime.instrument.metrics import Metrics
from headway.runtime.instrument.middleware import Instrumented
from headway.runtime.instrument.otlp import Exporter
from headway.runtime.instrument.trace import Trace, current
from headway.runtime.instrument.wsgi import InstrumentedWsgi

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from headway.runtime.cache import Cache, SyncCache
    from headway.runtime.database import AsyncDatabase, Database
    from headway.runtime.instrument.middleware import App
    from headway.runtime.instrument.wsgi import App as WsgiApp

__all__ = ["Instrumented", "InstrumentedWsgi", "Trace", "current", "instrument", "instrument_wsgi"]


def instrument(
    app: App,
    *,
    promises: str | Path | None = None,
    limits_ms: Sequence[float] = (),
    service: str = "service",
    databases: Sequence[AsyncDatabase | Database] = (),
    caches: Mapping[str, Cache | SyncCache] | None = None,
    gauges: Mapping[str, Callable[[], float]] | None = None,
    otlp_url: str | None = None,
    sample_ratio: float = 0.1,
    metrics_path: str = "/metrics",
) -> Instrumented:
    """
    The ASGI application `app`, measured: serve what this returns.

    Args:
        promises: the increment (folder, spec.md or headway.toml) whose limits become edges of buckets.
        limits_ms: further limits.
        service: its name in traces.
        databases: whose pools are watched.
        caches: by the name they shall have among the metrics.
        gauges: further numbers to show, by name.
        otlp_url: a collector for the spans of requests; None sends none.
        sample_ratio: the share of requests without a caller's trace whose span is kept, in [0, 1].
        metrics_path: where Prometheus reads.

    Raises:
        OSError: the promises cannot be read.
        ValueError: they name no limit, a limit is not positive, or otlp_url is no address.
    """
    return Instrumented(
        app,
        Metrics(_edges(promises, limits_ms), databases=databases, caches=caches, gauges=gauges),
        exporter=None if otlp_url is None else Exporter(otlp_url, service),
        sample_ratio=sample_ratio,
        metrics_path=metrics_path,
    )


def instrument_wsgi(
    app: WsgiApp,
    *,
    promises: str | Path | None = None,
    limits_ms: Sequence[float] = (),
    service: str = "service",
    databases: Sequence[Database] = (),
    caches: Mapping[str, SyncCache] | None = None,
    gauges: Mapping[str, Callable[[], float]] | None = None,
    otlp_url: str | None = None,
    sample_ratio: float = 0.1,
    metrics_path: str = "/metrics",
) -> InstrumentedWsgi:
    """
    The WSGI application `app`, measured: Flask (`app.wsgi_app = instrument_wsgi(app.wsgi_app)`), Django, any other.

    Arguments and errors as of `instrument`. Routes are known of Flask, and of Django with
    `headway.runtime.contrib.django_routes.Routes` in its MIDDLEWARE.
    """
    return InstrumentedWsgi(
        app,
        Metrics(_edges(promises, limits_ms), databases=databases, caches=caches, gauges=gauges, loop=False),
        exporter=None if otlp_url is None else Exporter(otlp_url, service),
        sample_ratio=sample_ratio,
        metrics_path=metrics_path,
    )


def _edges(promises: str | Path | None, limits_ms: Sequence[float]) -> tuple[float, ...]:
    limits_s = tuple(limit / 1e3 for limit in limits_ms)
    return edges_s(limits_s + (read_limits_s(promises) if promises is not None else ()))
