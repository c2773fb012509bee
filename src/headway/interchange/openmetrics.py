"""A page with a running load's numbers in OpenMetrics, on the loopback address, for a Prometheus to scrape."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest

from headway.errors import BadInput
from headway.interchange.totals import BOUNDS_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.interchange.totals import Times, Totals

HOST = "127.0.0.1"
PATH = "/metrics"
PATIENCE_S = 1.0


class Families:
    """The totals as prometheus_client's metric families, made anew for every scrape."""

    def __init__(self, totals: Totals) -> None:
        self._totals = totals

    def describe(self) -> list[Any]:
        """Nothing is known before the first second."""
        return []

    def collect(self) -> Iterator[Any]:
        """Every family, with what every phase has counted so far."""
        with self._totals.lock:
            found = [*self._counters(), *self._times(), *self._gauges()]
        yield from found

    def _counters(self) -> Iterator[Any]:
        planned = CounterMetricFamily("headway_requests_planned", "Requests that were due.", labels=["phase"])
        sent = CounterMetricFamily("headway_requests_sent", "Requests that went out.", labels=["phase"])
        requests = CounterMetricFamily(
            "headway_requests",
            "Requests that ended, good or by the kind of failure.",
            labels=["phase", "route", "outcome"],
        )
        for name, phase in self._totals.names():
            planned.add_metric([name], phase.planned)
            sent.add_metric([name], phase.sent)
            for (route, outcome), n in phase.requests.items():
                requests.add_metric([name, route, outcome], n)
        yield from (planned, sent, requests)

    def _times(self) -> Iterator[Any]:
        for measure, words in (
            ("response", "From the moment a request was meant to be sent: corrected for coordinated omission."),
            ("service", "From the moment a request was sent."),
        ):
            family = HistogramMetricFamily(
                f"headway_{measure}_seconds", words, labels=["phase", "route"], unit="seconds"
            )
            for name, phase in self._totals.names():
                for route, times in getattr(phase, measure).items():
                    family.add_metric([name, route], buckets_of(times), times.sum_s)
            yield family
        late = HistogramMetricFamily(
            "headway_lateness_seconds", "How late the generator itself sent.", labels=["phase"], unit="seconds"
        )
        for name, phase in self._totals.names():
            late.add_metric([name], buckets_of(phase.lateness), phase.lateness.sum_s)
        yield late

    def _gauges(self) -> Iterator[Any]:
        for name, words in (
            ("connections", "Open connections to the service."),
            ("backlog", "Requests that are due and wait for a connection."),
            ("warming_up", "1 while nothing is counted yet."),
        ):
            family = GaugeMetricFamily(f"headway_{name}", words, labels=["phase"])
            for phase_name, phase in self._totals.names():
                family.add_metric([phase_name], float(getattr(phase, name)))
            yield family


def buckets_of(times: Times) -> list[tuple[str, float]]:
    """(upper bound, values up to it) of each bucket, as OpenMetrics wants them."""
    bounds = [*(str(float(each)) for each in BOUNDS_S), "+Inf"]
    return [(bound, float(n)) for bound, n in zip(bounds, accumulate(times.explicit.tolist()), strict=True)]


def latest(registry: CollectorRegistry) -> bytes:
    """The page."""
    found: bytes = generate_latest(registry)  # type: ignore[no-untyped-call]  # the library gives it no types
    return found


class Page:
    """
    The page, served from a thread of its own until `close`.

    Args:
        totals: what it shows.
        port: on the loopback address; 0 takes a free one.

    Raises:
        BadInput: the port is taken, or not ours to take.
    """

    def __init__(self, totals: Totals, port: int) -> None:
        registry = CollectorRegistry()
        registry.register(Families(totals))

        class Handler(BaseHTTPRequestHandler):
            timeout = PATIENCE_S

            def do_GET(self) -> None:
                known = self.path.partition("?")[0] == PATH
                body = latest(registry) if known else b"see /metrics\n"
                self.send_response(200 if known else 404)
                self.send_header("Content-Type", CONTENT_TYPE_LATEST if known else "text/plain")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing: stderr is the run's."""

        try:
            self._server = Server((HOST, port), Handler)
        except (OSError, OverflowError) as exc:
            raise BadInput(f"--metrics-port {port} cannot be taken: {exc}", next_act="name a free port, or 0") from exc
        self.url = f"http://{HOST}:{self._server.server_port}{PATH}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Server(ThreadingHTTPServer):
    """
    Scrapers that go away in the middle of an answer are no news.

    `close` waits for those being answered, PATIENCE_S at most: a thread cut off as the interpreter ends can abort it.
    """

    daemon_threads = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing."""
