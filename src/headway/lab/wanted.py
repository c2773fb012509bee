"""What each service of a stage is: its program, its settings, how it starts, how it is asked whether it is well."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import redis

from headway.lab import database, edge, shop
from headway.lab.converge import Wanted
from headway.servers import binaries, nginx, postgres, process, valkey

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headway.lab.room import Folders
    from headway.servers.process import Account, Identity

REPLICA_SLOT = "headway_replica"


def database_server(folders: Folders, secret: str, account: Account | None) -> Wanted:
    """The lab's PostgreSQL. Its cluster is made when there is none."""
    binary = binaries.postgres(folders.room, account)
    data, log = folders.of("postgres", account) / "data", folders.log("postgres")

    def start(port: int) -> Identity:
        if not data.exists():
            postgres.initialise(binary.path, data, password=secret, log=log, account=account)
        database.remove_stale_pid_file(data)
        database.make_room(log)
        return postgres.start(
            binary.path, data, port=port, password=secret, log=log, account=account, settings=database.PLANS
        ).identity

    return Wanted(
        name="postgres", settings=[str(binary.path), postgres.SETTINGS | database.PLANS, secret],
        version=f"PostgreSQL {binary.version}", account=account, start=start,
        answers=lambda port: _postgres_answers(port, secret),
    )  # fmt: skip


def replica(folders: Folders, source: postgres.Postgres, account: Account | None) -> Wanted:
    """A streaming replica, copied afresh at every start: one that fell too far behind cannot catch up."""
    binary = binaries.postgres(folders.room, account)
    data, log = folders.of("replica", account) / "data", folders.log("replica")

    def start(port: int) -> Identity:
        shutil.rmtree(data, ignore_errors=True)
        postgres.copy(binary.path, data, source=source, slot=REPLICA_SLOT, log=log, account=account)
        return postgres.start(binary.path, data, port=port, password=source.password, log=log, account=account).identity

    def answers(port: int) -> bool:
        return postgres.replicates(source, postgres.url(port, source.password))

    return Wanted(
        name="replica", settings=[str(binary.path), postgres.SETTINGS, source.url],
        version=f"PostgreSQL {binary.version}", account=account, start=start, answers=answers,
        ready=lambda _identity, port: postgres.catch_up(source, postgres.url(port, source.password), log),
    )  # fmt: skip


def cache(folders: Folders, secret: str, account: Account | None) -> Wanted:
    """The lab's Valkey, as the account when that may execute the program."""
    binary = binaries.valkey()
    account = account if process.permits(account, "x", binary.path) else None
    folder = folders.of("valkey", account)
    log = folders.log("valkey")
    return Wanted(
        name="valkey", settings=[str(binary.path), valkey.MAXMEMORY, secret], version=f"Valkey {binary.version}",
        account=account, answers=lambda port: _valkey_answers(port, secret),
        start=lambda port: valkey.start(
            binary.path, folder, port=port, password=secret, log=log, account=account
        ),
    )  # fmt: skip


def app_server(
    number: int, folders: Folders, folder: Path, settings: Mapping[str, str], account: Account | None
) -> Wanted:
    """One app server of the shop in `folder`."""
    log = folders.log(f"app-{number}")
    return Wanted(
        name=f"app-{number}", settings=[str(folder), dict(settings)], version=f"granian {_granian_version()}",
        account=account, answers=shop.healthy, ready=lambda identity, port: shop.wait(identity, port, log),
        start=lambda port: shop.start(
            folder, port=port, room=folders.room, log=log, account=account, settings=settings
        ),
    )  # fmt: skip


def edge_server(
    folders: Folders, app_ports: Sequence[int], secret: str, balance: edge.Balance, account: Account | None
) -> Wanted:
    """nginx as edge cache and balancer before the app servers."""
    binary = binaries.nginx()
    account = account if process.permits(account, "x", binary.path) else None
    folder, log = folders.of("nginx", account), folders.log("nginx")

    def configured(port: int) -> str:
        return edge.configuration(folder, port, app_ports, balance=balance, refresh_key=secret)

    def start(port: int) -> Identity:
        shutil.rmtree(folder / edge.CACHE, ignore_errors=True)  # answers of an earlier stage, or about other data
        http = configured(port)
        return nginx.start(binary.path, folder, port=port, http=http, log=log, account=account)

    return Wanted(
        name="nginx", settings=[str(binary.path), configured(0)],
        version=f"nginx {binary.version}", account=account, start=start, answers=shop.healthy,
    )  # fmt: skip


def _postgres_answers(port: int, secret: str) -> bool:
    try:
        psycopg.connect(postgres.url(port, secret), connect_timeout=5).close()
    except psycopg.Error:
        return False
    return True


def _valkey_answers(port: int, secret: str) -> bool:
    try:
        with redis.Redis.from_url(valkey.url(port, secret), socket_timeout=5) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def _granian_version() -> str:
    from importlib.metadata import version

    return version("granian")
