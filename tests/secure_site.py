"""nginx over TLS with certificates of our own making: right, expired, for another host, of an unknown authority."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import trustme

from headway.servers import ports

if TYPE_CHECKING:
    from conftest import StartNginx

NAME = "shop.test"


@dataclass(frozen=True)
class Site:
    """A running nginx: its URL by number (its certificate has 127.0.0.1 too), its authority, its access log."""

    url: str
    ca_file: Path
    log: Path

    def logged(self) -> list[list[str]]:
        """A line a request: protocol, "r" if its TLS session was resumed, the connection's number, host, SNI."""
        return [line.split() for line in self.log.read_text().splitlines()]


def days(number: int) -> datetime.datetime:
    """So many days from now."""
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=number)


def site(
    nginx: StartNginx, folder: Path, *, names: tuple[str, ...] = (NAME, "127.0.0.1"), expires_days: int = 30,
    settings: str = "", listen: str = "ssl", location: str = "location / { return 200 ok; }",
) -> Site:  # fmt: skip
    """Start one. `folder` is where nginx may read and write."""
    authority = trustme.CA()
    certificate = authority.issue_cert(*names, not_before=days(-60), not_after=days(expires_days))
    certificate.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    for file in folder.iterdir():
        file.chmod(0o644)
    port = ports.choose()
    log = folder / "access.log"
    nginx(
        http=f"""
        log_format wire '$server_protocol $ssl_session_reused $connection $http_host $ssl_server_name $ssl_protocol';
        access_log {log} wire;
        server {{
            listen {ports.HOST}:{port} {listen} backlog=4096;
            ssl_certificate {folder}/server.pem;
            ssl_certificate_key {folder}/server.pem;
            {settings}
            {location}
        }}"""
    )
    return Site(url=f"https://{ports.HOST}:{port}", ca_file=folder / "ca.pem", log=log)
