"""
What measuring costs a request: headway.runtime.instrument beside OpenTelemetry's and Prometheus' default set-up.

    .venv/bin/python benchmarks/runtime/instrument.py [--wsgi]

One small Starlette route is called through ASGI (with --wsgi, one of Flask's through WSGI) in this process, without a
network, by each set-up in turn, in an order drawn anew each round; the cost is the median over rounds of the difference
to the bare route in the same round. The peer is what OpenTelemetry's documents have one write: its ASGI or WSGI
middleware, a tracer provider with a batch processor (every request sampled, the default), a meter provider with the
Prometheus reader. Where a set-up exports spans, it sends them to nobody: the peer's exporter drops them, Headway's is
given a collector that answers at once.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import io
import random
import statistics
import sys
import threading
import time
from collections.abc import Callable, Coroutine, MutableMapping, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from flask import Flask
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware as WsgiOpenTelemetryMiddleware
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from headway.runtime.instrument import instrument, instrument_wsgi

App = Callable[..., Any]
Block = Callable[[App, int], Coroutine[Any, Any, float]]
LIMIT_US = 20.0


class Nowhere(SpanExporter):
    """Takes spans and drops them."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Done."""
        return SpanExportResult.SUCCESS


class Collector(BaseHTTPRequestHandler):
    """Answers OTLP at once."""

    def do_POST(self) -> None:
        """Read and forget."""
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def service() -> App:
    """One route with a template."""

    async def user(request: Request) -> Response:
        return Response(b"{}", media_type="application/json")

    return Starlette(routes=[Route("/users/{id:int}", user)])


def wsgi_service() -> App:
    """The same of Flask's."""
    app = Flask("bench")
    app.add_url_rule("/users/<int:id>", view_func=lambda id: b"{}", endpoint="user")
    return app.wsgi_app


def set_ups(collector: str, *, wsgi: bool) -> dict[str, App]:
    """The bare service and each way to measure it."""
    tracing, metering = TracerProvider(), MeterProvider(metric_readers=[PrometheusMetricReader()])
    tracing.add_span_processor(BatchSpanProcessor(Nowhere()))
    make, ours, peer = service, instrument, OpenTelemetryMiddleware
    if wsgi:
        make, ours, peer = wsgi_service, instrument_wsgi, WsgiOpenTelemetryMiddleware  # type: ignore[assignment]
    return {
        "bare": make(),
        "headway, spans of 10%": ours(make(), limits_ms=(100, 250), otlp_url=collector),
        "headway, spans of all": ours(make(), limits_ms=(100, 250), otlp_url=collector, sample_ratio=1.0),
        "OpenTelemetry + Prometheus": peer(make(), tracer_provider=tracing, meter_provider=metering),
    }


async def wsgi_block(app: App, requests: int) -> float:
    """As `block`, through WSGI; there is nothing to await."""
    base = {
        "REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/users/7", "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_HOST": "127.0.0.1",
        "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(), "wsgi.errors": sys.stderr,
        "wsgi.multithread": True, "wsgi.multiprocess": True, "wsgi.run_once": False,
    }  # fmt: skip

    def start(*_: Any) -> None:
        return None

    began = time.perf_counter_ns()
    for _ in range(requests):
        body = app(dict(base), start)
        b"".join(body)
        body.close()
    return (time.perf_counter_ns() - began) / requests / 1e3


async def block(app: App, requests: int) -> float:
    """Mean time of a request over a block, in microseconds."""
    scope: MutableMapping[str, Any] = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": "/users/7", "raw_path": b"/users/7", "query_string": b"", "root_path": "",
        "headers": [(b"host", b"127.0.0.1"), (b"accept", b"*/*")], "client": ("127.0.0.1", 1), "server": ("h", 80),
    }  # fmt: skip

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_: MutableMapping[str, Any]) -> None:
        return None

    began = time.perf_counter_ns()
    for _ in range(requests):
        await app(dict(scope), receive, send)
    return (time.perf_counter_ns() - began) / requests / 1e3


async def measured(apps: dict[str, App], block: Block, rounds: int, requests: int) -> dict[str, list[float]]:
    """Microseconds a request over the bare service, for each set-up and round."""
    names = list(apps)
    extra: dict[str, list[float]] = {name: [] for name in names if name != "bare"}
    for app in apps.values():
        await block(app, requests)
    for _ in range(rounds):
        random.shuffle(names)
        took = {}
        for name in names:
            gc.collect()
            took[name] = await block(apps[name], requests)
        for name, found in extra.items():
            found.append(took[name] - took["bare"])
    return extra


def main() -> int:
    """Print the cost of each set-up; 1 when Headway's default costs more than it may."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=41)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--wsgi", action="store_true")
    asked = parser.parse_args()
    server = HTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    apps = set_ups(f"http://127.0.0.1:{server.server_port}", wsgi=asked.wsgi)
    extra = asyncio.run(measured(apps, wsgi_block if asked.wsgi else block, asked.rounds, asked.requests))
    peer = statistics.median(extra["OpenTelemetry + Prometheus"])
    medians = {name: statistics.median(found) for name, found in extra.items()}
    print(f"{'us a request over bare':<28} {'median':>7} {'P10':>7} {'P90':>7} {'of the peer':>12}")
    for name, found in extra.items():
        cuts = statistics.quantiles(found, n=10)
        print(f"{name:<28} {medians[name]:>7.1f} {cuts[0]:>7.1f} {cuts[8]:>7.1f} {medians[name] / peer:>12.2f}")
    server.shutdown()
    return 0 if medians["headway, spans of 10%"] <= LIMIT_US else 1


if __name__ == "__main__":
    sys.exit(main())
