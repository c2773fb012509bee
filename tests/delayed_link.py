"""
Two network namespaces with a slow line between them: packets are carried by this process, each way after a time of its
own. Needs no kernel module but TUN.
"""

from __future__ import annotations

import fcntl
import heapq
import os
import select
import struct
import subprocess
import threading
import time
from pathlib import Path

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
NEAR, FAR = "10.77.0.1", "10.77.0.2"
PACKET_BYTES = 1 << 16


class DelayedLink:
    """
    `near` and `far` are namespaces with the addresses NEAR and FAR; a packet takes `there_s` or `back_s`. While `cut`
    is set packets are lost, and nobody is told: no FIN, no RST, no answer.

    Raises:
        RuntimeError: this machine does not let us make namespaces or TUN devices, with what it said.
    """

    def __init__(self, *, there_s: float, back_s: float) -> None:
        self.near, self.far = (f"headway-{side}-{os.getpid()}" for side in ("near", "far"))
        self.cut = threading.Event()
        self._over = threading.Event()
        self._files: list[int] = []
        try:
            for name, address in ((self.near, NEAR), (self.far, FAR)):
                self._files.append(self._end(name, address))
        except (OSError, subprocess.CalledProcessError) as exc:
            self.close()
            said = exc.stderr.decode() if isinstance(exc, subprocess.CalledProcessError) else str(exc)
            raise RuntimeError(f"network namespaces are not to be had on this machine: {said}") from exc
        self._carrier = threading.Thread(target=self._carry, args=(there_s, back_s), daemon=True)
        self._carrier.start()

    @staticmethod
    def inside(name: str) -> tuple[str, ...]:
        """What a command in a namespace begins with."""
        return ("ip", "netns", "exec", name)

    def close(self) -> None:
        """Nothing is left."""
        self._over.set()
        if hasattr(self, "_carrier"):
            self._carrier.join(5)
        for each in self._files:
            os.close(each)
        for name in (self.near, self.far):
            if Path("/run/netns", name).exists():
                subprocess.run(["ip", "netns", "del", name], check=True)

    @staticmethod
    def _end(name: str, address: str) -> int:
        def ip(*words: str) -> None:
            subprocess.run(["ip", *words], check=True, capture_output=True)

        ip("netns", "add", name)
        device = f"hw{name[8]}{os.getpid()}"[:15]
        file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        try:
            fcntl.ioctl(file, TUNSETIFF, struct.pack("16sH14s", device.encode(), IFF_TUN | IFF_NO_PI, b""))
            ip("link", "set", device, "netns", name)
            for words in (
                ("addr", "add", f"{address}/24", "dev", device), ("link", "set", device, "up"),
                ("link", "set", "lo", "up"),
            ):  # fmt: skip
                ip("-n", name, *words)
        except BaseException:
            os.close(file)
            raise
        return file

    def _carry(self, there_s: float, back_s: float) -> None:
        near, far = self._files
        ways = {near: (far, there_s), far: (near, back_s)}
        late: list[tuple[float, int, int, bytes]] = []
        number = 0
        while not self._over.is_set():
            wait_s = max(0.0, min(0.1, late[0][0] - time.monotonic())) if late else 0.1
            ready, _, _ = select.select([near, far], [], [], wait_s)
            now = time.monotonic()
            for file in ready:
                to, delay_s = ways[file]
                number += 1
                packet = os.read(file, PACKET_BYTES)
                if not self.cut.is_set():
                    heapq.heappush(late, (now + delay_s, number, to, packet))
            while late and late[0][0] <= now:
                _, _, to, packet = heapq.heappop(late)
                os.write(to, packet)
