"""Is anything there that speaks HTTP? Asked once, before any load."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from headway.conventions import USER_AGENT
from headway.errors import TargetUnreachable

if TYPE_CHECKING:
    from headway.model import Scenario

PATIENCE_S = 5.0


def resolve(host: str, port: int) -> tuple[str, int]:
    """
    The address to connect to.

    Raises:
        TargetUnreachable: the name does not resolve.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as exc:
        raise TargetUnreachable(
            f"the target's name {host!r} does not resolve: {exc.strerror}", next_act="mend the URL"
        ) from exc
    found.sort(key=lambda each: each[0] is not socket.AF_INET)
    return str(found[0][4][0]), port


def check(address: tuple[str, int], host: str, scenario: Scenario) -> None:
    """
    Ask one harmless request. Any HTTP answer will do, and silence too: a slow service is a finding, not an error.

    Raises:
        TargetUnreachable: nothing listens, or what answers is not HTTP.
    """
    where = f"{address[0]}:{address[1]}"
    plain = next((r.path for r in scenario.routes if r.method == "GET" and "{" not in r.path), "/")
    try:
        connection = socket.create_connection(address, PATIENCE_S)
    except OSError as exc:
        why = "nothing answers" if isinstance(exc, TimeoutError) else "nothing listens"
        raise TargetUnreachable(
            f"{why} at {where}: {exc.strerror or exc}", next_act="start the service, or mend the URL"
        ) from exc
    try:
        with connection:
            request = f"GET {plain} HTTP/1.1\r\nhost: {host}\r\nuser-agent: {USER_AGENT}\r\nconnection: close\r\n\r\n"
            connection.sendall(request.encode())
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
    if not began.startswith(b"HTTP/"):
        shown = f"began with {began!r}" if began else "closed the connection without a word"
        raise TargetUnreachable(
            f"what listens at {where} does not speak HTTP/1: it {shown}", next_act="name the service's HTTP port"
        )
