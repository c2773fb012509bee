"""One nginx in a folder: any configuration, started, waited for, stopped; and the lab's own as edge cache."""

from __future__ import annotations

import signal
import socket
import time
from typing import TYPE_CHECKING

from headway.errors import LabFailed
from headway.servers import process
from headway.servers.ports import HOST

if TYPE_CHECKING:
    from pathlib import Path

    from headway.servers.process import Account, Identity

_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def start(
    program: Path, folder: Path, *, port: int, http: str, log: Path, account: Account | None, workers: int = 1
) -> Identity:
    """
    Start nginx with `http` as the inside of its http block, and wait until it accepts connections on `port`.

    Args:
        program: the nginx program.
        folder: its own folder; temporary files, configuration and pid file go there.
        port: a port `http` listens on.
        http: directives; access_log is off unless they say otherwise.
        log: gets its output and errors.
        account: the user it runs as; None for the invoking one.
        workers: worker processes.

    Raises:
        LabFailed: it ends instead; the message has the end of its log.
    """
    settings = folder / "nginx.conf"
    try:
        settings.write_text(_configuration(folder, http, workers))
        process.own(settings, account)
    except OSError as exc:
        raise LabFailed(f"cannot write {settings}: {exc}", next_act="mend the state folder") from exc
    # -e stderr: without it nginx opens its built-in error log before it reads the configuration.
    argv = [str(program), "-p", str(folder), "-e", "stderr", "-c", str(settings)]
    identity = process.spawn(argv, cwd=folder, log=log, account=account)
    _wait(identity, port, log)
    return identity


def stop(identity: Identity) -> None:
    """Fast shutdown, then by force. Bounded time."""
    process.stop(identity, (signal.SIGTERM, 5.0))


def _configuration(folder: Path, http: str, workers: int) -> str:
    temporary = "\n".join(f"    {name}_temp_path {folder}/temp_{name};" for name in _TEMPORARY)
    # `off` beside another access_log of the same block would silence that one too.
    silent = "" if "access_log" in http else "    access_log off;"
    # Built-in modules differ between builds: only paths of modules every build with http has are set by default.
    return f"""daemon off;
worker_processes {workers};
pid {folder}/nginx.pid;
error_log stderr warn;
worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{
{temporary}
    default_type application/octet-stream;
    types {{ text/html html; text/css css; application/javascript js; application/json json; image/svg+xml svg;
        image/png png; text/plain txt; }}
    keepalive_requests 1000000;
    tcp_nodelay on;
{silent}
{http}
}}
"""


def _wait(identity: Identity, port: int, log: Path, patience_s: float = 20.0) -> None:
    until = time.monotonic() + patience_s
    while True:
        try:
            socket.create_connection((HOST, port), timeout=2).close()
        except OSError as exc:
            if not process.runs(identity):
                raise LabFailed(f"nginx ended at once:\n{process.tail(log)}", next_act=f"read {log}") from exc
            if time.monotonic() > until:
                stop(identity)
                raise LabFailed(f"nginx is not ready after {patience_s:.0f} s", next_act=f"read {log}") from exc
            time.sleep(0.02)
        else:
            return
