"""
Plain WSGI around the service: what `middleware.py` is for ASGI. There is no loop to tick in: a thread does, begun with
the first request of each process, so that a server may load the application before it forks.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

from headway.runtime.instrument import trace
from headway.runtime.instrument.middleware import ROUTE, TICK_S, UNMATCHED, Around, joiner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from headway.runtime.instrument.metrics import Metrics
    from headway.runtime.instrument.middleware import Watch
    from headway.runtime.instrument.otlp import Exporter

    Environ = dict[str, Any]
    Start = Callable[..., Any]
    App = Callable[[Environ, Start], Iterable[bytes]]

_log = logging.getLogger("headway.runtime.instrument")


class InstrumentedWsgi(Around["App"]):
    """The service, measured. Made by `instrument_wsgi`."""

    def __init__(
        self, app: App, metrics: Metrics, *, exporter: Exporter | None, sample_ratio: float, metrics_path: str
    ) -> None:
        super().__init__(app, metrics, exporter=exporter, sample_ratio=sample_ratio, metrics_path=metrics_path)
        self._warned = self._failed = False
        # Held while prometheus_client's own locks may be: no fork may happen then, or the child waits for ever.
        self._telling = threading.Lock()
        self._begin_anew()
        me = weakref.ref(self)
        os.register_at_fork(
            before=lambda: _of(me, lambda it: it._telling.acquire()),
            after_in_parent=lambda: _of(me, lambda it: it._telling.release()),
            after_in_child=lambda: _of(me, InstrumentedWsgi._in_child),
        )
        atexit.register(lambda: _of(me, InstrumentedWsgi.close))

    def __call__(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        """One request."""
        if self._thread is None:
            self._tick_from_now_on()
        if environ.get("PATH_INFO") == self._metrics_path:
            return self._show(environ, start_response)
        parent, state = environ.get("HTTP_TRACEPARENT"), environ.get("HTTP_TRACESTATE")
        here = trace.begin(
            None if parent is None else parent.encode("latin-1"),
            None if state is None else state.encode("latin-1"),
            self._sample_ratio,
        )
        request = Measured(self, environ, here)

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            request.status = int(status[:3])
            # Werkzeug leaves the request there, and Flask takes it away again when the application returns.
            request.rule = getattr(environ.get("werkzeug.request"), "url_rule", None)
            return start_response(status, headers, *rest)

        before = trace._current.set(here)
        leave = self._join(here) if self._join is not None else None
        with self._counting:
            self.metrics.running += 1
        try:
            body = self.inner(environ, start)
        except BaseException:
            request.status = 500  # as the client sees it
            request.close()
            raise
        finally:
            if leave is not None:
                leave()
            trace._current.reset(before)
        if isinstance(body, environ.get("wsgi.file_wrapper", ())):  # the server sends this file itself, if left alone
            request.close()
            file: Iterable[bytes] = body
            return file
        request.body = body
        return request

    def close(self) -> None:
        """Hand over what is counted and send the spans that wait; the last thing a process does."""
        self._ends.set()
        with self._telling, self._counting:
            self.metrics.hand_over()
        if self._exporter is not None:
            self._exporter.close()

    def _count(self, request: Measured) -> None:
        spent_ns = time.perf_counter_ns() - request.began_ns
        environ, here, status = request.environ, request.here, request.status
        method, route = environ["REQUEST_METHOD"], self._route(environ, request)
        with self._counting:
            self.metrics.running -= 1
            self.metrics.tally.add(method, route, status, spent_ns / 1e9, here.trace_id if here.sampled else 0)
        if here.sampled:
            path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
            self._keep_span(here, method, route, path, status, spent_ns)

    def _route(self, environ: Environ, request: Measured) -> str:
        """Left by a framework's own middleware (Django), or found with the answer's beginning (Flask)."""
        route: str | None = environ.get(ROUTE) or getattr(request.rule, "rule", None)
        if route is not None:
            return route
        if not self._warned and request.status < 400 and type(request.body).__module__.startswith("django."):
            self._warned = True
            _log.warning(
                "Django tells nobody its routes: all are counted as %s; put"
                " 'headway.runtime.contrib.django_routes.Routes' first into MIDDLEWARE",
                UNMATCHED,
            )
        return UNMATCHED

    def _show(self, environ: Environ, start_response: Start) -> list[bytes]:
        with self._telling:
            self._tell()
            body, content_type = self.metrics.text(environ.get("HTTP_ACCEPT", ""))
        start_response("200 OK", [("Content-Type", content_type), ("Content-Length", str(len(body)))])
        return [body]

    def _begin_anew(self) -> None:
        self._counting = threading.Lock()
        self._starting = threading.Lock()
        self._ends = threading.Event()
        self._thread: threading.Thread | None = None

    def _in_child(self) -> None:
        self._telling = threading.Lock()
        self._begin_anew()
        self.metrics.begin_anew()

    def _tick_from_now_on(self) -> None:
        with self._starting:
            if self._thread is None:
                watch = joiner()
                self._look_for_spans(watch)
                thread = threading.Thread(target=self._tick_on, args=(watch,), name="headway-metrics", daemon=True)
                thread.start()
                self._thread = thread

    def _tick_on(self, watch: Watch | None) -> None:
        while not self._ends.wait(TICK_S):
            self._look_for_spans(watch)
            with self._telling:
                self._tell()

    def _tell(self) -> None:
        """Within `_telling`."""
        with self._counting:
            self.metrics.hand_over()
        try:
            self.metrics.look()
        except Exception:  # noqa: BLE001 - a gauge of the service's own may raise anything; that ends no ticking
            if not self._failed:
                _log.exception("some metrics are not told")
            self._failed = True


class Measured:
    """One request, and the iterable its server asks for the body: done when the server closes it."""

    __slots__ = ("_instrumented", "began_ns", "body", "environ", "here", "rule", "status")

    def __init__(self, instrumented: InstrumentedWsgi, environ: Environ, here: trace.Trace) -> None:
        self._instrumented: InstrumentedWsgi | None = instrumented
        self.environ = environ
        self.here = here
        self.rule: Any = None
        self.status = 500  # until the application says what it is
        self.body: Iterable[bytes] = ()
        self.began_ns = time.perf_counter_ns()

    def __iter__(self) -> Iterator[bytes]:
        """The body as it comes."""
        return iter(self.body)

    def close(self) -> None:
        """The answer has been sent, or its client has gone."""
        try:
            close = getattr(self.body, "close", None)
            if close is not None:
                close()
        finally:
            instrumented, self._instrumented = self._instrumented, None
            if instrumented is not None:
                instrumented._count(self)


def _of(me: weakref.ref[InstrumentedWsgi], act: Callable[[InstrumentedWsgi], object]) -> None:
    it = me()
    if it is not None:
        act(it)
