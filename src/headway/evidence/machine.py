"""The machine Headway runs on, and the versions it was measured with."""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path

import psutil

from headway.load.resources import cpu_model
from headway.model import Machine

ID_FILE = Path("/etc/machine-id")
BOOT_FILE = Path("/proc/sys/kernel/random/boot_id")


def machine() -> Machine:
    """This machine, as its kernel describes it; cores are the logical ones."""
    return Machine(
        cpu_model=cpu_model(),
        cores=psutil.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        kernel=f"{platform.system()} {platform.release()}",
        id=_digest(ID_FILE),
        boot=_digest(BOOT_FILE),
    )


def _digest(file: Path) -> str | None:
    """What tells machines apart without telling which one it is: machine-id(5) asks not to be shown as it is."""
    try:
        text = file.read_text("ascii").strip()
    except (OSError, UnicodeError):
        return None
    return hashlib.sha256(f"headway {text}".encode()).hexdigest()[:16] if text else None
