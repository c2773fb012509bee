"""The machine Headway runs on, and the versions it was measured with."""

from __future__ import annotations

import platform
from pathlib import Path

import psutil

from headway.model import Machine


def machine() -> Machine:
    """This machine, as its kernel describes it; cores are the logical ones."""
    return Machine(
        cpu_model=_cpu_model(),
        cores=psutil.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        kernel=f"{platform.system()} {platform.release()}",
    )


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
