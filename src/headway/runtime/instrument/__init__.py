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

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from headway.runtime.database import AsyncDatabase, Database
    from headway.runtime.instrument.middleware import App

__all__ = ["Instrumented", "Trace", "current", "instrument"]


def instrument(
    app: App,
    *,
    promises: str | Path | None = None,
    limits_ms: Sequence[float] = (),
    service: str = "service",
    databases: Sequence[AsyncDatabase | Database] = (),
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
        gauges: further numbers to show, by name.
        otlp_url: a collector for the spans of requests; None sends none.
        sample_ratio: the share of requests without a caller's trace whose span is kept.
        metrics_path: where Prometheus reads.

    Raises:
        OSError, ValueError: the promises cannot be read, or name no limit.
    """
    limits_s = tuple(limit / 1e3 for limit in limits_ms) + (read_limits_s(promises) if promises is not None else ())
    return Instrumented(
        app,
        Metrics(edges_s(limits_s), databases=databases, gauges=gauges),
        exporter=None if otlp_url is None else Exporter(otlp_url, service),
        sample_ratio=sample_ratio,
        metrics_path=metrics_path,
    )
