"""Prometheus metrics of every request: pure ASGI, so that measuring costs microseconds."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.responses import Response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Finer around the promises (100 ms, 250 ms): histogram_quantile() can tell no more than its buckets.
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
UNMATCHED = "(no route)"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """Counts and times requests by method, route template and status."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "http_requests", "Requests answered.", ("method", "route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "http_request_duration_seconds", "From the first byte in to the last byte out.", ("method", "route"),
            buckets=BUCKETS_S, registry=self._registry,
        )  # fmt: skip
        # labels() takes a lock and builds a tuple each time; a shop has few routes.
        self._counter = lru_cache(maxsize=1024)(self._requests.labels)
        self._timer = lru_cache(maxsize=256)(self._seconds.labels)

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """One request. Templates, never paths: a label must not have a value for each user."""
        method = method if method in METHODS else "(other)"
        self._counter(method, route, str(status)).inc()
        self._timer(method, route).observe(seconds)

    def show(self) -> Response:
        """The text Prometheus reads."""
        return Response(generate_latest(self._registry), headers={"content-type": CONTENT_TYPE_PLAIN_0_0_4})


class Measured:
    """ASGI middleware: tells `metrics` of every HTTP request. One that raises is a 500, as the client sees it."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        began = time.perf_counter()
        try:
            await self._app(scope, receive, watch)
        finally:
            route = getattr(scope.get("route"), "path", UNMATCHED)
            self._metrics.observe(scope["method"], route, status, time.perf_counter() - began)
