"""TLS against a real nginx with certificates of our own making: what is trusted, resumed, timed, and refused."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import trustme

from headway.errors import BadInput, TargetUnreachable
from headway.load import reach
from headway.load.scenario import single
from headway.load.target import parse
from headway.model import FailureKind, LoadModel, Phase, Scenario, Wire
from load_engine import Tally, run
from load_target import says, target
from secure_site import NAME, Site, site

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import StartNginx

QUICK = Phase(name="p", model=LoadModel.OPEN, rate_per_s=100, duration_s=1, warmup_s=0, timeout_s=2)
PLANNED = 25


@pytest.fixture
def folder(service_folder: Callable[[str], Path]) -> Path:
    return service_folder("tls")


def asked(url: str, **wire: object) -> Scenario:
    return replace(single(url), wire=Wire(**wire))  # type: ignore[arg-type]  # the tests name its fields


def load(found: Site, **wire: object) -> Tally:
    return run(found.url, asked(found.url, ca_file=found.ca_file, **wire), QUICK)


def why(tally: Tally, kind: FailureKind) -> str:
    """The sample of a run in which every request failed in this way."""
    assert tally.failures == Counter({kind: PLANNED})
    return tally.errors[0]


def test_requests_travel_over_tls(nginx: StartNginx, folder: Path) -> None:
    """With the authority named, each planned request is one good answer, and the host and SNI are the URL's."""
    found = site(nginx, folder)
    tally = load(found)
    assert (tally.good.total(), tally.failures) == (PLANNED, Counter())
    lines = found.logged()
    assert len(lines) == PLANNED
    assert {line[0] for line in lines} == {"HTTP/1.1"}
    assert {line[3] for line in lines} == {found.url.removeprefix("https://")}


def test_a_name_stands_in_for_the_url_s(nginx: StartNginx, folder: Path) -> None:
    """`host` is what requests, SNI and the certificate's check go by; `connect_to` is only where the socket goes."""
    found = site(nginx, folder, names=(NAME,))
    port = found.url.rpartition(":")[2]
    assert load(found, host=NAME).good.total() == PLANNED
    assert {tuple(line[3:5]) for line in found.logged()} == {(NAME, NAME)}
    found.log.write_text("")
    url = f"https://{NAME}"
    elsewhere = run(url, asked(url, ca_file=found.ca_file, connect_to=f"127.0.0.1:{port}"), QUICK)
    assert elsewhere.good.total() == PLANNED
    assert {tuple(line[3:5]) for line in found.logged()} == {(NAME, NAME)}


@pytest.mark.parametrize(("facts", "wire", "said"), [
    ({"expires_days": -1}, {}, "it has expired"),
    ({"names": ("elsewhere.test",)}, {}, "for another host"),
    ({}, {"ca_file": None}, "no authority that is trusted here has signed it"),
])  # fmt: skip
def test_a_certificate_that_is_not_good_is_a_tls_failure(
    nginx: StartNginx, folder: Path, facts: dict[str, object], wire: dict[str, object], said: str
) -> None:
    """Each planned request is one TLS failure with the reason; before a run it is one error; --insecure accepts it."""
    found = site(nginx, folder, **facts)  # type: ignore[arg-type]
    usual = {"ca_file": found.ca_file, **wire}
    assert said in why(run(found.url, asked(found.url, **usual), QUICK), FailureKind.TLS)
    with pytest.raises(TargetUnreachable, match=said):
        reach.arrive(parse(found.url), asked(found.url, **usual))
    assert run(found.url, asked(found.url, insecure=True), QUICK).good.total() == PLANNED
    reach.arrive(parse(found.url), asked(found.url, insecure=True))


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_a_session_is_resumed_by_the_next_connection(nginx: StartNginx, folder: Path, version: str) -> None:
    """Without keep-alive all connections but the first resume, as nginx saw it, with either version of TLS."""
    found = site(nginx, folder, settings=f"ssl_protocols {version};")
    phase = replace(QUICK, model=LoadModel.CLOSED, users=1, rate_per_s=None)
    tally = run(found.url, asked(found.url, ca_file=found.ca_file, keep_alive=False), phase)
    lines = found.logged()
    assert tally.good.total() == len(lines) > 5
    assert len({line[2] for line in lines}) == len(lines)  # a connection each
    assert Counter(line[1] for line in lines) == {".": 1, "r": len(lines) - 1}
    assert {line[-1] for line in lines} == {version}


def test_sessions_that_a_server_does_not_keep_are_not_needed(nginx: StartNginx, folder: Path) -> None:
    """A server without sessions makes full handshakes, and every request is good all the same."""
    found = site(nginx, folder, settings="ssl_session_tickets off; ssl_session_cache off;")
    tally = load(found, keep_alive=False)
    assert (tally.good.total(), tally.failures) == (PLANNED, Counter())
    assert {line[1] for line in found.logged()} == {"."}


