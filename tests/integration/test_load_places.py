"""Where connections go, and what this machine or the way there has no more of: sockets, files, ports, silence."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headway.errors import BadInput, TargetUnreachable
from headway.load import reach
from headway.load.scenario import single
from headway.load.target import parse
from headway.model import FailureKind, LoadModel, Phase, Scenario, Wire
from load_engine import run
from load_target import OK, Target, says, target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import StartNginx

QUICK = Phase(name="p", model=LoadModel.OPEN, rate_per_s=100, duration_s=1, warmup_s=0, timeout_s=2)
PLANNED = 25


def asked(url: str, **wire: object) -> Scenario:
    return replace(single(url), wire=Wire(**wire))  # type: ignore[arg-type]  # the tests name its fields


@pytest.mark.parametrize("http2", [False, True])
def test_a_unix_socket_is_a_place(nginx: StartNginx, service_folder: Callable[[str], Path], http2: bool) -> None:
    """nginx on a Unix socket answers every request, with and without keep-alive; the Host is the URL's."""
    folder = service_folder("unix")
    path, log = folder / "s", folder / "log"
    nginx(
        http=f"log_format host '$http_host $host $connection'; access_log {log} host;"
        f" server {{ listen unix:{path}; http2 {'on' if http2 else 'off'}; location / {{ return 200 ok; }} }}"
    )
    url = "http://shop.test/"
    for keep_alive in (True, False):
        log.write_text("")
        scenario = asked(url, unix_socket=path, http2=http2, keep_alive=keep_alive)
        assert reach.arrive(parse(url), scenario) == str(path)
        log.write_text("")
        tally = run(url, scenario, QUICK)
        assert (tally.good.total(), tally.failures) == (PLANNED, Counter())
        lines = [line.split() for line in log.read_text().splitlines()]
        assert {line[1] for line in lines} == {"shop.test"}
        assert (len({line[2] for line in lines}) == PLANNED) is not keep_alive


def test_a_unix_socket_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """Before any load it is one error with its path; within a run each request fails as refused."""
    scenario = asked("http://x", unix_socket=tmp_path / "none")
    with pytest.raises(TargetUnreachable, match=f"nothing listens at {tmp_path}/none: No such file"):
        reach.arrive(parse("http://x"), scenario)
    assert run("http://x", scenario, QUICK).failures == Counter({FailureKind.CONNECT: PLANNED})
    too_long = asked("http://x", unix_socket=tmp_path / ("x" * 120))
    with pytest.raises(TargetUnreachable, match="too long"):
        reach.arrive(parse("http://x"), too_long)


def test_a_unix_socket_whose_queue_is_full_is_waited_for(tmp_path: Path) -> None:
    """A listener that accepts nobody: connect timeouts, not errors, as with a port."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        listening.listen(0)
        tally = run("http://x", asked("http://x", unix_socket=tmp_path / "s"), replace(QUICK, timeout_s=0.2))
    assert set(tally.failures) <= {FailureKind.CONNECT_TIMEOUT, FailureKind.TIMEOUT, FailureKind.UNSENT}
    assert tally.failures[FailureKind.CONNECT_TIMEOUT] > PLANNED / 2
    assert tally.failures.total() == PLANNED


def test_a_connection_goes_where_it_is_told(tmp_path: Path) -> None:
    """`connect_to` needs no name that resolves, and the request says the URL's host; `host` says another."""
    del tmp_path
    with target(says(OK)) as service:
        place = service.url.removeprefix("http://")
        url = "http://no-such-host.invalid/a"
        assert reach.arrive(parse(url), asked(url, connect_to=place)) == ("127.0.0.1", int(place.rpartition(":")[2]))
        run(url, asked(url, connect_to=place), QUICK)
        run(url, asked(url, connect_to=place, host="shop.test:81"), QUICK)
    hosts = Counter(line for head in service.asked for line in head.split(b"\r\n") if line.startswith(b"host:"))
    assert hosts == Counter({b"host: no-such-host.invalid": PLANNED + 1, b"host: shop.test:81": PLANNED})
    with pytest.raises(BadInput, match="no port 70000"):
        reach.arrive(parse(url), asked(url, connect_to="127.0.0.1:70000"))


def test_a_proxy_in_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never used and never ignored; a place that is named is gone to all the same."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(BadInput, match="HTTP_PROXY asks for a proxy"):
        reach.arrive(parse("http://shop.test"), asked("http://shop.test"))
    with target(says(OK)) as service:
        reach.arrive(parse(service.url), asked(service.url))
        reach.arrive(parse("http://shop.test"), asked("http://shop.test", connect_to=service.url[7:]))


