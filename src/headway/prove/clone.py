"""
A whole copy of the service's database to try things on: made, used, given back.

By `CREATE DATABASE ... TEMPLATE` on the same server, where nobody else is in the source; else by pg_basebackup into a
PostgreSQL of Headway's own. Either reads the source and changes nothing in it. Rows copied in part are no copy: plans
and times would be those of another table.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import tempfile
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import psycopg
from psycopg import conninfo, sql

from headway.errors import HeadwayError, LabFailed, SourceRefused
from headway.evidence.collector import in_words
from headway.prove.lifeline import COPY_PREFIX, PREFIX, Lifeline, drop
from headway.prove.session import TrialSession
from headway.servers import binaries, ports, postgres, process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from headway.servers.process import Account

HEADROOM = 1.5
"""Free disk needed, times the size of what is copied: indexes built on it, its write-ahead log."""
COPY_TIMEOUT_S = 3_600.0
HBA = """local all all trust
host all all 127.0.0.1/32 scram-sha-256
host replication all 127.0.0.1/32 scram-sha-256
"""
"""The socket is in a folder that only the server's account and root may enter."""
ROOM = Path("/var/tmp")  # noqa: S108 - the folder made in it is fresh and its owner's alone; /tmp may be memory


class CopyBy(StrEnum):
    """How a copy is made."""

    TEMPLATE = "template"
    BACKUP = "backup"


class NoCopy(HeadwayError):
    """A copy could not be made; proofs say why."""


@dataclass(frozen=True, kw_only=True)
class Clone:
    """A copy. `where` says what it is; `private`: its server is Headway's own. `programs`: of that server."""

    url: str
    where: str
    private: bool
    programs: Path | None = None
    server: postgres.Postgres | None = None
    room: Path | None = None
    life: Lifeline | None = None


@contextlib.contextmanager
def clone(
    source_url: str, by: CopyBy, life: Lifeline, say: Callable[[str], None], *, folder: Path = ROOM, fast: bool = False
) -> Iterator[Clone]:
    """
    A copy of the source's database, gone when the block ends.

    Args:
        source_url: of the database to copy.
        by: how; a template that cannot be had, because somebody is in the source, falls back to a backup.
        life: gives it back should this process be killed.
        say: gets a line of progress.
        folder: where the copy's own server gets its files.
        fast: let the source write its checkpoint at once, not spread over minutes.

    Raises:
        NoCopy: neither way works; with both reasons.
        SourceRefused: the source refuses.
    """
    facts = _facts(source_url)
    reasons = []
    with contextlib.ExitStack() as given_back:
        found = None
        if by is CopyBy.TEMPLATE:
            try:
                found = given_back.enter_context(_template(source_url, facts, life, say))
            except NoCopy as exc:
                say(f"{exc.what}; a backup is made instead")
                reasons.append(exc.what)
        if found is None:
            try:
                found = given_back.enter_context(_backup(source_url, facts, life, say, folder=folder, fast=fast))
            except NoCopy as exc:
                raise NoCopy("; ".join([*reasons, exc.what]), next_act=exc.next_act) from exc
        yield found


def _facts(url: str) -> dict[str, Any]:
    with TrialSession(url, statement_s=20) as session:
        settings = {str(row["name"]): str(row["value"]) for row in session.ask("source_settings")}
        return {**session.ask("source_facts")[0], "settings": settings}


@contextlib.contextmanager
def _template(url: str, facts: dict[str, Any], life: Lifeline, say: Callable[[str], None]) -> Iterator[Clone]:
    name = f"{COPY_PREFIX}{secrets.token_hex(6)}"
    maintenance = _other_database(url, "template1" if facts["database"] == "postgres" else "postgres")
    size = _size(int(facts["size_bytes"]))
    try:
        with TrialSession(maintenance, statement_s=COPY_TIMEOUT_S) as session:
            busy = session.ask("sessions_in", {"database": facts["database"]})[0]["sessions"]
            if busy:
                raise NoCopy(
                    f"a template copy needs nobody else in {facts['database']}, and {busy} sessions are",
                    next_act="stop the service first, or say --copy backup",
                )
            say(f"copying {facts['database']} ({size}) on its own server")
            life.database(maintenance, name)
            session.ask("create_from_template", copy=name, source=str(facts["database"]))
    except psycopg.Error as exc:
        raise NoCopy(
            f"no template copy of {facts['database']}: {in_words(exc)}", next_act="say --copy backup, or --staging-url"
        ) from exc
    except SourceRefused as exc:
        raise NoCopy(f"no template copy: {exc.what}", next_act="say --copy backup, or --staging-url") from exc
    try:
        where = f"a copy of database {facts['database']} on the same server, {size}"
        yield Clone(url=_other_database(url, name), where=where, private=False)
    finally:
        drop(maintenance, name)


@contextlib.contextmanager
def _backup(
    url: str, facts: dict[str, Any], life: Lifeline, say: Callable[[str], None], *, folder: Path, fast: bool
) -> Iterator[Clone]:
    _possible(facts, folder)
    room = Path(tempfile.mkdtemp(prefix=PREFIX, dir=folder))
    life.folder(room)
    try:
        room.chmod(0o711)
        try:
            account = process.unprivileged()
            programs = _programs(room, account, int(facts["version"]))
            say(f"copying the cluster of {facts['database']} ({_size(int(facts['cluster_bytes']))}) with pg_basebackup")
            data = _base_backup(url, room, programs, account, fast=fast)
            server, reached = _started(url, facts, room, data, programs, account, life)
        except LabFailed as exc:
            raise NoCopy(f"no backup copy: {exc.what}", next_act="name a staging database with --staging-url") from exc
        try:
            where = (
                f"a copy of database {facts['database']} by pg_basebackup, {_size(int(facts['size_bytes']))}, on a"
                f" PostgreSQL {facts['version'] // 10_000} of Headway's own"
            )
            yield Clone(
                url=reached,
                where=where,
                private=True,
                programs=programs,
                server=server,
                room=room,
                life=life,
            )
        finally:
            postgres.stop(server.identity)
    finally:
        shutil.rmtree(room, ignore_errors=True)


