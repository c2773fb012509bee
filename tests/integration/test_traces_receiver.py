"""The receiver of traces over real sockets: what it takes, what it refuses, and what is left when it is killed."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from headway.errors import HeadwayError, SourceRefused
from headway.evidence import runfile
from headway.evidence.bundle import get_json
from headway.evidence.otlp import settings
from headway.evidence.otlp.http import MOST_BODY_BYTES
from headway.evidence.traces import Traces
from headway.model import Presence, Received, TraceIntake
from headway.servers import ports
from otlp_bodies import as_json, attributes, read, request

CALL = {"attributes": {"db.system": "postgresql", "db.statement": "SELECT 1 FROM t WHERE id = 7"}}
PROTOBUF = {"content-type": "application/x-protobuf"}


class Opened:
    """A receiver that runs, and a way to talk to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.collector = Traces(TraceIntake(port=ports.choose()))
        self.state = self.collector.check()
        self.collector.opened(folder)
        self.port = int(self.collector.endpoint.rpartition(":")[2])

    def post(self, body: Any, path: str = "/v1/traces", *, method: str = "POST", **headers: str) -> tuple[int, bytes]:
        """Status and body of one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            sent = {
                name.replace("_", "-"): value
                for name, value in ({"content_type": PROTOBUF["content-type"]} | headers).items()
            }
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def say(self, data: bytes) -> bytes:
        """What comes back for raw bytes, until it closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as own:
            own.sendall(data)
            return own.recv(10_000)

    def received(self) -> Received:
        """What traces.json says."""
        return runfile.typed(Received, get_json(self.folder / "traces.json"))


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    """A receiver of its own for each test."""
    made = Opened(tmp_path)
    yield made
    made.collector.close()


