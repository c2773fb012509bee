"""A run seen from outside while it lasts: by a real OTLP receiver, and by a scraper."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from headway.evidence import reading
from headway.interchange.otlp import Sender
from headway.interchange.totals import SCALE, Totals
from headway.load import histogram
from headway.model import LoadModel, Phase, Progress, Route, RouteSecond, Scenario
from keyboard import HEADWAY
from load_target import says, target

BODY = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
SCENARIO = """
name = "watched"
[load]
arrivals = "constant"
rate_per_s = 60
duration_s = {seconds}
warmup_s = 1
timeout_s = 1
[[routes]]
name = "GET /a \\"quoted\\""
path = "/a"
[[routes]]
path = "/b"
expect_status = [204]
"""


class Receiver:
    """An OTLP receiver: decodes each message as a collector does, and keeps them."""

    def __init__(self, *, wait_s: float = 0.0, status: int = 200, rejects: int = 0) -> None:
        self.messages: list[ExportMetricsServiceRequest] = []
        self.heads: list[Any] = []
        kept = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                kept.heads.append((self.path, self.headers.get("x-key")))
                kept.messages.append(ExportMetricsServiceRequest.FromString(body))
                time.sleep(wait_s)
                answer = ExportMetricsServiceResponse()
                if rejects:
                    answer.partial_success.rejected_data_points = rejects
                    answer.partial_success.error_message = "too old"
                self.send_response(status)
                self.send_header("content-length", str(len(answer.SerializeToString())))
                self.end_headers()
                self.wfile.write(answer.SerializeToString())

            def log_message(self, *_: object) -> None:
                """Quiet."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """The sender gave up on us, as it should."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def points(self) -> dict[str, dict[tuple[str, ...], Any]]:
        """Metric -> attribute values -> point, of the last message."""
        found: dict[str, dict[tuple[str, ...], Any]] = {}
        for metric in self.messages[-1].resource_metrics[0].scope_metrics[0].metrics:
            kind = metric.WhichOneof("data")
            for point in getattr(metric, kind).data_points:
                key = tuple(each.value.string_value for each in point.attributes)
                found.setdefault(metric.name, {})[key] = point
        return found


@contextmanager
def receiver(**behaviour: Any) -> Iterator[Receiver]:
    running = Receiver(**behaviour)
    try:
        yield running
    finally:
        running.server.shutdown()
        running.server.server_close()
        running.thread.join()


def started(folder: Path, url: str, *more: str, seconds: int = 3) -> subprocess.Popen[str]:
    """`headway run` of the scenario, on its way."""
    (folder / "s.toml").write_text(SCENARIO.format(seconds=seconds))
    return subprocess.Popen(
        [*HEADWAY, "run", "s.toml", "--against", url, "--no-calibration", *more],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OTEL_EXPORTER_OTLP_HEADERS": "x-key=a%20b", "NO_COLOR": "1"},
    )  # fmt: skip


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def scraped(port: int) -> dict[str, Any] | None:
    """The page through the OpenMetrics parser; None while nothing listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=2) as answer:
            assert answer.headers["content-type"].startswith("application/openmetrics-text")
            return {family.name: family for family in parsed(answer.read().decode())}
    except OSError:
        return None


def parsed(text: str) -> list[Any]:
    return list(text_string_to_metric_families(text))  # type: ignore[no-untyped-call]  # the library gives it no types


def samples(families: dict[str, Any], name: str, suffix: str) -> dict[tuple[str, ...], float]:
    order = ("phase", "route", "outcome", "le")
    return {
        tuple(each.labels[label] for label in order if label in each.labels): each.value
        for each in families[name].samples
        if each.name == name + suffix
    }


def test_both_watchers_see_what_the_bundle_keeps(tmp_path: Path) -> None:
    """The last OTLP message holds exactly the bundle's requests and times; a scrape on the way holds a part of them."""
    port, pages = free_port(), list[dict[str, Any]]()
    with target(says(BODY)) as server, receiver() as told:
        run = started(tmp_path, server.url, "--otlp", told.url, "--metrics-port", str(port))
        while run.poll() is None:
            page = scraped(port)
            pages += [page] if page is not None else []
            time.sleep(0.2)
        said = run.communicate()[1]
    assert run.returncode == 0, said
    assert f"metrics at http://127.0.0.1:{port}/metrics" in said
    (folder,) = (tmp_path / ".headway/runs").iterdir()
    (hits,) = reading.read(folder).phases
    assert told.heads[-1] == ("/v1/metrics", "a b")
    points = told.points()
    a, b = 'GET /a "quoted"', "GET /b"
    good = int(hits.response.count.sum())
    assert points["headway.requests"]["scenario", a, "good"].as_int == good
    failed = points["headway.requests"]["scenario", b, "unexpected status"].as_int
    assert failed == hits.failures.count.sum()
    assert good + failed == 180
    assert points["headway.requests.planned"]["scenario",].as_int == points["headway.requests.sent"]["scenario",].as_int
    for measure in ("response", "service"):
        point = points[f"headway.{measure}.duration"]["scenario", a]
        counts = histogram.fold(getattr(hits, measure))
        assert point.count == sum(point.positive.bucket_counts) == good
        below = np.cumsum(point.positive.bucket_counts) / good
        edge_ns = 2 ** ((point.positive.offset + int(np.searchsorted(below, 0.5)) + 1) / 2**SCALE) * 1e9
        assert edge_ns / 2 ** (1 / 2**SCALE) <= histogram.quantile_ns(counts, 0.5) * 1.002 <= edge_ns * 1.002
        assert point.sum == pytest.approx(histogram.mean_ns(counts) * good / 1e9)
    assert points["headway.lateness"]["scenario",].count == 180
    assert points["headway.connections"]["scenario",].as_int >= 1

    counting = [each for each in pages if samples(each, "headway_requests", "_total")]
    seen = [samples(each, "headway_requests", "_total")["scenario", a, "good"] for each in counting]
    assert 0 < seen[0] <= seen[-1] <= good
    assert seen == sorted(seen)
    last = counting[-1]
    assert samples(last, "headway_response_seconds", "_count")["scenario", a] == seen[-1]
    assert samples(last, "headway_response_seconds", "_bucket")["scenario", a, "+Inf"] == seen[-1]
    assert samples(last, "headway_warming_up", "")["scenario",] == 0


