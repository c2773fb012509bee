"""Servers that a proof starts for itself and gives back, also when Headway is killed: a Valkey, an nginx in front."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headway.prove.lifeline import PREFIX, lifeline
from headway.servers import binaries, nginx, ports, process, valkey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from headway.prove.lifeline import Lifeline
    from headway.servers.process import Account, Identity


@dataclass(frozen=True, kw_only=True)
class Front:
    """An nginx: the addresses of its servers, in the order they were asked for, its process and its access log."""

    urls: tuple[str, ...]
    identity: Identity
    log: Path


@contextlib.contextmanager
def own_valkey() -> Iterator[str]:
    """
    The URL of a fresh Valkey on loopback, for as long as the block lasts.

    Raises:
        LabFailed: there is no program, or it does not start.
    """
    program = binaries.valkey().path
    with _room(program) as (room, account, life):
        port, password = ports.choose(), secrets.token_hex(16)
        log = room / "valkey.log"
        identity = valkey.start(program, room, port=port, password=password, log=log, account=account)
        life.process(identity)
        try:
            yield valkey.url(port, password)
        finally:
            valkey.stop(identity)


@contextlib.contextmanager
def front(servers: int, http: Callable[[Path, tuple[int, ...], Path], str]) -> Iterator[Front]:
    """
    An nginx with so many servers on loopback, for as long as the block lasts.

    Args:
        servers: how many ports it listens on.
        http: what its http block says, given its folder, its ports and the file of its access log.

    Raises:
        LabFailed: there is no program, or it does not start.
    """
    program = binaries.nginx().path
    with _room(program) as (room, account, life):
        taken: list[int] = []
        for _ in range(servers):
            taken.append(ports.choose(frozenset(taken)))
        log = room / "access.jsonl"
        log.touch()
        process.own(log, account)
        identity = nginx.start(
            program, room, port=taken[0], http=http(room, tuple(taken), log), log=room / "nginx.log", account=account
        )
        life.process(identity)
        try:
            yield Front(urls=tuple(f"http://{ports.HOST}:{each}" for each in taken), identity=identity, log=log)
        finally:
            nginx.stop(identity)


@contextlib.contextmanager
def _room(program: Path) -> Iterator[tuple[Path, Account | None, Lifeline]]:
    """A folder that the account a server runs as can enter, and what gives all back when this process is killed."""
    account = process.unprivileged()
    account = account if process.permits(account, "x", program) else None
    with lifeline() as life:
        room = Path(tempfile.mkdtemp(prefix=PREFIX))
        life.folder(room)
        try:
            room.chmod(0o711)
            process.own(room, account)
            yield room, account, life
        finally:
            shutil.rmtree(room, ignore_errors=True)