def until(holds: Callable[[], object]) -> None:
    """Wait for something that comes soon."""
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_what_is_sent_well_is_kept_and_what_is_not_is_refused_by_its_reason(opened: Opened) -> None:
    """Protobuf and JSON, plain, gzip and in chunks are taken; each wrong request gets its own answer and is counted."""
    body = request(CALL).SerializeToString()
    assert opened.state.presence is Presence.PRESENT
    assert opened.state.detail == f"listening at http://127.0.0.1:{opened.port}"
    assert opened.post(body) == (200, b"")
    assert opened.post(gzip.compress(body), content_encoding="gzip") == (200, b"")
    assert opened.post(as_json(request(CALL)), content_type="application/json; charset=utf-8") == (200, b"{}")
    assert opened.post(iter([body[:7], body[7:]])) == (200, b"")
    bomb = gzip.compress(bytes(MOST_BODY_BYTES + 1))
    assert len(bomb) < 100_000
    answers = [
        opened.post(body[:-2]),
        opened.post(body, "/v1/logs"),
        opened.post(None, method="GET"),
        opened.post(bomb, content_encoding="gzip"),
        opened.post(body, content_type="text/plain"),
    ]
    assert [status for status, _ in answers] == [400, 404, 405, 413, 415]
    assert all(said for _, said in answers), "an answer says why"
    assert opened.post(gzip.compress(body)[:-9], content_encoding="gzip")[0] == 400
    assert opened.post(b"x" * (MOST_BODY_BYTES + 1))[0] == 413
    assert opened.post(b'{"resourceSpans": [{"scopeSpans": 5}]}', content_type="application/json")[0] == 400
    assert opened.post(b"[" * 100_000, content_type="application/json")[0] == 400
    assert b" 431 " in opened.say(b"POST /v1/traces HTTP/1.1\r\nx: " + b"y" * 40_000 + b"\r\n\r\n")
    assert b" 400 " in opened.say(b"nonsense\r\n\r\n")
    assert opened.say(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") == b""
    assert opened.post(body) == (200, b"")
    opened.collector.finish()
    opened.collector.write(opened.folder)
    told = opened.received()
    assert (told.bodies, told.spans, told.stored, told.dropped) == (5, 5, 5, {})
    assert told.refused == {
        "damaged": 4, "other paths": 1, "other methods": 1, "too large": 2, "other content types": 1,
        "header too large": 1, "not HTTP": 1, "gRPC": 1,
    }  # fmt: skip
    assert told.sdks == ("python 1.2.3",)
    assert {each["statement"] for each in read(opened.folder)} == {"SELECT ? FROM t WHERE id = ?"}
    assert "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf" in opened.collector.remark


def test_pool_metrics_are_taken_and_other_metrics_are_not(opened: Opened) -> None:
    """Of /v1/metrics the connection pools' are kept, by old and new names; the rest is counted only."""
    message = ExportMetricsServiceRequest()
    scope = message.resource_metrics.add().scope_metrics.add()
    for name, key, value in (
        ("db.client.connection.count", "db.client.connection.pool.name", 7),
        ("db.client.connections.pending_requests", "pool.name", 3),
        ("http.server.active_requests", "x", 5),
    ):
        point = scope.metrics.add(name=name).sum.data_points.add(as_int=value)
        attributes(point.attributes, {key: "main"})
    assert opened.post(message.SerializeToString(), "/v1/metrics") == (200, b"")
    assert opened.post(request(CALL).SerializeToString()) == (200, b"")
    opened.collector.finish()
    opened.collector.write(opened.folder)
    (pool,) = opened.received().pools
    assert (pool.name, pool.largest) == ("main", {"count": 7.0, "pending_requests": 3.0})
    assert opened.received().other_metrics == 1


def test_a_killed_receiver_leaves_what_it_had(opened: Opened) -> None:
    """SIGKILL in the middle of a run: the spans until then are a whole file, and the run's state says what happened."""
    body = request(*[CALL] * 50).SerializeToString()
    for _ in range(4):
        assert opened.post(body)[0] == 200
    until(lambda: opened.collector._told.get("stored") == 200)
    assert opened.collector.pid is not None
    os.kill(opened.collector.pid, signal.SIGKILL)
    until(lambda: opened.collector._child is not None and opened.collector._child.poll() is not None)
    with pytest.raises(HeadwayError, match="killed by SIGKILL"):
        opened.collector.sample(time.time())
    opened.collector.write(opened.folder)
    assert len(read(opened.folder)) == 200
    assert opened.received().stored == 200
    assert "SIGKILL" in opened.received().ended_early
    assert "are kept" in opened.collector.remark
    assert {each.name for each in opened.folder.iterdir()} == {"spans.parquet", "traces.json"}


def test_a_run_whose_headway_is_killed_keeps_its_spans(opened: Opened) -> None:
    """The end of its orders ends the receiver; it leaves the spans as Parquet by itself."""
    assert opened.post(request(CALL).SerializeToString())[0] == 200
    until(lambda: opened.collector._told.get("stored") == 1)
    opened.collector.close()
    assert len(read(opened.folder)) == 1


def test_a_taken_port_is_one_error_before_any_load() -> None:
    """Somebody listens there already: refused, with what to do; nothing is left running."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = Traces(TraceIntake(port=other.getsockname()[1]))
        with pytest.raises(SourceRefused, match=r"Address already in use.*--traces-at"):
            taken.check()
        assert taken.pid is None


def test_it_listens_on_loopback_unless_told() -> None:
    """The address is 127.0.0.1's; another has to be named."""
    assert TraceIntake().host == "127.0.0.1"
    assert settings.place("4319") == TraceIntake(port=4319)
    assert settings.place("[::1]:80") == TraceIntake(host="::1", port=80)
    for wrong in ("", "x", ":1", "70000", "host:"):
        with pytest.raises(HeadwayError, match="--traces-at"):
            settings.place(wrong)


def test_nothing_came_is_said_with_what_to_do(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that was to receive traces and got none does not pass for one that found nothing."""
    monkeypatch.setattr("headway.evidence.traces.LATE_S", 0.3)
    assert json.dumps(opened.collector.notice).count("OTEL_") >= 9
    with pytest.raises(HeadwayError, match=r"no span came to http://127.*headway traces"):
        opened.collector.finish()
