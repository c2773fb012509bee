"""A Dask cluster of real processes for a test: one scheduler, workers of one thread each, all ended by their own id."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

WAIT_S = 30.0


def free_port() -> int:
    """A port of the loopback address that nothing listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


class DaskCluster:
    """
    Running processes.

    Args:
        folder: where their logs go.
        host: the scheduler's address.
        scheduler_in, workers_in: what a command there begins with: nothing, or `ip netns exec NAME`.
    """

    def __init__(
        self, folder: Path, *, host: str = "127.0.0.1", scheduler_in: tuple[str, ...] = (),
        workers_in: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        self._folder = folder
        self._workers_in = workers_in
        port = free_port()
        self._tcp = f"tcp://{host}:{port}"
        self.address = f"dask://{host}:{port}"
        self.workers: list[subprocess.Popen[bytes]] = []
        self._logs: dict[int, Path] = {}
        self.scheduler = self._run(
            scheduler_in, "dask_scheduler", "--host", host, "--port", str(port), "--no-dashboard", "--no-show"
        )
        self._until_said(self.scheduler, "Scheduler at:")

    def add(self, count: int, *, python_path: Path | None = None) -> list[subprocess.Popen[bytes]]:
        """Start workers, with another folder of modules first where one is given; they are in the cluster on return."""
        more = [
            self._run(
                self._workers_in, "dask_worker", self._tcp, "--nthreads", "1", "--no-nanny", "--no-dashboard",
                "--death-timeout", "30", python_path=python_path,
            )
            for _ in range(count)
        ]  # fmt: skip
        self.workers += more
        for each in more:
            self._until_said(each, "Registered to")
        return more

    def end(self, process: subprocess.Popen[bytes], number: signal.Signals = signal.SIGKILL) -> None:
        """End one of them."""
        process.send_signal(number)
        process.wait(10)

    def close(self) -> None:
        """None is left."""
        for process in (*self.workers, self.scheduler):
            if process.poll() is None:
                self.end(process)

    def _run(
        self, inside: tuple[str, ...], module: str, *options: str, python_path: Path | None = None
    ) -> subprocess.Popen[bytes]:
        log = self._folder / f"{module}-{len(self._logs)}.log"
        paths = [str(python_path)] if python_path else []
        paths += [each for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each]
        with log.open("wb") as out:
            process = subprocess.Popen(
                [*inside, sys.executable, "-m", f"distributed.cli.{module}", *options],
                stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=self._folder,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            )  # fmt: skip
        self._logs[process.pid] = log
        return process

    def _until_said(self, process: subprocess.Popen[bytes], words: str) -> None:
        until = time.monotonic() + WAIT_S
        while words not in (text := self._logs[process.pid].read_text(errors="replace")):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{words!r} was not said within {WAIT_S:g} s:\n{text}")
            time.sleep(0.05)
