"""How a connection to the target comes to be: what the engine asks for when it needs one more."""

from __future__ import annotations

import asyncio
import errno
from typing import TYPE_CHECKING

from headway.model import FailureKind

if TYPE_CHECKING:
    from headway.load.engine import Engine
    from headway.load.plain import Poller

EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM})
"""What connect(2) and socket(2) say when it is this machine that has no more, and not the target that refuses."""


class DialFailed(Exception):
    """No connection; `kind` says whose doing it was, `message` what was said."""

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class Dialer:
    """
    Connects to one address.

    Args:
        address: (host, port), resolved.
        timeout_s: of one connection.
        poller: serves the connections.
    """

    def __init__(self, address: tuple[str, int], timeout_s: float, poller: Poller) -> None:
        self._poller = poller
        self._address = address
        self._timeout_s = timeout_s

    async def dial(self, engine: Engine, wanted_ns: int) -> None:
        """
        Make one connection, which tells the engine itself that it is there (`Engine.connected`).

        Args:
            engine: whose connection it is.
            wanted_ns: when it was asked for, on the monotonic clock.

        Raises:
            DialFailed: there is none.
        """
        host, port = self._address
        connection = engine.new_connection(wanted_ns)
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._poller.connect(connection, (host, port))
        except TimeoutError as error:
            if not connection.free_ns:  # else it was made all the same, at the last moment
                raise DialFailed(FailureKind.CONNECT_TIMEOUT, f"{host}:{port}") from error
        except OSError as error:
            kind = FailureKind.EXHAUSTED if error.errno in EXHAUSTED else FailureKind.CONNECT
            raise DialFailed(kind, error.strerror or str(error)) from error
