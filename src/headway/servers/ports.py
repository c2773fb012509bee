"""Free TCP ports on this machine."""

from __future__ import annotations

import random
import socket
from pathlib import Path

from headway.errors import LabFailed

HOST = "127.0.0.1"
_LOWEST = 15_000


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # sockets in TIME_WAIT do not take a port
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def choose(taken: frozenset[int] = frozenset()) -> int:
    """
    A free port below the range the kernel gives to outgoing connections.

    A port from that range, as binding to 0 gives, can be taken by one of the load's own connections while its server
    restarts.

    Raises:
        LabFailed: a thousand tries found none.
    """
    for _ in range(1000):
        port = random.randrange(_LOWEST, _highest())  # noqa: S311 - not a secret
        if port not in taken and is_free(port):
            return port
    raise LabFailed(f"no free TCP port between {_LOWEST} and {_highest()}", next_act="end what listens there")


def _highest() -> int:
    try:
        low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        low = 32_768
    return low if low > _LOWEST + 1000 else 65_535
