"""One Valkey server in a folder: started, waited for, stopped. A cache: nothing is kept over a restart."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import redis

from headway.errors import LabFailed, SourceRefused
from headway.servers import process
from headway.servers.ports import HOST

if TYPE_CHECKING:
    from pathlib import Path

    from headway.servers.process import Account, Identity

MAXMEMORY = "128mb"
"""With allkeys-lru: the cache of a small service, so that eviction can be seen and is not the first limit met."""


def url(port: int, password: str) -> str:
    """A connection URL of database 0. `password` must need no escaping (hexadecimal)."""
    return f"redis://:{password}@{HOST}:{port}/0"


def start(program: Path, folder: Path, *, port: int, password: str, log: Path, account: Account | None) -> Identity:
    """
    Start a server and wait until it answers.

    Raises:
        LabFailed: it ends instead; the message has the end of its log.
    """
    settings = folder / "valkey.conf"
    lines = {
        "bind": HOST,
        "port": str(port),
        "requirepass": password,
        "dir": str(folder),
        "save": '""',
        "appendonly": "no",
        "maxmemory": MAXMEMORY,
        "maxmemory-policy": "allkeys-lru",
        "repl-diskless-sync-delay": "0",
        "daemonize": "no",
        "logfile": '""',
        "tcp-backlog": "511",
    }
    try:
        settings.write_text("".join(f"{name} {value}\n" for name, value in lines.items()))
        settings.chmod(0o600)
        process.own(settings, account)
    except OSError as exc:
        raise LabFailed(f"cannot write {settings}: {exc}", next_act="mend the state folder") from exc
    identity = process.spawn([str(program), str(settings)], cwd=folder, log=log, account=account)
    _wait(identity, url(port, password), log)
    return identity


def stop(identity: Identity) -> None:
    """SIGTERM, then by force. Bounded time."""
    process.stop(identity, (signal.SIGTERM, 5.0))


def flush(address: str) -> None:
    """Forget everything in the cache."""
    with redis.Redis.from_url(address, socket_timeout=10) as client:
        client.flushdb()


def check_foreign(address: str) -> str:
    """
    Somebody else's server: that it answers.

    Returns:
        What it is, and its version.

    Raises:
        SourceRefused: it does not answer, or refuses.
    """
    try:
        with redis.Redis.from_url(address, socket_connect_timeout=5, socket_timeout=5) as client:
            told = client.info("server")
    except (redis.RedisError, ValueError) as exc:
        raise SourceRefused(
            f"the server of --cache-url refuses: {exc}",
            next_act="mend the URL, or leave it out for the lab's own Valkey",
        ) from exc
    # Valkey says 7.2.4 as redis_version, for clients that look there.
    return f"Valkey {told['valkey_version']}" if "valkey_version" in told else f"Redis {told.get('redis_version')}"


def _wait(identity: Identity, address: str, log: Path, patience_s: float = 20.0) -> None:
    until = time.monotonic() + patience_s
    while True:
        try:
            with redis.Redis.from_url(address, socket_connect_timeout=2, socket_timeout=2) as client:
                client.ping()
        except redis.RedisError as exc:
            if not process.runs(identity):
                raise LabFailed(f"Valkey ended at once:\n{process.tail(log)}", next_act=f"read {log}") from exc
            if time.monotonic() > until:
                stop(identity)
                raise LabFailed(f"Valkey is not ready after {patience_s:.0f} s", next_act=f"read {log}") from exc
            time.sleep(0.02)
        else:
            return
