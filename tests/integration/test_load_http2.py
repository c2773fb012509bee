"""HTTP/2 against a real nginx, over TLS and in clear text."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from headway.errors import TargetUnreachable
from headway.load import reach
from headway.load.scenario import single
from headway.load.target import parse
from headway.model import Check, FailureKind, LoadModel, Phase, Route, Scenario, Wire
from headway.servers import ports
from load_engine import Tally, run
from load_target import OK, says, target
from secure_site import Site, site

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import StartNginx

QUICK = Phase(name="p", model=LoadModel.OPEN, rate_per_s=200, duration_s=1, warmup_s=0, timeout_s=2)
PLANNED = 50


@pytest.fixture
def folder(service_folder: Callable[[str], Path]) -> Path:
    return service_folder("http2")


def asked(url: str, *routes: Route, **wire: object) -> Scenario:
    made = replace(single(url), wire=Wire(http2=True, **wire))  # type: ignore[arg-type]  # the tests name its fields
    return replace(made, routes=routes) if routes else made


def load(found: Site, phase: Phase = QUICK, **wire: object) -> Tally:
    return run(found.url, asked(found.url, ca_file=found.ca_file, **wire), phase)


def clear(nginx: StartNginx, settings: str = "location / { return 200 ok; }") -> str:
    """nginx with HTTP/2 in clear text; its URL."""
    port = ports.choose()
    nginx(http=f"server {{ listen {ports.HOST}:{port}; http2 on; {settings} }}")
    return f"http://{ports.HOST}:{port}"


def test_requests_share_a_connection_over_tls(nginx: StartNginx, folder: Path) -> None:
    """By ALPN: each planned request is one good answer of HTTP/2, many of them on one connection."""
    found = site(nginx, folder, settings="http2 on;")
    tally = load(found)
    assert (tally.good.total(), tally.failures) == (PLANNED, Counter())
    lines = found.logged()
    assert {line[0] for line in lines} == {"HTTP/2.0"}
    assert len(lines) == PLANNED
    assert len({line[2] for line in lines}) == 1


def test_clear_text_needs_no_upgrade(nginx: StartNginx) -> None:
    """With prior knowledge, as services behind a proxy speak it."""
    url = clear(nginx)
    tally = run(url, asked(url), QUICK)
    assert (tally.good.total(), tally.failures) == (PLANNED, Counter())


@pytest.mark.parametrize("model", list(LoadModel))
def test_requests_that_a_leaving_server_did_not_begin_are_asked_again(nginx: StartNginx, model: LoadModel) -> None:
    """nginx leaves (GOAWAY) after 20 requests a connection: no request fails for that, and none is counted twice."""
    url = clear(nginx, "keepalive_requests 20; location / { return 200 ok; }")
    phase = QUICK if model is LoadModel.OPEN else replace(QUICK, model=model, users=30, rate_per_s=None)
    tally = run(url, asked(url), phase)
    assert tally.failures == Counter()
    assert tally.good.total() == tally.planned >= PLANNED


def test_streams_are_as_many_as_both_sides_allow(nginx: StartNginx, folder: Path) -> None:
    """20 users need 20 streams: 3 connections where the server allows 8 on each, 20 where we want one."""
    found = site(nginx, folder, settings="http2 on; http2_max_concurrent_streams 8;")
    phase = replace(QUICK, model=LoadModel.CLOSED, users=20, rate_per_s=None)
    for wire, connections in (({}, 3), ({"streams": 1}, 20)):
        found.log.write_text("")
        tally = load(found, phase, **wire)
        assert (tally.failures, tally.good.total()) == (Counter(), tally.planned)
        assert len({line[2] for line in found.logged()}) == connections


def test_without_keep_alive_each_request_has_a_connection(nginx: StartNginx, folder: Path) -> None:
    """As with HTTP/1.1: as many connections as requests."""
    found = site(nginx, folder, settings="http2 on;")
    tally = load(found, keep_alive=False)
    assert (tally.good.total(), tally.failures) == (PLANNED, Counter())
    assert len({line[2] for line in found.logged()}) == PLANNED


def test_bodies_of_any_size_go_both_ways(nginx: StartNginx, folder: Path) -> None:
    """1 MB up, through the server's windows of 64 KiB, and 3 MB down: each is one good answer, each byte counted."""
    (folder / "large").write_bytes(bytes(3_000_000))
    (folder / "up").mkdir()
    url = clear(
        nginx,
        f"client_max_body_size 10m; client_body_in_file_only off; location /large {{ alias {folder}/large; }}"
        f" location /up {{ proxy_pass http://127.0.0.1:9; error_page 502 =201 /done; }}"
        f" location /done {{ return 201 done; }}",
    )
    up = Route(name="up", method="POST", path="/up", body="x" * 1_000_000, expect_status=(201,))
    down = Route(name="down", method="GET", path="/large")
    tally = run(url, asked(url, up, down), replace(QUICK, rate_per_s=40, timeout_s=10))
    assert (tally.good.total(), tally.failures) == (10, Counter())
    assert set(tally.statuses) == {200, 201}
    count = tally.statuses[200]
    assert count * 3_000_000 < tally.second.received_bytes < count * 3_000_000 + 10 * 3000