def test_the_parts_of_a_request_s_time_have_connect_and_tls(nginx: StartNginx, folder: Path) -> None:
    """With details a new connection's first request has the times of connecting and shaking hands, each above 0."""
    found = site(nginx, folder)
    tally = load(found, details=True, keep_alive=False)
    parts = {name: sum(cells[0][1]) for name, cells in tally.second.details.items()}
    assert parts == {"connect": PLANNED, "tls": PLANNED, "first_byte": PLANNED, "body": PLANNED}
    assert 0 < tally.quantile_ms("connect", 0.5) < tally.quantile_ms("tls", 0.5) < 500


def test_large_answers_come_whole(nginx: StartNginx, folder: Path) -> None:
    """An answer of many TLS records is one answer, each byte counted."""
    (folder / "large").write_bytes(bytes(3_000_000))
    found = site(nginx, folder, location=f"location / {{ alias {folder}/; }}")
    url = f"{found.url}/large"
    tally = run(url, asked(url, ca_file=found.ca_file), replace(QUICK, rate_per_s=20))
    assert tally.good.total() == tally.planned == 5
    assert 5 * 3_000_000 < tally.second.received_bytes < 5 * 3_001_000


def test_a_server_without_tls_and_one_that_hangs_up_are_said(nginx: StartNginx) -> None:
    """Clear text where TLS was asked for, and an end within the handshake: TLS failures, and errors before a run."""
    plain = nginx().replace("http://", "https://")
    assert "does not speak TLS" in why(run(plain, asked(plain), QUICK), FailureKind.TLS)
    with pytest.raises(TargetUnreachable, match=r"does not speak TLS.*say http://"):
        reach.arrive(parse(plain), asked(plain))
    with hangs_up() as url:
        assert "TLS failed" in why(run(url, asked(url), QUICK), FailureKind.TLS)


def test_clear_text_to_a_tls_port_is_said_before_any_load() -> None:
    """An alert where HTTP/1 was expected: the error says https://."""
    with (
        target(says(b"\x15\x03\x03\x00\x02\x02\x46")) as alert,
        pytest.raises(TargetUnreachable, match=r"speaks TLS.*say https://"),
    ):
        reach.arrive(parse(alert.url), single(alert.url))


def test_a_handshake_that_never_ends_is_a_connect_timeout() -> None:
    """A server that takes the connection and says nothing: each request fails by the timeout, where is said."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        tally = run(url, asked(url), replace(QUICK, timeout_s=0.3))
    assert tally.failures == Counter({FailureKind.CONNECT_TIMEOUT: PLANNED})
    assert any("in the TLS handshake" in each for each in tally.errors)


def test_a_ca_file_that_is_none_is_refused(tmp_path: Path) -> None:
    """A missing file, and one without a certificate: one error that names it."""
    url = "https://127.0.0.1:1"
    with pytest.raises(BadInput, match="no such CA file"):
        reach.arrive(parse(url), asked(url, ca_file=tmp_path / "none.pem"))
    (tmp_path / "empty.pem").write_text("hello")
    with pytest.raises(BadInput, match=r"empty\.pem"):
        reach.arrive(parse(url), asked(url, ca_file=tmp_path / "empty.pem"))


class hangs_up:
    """A server that closes each connection after its first bytes."""

    def __enter__(self) -> str:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        threading.Thread(target=self._serve, daemon=True).start()
        return f"https://127.0.0.1:{self._listening.getsockname()[1]}"

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection:
                connection.recv(1)

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


def goodbye(connection: ssl.SSLSocket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nall of it")
    with suppress(OSError):
        connection.unwrap()


def cut(connection: ssl.SSLSocket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nsome of it")


def noise(connection: ssl.SSLSocket) -> None:
    os.write(connection.fileno(), b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")


@pytest.mark.parametrize(("act", "kind"), [(goodbye, None), (cut, FailureKind.RESET), (noise, FailureKind.TLS)])
def test_an_end_is_one_only_in_tls_s_own_words(
    tmp_path: Path, act: Callable[[ssl.SSLSocket], None], kind: FailureKind | None
) -> None:
    """An answer that ends with the connection: whole with close_notify, cut without it; clear text is TLS's failure."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    def serve() -> None:
        with suppress(OSError):
            while True:
                plain, _ = listening.accept()
                with context.wrap_socket(plain, server_side=True) as connection:
                    connection.recv(4096)
                    act(connection)

    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        url = f"https://127.0.0.1:{listening.getsockname()[1]}"
        tally = run(url, asked(url, ca_file=tmp_path / "ca.pem"), QUICK)
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(5)
    assert tally.failures == (Counter() if kind is None else Counter({kind: PLANNED}))
    assert tally.good.total() == (PLANNED if kind is None else 0)
