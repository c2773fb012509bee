"""How a connection to the target comes to be: what the engine asks for when it needs one more."""

from __future__ import annotations

import asyncio
import errno
import ssl
from time import monotonic_ns
from typing import TYPE_CHECKING, cast

from headway.load import tls
from headway.load.target import shown
from headway.model import FailureKind

if TYPE_CHECKING:
    from headway.load.engine import Engine
    from headway.load.plain import Poller
    from headway.load.target import Address
    from headway.model import Wire

EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM})
"""What connect(2) and socket(2) say when it is this machine that has no more, and not the target that refuses."""


class DialFailed(Exception):
    """No connection; `kind` says whose doing it was, `message` what was said."""

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


def dialer(
    wire: Wire, address: Address, timeout_s: float, poller: Poller, *, scheme: str = "http", name: str = ""
) -> Dialer:
    """
    What makes the connections of one worker.

    Args:
        wire: how requests travel.
        address: where connections go.
        timeout_s: of one connection, its handshake included.
        poller: serves the connections.
        scheme: "http" or "https".
        name: what the certificate must be for.

    Raises:
        BadInput: the CA file cannot be read.
    """
    encryption = tls.Client(wire, name) if scheme == "https" else None
    if wire.http2:
        from headway.load.lanes import Http2Dialer

        return Http2Dialer(address, timeout_s, poller, encryption, wire)
    return Dialer(address, timeout_s, poller, encryption)


class Dialer:
    """
    Connects to one address.

    Args:
        address: where to.
        timeout_s: of one connection, its handshake included.
        poller: serves the connections.
        encryption: this worker's side of TLS; None: clear text.
    """

    def __init__(
        self, address: Address, timeout_s: float, poller: Poller, encryption: tls.Client | None = None
    ) -> None:
        self._poller = poller
        self._address = address
        self._timeout_s = timeout_s
        self._encryption = encryption

    async def dial(self, engine: Engine, wanted_ns: int) -> None:
        """
        Make one connection, which tells the engine itself that it is there (`Engine.connected`).

        Args:
            engine: whose connection it is.
            wanted_ns: when it was asked for, on the monotonic clock.

        Raises:
            DialFailed: there is none.
        """
        connection = engine.new_connection(wanted_ns)
        try:
            await self._connect(connection)
        except DialFailed:
            if not connection.free_ns:  # else it was made all the same, at the last moment
                raise

    def close(self) -> None:
        """Nothing is kept that no connection of the engine's has."""

    async def _connect(self, party: tls.Party) -> tuple[int, int | None]:
        """
        Connect, shake hands, tell the party.

        Returns:
            How long connecting took, and the handshake (None: clear text), in ns.

        Raises:
            DialFailed: it was not to be.
        """
        began_ns = monotonic_ns()
        layer = None if self._encryption is None else self._encryption.layer(party)
        try:
            async with asyncio.timeout(self._timeout_s):
                if layer is None:
                    await self._poller.connect(cast(asyncio.Protocol, party), self._address)
                    return monotonic_ns() - began_ns, None
                await self._poller.connect(layer, self._address)
                await layer.established
                return layer.connected_ns - began_ns, layer.shaken_ns - layer.connected_ns
        except BaseException as error:
            if layer is not None:
                layer.abort()
            if not isinstance(error, Exception):
                raise
            raise self._failed(error, shaking=layer is not None and layer.connected_ns > 0) from error

    def _failed(self, error: Exception, *, shaking: bool) -> DialFailed:
        """What went wrong, by whose doing it was."""
        where = f"{shown(self._address)}{', in the TLS handshake' if shaking else ''}"
        if isinstance(error, TimeoutError):
            return DialFailed(FailureKind.CONNECT_TIMEOUT, where)
        if isinstance(error, ssl.SSLError):
            return DialFailed(FailureKind.TLS, tls.reason(error))
        if isinstance(error, tls.WrongProtocol):
            return DialFailed(FailureKind.PROTOCOL, str(error))
        if not isinstance(error, OSError):
            raise error
        said = error.strerror or str(error)
        if error.errno in EXHAUSTED:
            return DialFailed(FailureKind.EXHAUSTED, said)
        return DialFailed(FailureKind.TLS if shaking else FailureKind.CONNECT, said)
