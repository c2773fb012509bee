"""
A running load's numbers sent once a second to an OpenTelemetry receiver: OTLP metrics over HTTP, in protobuf.

A receiver that is dead, slow or refuses never holds up the run: a thread of its own sends, the newest state wins, and
the first trouble is said once.

Source: https://opentelemetry.io/docs/specs/otlp/#otlphttp; metrics data model, ExponentialHistogram.
"""

from __future__ import annotations

import os
import queue
import threading
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import numpy as np
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE, Metric

from headway import __version__
from headway.errors import BadInput
from headway.interchange.totals import LOWEST, SCALE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headway.interchange.totals import OfPhase, Times, Totals

TIMEOUT_S = 2.0
METRICS_PATH = "/v1/metrics"
HEADERS_VARIABLES = ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
"""`name=value,name=value`, percent-encoded: where other exporters take a receiver's key from."""


class Sender:
    """
    Sends the totals after each second, from a thread of its own, until `close`.

    Args:
        totals: what is sent, whole and cumulative each time.
        url: the receiver; /v1/metrics when it has no path.
        say: gets one sentence at the first trouble.

    Raises:
        BadInput: not an http:// or https:// URL.
    """

    def __init__(self, totals: Totals, url: str, say: Callable[[str], None]) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise BadInput(f"--otlp {url!r} is not an http:// URL", next_act="say, for example, http://127.0.0.1:4318")
        self._url = url.rstrip("/") + METRICS_PATH if parts.path in {"", "/"} else url
        self._place = f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}"
        self._headers = {"content-type": "application/x-protobuf", **headers(os.environ)}
        self._totals = totals
        self._say = say
        self._said = False
        self._due: queue.Queue[bool] = queue.Queue(maxsize=1)
        self._thread = threading.Thread(target=self._work, name="headway-otlp", daemon=True)
        self._thread.start()

    def second(self) -> None:
        """A second has been counted; while one is still being sent, the next sending will have it."""
        if self._due.empty():
            self._put(more=True)

    def close(self) -> None:
        """Send the last state, and wait for that no longer than a receiver may take."""
        until = time.monotonic() + 2 * TIMEOUT_S
        while self._thread.is_alive() and time.monotonic() < until:
            if self._put(more=False):
                break
            time.sleep(0.01)
        self._thread.join(max(0.0, until - time.monotonic()))

    def _put(self, *, more: bool) -> bool:
        try:
            self._due.put_nowait(more)
        except queue.Full:
            return False
        return True

    def _work(self) -> None:
        more = True
        while more:
            more = self._due.get()
            trouble = self._send()
            if trouble is not None and not self._said:
                self._said = True
                self._say(f"OTLP metrics do not reach {self._place}: {trouble}; the run goes on")

    def _send(self) -> str | None:
        body = message(self._totals).SerializeToString()
        request = urllib.request.Request(self._url, data=body, headers=self._headers, method="POST")  # noqa: S310  # http(s) only, as checked
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
                told = ExportMetricsServiceResponse.FromString(answer.read())
        except urllib.error.HTTPError as exc:
            return f"it answers {exc.code}"
        except Exception as exc:  # noqa: BLE001  whatever a receiver does, the run goes on
            return str(getattr(exc, "reason", exc)) or type(exc).__name__
        rejected = told.partial_success.rejected_data_points
        return f"it rejects {rejected} points: {told.partial_success.error_message}" if rejected else None


def headers(environment: Mapping[str, str]) -> dict[str, str]:
    """What the usual variables say is to be sent along."""
    text = next((environment[name] for name in HEADERS_VARIABLES if environment.get(name)), "")
    pairs = (each.partition("=") for each in text.split(",") if "=" in each)
    return {unquote(name).strip().lower(): unquote(value).strip() for name, _, value in pairs}


def message(totals: Totals) -> ExportMetricsServiceRequest:
    """The totals as they are now."""
    request = ExportMetricsServiceRequest()
    resource = request.resource_metrics.add()
    resource.resource.attributes.extend(
        attributes({"service.name": "headway", "service.version": __version__, "headway.scenario": totals.scenario})
    )
    scope = resource.scope_metrics.add()
    scope.scope.name, scope.scope.version = "headway", __version__
    writer = Writer(totals.began_ns, time.time_ns())
    with totals.lock:
        for name, phase in totals.names():
            writer.phase(name, phase)
    scope.metrics.extend(writer.metrics.values())
    return request


def attributes(pairs: Mapping[str, str]) -> list[KeyValue]:
    """Names and texts as OTLP has them."""
    return [KeyValue(key=name, value=AnyValue(string_value=value)) for name, value in pairs.items()]


class Writer:
    """One metric a name, one point for each set of attributes."""

    def __init__(self, began_ns: int, now_ns: int) -> None:
        self.metrics: dict[str, Metric] = {}
        self._began_ns = began_ns
        self._now_ns = now_ns

    def phase(self, name: str, phase: OfPhase) -> None:
        """Everything a phase has counted."""
        of = {"headway.phase": name}
        self.counter("headway.requests.planned", phase.planned, of)
        self.counter("headway.requests.sent", phase.sent, of)
        for (route, outcome), n in phase.requests.items():
            self.counter("headway.requests", n, {**of, "http.route": route, "headway.outcome": outcome})
        for measure in ("response", "service"):
            for route, times in getattr(phase, measure).items():
                self.histogram(f"headway.{measure}.duration", times, {**of, "http.route": route})
        self.histogram("headway.lateness", phase.lateness, of)
        self.gauge("headway.connections", phase.connections, of)
        self.gauge("headway.backlog", phase.backlog, of)
        self.gauge("headway.warming_up", int(phase.warming_up), of)

    def counter(self, name: str, value: int, of: Mapping[str, str]) -> None:
        """A sum that only grows."""
        metric = self._metric(name, "{request}")
        metric.sum.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
        metric.sum.is_monotonic = True
        metric.sum.data_points.add(
            attributes=attributes(of), start_time_unix_nano=self._began_ns, time_unix_nano=self._now_ns, as_int=value
        )

    def gauge(self, name: str, value: int, of: Mapping[str, str]) -> None:
        """What it is now."""
        self._metric(name, "1").gauge.data_points.add(
            attributes=attributes(of), time_unix_nano=self._now_ns, as_int=value
        )

    def histogram(self, name: str, times: Times, of: Mapping[str, str]) -> None:
        """Exponential buckets from the first filled to the last."""
        metric = self._metric(name, "s")
        metric.exponential_histogram.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
        point = metric.exponential_histogram.data_points.add(
            attributes=attributes(of), start_time_unix_nano=self._began_ns, time_unix_nano=self._now_ns,
            count=times.count, sum=times.sum_s, scale=SCALE,
        )  # fmt: skip
        filled = np.flatnonzero(times.exponential)
        if len(filled):
            first, last = int(filled[0]), int(filled[-1])
            point.positive.offset = LOWEST + first
            point.positive.bucket_counts.extend(times.exponential[first : last + 1].tolist())

    def _metric(self, name: str, unit: str) -> Metric:
        return self.metrics.setdefault(name, Metric(name=name, unit=unit))