def test_a_dead_receiver_is_said_once_and_never_disturbs(tmp_path: Path) -> None:
    """The run keeps its pace and its end; one sentence says what is wrong."""
    with target(says(BODY)) as server:
        run = started(tmp_path, server.url, "--otlp", f"http://127.0.0.1:{free_port()}", seconds=2)
        _, said = run.communicate(timeout=60)
    assert run.returncode == 0, said
    assert said.count("OTLP metrics do not reach") == 1
    assert "Connection refused; the run goes on" in said
    (folder,) = (tmp_path / ".headway/runs").iterdir()
    (hits,) = reading.read(folder).phases
    assert hits.sent.sum() == 120


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ({"status": 503}, "it answers 503"),
        ({"rejects": 7}, "it rejects 7 points: too old"),
        ({"wait_s": 30.0}, "timed out"),
    ],
    ids=["unwilling", "choosy", "silent"],
)
def test_a_receiver_in_trouble_holds_up_nobody(behaviour: dict[str, Any], words: str) -> None:
    """However a receiver behaves, counting goes on at once, the end waits 4 s at most, and one sentence is said."""
    said: list[str] = []
    with receiver(**behaviour) as told:
        sender = Sender(Totals(one_route()), told.url, said.append)
        began = time.monotonic()
        for _ in range(100):
            sender.second()
        assert time.monotonic() - began < 0.5
        sender.close()
        assert time.monotonic() - began < 6
    assert len(said) == 1
    assert words in said[0]


def one_route() -> Scenario:
    phase = Phase(name="p", model=LoadModel.OPEN, rate_per_s=1, duration_s=1, warmup_s=0)
    routes = (Route(name="r", method="GET", path="/"),)
    return Scenario(name="s", file=None, routes=routes, parameters=(), default_phase=phase)


def test_a_port_that_is_taken_and_a_url_that_is_none_are_refused(tmp_path: Path) -> None:
    """Before anything is loaded, with exit code 2 and no run left behind."""
    with target(says(BODY)) as server, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for more in (("--metrics-port", str(taken.getsockname()[1])), ("--otlp", "127.0.0.1:4318")):
            run = started(tmp_path, server.url, *more)
            _, said = run.communicate(timeout=30)
            assert run.returncode == 2
            assert more[0] in said
        assert server.asked == []
    assert not (tmp_path / ".headway").exists()


def test_a_second_costs_the_parent_little() -> None:
    """Ten busy routes of a thousand buckets each: counting a second takes under 20 ms, and no memory that grows."""
    routes = tuple(Route(name=f"r{each}", method="GET", path="/") for each in range(10))
    phase = Phase(name="p", model=LoadModel.OPEN, rate_per_s=1, duration_s=1, warmup_s=0)
    totals = Totals(Scenario(name="s", file=None, routes=routes, parameters=(), default_phase=phase))
    buckets = np.arange(2000, 3000, dtype=np.int64), np.ones(1000, dtype=np.int64)
    second = Progress(
        phase=phase, warming_up=False, elapsed_s=1, planned_per_s=1e4, sent_per_s=1e4, good_per_s=1e4, failed=0,
        failed_total=0, response_p50_ns=1, response_p95_ns=1, response_p99_ns=1, service_p95_ns=1, connections=1,
        backlog=0, lateness=buckets,
        routes=tuple(RouteSecond(route=each, failures={}, response=buckets, service=buckets) for each in range(10)),
    )  # fmt: skip
    totals.second(second)
    began = time.process_time()
    for _ in range(20):
        totals.second(second)
    assert (time.process_time() - began) / 20 < 0.02
    assert totals.phases["p"].requests["r3", "good"] == 21_000
