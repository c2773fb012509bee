"""
Spans to a collector: OTLP over HTTP in its JSON form, from a thread, without a library.

What cannot be sent is dropped and counted: a collector that is away costs the service neither memory nor time.

Source: https://opentelemetry.io/docs/specs/otlp/#otlphttp; opentelemetry-proto, trace.proto.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import urllib.error
import urllib.request
import weakref
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from headway.runtime.instrument.trace import Trace

MOST_WAITING = 2_048
MOST_IN_ONE = 512
EVERY_S = 2.0
TIMEOUT_S = 5.0
SERVER = 2
FAILED = 2

_log = logging.getLogger("headway.runtime.instrument")


class Span(NamedTuple):
    """One request that was answered. Times are ns since 1970."""

    trace: Trace
    method: str
    route: str
    path: str
    status: int
    began_ns: int
    ended_ns: int


class Exporter:
    """
    Args:
        url: the collector's, for example http://127.0.0.1:4318; `/v1/traces` is added.
        service: `service.name`.
    """

    def __init__(self, url: str, service: str) -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"{url!r} is no address of a collector; write http://host:4318")
        self._url = f"{url.rstrip('/')}/v1/traces"
        self._service = service
        self._begin_anew()
        me = weakref.ref(self)

        def in_child() -> None:
            exporter = me()
            if exporter is not None:
                exporter._begin_anew()

        os.register_at_fork(after_in_child=in_child)

    def _begin_anew(self) -> None:
        """Also in a forked child: the thread stayed with the parent, and so do the spans that wait for it."""
        self._waiting: deque[Span] = deque(maxlen=MOST_WAITING)
        self._wake = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._ends = False
        self.dropped = 0
        self.sent = 0

    def keep(self, span: Span) -> None:
        """Send it soon. Never waits."""
        if self._thread is None:
            self._start()
        if len(self._waiting) == MOST_WAITING:
            self.dropped += 1
        self._waiting.append(span)
        if len(self._waiting) >= MOST_IN_ONE:
            self._wake.set()

    def close(self) -> None:
        """Send what waits, once, and end."""
        self._ends = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(2 * TIMEOUT_S)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._send_on, name="headway-otlp", daemon=True)
                self._thread.start()

    def _send_on(self) -> None:
        failed_before = False
        while not self._ends or self._waiting:
            self._wake.wait(EVERY_S)
            self._wake.clear()
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(MOST_IN_ONE, len(self._waiting)))]
                try:
                    self._send(batch)
                except (OSError, ValueError) as exc:
                    self.dropped += len(batch)
                    if not failed_before:
                        _log.warning("spans are dropped, the collector at %s does not take them: %s", self._url, exc)
                    failed_before = True
                else:
                    self.sent += len(batch)
                    failed_before = False

    def _send(self, spans: list[Span]) -> None:
        service = {"key": "service.name", "value": {"stringValue": self._service}}
        body = {
            "resourceSpans": [
                {
                    "resource": {"attributes": [service]},
                    "scopeSpans": [
                        {"scope": {"name": "headway.runtime"}, "spans": [as_json(each) for each in spans]},
                    ],
                }
            ]
        }
        request = urllib.request.Request(  # noqa: S310 - http or https, checked above
            self._url, data=json.dumps(body).encode(), headers={"content-type": "application/json"}, method="POST"
        )
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            answer.read()


def as_json(span: Span) -> dict[str, object]:
    """A span in OTLP's JSON: ids in hexadecimal, 64-bit numbers as text."""
    attributes = {"http.request.method": span.method, "http.route": span.route, "url.path": span.path}
    pairs: list[dict[str, object]] = [{"key": key, "value": {"stringValue": text}} for key, text in attributes.items()]
    pairs.append({"key": "http.response.status_code", "value": {"intValue": str(span.status)}})
    trace = span.trace
    return {
        "traceId": f"{trace.trace_id:032x}",
        "spanId": f"{trace.span_id:016x}",
        **({"parentSpanId": f"{trace.parent_id:016x}"} if trace.parent_id else {}),
        **({"traceState": trace.state} if trace.state else {}),
        "name": f"{span.method} {span.route}",
        "kind": SERVER,
        "startTimeUnixNano": str(span.began_ns),
        "endTimeUnixNano": str(span.ended_ns),
        "attributes": pairs,
        "status": {"code": FAILED} if span.status >= 500 else {},
    }