def _possible(facts: dict[str, Any], folder: Path) -> None:
    if facts["tablespaces"]:
        raise NoCopy("the source has tablespaces, which a backup would put in the same places",
                     next_act="name a staging database with --staging-url")  # fmt: skip
    needed = int(facts["cluster_bytes"]) * HEADROOM
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise NoCopy(f"a backup needs about {_size(needed)} in {folder}, and {_size(free)} are free",
                     next_act="free space, or name another folder with --work")  # fmt: skip


def _programs(room: Path, account: Account | None, version: int) -> Path:
    found = binaries.postgres(room, account)
    if int(found.version.partition(".")[0]) != version // 10_000:
        raise NoCopy(
            f"the source is PostgreSQL {version // 10_000} and the programs here are {found.version}",
            next_act="set PG_BIN_DIR to the source's version, or name a staging database with --staging-url",
        )
    return found.path


def _base_backup(url: str, room: Path, programs: Path, account: Account | None, *, fast: bool) -> Path:
    data = room / "clone"
    keywords = {key: str(value) for key, value in conninfo.conninfo_to_dict(url).items()}
    password = keywords.pop("password", None)
    keywords.pop("dbname", None)
    process.own(room, account)
    # fmt: off
    process.run(
        [str(programs / "pg_basebackup"), "-d", conninfo.make_conninfo("", **keywords), "-D", str(data), "-X", "stream",
         "-c", "fast" if fast else "spread", "--no-sync"],
        cwd=room, log=room / "pg_basebackup.log", doing="pg_basebackup", account=account, timeout_s=COPY_TIMEOUT_S,
        env={"LC_ALL": "C", "HOME": str(room), **({"PGPASSWORD": password} if password else {})},
    )
    # fmt: on
    return data


def _started(
    url: str, facts: dict[str, Any], room: Path, data: Path, programs: Path, account: Account | None, life: Lifeline
) -> tuple[postgres.Postgres, str]:
    """The copy's server: its own settings, no jobs, no replication; only this process has its password."""
    socket = room / "s"
    socket.mkdir(mode=0o700)
    process.own(socket, account)
    own = {"postgresql.conf": "", "pg_hba.conf": HBA}
    for name, text in own.items():
        (data / name).write_text(text)
        process.own(data / name, account)
    for name in ("postgresql.auto.conf", "standby.signal", "recovery.signal"):
        (data / name).unlink(missing_ok=True)
    port, password, role = ports.choose(), secrets.token_hex(16), str(facts["superuser"])
    settings = {
        **facts["settings"], "unix_socket_directories": str(socket), "max_replication_slots": "10",
        "autovacuum": "off", "archive_mode": "off", "primary_conninfo": "", "max_worker_processes": "64",
        "max_prepared_transactions": "64", "max_locks_per_transaction": "1024",
    }  # fmt: skip
    settings |= {"config_file": str(data / "postgresql.conf"), "hba_file": str(data / "pg_hba.conf")}
    server = postgres.start_unwatched(
        programs, data, port=port, password=password, log=room / "clone.log", account=account, settings=settings
    )
    life.process(server.identity)
    try:
        local = conninfo.make_conninfo("", host=str(socket), port=port, user=role, dbname=str(facts["database"]))
        _take_over(local, facts, role, password, server, room)
    except BaseException:
        postgres.stop(server.identity)
        raise
    reached = postgres.url(port, password, user=_escaped(role), database=_escaped(str(facts["database"])))
    return server, reached


def _take_over(
    local: str, facts: dict[str, Any], role: str, password: str, server: postgres.Postgres, room: Path
) -> None:
    postgres.wait_for(server, room / "clone.log", local)
    with psycopg.connect(local, autocommit=True) as connection:
        connection.execute(
            sql.SQL("/* headway */ ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(password))
        )
        # As the service's role would find its tables; "$user" is another role here.
        path = str(facts["search_path"]).replace('"$user"', sql.Identifier(str(facts["role"])).as_string(connection))
        connection.execute("/* headway */ SELECT pg_catalog.set_config('search_path', %s, false)", (path,))
        connection.execute(
            sql.SQL("/* headway */ ALTER ROLE {} IN DATABASE {} SET search_path FROM CURRENT").format(
                sql.Identifier(role), sql.Identifier(str(facts["database"]))
            )
        )


def _other_database(url: str, name: str) -> str:
    """The same server's other database, as a URL: services want one."""
    parts = conninfo.conninfo_to_dict(url)
    user, password = (str(parts.pop(each, "") or "") for each in ("user", "password"))
    host, port = str(parts.pop("host", "") or ""), str(parts.pop("port", "") or "5432")
    parts.pop("dbname", None)
    rest = {key: str(value) for key, value in parts.items()}
    if host.startswith("/") or "," in host:
        rest["host"], host = host, ""
    who = _escaped(user) + (f":{_escaped(password)}" if password else "") + "@" if user else ""
    where = f"[{host}]" if ":" in host else host
    query = f"?{urlencode(rest)}" if rest else ""
    return f"postgresql://{who}{where}:{port}/{_escaped(name)}{query}"


def _escaped(name: str) -> str:
    return quote(name, safe="")


def _size(size_bytes: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size_bytes < 1024:
            return f"{size_bytes:.3g} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:.3g} TiB"
