"""A process and all that it started, read once a second at the least cost: a database has a process a connection."""

from __future__ import annotations

import os
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import psutil

from headway.model import ProcessSecond

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ALL_EVERY_S = 10.0
"""A process's parent is read when it is new, and of all processes this often: a number may have been given anew."""
LINE_MOST_BYTES = 4096
TICK_S = 1 / os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 0.01
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class Looked(NamedTuple):
    """One process at one moment."""

    parent: int
    born_s: float  # unix time
    cpu_s: float  # since it was born
    resident_bytes: int
    threads: int
    ended: bool  # its parent hasn't asked for its exit status yet


class Processes:
    """Who started whom, of all processes: one for all that are watched."""

    def __init__(self) -> None:
        self._booted_s = psutil.boot_time()
        self._parents: dict[int, int] = {}
        self._all_s = 0.0

    def children(self, at_s: float) -> Mapping[int, list[int]]:
        """Parent -> children. Who is new, and whose parent has ended, is read."""
        known, self._parents = self._parents, {}
        if not self._all_s <= at_s < self._all_s + ALL_EVERY_S:
            known, self._all_s = {}, at_s
        found: dict[int, list[int]] = defaultdict(list)
        running = set(psutil.pids())
        for pid in running:
            parent = known.get(pid)
            if parent is None or parent not in running:
                looked = self.look(pid)
                if looked is None:
                    continue
                parent = looked.parent
            self._parents[pid] = parent
            found[parent].append(pid)
        return found

    def look(self, pid: int) -> Looked | None:
        """One process; None: it has ended. What it says of its parent is remembered."""
        looked = _from_proc(pid, self._booted_s) if psutil.LINUX else _from_psutil(pid)
        if looked is not None and pid in self._parents:
            self._parents[pid] = looked.parent
        return looked


class Watched:
    """One process and all that it started, now or later. One that ended has rows with no threads."""

    def __init__(self, name: str, pid: int, processes: Processes) -> None:
        self.name, self.pid = name, pid
        self.vanished = False
        self._processes = processes
        self._last_s: float | None = None
        self._spent: dict[tuple[int, float], float] = {}  # (pid, birth) -> CPU seconds so far
        first = processes.look(pid)
        self._born_s = None if first is None else first.born_s
        self.runs = first is not None

    def sample(self, at_s: float, children: Mapping[int, list[int]]) -> ProcessSecond | None:
        """The second that just went by; None for the first, which has no beginning."""
        if not self.runs:
            return None
        spent: dict[tuple[int, float], float] = {}
        resident = threads = 0
        files: int | None = 0
        for pid, looked in self._family(children):
            spent[pid, looked.born_s] = looked.cpu_s
            resident += looked.resident_bytes
            threads += looked.threads
            if files is not None and not looked.ended:
                files = _added(files, pid)
        self.vanished = self.vanished or not threads
        before_s, self._last_s = self._last_s, at_s
        before, self._spent = self._spent, spent
        if before_s is None or at_s <= before_s:
            return None
        busy = sum(cpu - before.get(key, 0.0 if key[1] >= before_s - 1 else cpu) for key, cpu in spent.items())
        cores = busy / (at_s - before_s)
        return ProcessSecond(
            at_s=at_s, name=self.name, cpu_cores=cores, resident_bytes=resident, open_files=files, threads=threads
        )

    def _family(self, children: Mapping[int, list[int]]) -> Iterator[tuple[int, Looked]]:
        """Those that run, parents first. One that says another parent than was known isn't of the family any more."""
        look = self._processes.look
        first = look(self.pid)
        if first is None or first.born_s != self._born_s:
            return  # it has ended; its number may belong to someone else
        yield self.pid, first
        family = [self.pid]
        for parent in family:
            for pid in children.get(parent, ()):
                looked = look(pid)
                if looked is not None and looked.parent == parent:
                    yield pid, looked
                    family.append(pid)


def _added(files: int, pid: int) -> int | None:
    """The files this process has open, added; None: not allowed to see."""
    try:
        return files + (_open_files(pid) if psutil.LINUX else psutil.Process(pid).num_fds())
    except (PermissionError, psutil.AccessDenied):
        return None
    except (OSError, psutil.Error):
        return files  # it ended while we looked


def _open_files(pid: int) -> int:
    """Since Linux 6.2 the folder's size is their number (man 5 proc_pid_fd); before, it is 0."""
    folder = f"/proc/{pid}/fd"
    return os.stat(folder).st_size or len(os.listdir(folder))  # noqa: PTH116, PTH208 hundreds of them a second


def _from_proc(pid: int, booted_s: float) -> Looked | None:
    """
    From two files of one line each; stat's own count of resident pages is not exact.

    Source: man 5 proc_pid_stat, proc_pid_statm.
    """
    stat, statm = _read(f"/proc/{pid}/stat"), _read(f"/proc/{pid}/statm")
    if not stat or not statm:
        return None
    # After the name, which may hold anything: field 3 and on, to field 22.
    state, parent, *fields = stat[stat.rindex(b")") + 2 :].split(None, 20)
    return Looked(
        parent=int(parent),
        born_s=booted_s + int(fields[17]) * TICK_S,
        cpu_s=(int(fields[9]) + int(fields[10])) * TICK_S,
        resident_bytes=int(statm.split(None, 2)[1]) * PAGE_BYTES,
        threads=int(fields[15]),
        ended=state in {b"Z", b"X"},
    )


def _read(file: str) -> bytes | None:
    """A small file of the kernel's, without what Python's files do besides; None: the process has ended."""
    try:
        opened = os.open(file, os.O_RDONLY)
    except OSError:
        return None
    try:
        return os.read(opened, LINE_MOST_BYTES)
    except OSError:
        return None
    finally:
        os.close(opened)


def _from_psutil(pid: int) -> Looked | None:
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            seen = Looked(
                parent=process.ppid(), born_s=process.create_time(), cpu_s=0.0, resident_bytes=0, threads=0,
                ended=process.status() == psutil.STATUS_ZOMBIE,
            )  # fmt: skip
            try:
                times, memory, threads = process.cpu_times(), process.memory_info(), process.num_threads()
            except psutil.AccessDenied:
                return seen  # a process of somebody else, where that is a secret
            return seen._replace(cpu_s=times.user + times.system, resident_bytes=memory.rss, threads=threads)
    except psutil.Error:
        return None
