"""Buckets at the limits, trace context, and what a request leaves in /metrics."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, MutableMapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from headway.model import Subject
from headway.promises import increment
from headway.runtime.instrument import Instrumented, current, instrument, trace
from headway.runtime.instrument.edges import edges_s, read_limits_s
from headway.runtime.instrument.red import Tally

ROOT = Path(__file__).parents[2]
INCREMENTS = [
    *sorted((ROOT / "tests/golden/increments").rglob("spec.md")),
    *sorted((ROOT / "tests/golden/increments").glob("*.md")),
    *sorted((ROOT / "examples/shop/.specweave/increments").rglob("spec.md")),
]
PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def user(request: Request) -> Response:
    """Answers with the trace it is in."""
    here = current()
    assert here is not None
    if request.path_params["id"] == 0:
        raise ZeroDivisionError
    return JSONResponse({"traceparent": here.traceparent})


def service(**arguments: Any) -> Instrumented:
    """A small service, measured."""
    return instrument(Starlette(routes=[Route("/users/{id:int}", user)]), limits_ms=(100, 250), **arguments)


async def call(app: Instrumented, path: str, headers: list[tuple[bytes, bytes]] | None = None) -> tuple[int, bytes]:
    """One GET through ASGI: status and body."""
    scope: MutableMapping[str, Any] = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": headers or [],
    }  # fmt: skip
    got: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        got.append(message)

    await app(scope, receive, send)
    return got[0]["status"], b"".join(each.get("body", b"") for each in got[1:])


def samples(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """The exposition as Prometheus reads it."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


@pytest.mark.parametrize("increment_file", INCREMENTS, ids=lambda file: file.name)
def test_every_limit_the_gate_judges_is_the_edge_of_a_bucket(increment_file: Path) -> None:
    """The small reader of the runtime misses no duration that `headway.promises` finds in the increments there are."""
    known = read_limits_s(increment_file)
    limits_s = [
        clause.limit / 1e9
        for criterion in increment.read(increment_file).criteria
        for clause in criterion.clauses
        if clause.subject is Subject.LATENCY and clause.limit is not None
    ]
    assert limits_s
    for limit_s in limits_s:
        assert any(abs(limit_s - each) < 1e-9 for each in known), limit_s


@pytest.mark.parametrize(
    ("line", "limits_s"),
    [
        ("- [ ] **AC-US1-01**: API response time <100ms (P95) (P1)", (0.1,)),
        ("- [ ] **AC-US1-05**: GET /users/{id} P99 <= 1,500 milliseconds at 2K req/sec", (1.5,)),
        ("- [ ] **AC-US1-07**: GET /users P99\n  < 0,5 sec\n- a remark of 3 s\n", (0.5,)),
        ("- [ ] **AC-1**: P95 under 0.25 s and P99 under 2 seconds", (0.25, 2.0)),
    ],
)
def test_limits_are_read_as_people_write_them(tmp_path: Path, line: str, limits_s: tuple[float, ...]) -> None:
    """Milliseconds and seconds, with thousands and decimals; the same float whichever unit it came in."""
    (tmp_path / "spec.md").write_text(f"# Increment\nWithin 30 s of prose.\n{line}\n")
    assert read_limits_s(tmp_path) == limits_s


def test_an_increment_without_a_limit_is_refused(tmp_path: Path) -> None:
    """Buckets aligned to nothing would be called aligned."""
    (tmp_path / "spec.md").write_text("- [ ] **AC-1**: Alerts configured\n")
    with pytest.raises(ValueError, match="limits_ms"):
        instrument(service().inner, promises=tmp_path)


