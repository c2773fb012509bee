"""What a lab remembers between commands: one JSON file, replaced whole, behind one lock."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headway.errors import LabFailed
from headway.servers.process import Identity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

STATE_FILE = "lab.json"
LOCK_FILE = "lock"


@dataclass(frozen=True, kw_only=True)
class Started:
    """One service that was started: which process, on which port, and with what."""

    name: str
    identity: Identity
    port: int
    fingerprint: str  # of all that demands a restart when it changes
    version: str
    account: str


@dataclass(frozen=True, kw_only=True)
class Memory:
    """
    What is known of the lab. `room` holds the services' own files: the state folder, or a folder elsewhere when the
    account services drop to cannot enter that one.
    """

    secret: str
    room: Path
    stage: int | None = None
    scale: float | None = None  # of the data that was loaded; None: none was
    shop: Path | None = None
    database_url: str | None = None  # somebody else's server, used and never stopped
    cache_url: str | None = None
    ports: Mapping[str, int] = field(default_factory=dict)
    services: Mapping[str, Started] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)

    def with_service(self, started: Started) -> Memory:
        """The same, with this service started."""
        services = {**self.services, started.name: started}
        return replace(self, services=services, ports={**self.ports, started.name: started.port})

    def without_service(self, name: str) -> Memory:
        """The same, with that service gone; its port stays remembered."""
        return replace(self, services={k: v for k, v in self.services.items() if k != name})


def read(state: Path) -> Memory | None:
    """
    What the folder remembers; None when no lab was ever there.

    Raises:
        LabFailed: the file is damaged or cannot be read.
    """
    file = state / STATE_FILE
    try:
        raw = json.loads(file.read_text())
        return _memory(raw)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise LabFailed(
            f"cannot read the lab's state: {exc.strerror}",
            next_act="work as the user who made it, or name another folder with --state",
            file=file,
        ) from exc
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise LabFailed(
            "the lab's state is damaged", next_act="headway lab down --purge, then up again", file=file
        ) from exc


def write(state: Path, memory: Memory) -> None:
    """
    Replace the state file, whole or not at all; only its owner may read it, as a password is in it.

    Raises:
        LabFailed: the folder is read-only or full.
    """
    file = state / STATE_FILE
    half = file.with_suffix(".half")
    try:
        descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            json.dump(asdict(memory), stream, indent=1, default=str)
            stream.flush()
            os.fsync(stream.fileno())
        half.replace(file)
    except OSError as exc:
        raise unwritable(state, exc) from exc


@contextmanager
def locked(state: Path) -> Iterator[None]:
    """
    Hold the state folder against a second command at work on it. The kernel lets go when this process ends, however.

    Raises:
        LabFailed: another command holds it, or the folder cannot be written.
    """
    try:
        lock = (state / LOCK_FILE).open("a+")
    except OSError as exc:
        raise unwritable(state, exc) from exc
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            raise LabFailed(
                f"another command is at work on the lab in {state}", next_act="wait until it is done, or end it"
            ) from exc
        yield


def unwritable(state: Path, exc: OSError) -> LabFailed:
    """The error for a state folder that refuses a write."""
    return LabFailed(
        f"cannot write in the lab's state folder {state}: {exc.strerror or exc}",
        next_act="free space there, or name another folder with --state",
    )


def _memory(raw: dict[str, Any]) -> Memory:
    services = {
        name: Started(**{**each, "identity": Identity(**each["identity"])}) for name, each in raw["services"].items()
    }
    shop = Path(raw["shop"]) if raw["shop"] else None
    return Memory(**{**raw, "room": Path(raw["room"]), "shop": shop, "services": services})
