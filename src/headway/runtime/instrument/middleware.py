"""Pure ASGI around the service: what each request costs in it is in docs/runtime-instrument.md."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import time
from typing import TYPE_CHECKING, Any

from headway.runtime.instrument import trace
from headway.runtime.instrument.otlp import Exporter, Span

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from headway.runtime.instrument.metrics import Metrics

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

UNMATCHED = "(no route)"
TICK_S = 0.25


class Instrumented:
    """The service, measured. Made by `instrument`; `inner` is the service itself."""

    def __init__(
        self, app: App, metrics: Metrics, *, exporter: Exporter | None, sample_ratio: float, metrics_path: str
    ) -> None:
        self.inner = app
        self.metrics = metrics
        self._exporter = exporter
        self._sample_ratio = sample_ratio
        self._metrics_path = metrics_path
        self._join = _joiner()
        self._ticking: asyncio.AbstractEventLoop | None = None
        self._process = os.getpid()

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
        self.metrics.began()
        began = time.perf_counter_ns()
        try:
            await self.inner(scope, receive, watch)
        finally:
            spent_ns = time.perf_counter_ns() - began
            if leave is not None:
                leave()
            trace._current.reset(before)
            route = getattr(scope.get("route"), "path", UNMATCHED)
            exemplar = {"trace_id": f"{here.trace_id:032x}"} if here.sampled else None
            self.metrics.ended(scope["method"], route, status, spent_ns / 1e9, exemplar)
            if here.sampled and self._exporter is not None:
                now_ns = time.time_ns()
                self._exporter.keep(
                    Span(here, scope["method"], route, scope["path"], status, now_ns - spent_ns, now_ns)
                )

    async def _show(self, scope: MutableMapping[str, Any], send: Send) -> None:
        accept = next((value for name, value in scope["headers"] if name == b"accept"), b"").decode("latin-1")
        body, content_type = await asyncio.to_thread(self.metrics.show, accept)
        headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        if os.getpid() != self._process:
            self._process = os.getpid()
            trace.seed_anew()
        self._ticking = loop

        def tick(due_s: float) -> None:
            now_s = loop.time()
            self.metrics.tick(max(0.0, now_s - due_s))
            loop.call_later(TICK_S, tick, now_s + TICK_S)

        loop.call_later(TICK_S, tick, loop.time() + TICK_S)


def _joiner() -> Callable[[trace.Trace], Callable[[], None]] | None:
    """With OpenTelemetry's API there, spans made by its libraries inside a request become children of the request's."""
    if importlib.util.find_spec("opentelemetry") is None:
        return None
    from opentelemetry import context
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

    def join(here: trace.Trace) -> Callable[[], None]:
        place = SpanContext(here.trace_id, here.span_id, is_remote=False, trace_flags=TraceFlags(here.sampled))
        token = context.attach(set_span_in_context(NonRecordingSpan(place)))
        return lambda: context.detach(token)

    return join
