"""A PgBouncer before the copy, with a pool of each size that is to be tried; none where this machine has none."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from psycopg import conninfo

from headway.errors import LabFailed
from headway.prove.lifeline import PREFIX, lifeline
from headway.servers import binaries, pgbouncer, ports, process

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

KEPT = frozenset({"host", "hostaddr", "port", "dbname", "user", "password"})


@dataclass(frozen=True, kw_only=True)
class Front:
    """What stands before the copy. `urls`: size of the pool -> where it is reached; empty when there is none."""

    said: str
    urls: Mapping[int, str]


@contextmanager
def before(url: str, sizes: Sequence[int]) -> Iterator[Front]:
    """PgBouncer with transaction pooling before the database, ended with the block, or with this process if killed."""
    try:
        binary = binaries.pgbouncer()
    except LabFailed as exc:
        yield Front(said=f"PgBouncer was not tried in front: {exc.what}", urls={})
        return
    if binary is None or not sizes:
        yield Front(said="PgBouncer was not tried in front: there is none on this machine's path", urls={})
        return
    room, account = Path(tempfile.mkdtemp(prefix=PREFIX)), process.unprivileged()
    with lifeline() as life:
        life.folder(room)
        try:
            room.chmod(0o711)
            process.own(room, account)
            port, password = ports.choose(), secrets.token_hex(16)
            given = {name: str(value) for name, value in conninfo.conninfo_to_dict(url).items() if name in KEPT}
            try:
                identity = pgbouncer.start(
                    binary.path, room, port=port, password=password, log=room / "pgbouncer.log", account=account,
                    databases={f"of{size}": {**given, "pool_size": str(size)} for size in sizes},
                )  # fmt: skip
            except LabFailed as exc:
                yield Front(said=f"PgBouncer was not tried in front: {exc.what.splitlines()[0]}", urls={})
                return
            life.process(identity)
            try:
                urls = {size: pgbouncer.url(port, password, f"of{size}") for size in sizes}
                yield Front(said=f"PgBouncer {binary.version} in front, transaction pooling", urls=urls)
            finally:
                pgbouncer.stop(identity)
        finally:
            shutil.rmtree(room, ignore_errors=True)
