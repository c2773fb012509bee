"""perf, for watched processes that don't run Python: where it is, whether it may look, and what it wrote."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from headway.errors import HeadwayError
from headway.evidence.stacks import RawFrame, RawSample

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from headway.evidence.pyspy import Seen

SERVERS = frozenset({"postgres", "valkey-server", "redis-server", "nginx", "haproxy", "pgbouncer"})
"""Watched beside the service, and not its code: their own statistics say more than their stacks."""
PARANOID = Path("/proc/sys/kernel/perf_event_paranoid")
PROBE_S = 10.0
READ_S = 60.0
UNKNOWN = "[unknown]"
_HEAD = re.compile(r"^(\S.*?)\s+(\d+)/(\d+)\s*$")
_FRAME = re.compile(r"^\s+[0-9a-f]+\s+(.+)\s+\((.*)\)\s*$")


def of(found: Iterable[Seen]) -> list[Seen]:
    """One for each watched name of which nothing runs Python and that isn't a known server: its first process."""
    every = list(found)
    python = {each.name for each in every if each.python}
    first: dict[str, Seen] = {}
    for each in every:
        if each.name not in python and each.program not in SERVERS:
            first.setdefault(each.name, each)
    return list(first.values())


def program() -> str | None:
    """The path of perf; None when this machine has none."""
    return shutil.which("perf")


def command(pid: int, file: Path, *, rate_per_s: int) -> list[str]:
    """perf over one process and all it starts; ends by SIGINT. Call chains by frame pointers, which are cheap."""
    return [
        program() or "perf", "record", "--pid", str(pid), "-F", str(rate_per_s), "-g", "--quiet", "--output", str(file)
    ]  # fmt: skip


def why_not(seen: Seen) -> str | None:
    """Why a process can't be sampled; None when it can."""
    if program() is None:
        return "perf is not installed"
    try:
        done = subprocess.run(
            [*command(seen.pid, Path("/dev/null"), rate_per_s=10), "--", "true"],
            capture_output=True, text=True, errors="replace", timeout=PROBE_S, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as exc:
        return f"perf can't be used: {exc}"
    if done.returncode == 0:
        return None
    try:
        level = PARANOID.read_text("ascii").strip()
    except OSError:
        level = "?"
    return f"perf may not look into it: kernel.perf_event_paranoid is {level}; run Headway as its user or as root"


def samples(file: Path, *, rate_per_s: int) -> list[RawSample]:
    """
    What perf recorded, each sample for 1/rate of processor time.

    Raises:
        HeadwayError: there is nothing, or perf can't read it.
    """
    argv = [program() or "perf", "script", "--input", str(file), "--fields", "comm,pid,tid,ip,sym,dso"]
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, errors="replace", timeout=READ_S, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise HeadwayError(f"perf script failed: {exc}", next_act="run again with a shorter phase") from exc
    if done.returncode != 0 or not file.exists():
        raise HeadwayError(f"perf left nothing: {' '.join(done.stderr.split())[-200:]}", next_act="run again")
    return parsed(done.stdout.splitlines(), rate_per_s=rate_per_s)


def parsed(lines: Sequence[str], *, rate_per_s: int) -> list[RawSample]:
    """
    `perf script --fields comm,pid,tid,ip,sym,dso`: a head, then its frames innermost first, then an empty line.

    What is neither is passed over. Outermost frames of nowhere, as broken chains end, are left out.
    """
    found: list[RawSample] = []
    thread, frames = "", list[RawFrame]()

    def close() -> None:
        while frames and frames[-1].name == frames[-1].file == UNKNOWN:
            frames.pop()
        if thread and frames:
            stack = tuple(reversed(frames))
            found.append(RawSample(thread=thread, at_s=0.0, seconds=1 / rate_per_s, stack=stack))
        frames.clear()

    for line in lines:
        if (head := _HEAD.match(line)) is not None:
            close()
            thread = f"{head[1]} {head[3]}"
        elif (frame := _FRAME.match(line)) is not None:
            frames.append(RawFrame(frame[1], frame[2], 0))
    close()
    return found