@given(st.lists(st.floats(0, 20), max_size=60), st.floats(0.0005, 5))
def test_the_share_within_a_limit_is_exact(seconds: list[float], limit_s: float) -> None:
    """The bucket that ends at the limit holds exactly the requests that took at most that long."""
    edges = edges_s((limit_s,))
    histogram = Histogram("h", "-", ("method", "route", "status"), buckets=edges, registry=None)
    tally = Tally(edges)
    for each in [*seconds, limit_s]:
        tally.add("GET", "/", 200, each, 0)
    tally.hand_over(histogram, exemplars=True)
    found = {
        sample.labels["le"]: sample.value
        for family in histogram.collect()
        for sample in family.samples
        if sample.name == "h_bucket"
    }
    within = next(value for le, value in found.items() if float(le) == limit_s)
    assert within == sum(each <= limit_s for each in [*seconds, limit_s])
    assert found["+Inf"] == len(seconds) + 1


def test_handing_over_leaves_what_observing_would_have_left() -> None:
    """prometheus_client's own histogram, given the same durations one by one, shows the same numbers."""
    edges, durations = edges_s((0.1,)), [0.0, 0.0999, 0.1, 0.1001, 3.0, 60.0]
    ours, own = (
        Histogram("h", "-", ("method", "route", "status"), buckets=edges, registry=CollectorRegistry())
        for _ in range(2)
    )
    tally = Tally(edges)
    for each in durations:
        tally.add("GET", "/", 200, each, 0)
        own.labels("GET", "/", "200").observe(each)
    tally.hand_over(ours, exemplars=True)
    shown = [
        [(s.name, s.labels, s.value) for f in each.collect() for s in f.samples if not s.name.endswith("_created")]
        for each in (ours, own)
    ]
    assert shown[0] == shown[1]


def test_requests_are_counted_by_route_and_status_and_never_by_path() -> None:
    """Three users are one route; an unknown path is one label whatever it is; one that raises is a 500."""

    async def story() -> bytes:
        app = service()
        for path in ("/users/1", "/users/2", "/users/3", "/nothing/1", "/nothing/2"):
            await call(app, path)
        with pytest.raises(ZeroDivisionError):
            await call(app, "/users/0")
        return (await call(app, "/metrics"))[1]

    found = samples(asyncio.run(story()))
    count = "http_request_duration_seconds_count"

    def of(route: str, status: str) -> float | None:
        return found.get((count, (("method", "GET"), ("route", route), ("status", status))))

    assert of("/users/{id:int}", "200") == 3
    assert of("/users/{id:int}", "500") == 1
    assert of("(no route)", "404") == 2
    assert found["http_requests_in_progress", ()] == 0
    assert not any("/users/1" in str(key) for key in found)


def test_a_trace_is_carried_on_and_its_exemplar_is_shown() -> None:
    """The caller's trace id stays, the span id is new, and OpenMetrics shows the trace beside its bucket."""

    async def story() -> tuple[bytes, bytes]:
        app = service()
        _, body = await call(app, "/users/1", [(b"traceparent", PARENT)])
        _, text = await call(app, "/metrics", [(b"accept", b"application/openmetrics-text; version=1.0.0")])
        return body, text

    body, text = asyncio.run(story())
    _, trace_id, span_id, flags = json.loads(body)["traceparent"].split("-")
    assert (trace_id, flags) == ("0af7651916cd43dd8448eb211c80319c", "01")
    assert span_id != "b7ad6b7169203331"
    assert b'# {trace_id="0af7651916cd43dd8448eb211c80319c"}' in text


@given(st.binary(max_size=80) | st.from_regex(trace._PARENT, fullmatch=True))
def test_whatever_comes_as_traceparent_a_request_has_a_valid_trace(parent: bytes) -> None:
    """Ids are never zero, and an invalid header begins a new trace without its state."""
    here = trace.begin(parent, b"vendor=1", 1.0)
    assert 0 < here.trace_id < 2**128
    assert 0 < here.span_id < 2**64
    assert trace._PARENT.fullmatch(here.traceparent.encode())
    assert bool(here.state) == bool(here.parent_id)


