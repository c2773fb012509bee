"""What answers say of caching and compression, of a real nginx and of servers that misbehave."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headway.conventions import ANSWERS_FILE
from headway.evidence import reading, runfile
from headway.evidence.answers import Answers, with_headers
from headway.evidence.collect import collect
from headway.load.drive import Stop
from headway.model import Answer, LoadModel, Phase, Presence, Route, Scenario, Sources
from load_target import says, target

if TYPE_CHECKING:
    from conftest import StartNginx

PHASE = Phase(name="one", model=LoadModel.OPEN, rate_per_s=50, duration_s=1, warmup_s=0)
BODY = "0123456789" * 400


def scenario(*routes: Route) -> Scenario:
    return Scenario(name="asked", file=None, routes=routes, parameters=(), default_phase=PHASE)


def asked(url: str, *routes: Route) -> Answers:
    """The collector, as a run would use it."""
    collector = Answers(Sources(target_url=url, answers=True), scenario(*routes))
    assert collector.check().presence is Presence.PRESENT
    collector.end(PHASE, time.time())
    collector.finish()
    return collector


def test_headers_sizes_and_validation_are_seen(nginx: StartNginx, tmp_path: Path) -> None:
    """A run leaves each GET route's answer: headers, size, what gzip made of it, whether its ETag is honoured."""
    url = nginx(
        f"""gzip on; gzip_types text/plain; gzip_min_length 100; gzip_vary on;
        location /kept {{ default_type text/plain; add_header Cache-Control "public, max-age=60";
            add_header Set-Cookie "sid=secret; Path=/"; return 200 "{BODY}"; }}
        location /bare {{ default_type text/plain; return 200 "{BODY}"; }}"""
    )
    routes = (
        Route(name="GET /kept", method="GET", path="/kept", headers=(("Authorization", "Bearer top-secret"),)),
        Route(name="GET /bare", method="GET", path="/bare"),
        Route(name="POST /bare", method="POST", path="/bare"),
    )
    folder = collect(
        tmp_path, scenario=scenario(*routes), phases=(PHASE,), sources=Sources(target_url=url, answers=True), slug="x",
        workers=1, on_second=lambda _progress: None, stop=Stop(),
    )  # fmt: skip
    evidence = reading.read(folder)
    kept, bare = evidence.answers
    assert evidence.sources["answers"].presence is Presence.PRESENT
    assert kept.headers["cache-control"] == "public, max-age=60"
    assert (kept.headers["set-cookie"], kept.credentials, bare.credentials) == ("sid", True, False)
    assert "secret" not in (folder / ANSWERS_FILE).read_text()
    assert (bare.status, bare.body_bytes, bare.same_again) == (200, len(BODY), True)
    assert bare.encoded_headers["content-encoding"] == "gzip"
    assert bare.encoded_bytes < 200 and bare.gzip_bytes < 200
    assert "cache-control" not in bare.headers and bare.revalidated is None


def test_an_etag_that_is_honoured_and_one_that_is_not(nginx: StartNginx, service_folder: object) -> None:
    """A file that nginx serves is validated with 304; a location that ignores the condition says 200, and so do we."""
    url = nginx('location / { default_type text/plain; add_header ETag "\\"v1\\""; return 200 "hello"; }')
    (answer,) = asked(url, Route(name="GET /", method="GET", path="/")).answers
    assert (answer.headers["etag"], answer.revalidated) == ('"v1"', False)


@pytest.mark.parametrize(
    "reply",
    [b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort", b"not http at all\r\n\r\n", b""],
)
def test_answers_that_are_none_are_left_out_and_said(reply: bytes) -> None:
    """A cut body, no HTTP: the route is left out, with the reason, and the run goes on."""
    with target(says(reply, then="close")) as server:
        collector = asked(server.url, Route(name="GET /", method="GET", path="/"))
    assert "GET /" in collector.remark
    assert not collector.answers


def test_a_service_that_is_gone_is_asked_once(tmp_path: Path) -> None:
    """Nothing listens any more: one refusal, no wait for the other routes."""
    with target(says(b"")) as server:
        url = server.url
    routes = [Route(name=f"GET /{each}", method="GET", path=f"/{each}") for each in range(5)]
    began = time.monotonic()
    collector = asked(url, *routes)
    assert "0 routes answered" in collector.remark
    assert time.monotonic() - began < 2


def test_a_slow_service_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that takes longer than allowed is left out."""
    monkeypatch.setattr("headway.evidence.answers.ANSWER_S", 0.2)
    with target(says(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", wait_s=1.0)) as server:
        collector = asked(server.url, Route(name="GET /", method="GET", path="/"))
    assert not collector.answers
    assert "timed out" in collector.remark


def test_a_run_without_a_finished_phase_is_not_asked() -> None:
    """A run that was cut short before its phase ended asks nothing more of the service."""
    with target(says(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")) as server:
        collector = Answers(
            Sources(target_url=server.url, answers=True), scenario(Route(name="GET /", method="GET", path="/"))
        )
        collector.check()
        collector.finish()
        assert server.asked == []


def test_headers_take_the_place_of_the_route_s_own() -> None:
    """The route's own Accept-Encoding does not stand beside the probe's."""
    request = b"GET / HTTP/1.1\r\nhost: a\r\nAccept-Encoding: zstd\r\n\r\n"
    assert with_headers(request, {"accept-encoding": "gzip"}) == (
        b"GET / HTTP/1.1\r\nhost: a\r\naccept-encoding: gzip\r\n\r\n"
    )


def test_an_answer_survives_the_disk() -> None:
    """What is written is read back as it was."""
    answer = Answer(
        route="GET /", target="/", status=200, headers={"vary": "*"}, encoded_headers={}, body_bytes=1,
        encoded_bytes=1, gzip_bytes=1, gzip_ns=1, whole=True, same_again=True, revalidated=None, credentials=False,
    )  # fmt: skip
    assert runfile.typed(Answer, runfile.plain(answer)) == answer
    assert replace(answer, revalidated=False) != answer
