"""The folders a lab lives in, and whether the account its services drop to may enter them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from headway.errors import LabFailed
from headway.lab.state import unwritable
from headway.servers.process import Account, own, permits

LOGS = "logs"

_ELSEWHERE = Path("/var/tmp")  # noqa: S108 - the folder made there is checked to be root's own
CLUSTER_MB = 100
"""A fresh database cluster with its write-ahead log, and what the first start adds. Seen: 63 MB."""
SCALE_MB = 1200
"""The shop's data at scale 1 with indexes, and the write-ahead log of loading it. Seen: 942 MB."""


@dataclass(frozen=True, kw_only=True)
class Folders:
    """
    Where things are: what the lab remembers, the services' logs, and the services' own files (`room`).

    `room` is inside `state`, except for root when `nobody` cannot enter `state`, as under /root.
    """

    state: Path
    logs: Path
    room: Path

    def of(self, name: str, account: Account | None) -> Path:
        """The folder of one service, made when missing, belonging to the account it runs as."""
        folder = self.room / name
        folder.mkdir(exist_ok=True)
        folder.chmod(0o700 if name.startswith(("postgres", "replica")) else 0o755)
        own(folder, account)
        return folder

    def log(self, name: str) -> Path:
        """The log of one service or one-off command."""
        return self.logs / f"{name}.log"


def prepare(state: Path, account: Account | None) -> Folders:
    """
    Make the folders.

    Raises:
        LabFailed: they cannot be made or written.
    """
    try:
        _make(state)
        logs = state / LOGS
        logs.mkdir(exist_ok=True)
        if account is None or permits(account, "x", state):
            return Folders(state=state, logs=logs, room=state)
        return Folders(state=state, logs=logs, room=_made_outside(state))
    except OSError as exc:
        raise unwritable(state, exc) from exc


def require_space(folder: Path, needed_mb: float, what: str) -> None:
    """
    Refuse to start what the disk cannot hold: a database that meets a full disk stops in the middle.

    Raises:
        LabFailed: less than about `needed_mb` is free.
    """
    free_mb = shutil.disk_usage(folder).free / 1e6
    if free_mb < needed_mb:
        raise LabFailed(
            f"{what} needs about {needed_mb:.0f} MB in {folder}, and {free_mb:.0f} MB are free",
            next_act="free space there, name another folder with --state, or choose a smaller --scale",
        )


def size_mb(folder: Path) -> float:
    """What the files under a folder take."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # a server removes files while we count
            total += path.lstat().st_size
    return total / 1e6


def outside(state: Path) -> Path:
    """Where the services' own files are when the account they drop to cannot enter the state folder."""
    return _ELSEWHERE / f"headway-lab-{hashlib.sha256(str(state).encode()).hexdigest()[:16]}"


def remove_outside(state: Path) -> None:
    """Remove the services' folder that is not in the state folder, when there is one and it is this user's."""
    room = outside(state)
    if room.is_dir() and not room.is_symlink() and room.lstat().st_uid == os.geteuid():
        shutil.rmtree(room)


def empty(state: Path) -> None:
    """Remove the state folder, if it is a lab's."""
    if (state / LOGS).is_dir():
        shutil.rmtree(state)


def _make(state: Path) -> None:
    missing = [path for path in (state, *state.parents) if not path.exists()]
    state.mkdir(parents=True, exist_ok=True)
    for path in missing:
        path.chmod(0o755)  # whatever the umask: another account must pass through


def _made_outside(state: Path) -> Path:
    room = outside(state)
    room.mkdir(mode=0o711, exist_ok=True)
    if room.is_symlink() or room.lstat().st_uid != os.geteuid():
        raise LabFailed(
            f"{room} is somebody else's", next_act="name a state folder that nobody can enter, with --state"
        )
    room.chmod(0o711)
    return room
