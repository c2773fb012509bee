"""
TLS between a connection and its socket: OpenSSL over two buffers, so that sessions can be resumed and their times told.

A session that one connection of a worker was given is offered by the next one, as a client that comes again does. With
TLS 1.3 it arrives after the handshake; those that connect before the first answer make full handshakes.
"""

from __future__ import annotations

import asyncio
import ssl
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, Protocol, cast

from headway.errors import BadInput
from headway.model import FailureKind

if TYPE_CHECKING:
    from pathlib import Path

    from headway.model import Wire

READ_BYTES = 1 << 16
SESSION_NS = 5_000_000_000
"""A session is offered so long before another takes its place: taking one costs a third of a resumed handshake."""
_UNKNOWN = "no authority that is trusted here has signed it"
_WRONG = {
    9: "it is not valid yet",
    10: "it has expired",
    18: "it is signed by itself",
    19: _UNKNOWN,
    20: _UNKNOWN,
    21: _UNKNOWN,
    23: "it was revoked",
}
_OF_ANOTHER = frozenset({62, 64})
"""Reasons for which a certificate is not accepted. Source: OpenSSL, X509_STORE_CTX_get_error(3)."""


class Party(Protocol):
    """What speaks through TLS: an HTTP/1.1 connection, or an HTTP/2 session."""

    @property
    def busy(self) -> bool:
        """Whether a request is in flight."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The handshake is done."""

    def data_received(self, data: bytes) -> None:
        """Decrypted."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Over."""

    def fail(self, kind: FailureKind, message: str = "") -> None:
        """What is in flight gets no good answer."""


def context(wire: Wire) -> ssl.SSLContext:
    """
    What is trusted and what is offered: TLS 1.2 at least, HTTP/1.1 or HTTP/2 by ALPN.

    Raises:
        BadInput: the CA file cannot be read, or holds no certificate.
    """
    try:
        found = ssl.create_default_context(cafile=None if wire.ca_file is None else str(wire.ca_file))
    except FileNotFoundError as exc:
        raise BadInput("there is no such CA file", next_act="name a PEM file", file=wire.ca_file) from exc
    except OSError as exc:  # SSLError is one
        raise BadInput(
            f"no CA certificate can be read from it: {exc.strerror or exc}", next_act="name a PEM file",
            file=wire.ca_file,
        ) from exc  # fmt: skip
    if wire.insecure:
        found.check_hostname = False
        found.verify_mode = ssl.CERT_NONE
    found.set_alpn_protocols(["h2", "http/1.1"] if wire.http2 else ["http/1.1"])
    return found


def for_another(error: ssl.SSLError) -> bool:
    """Whether the certificate is good, and another host's."""
    return isinstance(error, ssl.SSLCertVerificationError) and error.verify_code in _OF_ANOTHER


def ca_bytes(file: Path) -> bytes:
    """
    What is in a CA file, for another machine.

    Raises:
        BadInput: it cannot be read.
    """
    try:
        return file.read_bytes()
    except OSError as exc:
        raise BadInput(f"the CA file cannot be read: {exc.strerror}", next_act="name a PEM file", file=file) from exc


