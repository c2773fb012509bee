"""The machine Headway runs on, and the versions it was measured with."""

from __future__ import annotations

import platform

import psutil

from headway.load.resources import cpu_model
from headway.model import Machine


def machine() -> Machine:
    """This machine, as its kernel describes it; cores are the logical ones."""
    return Machine(
        cpu_model=cpu_model(),
        cores=psutil.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        kernel=f"{platform.system()} {platform.release()}",
    )
