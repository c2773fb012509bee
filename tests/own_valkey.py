"""A Valkey of a test's own, which it may kill, pause and bring back at the same address."""

from __future__ import annotations

import os
import signal
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis

from headway.servers import binaries, ports, process, valkey

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORD = "0abc"


@contextmanager
def running() -> Iterator[OwnValkey]:
    """One in a folder of its own, for as long as the block lasts."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        room = Path(folder) / "valkey"
        room.mkdir(mode=0o711)
        server = OwnValkey(room)
        try:
            yield server
        finally:
            server.stop()


class OwnValkey:
    """Started at once; `stop` at the end."""

    def __init__(self, folder: Path) -> None:
        self._program = binaries.valkey().path
        account = process.unprivileged()
        self._account = account if process.permits(account, "x", self._program) else None
        self._folder, self._port = folder, ports.choose()
        process.own(folder, self._account)
        self.url = valkey.url(self._port, PASSWORD)
        self.start()

    def start(self) -> None:
        """Start it, empty, at its address."""
        self._identity = valkey.start(
            self._program,
            self._folder,
            port=self._port,
            password=PASSWORD,
            log=self._folder / "valkey.log",
            account=self._account,
        )

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        process.stop(self._identity, (signal.SIGKILL, 5.0))

    def pause(self) -> None:
        """SIGSTOP: connections stand, nothing answers."""
        os.kill(self._identity.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self._identity.pid, signal.SIGCONT)

    def stop(self) -> None:
        """For good, whatever state it is in."""
        if process.runs(self._identity):
            self.resume()
            valkey.stop(self._identity)

    def command(self, *words: Any) -> Any:
        """Ask the server itself."""
        with redis.Redis.from_url(self.url) as client:
            return client.execute_command(*words)

    def configure(self, **settings: object) -> None:
        """CONFIG SET, underscores for hyphens."""
        for name, value in settings.items():
            self.command("CONFIG", "SET", name.replace("_", "-"), value)
