"""One `up` at work: start what is missing, keep what is right, restart what changed, stop what is not wanted."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from headway.errors import LabFailed
from headway.lab import shop
from headway.lab.state import Memory, Started, write
from headway.servers import nginx, ports, postgres, process, valkey

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from headway.lab.room import Folders
    from headway.servers.process import Account, Identity

STOPS: dict[str, Callable[[Identity], None]] = {
    "nginx": nginx.stop,
    "app": shop.stop,
    "valkey": valkey.stop,
    "replica": postgres.stop,
    "postgres": postgres.stop,
}
"""How each kind of service is stopped, in the order in which they stop: the last user first."""

_TRIES = 3


def stop(name: str, identity: Identity) -> None:
    """Stop a service, or one of the shop's tools, as its kind is stopped."""
    STOPS.get(kind(name), shop.stop)(identity)


def kind(name: str) -> str:
    """`app-2` is an `app`."""
    return name.partition("-")[0]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """
    A service that should run.

    `settings` is everything that demands a restart when it changes, its port aside. `start` gets the port and returns
    the process; `ready` waits until it can be used; `answers` says whether a running one still can.
    """

    name: str
    settings: object
    version: str
    account: Account | None
    start: Callable[[int], Identity]
    answers: Callable[[int], bool]
    ready: Callable[[Identity, int], None] = lambda _identity, _port: None

    def fingerprint(self, port: int) -> str:
        """Equal when a service started with it needs no restart."""
        whole = json.dumps([self.settings, self.version, port], sort_keys=True, default=str)
        return hashlib.sha256(whole.encode()).hexdigest()[:16]


class Convergence:
    """
    The services of one lab, changed one at a time, each change written down as soon as it is made.

    Args:
        folders: where things are.
        memory: what is known; `memory` is what is known now.
        say: gets progress.
        must_write: raise when a change cannot be written down. `down` goes on without: a full disk is no reason to
            leave servers running, and a process that has ended is recognised as such.
    """

    def __init__(
        self, folders: Folders, memory: Memory, say: Callable[[str], None], *, must_write: bool = True
    ) -> None:
        self.folders = folders
        self.must_write = must_write
        self.memory = memory
        self.say = say
        self.changed: set[str] = set()

    def remember(self, memory: Memory) -> None:
        """
        Write down what is known now.

        Raises:
            LabFailed: the state folder is read-only or full, and it `must_write`.
        """
        self.memory = memory
        try:
            write(self.folders.state, memory)
        except LabFailed:
            if self.must_write:
                raise

    def port_for(self, name: str) -> int:
        """The port a service has, had, or will get; kept over restarts unless somebody else took it."""
        known = self.memory.ports.get(name)
        started = self.memory.services.get(name)
        if known is not None and started is not None and started.port == known and process.runs(started.identity):
            return known
        if known is not None and ports.is_free(known):
            return known
        chosen = ports.choose(frozenset(self.memory.ports.values()))
        if known is not None:
            self.say(f"port {known} of {name} is taken by another program; {name} moves to port {chosen}")
        self.memory = replace(self.memory, ports={**self.memory.ports, name: chosen})
        return chosen

    def ensure(self, wanted: Sequence[Wanted]) -> None:
        """
        Have these services run: all are started, then all are waited for, then they are written down.

        Raises:
            LabFailed: one does not start.
        """
        begun: list[tuple[Wanted, Identity, int]] = []
        for each in wanted:
            port = self.port_for(each.name)
            if not self._is_right(each, port):
                self.drop(each.name)
                begun.append((each, *self._start(each, port)))
        for each, identity, port in begun:
            each.ready(identity, port)
            self.remember(
                self.memory.with_service(
                    Started(
                        name=each.name,
                        identity=identity,
                        port=port,
                        fingerprint=each.fingerprint(port),
                        version=each.version,
                        account=each.account.name if each.account else process.invoking_user(),
                    )
                )
            )
            self.changed.add(each.name)
            self.say(f"{each.name} runs on port {port} ({each.version})")

    def drop(self, name: str) -> None:
        """Stop a service and forget it; nothing happens when it does not run."""
        started = self.memory.services.get(name)
        if started is None:
            return
        if process.runs(started.identity):
            self.say(f"stopping {name}")
            stop(name, started.identity)
        self.remember(self.memory.without_service(name))

    def drop_all_but(self, names: frozenset[str]) -> None:
        """Stop every service not named, users before what they use."""
        order = list(STOPS)
        for name in sorted(self.memory.services, key=lambda each: (order.index(kind(each)), each)):
            if name not in names:
                self.drop(name)

    def _is_right(self, wanted: Wanted, port: int) -> bool:
        started = self.memory.services.get(wanted.name)
        if started is None or not process.runs(started.identity):
            return False
        return started.fingerprint == wanted.fingerprint(port) and wanted.answers(port)

    def _start(self, wanted: Wanted, port: int) -> tuple[Identity, int]:
        for _ in range(_TRIES):
            try:
                return wanted.start(port), port
            except LabFailed:
                if ports.is_free(port):
                    raise
                # Somebody took the port between the look and the start.
                port = self.port_for(wanted.name)
        raise LabFailed(f"{wanted.name} lost its port {_TRIES} times", next_act="try again")