def test_answers_are_looked_into_and_redirects_followed(nginx: StartNginx, folder: Path) -> None:
    """Checks read a body that came compressed; a redirect goes out on the same terms; HEAD has no body."""
    (folder / "page.html").write_text("<b>hello</b>" * 100)
    url = clear(
        nginx,
        f"gzip on; gzip_min_length 1; location /page.html {{ root {folder}; }}"
        " location /old { return 302 /page.html; }",
    )
    accepts = (("accept-encoding", "gzip"),)
    text = (Check(source="text", expression="<b>hello</b>"),)
    routes = (
        Route(name="zipped", method="GET", path="/page.html", headers=accepts, checks=text),
        Route(name="moved", method="GET", path="/old", checks=text),
        Route(name="head", method="HEAD", path="/page.html"),
    )
    tally = run(url, asked(url, *routes, redirects=1), QUICK)
    assert (tally.good.total(), tally.failures) == (PLANNED, Counter())
    assert set(tally.statuses) == {200}
    assert len(tally.good) == 3
    wrong = replace(routes[0], checks=(Check(source="text", expression="goodbye"),))
    assert run(url, asked(url, wrong), QUICK).failures == Counter({FailureKind.CHECK: PLANNED})


def test_the_parts_of_time_are_told(nginx: StartNginx, folder: Path) -> None:
    """Connecting and shaking hands once a connection, first byte and body of each request."""
    found = site(nginx, folder, settings="http2 on;")
    tally = load(found, details=True)
    parts = {name: sum(cells[0][1]) for name, cells in tally.second.details.items()}
    assert parts == {"connect": 1, "tls": 1, "first_byte": PLANNED, "body": PLANNED}


def test_statuses_that_fail_do_so_alone(nginx: StartNginx) -> None:
    """A 503 is that request's failure; the others on its connection are good."""
    url = clear(nginx, "location /bad { return 503; } location / { return 200 ok; }")
    routes = (Route(name="bad", method="GET", path="/bad"), Route(name="good", method="GET", path="/"))
    tally = run(url, asked(url, *routes), QUICK)
    assert set(tally.failures) == {FailureKind.STATUS}
    assert tally.good.total() == tally.statuses[200] > 10
    assert tally.failures.total() == tally.statuses[503] > 10


def test_a_server_without_http2_is_said(nginx: StartNginx, folder: Path) -> None:
    """Before any load it is one error that says what to do; within a run each request fails as not HTTP/2."""
    found = site(nginx, folder)
    with pytest.raises(TargetUnreachable, match=r"offers no HTTP/2 .*but http/1.1.*without --http2"):
        reach.arrive(parse(found.url), asked(found.url, ca_file=found.ca_file))
    tally = load(found)
    assert tally.failures == Counter({FailureKind.PROTOCOL: PLANNED})
    assert "offers no HTTP/2" in tally.errors[0]
    with target(says(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")) as plain:
        with pytest.raises(TargetUnreachable, match=r"speaks HTTP/1 alone.*without --http2"):
            reach.arrive(parse(plain.url), asked(plain.url))
        tally = run(plain.url, asked(plain.url), QUICK)
        assert tally.failures == Counter({FailureKind.PROTOCOL: PLANNED})
        assert "speaks HTTP/1 alone" in tally.errors[0]
    with target(says(OK)) as plain:
        reach.arrive(parse(plain.url), single(plain.url))


def test_a_server_that_speaks_http2_alone_is_said(nginx: StartNginx) -> None:
    """HTTP/1.1 to it: the error says --http2."""
    with (
        target(says(b"\0\0\0\4\0\0\0\0\0")) as modern,
        pytest.raises(TargetUnreachable, match=r"speaks HTTP/2 alone.*say --http2"),
    ):
        reach.arrive(parse(modern.url), single(modern.url))
    reach.arrive(parse(clear(nginx)), asked("http://x"))
