"""The machine Headway runs on, and the processes it was told to watch, once a second."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from headway.conventions import HOST_FILE, PROCESSES_FILE
from headway.evidence import columns
from headway.evidence.collector import Collector, present
from headway.evidence.family import Processes, Watched
from headway.model import HostSecond, ProcessSecond, SourceState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from psutil._ntuples import snetio

COUNTED_CPU = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
"""guest and guest_nice are in user and nice already (man 5 proc_stat)."""
PRESSURE = Path("/proc/pressure")
PRESSURES = ("cpu", "memory", "io")
NO_SPEED = 65_535
"""What Linux gives for a link whose speed it doesn't know, as most virtual ones."""


@dataclass(frozen=True, kw_only=True)
class Counters:
    """The machine's running counters at one moment."""

    at_s: float
    cpu: Mapping[str, float]
    disk: tuple[int, int]
    network: tuple[int, int]
    disks_busy_s: Mapping[str, float] = field(default_factory=dict)  # disk -> seconds it was busy
    links: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # interface -> bytes, its bytes a second
    dropped: int | None = None
    waited_s: Mapping[str, float] = field(default_factory=dict)  # "cpu", "memory", "io" -> seconds somebody waited


class Host(Collector):
    """CPU, memory, disk and network of this machine. When the service runs elsewhere, this is the generator's."""

    name = "host"

    def __init__(self, processes: Sequence[tuple[str, int]]) -> None:
        super().__init__()
        self._processes = Processes()
        self._watched = [Watched(name, pid, self._processes) for name, pid in processes]
        self._last: Counters | None = None
        self.seconds: list[HostSecond] = []
        self.processes: list[ProcessSecond] = []

    def check(self) -> SourceState:
        gone = [f"{each.name} ({each.pid})" for each in self._watched if not each.runs]
        detail = f"{psutil.cpu_count()} cores, {len(self._watched) - len(gone)} processes watched"
        if psutil.disk_io_counters() is None:
            detail += "; this machine shows no disk counters: they read 0"
        if gone:
            detail += f"; not running: {', '.join(gone)}"
        return present(self.name, detail)

    def sample(self, at_s: float) -> None:
        now, last = _counters(at_s), self._last
        self._last = now
        if last is not None and at_s > last.at_s:
            self.seconds.append(second(last, now, psutil.virtual_memory().percent / 100))
        children = self._processes.children(at_s) if self._watched else {}
        for each in self._watched:
            row = each.sample(at_s, children)
            if row is not None:
                self.processes.append(row)
        gone = [f"{each.name} ({each.pid})" for each in self._watched if each.vanished]
        if gone:
            self.remark = f"ended during the run: {', '.join(gone)}"

    def write(self, folder: Path) -> None:
        columns.write(folder / HOST_FILE, HostSecond, self.seconds)
        columns.write(folder / PROCESSES_FILE, ProcessSecond, self.processes)


def second(before: Counters, after: Counters, memory_used_ratio: float) -> HostSecond:
    """The difference of two readings of the machine's counters."""
    spent = {name: max(after.cpu[name] - before.cpu[name], 0.0) for name in COUNTED_CPU}
    whole = sum(spent.values()) or 1.0
    idle = spent["idle"] + spent["iowait"] + spent["steal"]
    return HostSecond(
        at_s=after.at_s,
        cpu_ratio=(whole - idle) / whole if sum(spent.values()) else 0.0,
        iowait_ratio=spent["iowait"] / whole,
        steal_ratio=spent["steal"] / whole,
        memory_used_ratio=memory_used_ratio,
        disk_read_bytes=max(after.disk[0] - before.disk[0], 0),
        disk_write_bytes=max(after.disk[1] - before.disk[1], 0),
        network_sent_bytes=max(after.network[0] - before.network[0], 0),
        network_received_bytes=max(after.network[1] - before.network[1], 0),
        disk_busy_ratio=_disk_busy(before, after),
        network_used_ratio=_network_used(before, after),
        network_dropped=None if None in (before.dropped, after.dropped) else _risen(before.dropped, after.dropped),
        cpu_pressure_ratio=_pressure(before, after, "cpu"),
        memory_pressure_ratio=_pressure(before, after, "memory"),
        io_pressure_ratio=_pressure(before, after, "io"),
    )


def _risen(before: int | None, after: int | None) -> int:
    return max((after or 0) - (before or 0), 0)


def _disk_busy(before: Counters, after: Counters) -> float | None:
    both = before.disks_busy_s.keys() & after.disks_busy_s.keys()
    took = after.at_s - before.at_s
    busy = (after.disks_busy_s[name] - before.disks_busy_s[name] for name in both)
    return max((min(max(each / took, 0.0), 1.0) for each in busy), default=None)


def _network_used(before: Counters, after: Counters) -> float | None:
    """Of each interface's own speed, the most; both ways together, since virtual links share theirs."""
    took = after.at_s - before.at_s
    used = (
        (after.links[name][0] - before.links[name][0]) / took / after.links[name][1]
        for name in before.links.keys() & after.links.keys()
    )
    return max((max(each, 0.0) for each in used), default=None)


def _pressure(before: Counters, after: Counters, what: str) -> float | None:
    if what not in before.waited_s or what not in after.waited_s:
        return None
    return min(max((after.waited_s[what] - before.waited_s[what]) / (after.at_s - before.at_s), 0.0), 1.0)


def _counters(at_s: float) -> Counters:
    cpu, disk, links = psutil.cpu_times(), psutil.disk_io_counters(), psutil.net_io_counters(pernic=True)
    return Counters(
        at_s=at_s,
        cpu={name: float(getattr(cpu, name, 0.0)) for name in COUNTED_CPU},
        disk=(disk.read_bytes, disk.write_bytes) if disk else (0, 0),
        network=(sum(each.bytes_sent for each in links.values()), sum(each.bytes_recv for each in links.values())),
        disks_busy_s=_disks_busy_s(),
        links=_links(links),
        dropped=_dropped(links),
        waited_s={name: waited for name in PRESSURES if (waited := _waited_s(PRESSURE / name)) is not None},
    )


def _disks_busy_s() -> dict[str, float]:
    disks = psutil.disk_io_counters(perdisk=True) or {}
    return {name: each.busy_time / 1000 for name, each in disks.items() if hasattr(each, "busy_time")}


def _links(counted: Mapping[str, snetio]) -> dict[str, tuple[int, int]]:
    """Interfaces that say a speed; the loopback has none."""
    speeds = psutil.net_if_stats()
    return {
        name: (each.bytes_sent + each.bytes_recv, speeds[name].speed * 1_000_000 // 8)
        for name, each in counted.items()
        if name in speeds and speeds[name].isup and 0 < speeds[name].speed < NO_SPEED
    }


def _dropped(counted: Mapping[str, snetio]) -> int | None:
    links = [each for name, each in counted.items() if not name.startswith("lo")]
    return sum(each.errin + each.errout + each.dropin + each.dropout for each in links) if links else None


def _waited_s(file: Path) -> float | None:
    """
    Seconds in which at least one task waited, since the machine started; None where the kernel doesn't say.

    Source: Linux, Documentation/accounting/psi.rst: "some avg10=0.00 avg60=0.00 avg300=0.00 total=<microseconds>".
    """
    try:
        line = file.read_text("ascii").splitlines()[0]
        return int(line.rpartition("total=")[2]) / 1e6 if line.startswith("some") else None
    except (OSError, ValueError, IndexError):
        return None
