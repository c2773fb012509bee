"""
What connection pools say of themselves: the few metrics of `db.client.connection.*` among all that an SDK may send.

Source: opentelemetry.io/docs/specs/semconv/database/database-metrics, of now and of 1.24 and before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from headway.evidence.otlp import texts
from headway.evidence.otlp.fields import Malformed

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIXES = ("db.client.connection.", "db.client.connections.")
POOL_KEYS = ("db.client.connection.pool.name", "db.client.connections.pool.name", "pool.name")
STATE_KEYS = ("db.client.connection.state", "db.client.connections.state", "state")
MOST_POOLS = 100
TIMES = ("wait_time", "create_time", "use_time")


@dataclass(kw_only=True)
class Pool:
    """One pool: the largest value of each gauge and sum that was seen, and how many readings there were."""

    name: str
    largest: dict[str, float] = field(default_factory=dict)
    readings: int = 0


@dataclass(kw_only=True)
class Pools:
    """All pools that were heard of."""

    found: dict[str, Pool] = field(default_factory=dict)
    other_metrics: int = 0

    def take(self, body: bytes) -> None:
        """
        Take in one ExportMetricsServiceRequest; metrics of other things are counted only.

        Raises:
            Malformed: it is none.
        """
        try:
            request = ExportMetricsServiceRequest.FromString(body)
        except DecodeError as exc:
            raise Malformed(f"not an ExportMetricsServiceRequest: {exc}") from exc
        for resource in request.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    if metric.name.startswith(PREFIXES):
                        self._metric(metric)
                    else:
                        self.other_metrics += 1

    def _metric(self, metric: Any) -> None:
        word = metric.name.removeprefix(PREFIXES[0]).removeprefix(PREFIXES[1])[:40]
        for point, value in _points(metric):
            attributes = {each.key: each.value.string_value for each in point.attributes}
            name = texts.name(next((attributes[key] for key in POOL_KEYS if attributes.get(key)), "unnamed"))
            if name not in self.found and len(self.found) >= MOST_POOLS:
                continue
            pool = self.found.setdefault(name, Pool(name=name))
            state = next((attributes[key] for key in STATE_KEYS if attributes.get(key)), "")[:20]
            what = f"{word} {state}".strip()
            pool.largest[what] = max(pool.largest.get(what, value), value)
            pool.readings += 1


def _points(metric: Any) -> Iterator[tuple[Any, float]]:
    """Points with a number each: of a histogram the mean, in its own unit."""
    kind = metric.WhichOneof("data")
    for point in getattr(metric, kind).data_points if kind else ():
        if kind in ("gauge", "sum"):
            yield point, float(point.as_int if point.WhichOneof("value") == "as_int" else point.as_double)
        elif point.count:
            yield point, point.sum / point.count


def empty_request() -> ExportMetricsServiceRequest:
    """To be filled from JSON."""
    return ExportMetricsServiceRequest()
