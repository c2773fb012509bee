"""Workers on this machine: processes of this one, orders and messages through pipes."""

from __future__ import annotations

import ipaddress
import multiprocessing
import os
import sys
from contextlib import contextmanager
from multiprocessing.connection import wait
from types import ModuleType
from typing import TYPE_CHECKING, Any

from headway.errors import HeadwayError
from headway.load import reach, worker
from headway.load.resources import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from multiprocessing.connection import Connection as Pipe
    from multiprocessing.context import SpawnProcess

    from headway.load.crew import Message
    from headway.load.target import Address, Target
    from headway.load.worker import Assignment
    from headway.model import Scenario

READY_S = 60.0
LEAD_NS = 200_000_000
"""From the order to the start: time for every worker to have heard it."""


def default_workers(host: str) -> int:
    """One a core; on a loopback target half of them, at least one: the service needs the others."""
    cores = len(os.sched_getaffinity(0))
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    return max(1, cores // 2) if local else cores


@contextmanager
def _nameless_main() -> Iterator[None]:
    """
    A process spawned here does not import this one's program again: a worker needs none of it.

    Source: CPython, multiprocessing/spawn.py, get_preparation_data.
    """
    own = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = own


class Here:
    """This machine as the place where the generators run (`drive.Site`)."""

    def __init__(self) -> None:
        self._address: Address = ("", 0)

    @property
    def size(self) -> int:
        """See `default_workers`."""
        # A Unix socket's other end is on this machine.
        return default_workers("127.0.0.1" if isinstance(self._address, str) else self._address[0])

    def arrive(self, target: Target, scenario: Scenario) -> Address:
        """
        The target's address, after one harmless request to it.

        Raises:
            BadInput, TargetUnreachable: as `reach.arrive`.
        """
        self._address = reach.arrive(target, scenario)
        return self._address

    def hands(self, shares: Sequence[Assignment]) -> Local:
        """The workers of one phase."""
        return Local(shares)

    def close(self) -> None:
        """Nothing is left open."""


class Local:
    """The hands of a crew (`crew.Hands`) on this machine."""

    lead_ns = LEAD_NS

    def __init__(self, shares: Sequence[Assignment]) -> None:
        self._shares = shares
        self._pipes: dict[Pipe, int] = {}
        self._processes: list[SpawnProcess] = []
        self._watch: Watch | None = None

    @property
    def workers(self) -> int:
        """Generator processes of this crew."""
        return len(self._shares)

    def hire(self) -> None:
        """
        Start the workers and wait until each is ready.

        Raises:
            HeadwayError: one did not start.
        """
        spawn = multiprocessing.get_context("spawn")
        for each in self._shares:
            ours, theirs = spawn.Pipe()
            process = spawn.Process(target=worker.main, args=(theirs, each), daemon=True)
            with _nameless_main():
                process.start()
            theirs.close()
            self._processes.append(process)
            self._pipes[ours] = each.worker
        for pipe in self._pipes:
            try:
                said: Message = pipe.recv() if pipe.poll(READY_S) else ("lost", f"nothing came in {READY_S:g} s")
            except (EOFError, OSError):
                said = ("lost", "it ended")
            if said[0] != "ready":
                raise HeadwayError(f"a generator process did not start: {said[1]}", next_act="look for its error above")

    def start(self, began_ns: int) -> dict[str, Any]:
        """Give the order; nothing of one machine's clock is worth writing down."""
        phase = self._shares[0].phase
        from_ns = began_ns + int(phase.warmup_s * 1e9)
        self._watch = Watch(self._shares[0].address, from_ns, from_ns + phase.whole_seconds * 10**9)
        self._tell(("start", began_ns))
        return {}

    def messages(self, wait_s: float) -> Iterator[tuple[int, Message]]:
        """What the workers said; one that left without "done" was killed."""
        for ready in wait(list(self._pipes), wait_s):
            pipe: Pipe = ready  # type: ignore[assignment]  # wait() gives back what it was given
            worker_number = self._pipes[pipe]
            try:
                message: Message = pipe.recv()
            except (EOFError, OSError):
                message = ("lost", "its process died")
            if message[0] in {"done", "lost"}:
                self._pipes.pop(pipe)
            yield worker_number, message
        reading = self._watch.reading() if self._watch is not None else None
        if reading is not None:
            yield 0, ("host", reading)

    def drain(self) -> None:
        """Tell every worker to send nothing new."""
        self._tell(("drain",))

    def dismiss(self) -> None:
        """No worker is left afterwards; those that are not done are ended."""
        for process in self._processes:
            if self._pipes:
                process.terminate()
            process.join(5)
            if process.is_alive():
                process.kill()
                process.join()

    def _tell(self, order: tuple[Any, ...]) -> None:
        for pipe in self._pipes:
            try:
                pipe.send(order)
            except OSError:
                continue  # it is gone; its pipe's end says so next
