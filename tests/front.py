"""nginx before another service: TLS with HTTP/2 for shop.example, and a Unix socket."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import trustme

from headway.servers import binaries, ports, process
from headway.servers import nginx as nginx_server

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Front:
    """Where it is: a URL by number, its authority, its socket."""

    url: str
    ca_file: Path
    socket: Path


@contextmanager
def fronted(app_url: str) -> Iterator[Front]:
    """It runs until the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="headway-front-"))
    folder.chmod(0o755)
    authority = trustme.CA()
    authority.issue_cert("shop.example").private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    program, account, port = binaries.nginx().path, process.unprivileged(), ports.choose()
    account = account if process.permits(account, "x", program) else None
    process.own(folder, account)
    for file in folder.iterdir():
        file.chmod(0o644)
    block = f"""server {{
        listen {ports.HOST}:{port} ssl; listen unix:{folder}/socket; http2 on;
        ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.pem;
        location / {{ proxy_pass {app_url}; proxy_http_version 1.1; proxy_set_header connection ""; }} }}"""
    running = nginx_server.start(program, folder, port=port, http=block, log=folder / "nginx.log", account=account)
    try:
        yield Front(url=f"https://{ports.HOST}:{port}", ca_file=folder / "ca.pem", socket=folder / "socket")
    finally:
        nginx_server.stop(running)
        shutil.rmtree(folder)
