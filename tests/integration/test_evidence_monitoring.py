"""
Metrics and alerts, read over HTTP.

The metrics page is made by prometheus_client, as a service's is. Prometheus itself has no wheel: its API is answered
here by a small real server with the JSON its documentation shows (HTTP API, Rules and Targets).
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import prometheus_client
import pytest

from headway.errors import HeadwayError, SourceRefused
from headway.evidence import fetch, reading
from headway.evidence.alerts import Alerts
from headway.evidence.metrics import Metrics
from headway.model import LoadModel, Monitoring, Phase, Presence

PHASE = Phase(name="steady", model=LoadModel.OPEN, duration_s=1, warmup_s=0, rate_per_s=1)
Pages = dict[str, Callable[[], bytes]]
Serve = Callable[[Pages], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves pages by path; gives the base URL."""
    servers: list[ThreadingHTTPServer] = []

    def start(pages: Pages) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                page = pages.get(self.path)
                body = page() if page else b"none"
                self.send_response(200 if page else 404)
                self.end_headers()
                with contextlib.suppress(ConnectionError):  # Headway hangs up on what is too long or too slow
                    self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


class Service:
    """A service's own metrics."""

    def __init__(self) -> None:
        self.registry = prometheus_client.CollectorRegistry()
        self.requests = prometheus_client.Counter("http_requests", "x", ["route"], registry=self.registry)
        self.seconds = prometheus_client.Histogram("latency_seconds", "x", ["route"], registry=self.registry)

    def page(self) -> bytes:
        return prometheus_client.generate_latest(self.registry)


def prometheus(rules: list[dict[str, object]], targets: list[dict[str, object]]) -> Pages:
    """The two answers of Prometheus' HTTP API."""

    def answer(data: object) -> Callable[[], bytes]:
        return lambda: json.dumps({"status": "success", "data": data}).encode()

    return {
        "/api/v1/rules": answer({"groups": [{"name": "shop", "file": "r.yml", "interval": 15, "rules": rules}]}),
        "/api/v1/targets?state=active": answer({"activeTargets": targets, "droppedTargets": []}),
    }


def alerting(name: str, query: str, health: str = "ok") -> dict[str, object]:
    error = {} if health == "ok" else {"lastError": "bad"}
    return {"type": "alerting", "name": name, "query": query, "health": health, "state": "inactive", **error}


def monitoring(folder: Path, metrics: Metrics, alerts: Alerts) -> Monitoring:
    """What is written, read back."""
    alerts.write(folder)
    found = reading._monitoring(folder / "monitoring.json", ())
    assert found is not None
    return found


def test_the_counter_of_requests_that_moved_is_named(serve: Serve, tmp_path: Path) -> None:
    """120 requests over two routes in the phase are 120, though 50 went before."""
    service = Service()
    url = serve({"/metrics": service.page}) + "/metrics"
    metrics = Metrics(url)
    service.requests.labels("a").inc(50)
    assert metrics.check().presence is Presence.PRESENT
    metrics.begin(PHASE, 0)
    service.requests.labels("a").inc(100)
    service.requests.labels("b").inc(20)
    metrics.end(PHASE, 1)
    found = monitoring(tmp_path, metrics, Alerts(None, (), metrics))
    assert (found.request_metric, found.request_metric_moved_by) == ("http_requests_total", 120)
    assert found.metric_families == 3  # prometheus_client's `_created` gauge of the counter is one of its own
    assert (found.metrics_url, found.metrics_error, found.alerts) == (url, None, ())


def test_a_counter_that_only_headways_scrapes_move_does_not_count(serve: Serve) -> None:
    """A service that counts its metrics page and nothing else has no metric of requests."""
    service = Service()

    def page() -> bytes:
        service.requests.labels("/metrics").inc()
        return service.page()

    metrics = Metrics(serve({"/metrics": page}) + "/metrics")
    metrics.check()
    for _ in range(3):
        metrics.begin(PHASE, 0)
        metrics.end(PHASE, 1)
    assert metrics.moved["http_requests_total"] > 0
    assert metrics.request_metric() is None


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>hello</html>", "Prometheus text format"),
        (b"", "no metrics"),
        (b"{}", "Prometheus text format"),
        (b"a b c\n\xff\x00", "Prometheus text format"),
    ],
)
def test_a_page_that_is_not_metrics_is_said(serve: Serve, tmp_path: Path, body: bytes, words: str) -> None:
    """HTML, JSON, nothing, noise: the reason is kept and nothing is counted."""
    metrics = Metrics(serve({"/metrics": lambda: body}) + "/metrics")
    state = metrics.check()
    assert state.presence is Presence.FAILED
    assert words in state.detail
    found = monitoring(tmp_path, metrics, Alerts(None, (), metrics))
    assert found.metrics_error
    assert found.request_metric is None


