"""Is anything there that speaks HTTP, in the way the requests will? Asked once, before any load."""

from __future__ import annotations

import os
import socket
import ssl
from typing import TYPE_CHECKING

from headway.conventions import USER_AGENT
from headway.errors import TargetUnreachable
from headway.load import proxies, tls
from headway.load.target import shown

if TYPE_CHECKING:
    from headway.load.target import Address, Target
    from headway.model import Scenario, Wire

PATIENCE_S = 5.0
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
"""What an HTTP/2 connection begins with, and empty settings. Source: RFC 9113, 3.4."""
SETTINGS = 4


def arrive(target: Target, scenario: Scenario) -> Address:
    """
    The address to connect to, after one harmless request to it. Any answer will do, and silence too: a slow service is
    a finding, not an error.

    Raises:
        BadInput: the environment asks for a proxy; the CA file cannot be read.
        TargetUnreachable: the name does not resolve, nothing listens, TLS fails, or what answers is not HTTP.
    """
    wire = scenario.wire
    address: Address
    if wire.unix_socket is not None:
        address = str(wire.unix_socket.absolute())
    else:
        if wire.connect_to is None:
            proxies.refuse(target, os.environ)
        address = resolve(*target.place(wire))
    check(address, target, scenario)
    return address


def resolve(host: str, port: int) -> tuple[str, int]:
    """
    The address to connect to.

    Raises:
        TargetUnreachable: the name does not resolve.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else exc
        raise TargetUnreachable(f"the target's name {host!r} does not resolve: {why}", next_act="mend the URL") from exc
    found.sort(key=lambda each: each[0] is not socket.AF_INET)
    return str(found[0][4][0]), port


def check(address: Address, target: Target, scenario: Scenario) -> None:
    """
    Ask one harmless request.

    Raises:
        BadInput: the CA file cannot be read.
        TargetUnreachable: nothing listens, TLS fails, or what answers is not HTTP.
    """
    where, wire = shown(address), scenario.wire
    path = next((r.path for r in scenario.routes if r.method == "GET" and "{" not in r.path), "/")
    request = (
        f"GET {path} HTTP/1.1\r\nhost: {target.header(wire)}\r\nuser-agent: {USER_AGENT}\r\nconnection: close\r\n\r\n"
    )
    encryption = tls.context(wire) if target.tls else None
    try:
        plain = _connected(address)
    except OSError as exc:
        why = "nothing answers" if isinstance(exc, TimeoutError) else "nothing listens"
        raise TargetUnreachable(
            f"{why} at {where}: {exc.strerror or exc}", next_act="start the service, or mend the URL"
        ) from exc
    try:
        with plain, _encrypted(plain, encryption, target.name(wire), where, wire) as connection:
            connection.sendall(PREFACE if wire.http2 else request.encode())
            began = b""
            while len(began) < len(b"HTTP/") and (more := connection.recv(16)):
                began += more
    except TimeoutError:
        return  # connected, and slow to answer
    except OSError as exc:
        raise TargetUnreachable(
            f"what listens at {where} broke off its first answer: {exc.strerror or exc}",
            next_act="look at the service's log, or mend the URL",
        ) from exc
    _recognise(began, where, target, http2=wire.http2)


def _connected(address: Address) -> socket.socket:
    if not isinstance(address, str):
        return socket.create_connection(address, PATIENCE_S)
    found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        found.settimeout(PATIENCE_S)
        found.connect(address)
    except OSError:
        found.close()
        raise
    return found


def _encrypted(
    plain: socket.socket, encryption: ssl.SSLContext | None, name: str, where: str, wire: Wire
) -> socket.socket:
    """
    Raises:
        TargetUnreachable: the handshake fails, or HTTP/2 is asked for and not offered.
    """
    if encryption is None:
        return plain
    try:
        found = encryption.wrap_socket(plain, server_hostname=name)
    except ssl.SSLError as exc:
        raise TargetUnreachable(f"TLS with {name} at {where} failed: {tls.reason(exc)}", next_act=_cure(exc)) from exc
    except TimeoutError:
        raise
    except OSError as exc:
        raise TargetUnreachable(
            f"TLS with {name} at {where} failed: it ended the connection ({exc.strerror or exc})",
            next_act="name the service's HTTPS port, or say http://",
        ) from exc
    spoken = found.selected_alpn_protocol()
    if wire.http2 and spoken != "h2":
        found.close()
        raise TargetUnreachable(
            f"what listens at {where} offers no HTTP/2 in the TLS handshake, but {spoken or 'nothing'}",
            next_act="run without --http2, or turn HTTP/2 on in the service",
        )
    return found


def _cure(error: ssl.SSLError) -> str:
    if tls.for_another(error):
        return "say with --host which name the certificate is for, mend it, or accept any with --insecure"
    if isinstance(error, ssl.SSLCertVerificationError):
        return "name the authority's certificate with --ca FILE, mend the certificate, or accept any with --insecure"
    return "name the service's HTTPS port, or say http://"


def _recognise(began: bytes, where: str, target: Target, *, http2: bool) -> None:
    """
    Raises:
        TargetUnreachable: these are not the first bytes of an answer.
    """
    speaks_http1 = began.startswith(b"HTTP/")
    if http2:
        if not speaks_http1 and began[3:4] == bytes([SETTINGS]):
            return
        told, cure = "does not speak HTTP/2", "run without --http2, or name the service's HTTP/2 port"
        if speaks_http1:
            told = "speaks HTTP/1 alone"
    else:
        if speaks_http1:
            return
        told, cure = "does not speak HTTP/1", "name the service's HTTP port"
        if began[3:4] == bytes([SETTINGS]):
            told, cure = "speaks HTTP/2 alone", "say --http2"
        elif began[:1] in {b"\x15", b"\x16"} and not target.tls:
            told, cure = "speaks TLS", "say https://"
    how = f"began with {began!r}" if began else "closed the connection without a word"
    raise TargetUnreachable(f"what listens at {where} {told}: it {how}", next_act=cure)
