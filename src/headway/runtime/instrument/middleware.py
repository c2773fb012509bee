"""Pure ASGI around the service: what each request costs in it is in docs/runtime-instrument.md."""

from __future__ import annotations

import asyncio
import importlib.util
import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from headway.runtime.instrument import trace
from headway.runtime.instrument.otlp import Exporter, Span

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from headway.runtime.instrument.metrics import Metrics

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    Join = Callable[[trace.Trace], Callable[[], None]]
    Watch = tuple[Join, Callable[[], bool]]
    App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

Service = TypeVar("Service")
UNMATCHED = "(no route)"
ROUTE = "headway.route"
"""Where a framework's own middleware may leave the route's template: in the scope, or in WSGI's environ."""
TICK_S = 0.25


class Around(Generic[Service]):
    """What stands around a service, ASGI's or WSGI's; `inner` is the service itself."""

    def __init__(
        self, app: Service, metrics: Metrics, *, exporter: Exporter | None, sample_ratio: float, metrics_path: str
    ) -> None:
        self.inner = app
        self.metrics = metrics
        self._exporter = exporter
        self._sample_ratio = sample_ratio
        self._metrics_path = metrics_path
        self._join: Join | None = None

    def _look_for_spans(self, watch: Watch | None) -> None:
        """Join OpenTelemetry's spans from now on, if somebody has set up a provider of them; `watch` is `joiner`'s."""
        self._join = watch[0] if watch is not None and watch[1]() else None

    def _keep_span(self, here: trace.Trace, method: str, route: str, path: str, status: int, spent_ns: int) -> None:
        """The span of a request that has just ended, where spans are sent."""
        if self._exporter is not None:
            now_ns = time.time_ns()
            self._exporter.keep(Span(here, method, route, path, status, now_ns - spent_ns, now_ns))


class Instrumented(Around["App"]):
    """The service, measured. Made by `instrument`."""

    _ticking: asyncio.AbstractEventLoop | None = None

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """One request, or the service's life."""
        loop = asyncio.get_running_loop()
        if self._ticking is not loop:
            self._begin(loop)
        if scope["type"] == "http":
            if scope["path"] == self._metrics_path:
                await self._show(scope, send)
            else:
                await self._measure(scope, receive, send)
        elif scope["type"] == "lifespan":
            try:
                await self.inner(scope, receive, send)
            finally:
                if self._exporter is not None:
                    await asyncio.to_thread(self._exporter.close)
        else:
            await self.inner(scope, receive, send)

    async def _measure(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        status = 500  # one that raises is a 500, as the client sees it

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        parent = state = None
        for name, value in scope["headers"]:
            if name == b"traceparent":
                parent = value
            elif name == b"tracestate":
                state = value
        here = trace.begin(parent, state, self._sample_ratio)
        before = trace._current.set(here)
        leave = self._join(here) if self._join is not None else None
        metrics = self.metrics
        metrics.running += 1
        began = time.perf_counter_ns()
        try:
            await self.inner(scope, receive, watch)
        finally:
            spent_ns = time.perf_counter_ns() - began
            if leave is not None:
                leave()
            trace._current.reset(before)
            route: str = scope.get(ROUTE, "") or getattr(scope.get("route"), "path", UNMATCHED)
            metrics.running -= 1
            metrics.tally.add(scope["method"], route, status, spent_ns / 1e9, here.trace_id if here.sampled else 0)
            if here.sampled:
                self._keep_span(here, scope["method"], route, scope["path"], status, spent_ns)

    async def _show(self, scope: MutableMapping[str, Any], send: Send) -> None:
        accept = next((value for name, value in scope["headers"] if name == b"accept"), b"").decode("latin-1")
        body, content_type = await self.metrics.show(accept)
        headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._ticking = loop
        join = joiner()

        def tick(due_s: float) -> None:
            now_s = loop.time()
            loop.call_later(TICK_S, tick, now_s + TICK_S)  # first: a gauge of the service's that raises ends no ticking
            self.metrics.tick(max(0.0, now_s - due_s))
            self._look_for_spans(join)

        loop.call_later(TICK_S, tick, loop.time() + TICK_S)


def joiner() -> Watch | None:
    """
    How spans that OpenTelemetry's libraries make inside a request become children of the request's.

    Returns:
        What enters a trace (and gives what leaves it), and whether anybody has set up a tracer provider: without one
        nobody makes spans, and entering would cost for nothing. None without OpenTelemetry's API.
    """
    if importlib.util.find_spec("opentelemetry") is None:
        return None
    from opentelemetry import context
    from opentelemetry import trace as otel

    class Here(otel.NonRecordingSpan):
        """The request's own span, made in full only when somebody asks for it."""

        def __init__(self, here: trace.Trace) -> None:
            self._here = here

        def get_span_context(self) -> otel.SpanContext:
            here = self._here
            return otel.SpanContext(
                here.trace_id, here.span_id, is_remote=False, trace_flags=otel.TraceFlags(here.sampled)
            )

    def join(here: trace.Trace) -> Callable[[], None]:
        token = context.attach(otel.set_span_in_context(Here(here)))
        return lambda: context.detach(token)

    return join, lambda: not isinstance(otel.get_tracer_provider(), otel.ProxyTracerProvider)