def test_missing_endless_and_unreachable_pages_are_said(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """404, too long, too slow, closed port: one reason each, in bounded time."""
    monkeypatch.setattr(fetch, "TIMEOUT_S", 0.5)

    def slow() -> bytes:
        time.sleep(1)
        return b"late"

    base = serve({"/long": lambda: b"#" * (9 << 20), "/slow": slow})
    for path, words in (("/none", "404"), ("/long", "8 MiB"), ("/slow", "timed out")):
        with pytest.raises(HeadwayError, match=words):
            fetch.get(base + path, accept="*/*")
    with pytest.raises(HeadwayError, match="refused"):
        fetch.get("http://127.0.0.1:1/", accept="*/*")
    for url in ("localhost:80", "file:///etc/passwd", "http://", "http://a:b:c/"):
        with pytest.raises(SourceRefused):
            Metrics(url).check()


def test_alerts_loaded_by_prometheus_are_loaded(serve: Serve, tmp_path: Path) -> None:
    """Names come from the API; metrics that the service doesn't show are named; recording rules are known."""
    service = Service()
    url = serve({"/metrics": service.page}) + "/metrics"
    rules: list[dict[str, object]] = [
        alerting("Slow", "histogram_quantile(0.95, sum by (le) (rate(latency_seconds_bucket[5m]))) > 0.1"),
        alerting("Down", "up == 0 or absent(http_requests_total)"),
        alerting("Errors", "shop:errors > rate(no_such_total[5m])"),
        {"type": "recording", "name": "shop:errors", "query": "x", "health": "ok"},
    ]
    metrics = Metrics(url)
    alerts = Alerts(serve(prometheus(rules, [{"scrapeUrl": url, "health": "up"}])), (), metrics)
    metrics.check()
    assert alerts.check().detail == "3 alerting rules, loaded by Prometheus"
    found = monitoring(tmp_path, metrics, alerts)
    assert found.alerts == ("Slow", "Down", "Errors")
    assert found.alerts_loaded
    assert found.unknown_metrics == ("no_such_total",)
    assert found.alerts_error is None


def test_what_prometheus_cannot_do_is_said(serve: Serve, tmp_path: Path) -> None:
    """A rule that fails, a target that isn't scraped, a rule in a file that isn't loaded."""
    file = tmp_path / "rules.yml"
    file.write_text("groups: [{name: a, rules: [{alert: Slow, expr: up}, {alert: Unloaded, expr: up}]}]")
    metrics = Metrics("http://127.0.0.1:9/metrics")
    pages = prometheus([alerting("Slow", "up", health="err")], [{"scrapeUrl": "http://other/", "health": "up"}])
    alerts = Alerts(serve(pages), (file,), metrics)
    assert alerts.check().presence is Presence.PRESENT
    found = monitoring(tmp_path, metrics, alerts)
    assert found.alerts == ("Slow",)
    for words in (
        "alert Slow fails: bad",
        "doesn't scrape http://127.0.0.1:9/metrics",
        "not loaded by Prometheus: Unloaded",
    ):
        assert words in str(found.alerts_error)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"status":"success","data":{}}', b'{"status":"error"}'])
def test_a_server_that_is_not_prometheus_is_said(serve: Serve, tmp_path: Path, body: bytes) -> None:
    """Then alerts aren't loaded, whatever the files say."""
    file = tmp_path / "rules.yml"
    file.write_text("groups: [{name: a, rules: [{alert: Slow, expr: up}]}]")
    alerts = Alerts(serve({"/api/v1/rules": lambda: body}), (file,), Metrics(None))
    alerts.check()
    found = monitoring(tmp_path, Metrics(None), alerts)
    assert not found.alerts_loaded
    assert found.alerts == ("Slow",)
    assert "as Prometheus does" in str(found.alerts_error)


def test_a_malformed_rule_file_is_named_with_its_line_and_a_missing_one_refused(tmp_path: Path) -> None:
    """Malformed: file and line in the error, no alerts. Missing: refused before any load."""
    file = tmp_path / "rules.yml"
    file.write_text("groups:\n- rules:\n  - alert: A\n")
    alerts = Alerts(None, (file,), Metrics(None))
    assert alerts.check().presence is Presence.FAILED
    assert f"{file}:3:" in str(monitoring(tmp_path, Metrics(None), alerts).alerts_error)
    with pytest.raises(SourceRefused, match=r"gone\.yml"):
        Alerts(None, (tmp_path / "gone.yml",), Metrics(None)).check()


def test_nothing_named_is_absent(tmp_path: Path) -> None:
    """Absent is said as absent, and no file is written."""
    metrics = Metrics(None)
    alerts = Alerts(None, (), metrics)
    assert metrics.check().presence is Presence.ABSENT
    assert alerts.check().presence is Presence.ABSENT
    alerts.write(tmp_path)
    assert not list(tmp_path.iterdir())
