"""What is loaded: a URL, taken apart once, and what stands in for parts of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from headway.errors import BadInput

if TYPE_CHECKING:
    from headway.model import Wire

PORTS = {"http": 80, "https": 443}
EXAMPLE = "say, for example, http://127.0.0.1:8000"

Address = tuple[str, int] | str
"""Where connections go: a numeric host and a port, or the path of a Unix socket."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """An `http://` or `https://` URL: host without brackets, port never missing, path with its query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def tls(self) -> bool:
        """Whether requests are encrypted."""
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """Host and port as in a URL; the scheme's own port is not named."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    def header(self, wire: Wire) -> str:
        """What requests say in `Host`."""
        return wire.host or self.authority

    def name(self, wire: Wire) -> str:
        """The name that the certificate must have, which is asked for in the handshake (SNI)."""
        return self.host if wire.host is None else _split(wire.host)[0]

    def place(self, wire: Wire) -> tuple[str, int]:
        """
        Host, not resolved yet, and port to connect to.

        Raises:
            BadInput: `connect_to` names no port there can be.
        """
        host, port = (self.host, self.port) if wire.connect_to is None else _split(wire.connect_to, self.port)
        if not 0 < port < 65536:
            raise BadInput(f"there is no port {port} to connect to", next_act="mend connect_to")
        return host, port


def parse(url: str) -> Target:
    """
    A target's URL.

    Raises:
        BadInput: another scheme, no host, no port, credentials, or control characters.
    """
    if not url.isascii() or any(ord(each) <= 32 for each in url):
        raise BadInput(f"the target {url!r} has characters no URL has", next_act=f"percent-encode them; {EXAMPLE}")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        raise BadInput(f"the target {url!r} is not a URL: {exc}", next_act=EXAMPLE) from exc
    if parts.scheme not in PORTS or not parts.hostname:
        raise BadInput(f"the target {url!r} is not an http:// or https:// URL", next_act=EXAMPLE)
    if parts.username or parts.password:
        raise BadInput("the target's URL holds credentials", next_act="send them as a header in the scenario")
    if port == 0:
        raise BadInput(f"the target {url!r} has port 0, where nothing can listen", next_act=EXAMPLE)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(scheme=parts.scheme, host=parts.hostname, port=port or PORTS[parts.scheme], path=path)


def split_url(url: str) -> tuple[str, int, str]:
    """
    Host, port and path with query of a target's URL.

    Raises:
        BadInput: as `parse`.
    """
    found = parse(url)
    return found.host, found.port, found.path


def target_path(url: str) -> str:
    """The path and query of a target."""
    return parse(url).path


def shown(address: Address) -> str:
    """An address for people."""
    if isinstance(address, str):
        return address
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _split(text: str, port: int = 0) -> tuple[str, int]:
    """`host`, `host:port`, `[v6]:port` or a bare IPv6 address to host and port."""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        return host, int(rest[1:]) if rest[1:].isdecimal() else port
    if text.count(":") > 1:
        return text, port
    host, _, said = text.partition(":")
    return host, int(said) if said.isdecimal() else port
