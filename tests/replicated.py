"""A primary with streaming replicas for the tests of `headway.runtime.database`: each with a lag of its own."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import time
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING

import psutil
import psycopg

from headway.servers import binaries, ports, postgres, process

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SETTINGS = {
    "shared_buffers": "32MB",
    "max_connections": "60",
    "fsync": "off",
    "shared_preload_libraries": "",
    "wal_retrieve_retry_interval": "200ms",
}


@dataclass
class Replicated:
    """A primary and its replicas in `room`, of one password. Servers can be stopped, killed, frozen, promoted."""

    room: Path
    account: process.Account | None
    programs: Path
    primary: postgres.Postgres
    replicas: list[postgres.Postgres] = field(default_factory=list)

    @classmethod
    def make(cls, room: Path) -> Replicated:
        """Start the primary in a folder that must be there."""
        account, log = process.unprivileged(), room / "primary.log"
        process.own(room, account)
        programs = binaries.postgres(room.parent, account).path
        template, password = _template(room.parent, programs, account)
        subprocess.run(["cp", "-a", template, room / "primary"], check=True)
        primary = postgres.start(
            programs, room / "primary", port=ports.choose(), password=password, log=log, account=account,
            settings=SETTINGS,
        )  # fmt: skip
        return cls(room=room, account=account, programs=programs, primary=primary)

    def add_replica(self, lag_ms: int = 0) -> str:
        """Start a replica that replays what is `lag_ms` old; its URL."""
        number = len(self.replicas)
        data, log = self.room / f"replica{number}", self.room / f"replica{number}.log"
        postgres.copy(self.programs, data, source=self.primary, slot=f"replica{number}", log=log, account=self.account)
        with (data / "postgresql.auto.conf").open("a") as own:  # not on the command line: `set_lag` changes it
            own.write(f"recovery_min_apply_delay = '{lag_ms}ms'\n")
        server = self._start(data, ports.choose(), log)
        self.replicas.append(server)
        return server.url

    def restart_primary(self, *, outage_s: float = 0.0) -> None:
        """Stop the primary at once, as a crash would, and start it again."""
        process.stop(self.primary.identity, (signal.SIGQUIT, 5.0))
        time.sleep(outage_s)
        self.primary = self._start(self.room / "primary", self.primary.port, self.room / "primary.log")

    def kill_primary(self) -> None:
        """End the primary for good."""
        process.stop(self.primary.identity, (signal.SIGQUIT, 5.0))

    def kill(self, number: int) -> None:
        """End a replica at once."""
        process.stop(self.replicas[number].identity, (signal.SIGQUIT, 5.0))

    def revive(self, number: int) -> None:
        """Start a replica again where it was."""
        data, log = self.room / f"replica{number}", self.room / f"replica{number}.log"
        self.replicas[number] = self._start(data, self.replicas[number].port, log)

    def promote(self, number: int) -> None:
        """Make a replica a primary of its own."""
        with psycopg.connect(self.replicas[number].url, autocommit=True) as connection:
            connection.execute("SELECT pg_promote(true, 20)")

    def signal_all(self, server: postgres.Postgres, sign: signal.Signals) -> None:
        """Send a signal to a server and every process of it: SIGSTOP freezes it, SIGCONT lets it go on."""
        family = psutil.Process(server.identity.pid)
        for each in (family, *family.children(recursive=True)):
            os.kill(each.pid, sign)

    def set_lag(self, number: int, lag_ms: int) -> None:
        """Change how old what a replica replays is."""
        with psycopg.connect(self.replicas[number].url, autocommit=True) as connection:
            connection.execute(f"ALTER SYSTEM SET recovery_min_apply_delay = '{lag_ms}ms'".encode())
            connection.execute("SELECT pg_reload_conf()")

    def stop(self) -> None:
        """End every server."""
        for server in (*self.replicas, self.primary):
            if process.runs(server.identity):
                self.signal_all(server, signal.SIGCONT)
            postgres.stop(server.identity)

    def _start(self, data: Path, port: int, log: Path) -> postgres.Postgres:
        server = postgres.start_unwatched(
            self.programs, data, port=port, password=self.primary_password, log=log, account=self.account,
            settings=SETTINGS,
        )  # fmt: skip
        server = replace(server, password=self.primary_password)
        postgres.wait_for(server, log, server.url)
        return server

    @property
    def primary_password(self) -> str:
        """The superuser's."""
        return self.primary.password


@cache
def _template(parent: Path, programs: Path, account: process.Account | None) -> tuple[Path, str]:
    """An empty cluster to copy, and its password: made once for each folder. Its copies have one system identifier."""
    room, password = parent / "replicated-template", secrets.token_hex(16)
    room.mkdir(mode=0o711)
    process.own(room, account)
    postgres.initialise(programs, room / "data", password=password, log=room / "log", account=account)
    return room / "data", password


def until(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until something holds."""
    end_s = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end_s, "it never held"
        time.sleep(0.01)
