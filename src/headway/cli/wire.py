"""The options that say how requests travel: each stands before what the scenario's [http] says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from headway.load.wire_choice import WireChoice

Http2Option = Annotated[
    bool | None,
    typer.Option("--http2/--no-http2", help="Speak HTTP/2: by ALPN over TLS, at once over clear text."),
]
KeepAliveOption = Annotated[
    bool | None,
    typer.Option("--keep-alive/--no-keep-alive", help="Without: a connection a request."),
]
InsecureOption = Annotated[bool, typer.Option("--insecure", help="Accept any TLS certificate; the run says so.")]
CaOption = Annotated[
    Path | None,
    typer.Option("--ca", metavar="FILE", help="Trust this authority (PEM), and no other."),
]
HostOption = Annotated[
    str | None,
    typer.Option("--host", metavar="NAME", help="Stands for the URL's host in requests and TLS."),
]
ConnectToOption = Annotated[
    str | None,
    typer.Option("--connect-to", metavar="ADDRESS:PORT", help="Connect there all the same."),
]
UnixSocketOption = Annotated[
    Path | None,
    typer.Option("--unix-socket", metavar="PATH", help="Connect to this Unix socket."),
]
RedirectsOption = Annotated[
    int | None,
    typer.Option("--redirects", min=0, max=50, help="Follow so many, on the same host."),
]
DetailsOption = Annotated[
    bool,
    typer.Option("--details", help="Time connecting, TLS, first byte and body as well."),
]


@dataclass(frozen=True, kw_only=True)
class WireOptions:
    """What was said of it."""

    http2: Http2Option = None
    keep_alive: KeepAliveOption = None
    insecure: InsecureOption = False
    ca: CaOption = None
    host: HostOption = None
    connect_to: ConnectToOption = None
    unix_socket: UnixSocketOption = None
    redirects: RedirectsOption = None
    details: DetailsOption = False

    def wire_choice(self) -> WireChoice:
        """
        What stands before the scenario's own.

        Raises:
            BadInput: two flags contradict each other, or one has no form it could have.
        """
        from headway.load.wire_choice import WireChoice

        return WireChoice(
            http2=self.http2,
            keep_alive=self.keep_alive,
            insecure=self.insecure or None,
            ca_file=self.ca,
            host=self.host,
            connect_to=self.connect_to,
            unix_socket=self.unix_socket,
            redirects=self.redirects,
            details=self.details or None,
        ).checked()
