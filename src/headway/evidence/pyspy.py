"""py-spy: where it is, which processes it can look into, and why it can't look into one."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

from headway.errors import HeadwayError, SourceRefused

PROGRAM = "py-spy"
PROBE_S = 10.0
_PYTHON = re.compile(r"(?:python|pypy)[\d.]*t?$")
YAMA = Path("/proc/sys/kernel/yama/ptrace_scope")
_YAMA_MEANS = {
    "1": "a process may look only into its own children",
    "2": "only an administrator may look into processes",
    "3": "nobody may look into processes until the machine is started anew",
}


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One process of a watched family. `folder` is its working folder, empty where that can't be read."""

    name: str  # the name it was watched by
    pid: int
    program: str
    python: bool
    folder: str


@cache
def program() -> str:
    """
    The path of py-spy's program, which its wheel brings.

    Raises:
        SourceRefused: this installation has none.
    """
    beside = [Path(sysconfig.get_path("scripts")), Path(sys.executable).parent]
    found = next((str(each / PROGRAM) for each in beside if (each / PROGRAM).is_file()), shutil.which(PROGRAM))
    if found is None:
        raise SourceRefused("no profile can be taken: py-spy is missing", next_act="install headway[lab] or py-spy")
    return found


def family(name: str, pid: int) -> list[Seen]:
    """A watched process and all that descends from it now; empty when it is gone."""
    try:
        first = psutil.Process(pid)
        members = [first, *first.children(recursive=True)]
    except psutil.Error:
        return []
    return [_seen(name, each) for each in members if _alive(each)]


def _alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _seen(name: str, process: psutil.Process) -> Seen:
    executable = folder = ""
    try:
        executable = process.exe()
        folder = process.cwd()
    except psutil.Error:
        pass
    program = Path(executable).name or _name(process)
    return Seen(
        name=name, pid=process.pid, program=program, folder=folder,
        python=bool(_PYTHON.search(program)) or _embeds_python(process.pid),
    )  # fmt: skip


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.Error:
        return "?"


def _embeds_python(pid: int) -> bool:
    """Whether it has libpython in its memory: uWSGI, mod_wsgi. PostgreSQL with PL/Python has it only once used."""
    try:
        return "libpython" in Path(f"/proc/{pid}/maps").read_text(errors="replace")
    except OSError:
        return False


def why_not(seen: Seen) -> str | None:
    """
    Why a process's stacks can't be read; None when they can. Looks once, without stopping the process.

    Raises:
        SourceRefused: py-spy is missing.
    """
    try:
        done = subprocess.run(
            [program(), "dump", "--nonblocking", "--pid", str(seen.pid)],
            capture_output=True, text=True, errors="replace", timeout=PROBE_S, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"py-spy found no stack within {PROBE_S:.0f} s"
    except OSError as exc:
        raise HeadwayError(f"py-spy cannot be started: {exc}", next_act="install headway[lab] again") from exc
    return None if done.returncode == 0 else _reason(done.stderr)


def _reason(told: str) -> str:
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    if any("permission denied" in line.lower() for line in lines):
        return f"it may not be looked into: {permission()}"
    # "Error: ...", then "Reason: ..." for each cause: the last says most.
    causes = [line for line in lines if line.startswith(("Error:", "Reason:"))]
    return (causes or lines or ["py-spy says nothing"])[-1].removeprefix("Error:").removeprefix("Reason:").strip()


def permission() -> str:
    """Which permission is missing, and how it is given."""
    try:
        scope = YAMA.read_text("ascii").strip()
    except OSError:
        scope = "0"
    why = f"kernel.yama.ptrace_scope is {scope} ({_YAMA_MEANS[scope]}); " if scope in _YAMA_MEANS else ""
    return f"{why}run Headway as the service's own user or as root; in a container, with the capability SYS_PTRACE"