@contextmanager
def unanswering() -> Iterator[str]:
    """An address that takes no connection and refuses none: a listener whose queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening:
        address = listening.getsockname()
        fillers = [socket.socket() for _ in range(3)]
        for each in fillers:
            each.setblocking(False)
            each.connect_ex(address)
        time.sleep(0.05)
        yield f"http://127.0.0.1:{address[1]}"
        for each in fillers:
            each.close()


@pytest.mark.parametrize("model", list(LoadModel))
def test_a_host_that_swallows_everything_is_a_connect_timeout(model: LoadModel) -> None:
    """No answer to connecting at all: each request is a connect timeout, and the run ends in time."""
    phase = replace(QUICK, timeout_s=0.2)
    if model is LoadModel.CLOSED:
        phase = replace(phase, model=model, rate_per_s=None, users=3)
    with unanswering() as url:
        tally = run(url, asked(url), phase)
    assert set(tally.failures) == {FailureKind.CONNECT_TIMEOUT}
    assert tally.failures.total() == tally.planned >= 3
    assert tally.sent == 0
    assert tally.seconds < 1.5


SCARCE = """
import resource, subprocess, sys
from pathlib import Path
sys.path.insert(0, "tests")
from headway.load.scenario import single
from headway.model import LoadModel, Phase
from load_engine import run
from load_target import OK, says, target

phase = Phase(name="p", model=LoadModel.OPEN, rate_per_s=100, duration_s=1, warmup_s=0, timeout_s=5)

def told(url):
    tally = run(url, single(url), phase)
    print(tally.planned, tally.good.total(), *(f"{kind.name}={count}" for kind, count in tally.failures.items()))
    print(*tally.errors)
"""
FILES = f"""{SCARCE}
run(sys.argv[1], single(sys.argv[1]), phase, seconds=0.02)  # what is opened once is open now
highest = max(int(each.name) for each in Path("/proc/self/fd").iterdir())
resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 15, highest + 15))
told(sys.argv[1])
"""
PORTS = f"""{SCARCE}
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("61000 61006")
with target(says(OK, wait_s=0.3)) as service:
    told(service.url)
"""


def exhausted(*argv: str) -> tuple[int, str]:
    """Good answers of a run in which all other requests found no resources; what was said of it."""
    made = subprocess.run(
        argv, capture_output=True, text=True, timeout=60, check=False, cwd=Path(__file__).parents[2]
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    counts, errors = made.stdout.splitlines()
    planned, good, failed = counts.split()
    assert planned == "25"
    assert failed == f"EXHAUSTED={25 - int(good)}"
    return int(good), errors


def test_without_files_left_the_generator_says_so() -> None:
    """EMFILE is the generator's own fault: each request without a socket is counted as that, the others are good."""
    with target(says(OK, wait_s=0.3)) as service:
        good, errors = exhausted(sys.executable, "-c", FILES, service.url)
    assert 0 < good < 15
    assert "Too many open files" in errors


def test_without_local_ports_left_the_generator_says_so() -> None:
    """In a network namespace with seven local ports: seven connections, and the rest is the generator's own fault."""
    good, errors = exhausted("unshare", "--net", "--user", "--map-root-user", sys.executable, "-c", PORTS)
    assert 0 < good <= 7
    assert "Cannot assign requested address" in errors


def test_a_service_that_restarts_is_loaded_again() -> None:
    """Down for a while in the middle: what fell into that time failed, and what came after is good."""
    first = Target(says(OK))
    port = int(first.url.rpartition(":")[2])
    second: list[Target] = []

    def restart() -> None:
        time.sleep(0.15)
        first.end()
        time.sleep(0.2)
        second.append(Target(says(OK), port))

    restarting = threading.Thread(target=restart)
    restarting.start()
    tally = run(first.url, asked(first.url), replace(QUICK, duration_s=2), seconds=0.8)
    restarting.join()
    second[0].end()
    assert tally.planned == 80
    assert set(tally.failures) <= {FailureKind.CONNECT, FailureKind.RESET}
    assert 10 < tally.failures.total() < 40
    assert len(second[0].asked) > 20
    assert tally.good.total() == 80 - tally.failures.total()


def test_a_service_that_answers_503_for_a_while_is_told_by_its_seconds() -> None:
    """Failures by status while it lasts, no connection lost for them, and good answers before and after."""
    began = time.monotonic()
    good, bad = says(OK), says(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nretry-after: 1\r\n\r\n")

    async def sometimes(head: bytes, writer: object) -> None:
        busy = 0.15 < time.monotonic() - began < 0.35
        await (bad if busy else good)(head, writer)  # type: ignore[arg-type]

    with target(sometimes) as service:
        tally = run(service.url, asked(service.url), QUICK, seconds=0.6)
        assert service.connections < 5
    assert set(tally.failures) == {FailureKind.STATUS}
    assert tally.statuses[503] == tally.failures.total() > 5
    assert tally.good.total() == tally.statuses[200] == tally.planned - tally.statuses[503] > 20


def test_requests_are_never_pipelined() -> None:
    """However many wait, a connection has one request at a time: nothing more comes before the answer is out."""
    heads: list[bytes] = []
    early: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        with connection:
            while head := connection.recv(4096):
                heads.append(head)
                time.sleep(0.02)
                with suppress(BlockingIOError):
                    early.append(connection.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK))
                connection.sendall(OK)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=accept, daemon=True).start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        tally = run(url, asked(url), replace(QUICK, rate_per_s=400, max_connections=2), seconds=0.2)
        listening.shutdown(socket.SHUT_RDWR)
    assert tally.good.total() == len(heads) == tally.planned == 80
    assert all(head.count(b"GET / HTTP/1.1") == 1 for head in heads)
    assert early == []