@pytest.mark.parametrize("parent", [PARENT[:-1], b"ff" + PARENT[2:], PARENT + b"-more", PARENT.replace(b"0af", b"0AF")])
def test_an_invalid_parent_is_not_followed(parent: bytes) -> None:
    """Version ff, a longer version 00, capitals: the standard calls them invalid."""
    assert trace.begin(parent, None, 1.0).parent_id == 0


@pytest.fixture
def collector() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A collector of traces: its address, and what it got."""
    got: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            got.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return None

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", got
    server.shutdown()
    thread.join()
    server.server_close()


def test_spans_reach_the_collector_as_otlp_has_them(collector: tuple[str, list[dict[str, Any]]]) -> None:
    """Sampled by the caller: sent, with its parent; the message is read back by OpenTelemetry's own definition."""
    from google.protobuf import json_format
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    url, got = collector
    app = service(otlp_url=url, service="shop", sample_ratio=0.0)

    async def story() -> None:
        await call(app, "/users/1", [(b"traceparent", PARENT)])
        await call(app, "/users/2")

    asyncio.run(story())
    assert app._exporter is not None
    app._exporter.close()
    (message,) = got
    (span,) = message["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert (span["traceId"], span["parentSpanId"]) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    assert span["name"] == "GET /users/{id:int}"
    assert int(span["startTimeUnixNano"]) < int(span["endTimeUnixNano"])
    read = json_format.Parse(json.dumps(message), ExportTraceServiceRequest())
    assert read.resource_spans[0].scope_spans[0].spans[0].kind == 2


def test_a_collector_that_is_away_costs_spans_and_nothing_else() -> None:
    """Spans are dropped and counted; requests are answered."""
    app = service(otlp_url="http://127.0.0.1:9", sample_ratio=1.0)

    async def story() -> int:
        return (await call(app, "/users/1"))[0]

    assert asyncio.run(story()) == 200
    assert app._exporter is not None
    app._exporter.close()
    assert app._exporter.dropped == 1


PROCESS = """
import asyncio, sys
from headway.runtime.instrument import instrument
async def plain(scope, receive, send):
    await send({"type": "http.response.start", "status": 200})
async def call(app, path, send):
    await app({"type": "http", "method": "GET", "path": path, "headers": []}, None, send)
async def story():
    async def quiet(message): pass
    async def show(message): sys.stdout.buffer.write(message.get("body", b""))
    app = instrument(plain, gauges={"queue_length": lambda: 2.0})
    for _ in range(int(sys.argv[1])):
        await call(app, "/", quiet)
    app.metrics.tick(0.0)
    if sys.argv[2] == "show":
        await call(app, "/metrics", show)
asyncio.run(story())
"""


def test_any_process_answers_for_all_and_the_dead_are_not_counted_as_living(tmp_path: Path) -> None:
    """Counters of a process that has ended stay in the sum; its gauges do not."""
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}

    def run(requests: int, show: str) -> bytes:
        done = subprocess.run(
            [sys.executable, "-c", PROCESS, str(requests), show], env=environment, capture_output=True, check=True
        )  # fmt: skip
        return done.stdout

    run(3, "no")
    found = samples(run(4, "show"))
    key = ("http_request_duration_seconds_count", (("method", "GET"), ("route", "(no route)"), ("status", "200")))
    assert found[key] == 7
    assert found["queue_length", ()] == 2.0


def test_spans_of_opentelemetry_libraries_become_children_of_the_request() -> None:
    """Once a tracer provider is set up; before that nothing is entered."""
    from opentelemetry.sdk.trace import TracerProvider

    from headway.runtime.instrument.middleware import joiner

    found = joiner()
    assert found is not None
    here = trace.begin(PARENT, None, 1.0)
    leave: Callable[[], None] = found[0](here)
    try:
        child = TracerProvider().get_tracer("t").start_span("child")
    finally:
        leave()
    assert child.get_span_context().trace_id == here.trace_id
    parent = getattr(child, "parent", None)
    assert parent is not None
    assert parent.span_id == here.span_id
