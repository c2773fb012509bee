"""What the generator takes of its machine, and what others take from it: files, local ports, stolen processor time."""

from __future__ import annotations

import platform
import re
import socket
import sys
from pathlib import Path
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from headway.load.target import Address

PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
SOCKETS = {socket.AF_INET: Path("/proc/net/tcp"), socket.AF_INET6: Path("/proc/net/tcp6")}
OPEN_FILES = Path("/proc/self/fd")
RUN_QUEUE = Path("/proc/self/schedstat")
"""ns on a core, ns in the run queue, turns. Source: Linux, Documentation/scheduler/sched-stats."""
EVERY_NS = 10**9
DUTY = 0.005
"""Share of one core that counting ports may cost: the kernel prints every socket of the machine for it, so where there
are tens of thousands it is done less often. One in TIME_WAIT stays there for a minute."""


def open_files() -> int | None:
    """This process's open file descriptors, where the kernel tells them at once (Linux 6.2); else None."""
    try:
        return OPEN_FILES.stat().st_size or None
    except OSError:
        return None


def listed_files() -> int:
    """The same, counted one by one: too slow with thousands of them while requests are being sent."""
    try:
        return sum(1 for _ in OPEN_FILES.iterdir())
    except OSError:
        return 0


def ports_allowed() -> int | None:
    """How many local ports connections may take to one address."""
    try:
        low, high = PORT_RANGE.read_text().split()
        return int(high) - int(low) + 1
    except (OSError, ValueError):
        return None


class RunQueue:
    """How long this process was ready to run and waited for a core: what its own CPU time cannot show."""

    def __init__(self) -> None:
        self._before = self._now()

    def waited_ratio(self) -> float:
        """Share of the time since the last call; 0 where the kernel does not say."""
        before, self._before = self._before, self._now()
        passed_ns = self._before[0] - before[0]
        return (self._before[1] - before[1]) / passed_ns if passed_ns > 0 else 0.0

    @staticmethod
    def _now() -> tuple[int, int]:
        try:
            return monotonic_ns(), int(RUN_QUEUE.read_text().split()[1])
        except (OSError, ValueError, IndexError):
            return monotonic_ns(), 0


class Ports:
    """
    Local ports of this machine (its network namespace) in use towards one address, TIME_WAIT included.

    Args:
        address: (host, port) as numbers; anything else (a Unix socket) needs no port and has no count.
    """

    def __init__(self, address: Address | None) -> None:
        self._family, self._remote = _as_the_kernel_prints(address)

    def in_use(self) -> int | None:
        """The count; None where the kernel does not say."""
        if self._family is None or self._remote is None:
            return None
        try:
            return len(self._remote.findall(SOCKETS[self._family].read_bytes()))
        except OSError:
            return None


def _as_the_kernel_prints(
    address: Address | None,
) -> tuple[socket.AddressFamily | None, re.Pattern[bytes] | None]:
    for family in SOCKETS if address else ():
        try:
            packed = socket.inet_pton(family, address[0].partition("%")[0])  # type: ignore[index]  # None has no loop
        except (OSError, ValueError):
            continue
        words = (int.from_bytes(packed[at : at + 4], sys.byteorder) for at in range(0, len(packed), 4))
        remote = "".join(f"{word:08X}" for word in words) + f":{address[1]:04X}"  # type: ignore[index]
        # After another address: the first of a line's two is the local one, which a server on this machine has.
        return family, re.compile(rb":[0-9A-F]{4} " + remote.encode() + rb" ")
    return None, None


class Watch:
    """
    Readings of one machine, once a second of the measured time at most.

    Args:
        address: of the target.
        from_ns: when the measured time begins, on the monotonic clock; to_ns: when it ends.
    """

    def __init__(self, address: Address | None, from_ns: int, to_ns: int) -> None:
        self._ports = Ports(address)
        self._from_ns, self._to_ns = from_ns, to_ns
        self._next_ns = from_ns
        self._before: tuple[float, float] | None = None

    def reading(self) -> dict[str, Any] | None:
        """
        What is to be logged now, if anything: second, ports, ports_allowed, and the share of CPU time stolen since the
        measured time began.
        """
        now_ns = monotonic_ns()
        if now_ns < self._next_ns or now_ns > self._to_ns + EVERY_NS:
            return None
        ports = self._ports.in_use()
        took_ns = monotonic_ns() - now_ns
        self._next_ns = now_ns + max(EVERY_NS, int(took_ns / DUTY))
        return {
            "second": (now_ns - self._from_ns) // EVERY_NS,
            "ports": ports,
            "ports_allowed": None if ports is None else ports_allowed(),
            "steal_ratio": self._stolen(),
        }

    def _stolen(self) -> float | None:
        times = psutil.cpu_times()
        now = sum(times[:8]), float(getattr(times, "steal", 0.0))  # guest times are in user's already
        if self._before is None:
            self._before = now
            return None
        passed_s = now[0] - self._before[0]
        return (now[1] - self._before[1]) / passed_s if passed_s > 0 else None


def cpu_model() -> str:
    """The processor, as the kernel names it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
