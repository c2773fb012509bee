"""One PgBouncer in front of a PostgreSQL, with a pool of each size that is asked for: started, waited for, stopped."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import psycopg

from headway.errors import LabFailed
from headway.servers import process
from headway.servers.ports import HOST

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from headway.servers.process import Account, Identity

USER = "headway"
"""Who may connect, to the databases and to the console."""
CONSOLE = "pgbouncer"


def url(port: int, password: str, database: str = CONSOLE) -> str:
    """A connection URL; by default of the console. `password` must need no escaping (hexadecimal)."""
    return f"postgresql://{USER}:{password}@{HOST}:{port}/{database}"


def start(
    program: Path, folder: Path, *, port: int, password: str, databases: Mapping[str, Mapping[str, str]], log: Path,
    account: Account | None, mode: str = "transaction",
) -> Identity:  # fmt: skip
    """
    Start it and wait until its console answers.

    Args:
        program: the pgbouncer to run.
        folder: for its two files, which the account must be able to enter.
        port, password: of clients.
        databases: name -> keywords of the server behind it (host, port, dbname, user, password) and its `pool_size`.
        log: gets what it says.
        account: the user it runs as; it refuses to be root.
        mode: when a server connection is given back: "session", "transaction", "statement".

    Raises:
        LabFailed: it ends instead; the message has the end of its log.
    """
    settings, users = folder / "pgbouncer.ini", folder / "users.txt"
    lines = ["[databases]", *(f"{name} = {_keywords(each)}" for name, each in databases.items())]
    lines += ["[pgbouncer]", f"listen_addr = {HOST}", f"listen_port = {port}", "unix_socket_dir =",
              "auth_type = scram-sha-256", f"auth_file = {users}", f"admin_users = {USER}", f"pool_mode = {mode}",
              "max_client_conn = 1000", "ignore_startup_parameters = extra_float_digits",
              "server_connect_timeout = 5"]  # fmt: skip
    try:
        for file, text in ((settings, "\n".join(lines) + "\n"), (users, f'"{USER}" "{password}"\n')):
            file.touch(mode=0o600)
            file.write_text(text)
            process.own(file, account)
    except OSError as exc:
        raise LabFailed(f"cannot write {settings}: {exc}", next_act="mend the folder") from exc
    identity = process.spawn([str(program), str(settings)], cwd=folder, log=log, account=account)
    _wait(identity, url(port, password), log)
    return identity


def stop(identity: Identity) -> None:
    """SIGTERM, then by force. Bounded time."""
    process.stop(identity, (signal.SIGTERM, 5.0))


def _keywords(given: Mapping[str, str]) -> str:
    return " ".join(f"{name}='{value.replace(chr(39), chr(39) * 2)}'" for name, value in given.items())


def _wait(identity: Identity, console: str, log: Path, patience_s: float = 20.0) -> None:
    until = time.monotonic() + patience_s
    while True:
        try:
            psycopg.connect(console, connect_timeout=3).close()
        except psycopg.OperationalError as exc:
            if not process.runs(identity):
                raise LabFailed(f"PgBouncer ended at once:\n{process.tail(log)}", next_act=f"read {log}") from exc
            if time.monotonic() > until:
                stop(identity)
                raise LabFailed(f"PgBouncer is not ready after {patience_s:.0f} s", next_act=f"read {log}") from exc
            time.sleep(0.02)
        else:
            return
