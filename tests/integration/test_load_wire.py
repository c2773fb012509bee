"""Where connections go and how long they live, against a real nginx and a host that never accepts."""

from __future__ import annotations

import socket
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from headway.errors import BadInput, TargetUnreachable
from headway.load import reach
from headway.load.scenario import single
from headway.load.target import parse
from headway.model import FailureKind, LoadModel, Phase, Scenario, Wire
from load_engine import run
from secure_site import NAME, site

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import StartNginx

QUICK = Phase(name="p", model=LoadModel.OPEN, rate_per_s=100, duration_s=1, warmup_s=0, timeout_s=2)
PLANNED = 25
NOWHERE = "http://shop.example"


@pytest.fixture
def folder(service_folder: Callable[[str], Path]) -> Path:
    folder = service_folder("wire")
    folder.chmod(0o777)  # nginx makes its socket and its log here, by an account of its own
    return folder


def asked(url: str, **wire: object) -> Scenario:
    return replace(single(url), wire=Wire(**wire))  # type: ignore[arg-type]  # the tests name its fields


def logging(nginx: StartNginx, folder: Path, listen: str) -> Path:
    """Start one that also listens there, and logs a line a request: the connection's number, and the host asked for."""
    log = folder / "access.log"
    nginx(
        http=f"""
        log_format wire '$connection $http_host';
        server {{ listen {listen} backlog=4096; access_log {log} wire; location / {{ return 200 ok; }} }}"""
    )
    return log


def test_requests_travel_over_a_unix_socket(nginx: StartNginx, folder: Path) -> None:
    """The URL's host is only what requests say: nothing resolves it, no proxy is in the way, each answer is good."""
    path = folder / "shop.sock"
    log = logging(nginx, folder, f"unix:{path}")
    scenario = asked(NOWHERE, unix_socket=path)
    assert reach.arrive(parse(NOWHERE), scenario) == str(path)
    while not log.read_text():  # nginx writes it behind the answer
        time.sleep(0.01)
    log.write_text("")
    tally = run(NOWHERE, scenario, QUICK)
    assert (tally.good.total(), tally.failures) == (PLANNED, Counter())
    assert [line.split()[1] for line in log.read_text().splitlines()] == ["shop.example"] * PLANNED


def test_tls_travels_over_a_unix_socket(nginx: StartNginx, folder: Path) -> None:
    """The certificate is checked against the URL's host, whatever the socket: the right one is good, another fails."""
    path = folder / "tls.sock"
    found = site(nginx, folder, names=(NAME,), settings=f"listen unix:{path} ssl;")
    for url, good in ((f"https://{NAME}", PLANNED), ("https://elsewhere.test", 0)):
        tally = run(url, asked(url, ca_file=found.ca_file, unix_socket=path), QUICK)
        assert tally.good.total() == good
        assert tally.failures[FailureKind.TLS] == PLANNED - good


def test_a_unix_socket_that_is_not_there_is_said_before_any_load(folder: Path) -> None:
    """It is one error that names the path."""
    path = folder / "none.sock"
    with pytest.raises(TargetUnreachable, match=r"nothing listens at .*none\.sock"):
        reach.arrive(parse(NOWHERE), asked(NOWHERE, unix_socket=path))


@pytest.mark.parametrize("keep_alive", [True, False])
def test_connections_are_kept_or_made_for_each_request(nginx: StartNginx, folder: Path, keep_alive: bool) -> None:
    """As the server counts them: a connection a request without keep-alive, and one for a user with it."""
    path = folder / "shop.sock"
    log = logging(nginx, folder, f"unix:{path}")
    phase = replace(QUICK, model=LoadModel.CLOSED, users=1, rate_per_s=None)
    tally = run(NOWHERE, asked(NOWHERE, unix_socket=path, keep_alive=keep_alive), phase)
    lines = log.read_text().splitlines()
    assert tally.good.total() == len(lines) > 5
    connections = {line.split()[0] for line in lines}
    if keep_alive:  # nginx itself may end one after 1,000 requests (keepalive_requests)
        assert len(connections) <= 1 + len(lines) // 1000
    else:
        assert len(connections) == len(lines)


def test_a_host_that_never_accepts_is_a_connect_timeout() -> None:
    """A listener whose queue is full answers no SYN: each planned request fails as a connect timeout, none is sent."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        place = listener.getsockname()
        full = [socket.socket() for _ in range(4)]
        for each in full:
            each.setblocking(False)
            each.connect_ex(place)
        try:
            url = f"http://127.0.0.1:{place[1]}"
            tally = run(url, asked(url), replace(QUICK, timeout_s=0.3))
        finally:
            for each in full:
                each.close()
    assert tally.failures == Counter({FailureKind.CONNECT_TIMEOUT: PLANNED})
    assert tally.sent == 0


def test_a_proxy_stops_a_run_unless_the_way_is_said(nginx: StartNginx, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP_PROXY refuses a target elsewhere; where `connect_to` says the way, there is no proxy to speak of."""
    place = nginx().removeprefix("http://")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(BadInput, match="HTTP_PROXY asks for a proxy on the way to shop"):
        reach.arrive(parse(NOWHERE), asked(NOWHERE))
    host, _, port = place.rpartition(":")
    assert reach.arrive(parse(NOWHERE), asked(NOWHERE, connect_to=place)) == (host, int(port))