def reason(error: ssl.SSLError) -> str:
    """Why TLS failed, for people."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if for_another(error):
            return f"the certificate is for another host: {error.verify_message.rstrip('.')}"
        return f"the certificate is not accepted: {_WRONG.get(error.verify_code, error.verify_message)}"
    said = (error.reason or str(error)).lower().replace("_", " ")
    if said in {"wrong version number", "packet length too long", "http request", "record layer failure"}:
        return f"what answered does not speak TLS ({said})"
    alert = said.partition(" alert ")[2]
    return f"the server ended it: {alert}" if alert else said


class WrongProtocol(Exception):
    """The handshake is done, and the server speaks another protocol than was asked for."""


class Client:
    """
    One worker's side of TLS towards one target.

    Args:
        wire: what is trusted, and which protocol is asked for.
        name: what the certificate must be for; a name, no number, is told in the handshake (SNI).

    Attributes:
        session: what the next handshake offers to resume.
        handshakes: done so far; `resumed`: how many of them resumed a session.

    Raises:
        BadInput: as `context`.
    """

    def __init__(self, wire: Wire, name: str) -> None:
        self.context = context(wire)
        self.name = name
        self.http2 = wire.http2
        self.session: ssl.SSLSession | None = None
        self._session_ns = 0
        self.handshakes = 0
        self.resumed = 0

    def layer(self, party: Party) -> TlsTransport:
        """A layer below the party, to be connected."""
        return TlsTransport(self, party)

    def shaken(self, now_ns: int, *, resumed: bool) -> None:
        """A handshake is done. One that did not resume, or the time, makes room for a new session."""
        self.handshakes += 1
        self.resumed += resumed
        if not resumed or now_ns - self._session_ns > SESSION_NS:
            self.session = None

    def learn(self, made: ssl.SSLObject) -> None:
        """Take its session, unless there is one."""
        if self.session is None:
            self.session, self._session_ns = made.session, monotonic_ns()


class TlsTransport(asyncio.Protocol, asyncio.Transport):
    """
    The layer: a protocol to the socket below it, a transport to the party above it.

    `established` is done when the party has been told that it is connected; or it has what went wrong: ssl.SSLError,
    WrongProtocol, or OSError when the connection ended first. `connected_ns` and `shaken_ns` say when.
    """

    def __init__(self, client: Client, party: Party) -> None:
        super().__init__()
        self._client = client
        self._party = party
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = client.context.wrap_bio(
            self._in, self._out, server_hostname=client.name, session=client.session
        )  # fmt: skip
        self._raw: asyncio.Transport | None = None
        self._shaken = self._ended = self._learnt = self._told = False
        self.established: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.connected_ns = 0
        self.shaken_ns = 0

    # -- the party calls these ----------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send."""
        if self._ended:
            return
        try:
            self._object.write(data)
        except ssl.SSLError as error:
            self._broken(error)
            return
        self._flush()

    def abort(self) -> None:
        """Close at once, with the word that TLS has for it where it can still be said."""
        if self._shaken and not self._ended:
            try:
                self._object.unwrap()
            except ssl.SSLError:  # it wants the other side's word, which nobody waits for
                self._flush()
        self._ended = True
        if self._raw is not None:
            self._raw.abort()

    def close(self) -> None:
        """As `abort`."""
        self.abort()

    def is_closing(self) -> bool:
        """Whether it is closed."""
        return self._ended

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """The TLS object as "ssl_object"; when it connected and had shaken hands, "handshake_ns"; the socket's own."""
        if name == "ssl_object":
            return self._object
        if name == "handshake_ns":
            return self.connected_ns, self.shaken_ns
        return default if self._raw is None else self._raw.get_extra_info(name, default)

    # -- the socket calls these ---------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected: shake hands."""
        self._raw = cast(asyncio.Transport, transport)
        self.connected_ns = monotonic_ns()
        self._shake()

    def data_received(self, data: bytes) -> None:
        """Decrypt; a handshake comes first."""
        self._in.write(data)
        if not self._shaken:
            self._shake()
        if self._shaken:
            self._read()

    def connection_lost(self, exc: Exception | None) -> None:
        """Without TLS's own word for the end nobody can tell an answer's end from a cut."""
        self._ended = True
        if not self._shaken:
            self._refuse(exc or ConnectionResetError("closed by the server in the TLS handshake"))
        elif not self._told:
            self._party.connection_lost(exc or ConnectionResetError("closed without TLS's word for it"))

    # -- inside -------------------------------------------------------------------------------------------

    def _shake(self) -> None:
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError as error:
            self._flush()  # the alert, for the server's log
            self._refuse(error)
            return
        self._flush()
        spoken = self._object.selected_alpn_protocol()
        if self._client.http2 and spoken != "h2":
            self._refuse(WrongProtocol(f"the server offers no HTTP/2 in the TLS handshake, but {spoken or 'nothing'}"))
            return
        self._shaken = True
        self.shaken_ns = monotonic_ns()
        self._client.shaken(self.shaken_ns, resumed=bool(self._object.session_reused))
        if self._object.version() != "TLSv1.3":
            self._learn()  # before 1.3 it comes with the handshake
        self._party.connection_made(self)
        if not self.established.done():
            self.established.set_result(None)

    def _refuse(self, error: Exception) -> None:
        self._ended = True
        if not self.established.done():
            self.established.set_exception(error)
            self.established.exception()  # the dialer may have given up before
        if self._raw is not None:
            self._raw.abort()

    def _read(self) -> None:
        """All that is there. The party may close in the middle."""
        read, pending, incoming = self._object.read, self._object.pending, self._in
        while not self._ended and (incoming.pending or pending()):
            try:
                data = read(READ_BYTES)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLError as error:
                self._broken(error)
                return
            if not data:
                self._said_goodbye()
                return
            if not self._learnt:
                self._learn()
            self._party.data_received(data)
        if self._out.pending and not self._ended:  # a key update is answered
            self._flush()

    def _learn(self) -> None:
        self._learnt = True
        self._client.learn(self._object)

    def _said_goodbye(self) -> None:
        self._ended = self._told = True
        if self._raw is not None:
            self._raw.abort()
        self._party.connection_lost(None)

    def _flush(self) -> None:
        data = self._out.read()
        if data and self._raw is not None:
            self._raw.write(data)

    def _broken(self, error: ssl.SSLError) -> None:
        if self._party.busy:
            self._party.fail(FailureKind.TLS, reason(error))
        else:
            self.abort()
