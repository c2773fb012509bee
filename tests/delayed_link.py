"""
Two network namespaces with a slow line between them: packets are carried by this process, each way after a time of its
own. Needs no kernel module but TUN.
"""

from __future__ import annotations

import heapq
import os
import select
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

NEAR, FAR = "10.77.0.1", "10.77.0.2"
PACKET_BYTES = 1 << 16
TUN = """
import fcntl, os, socket, struct, sys
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
fcntl.ioctl(file, TUNSETIFF, struct.pack("16sH14s", sys.argv[2].encode(), IFF_TUN | IFF_NO_PI, b""))
socket.send_fds(socket.socket(fileno=int(sys.argv[1])), [b"-"], [file])
"""


class Namespace:
    """One end: a named network namespace as root; as somebody else one in a user namespace, held by a process."""

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.file: int | None = None
        self._holder: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:
            self._run("ip", "netns", "add", name)
            self.inside: tuple[str, ...] = ("ip", "netns", "exec", name)
        else:
            self._holder = subprocess.Popen(["unshare", "--user", "--map-root-user", "--net", "sleep", "infinity"])
            self._await()
            whom = ("--target", str(self._holder.pid))
            self.inside = ("nsenter", *whom, "--user", "--net", "--preserve-credentials")
        self.device = f"hw{name[8]}{os.getpid()}"[:15]
        self._address = address

    def open(self) -> int:
        """Its end of the line: packets are read from the file and written to it."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            words = (str(theirs.fileno()), self.device)
            self._run(*self.inside, sys.executable, "-c", TUN, *words, files=(theirs.fileno(),))
            _, (self.file, *_), _, _ = socket.recv_fds(ours, 1, 1)
        for each in (
            ("addr", "add", f"{self._address}/24", "dev", self.device), ("link", "set", self.device, "up"),
            ("link", "set", "lo", "up"),
        ):  # fmt: skip
            self._run(*self.inside, "ip", *each)
        return self.file

    def close(self) -> None:
        """Nothing is left."""
        if self.file is not None:
            os.close(self.file)
        if self._holder is not None:
            self._holder.kill()
            self._holder.wait()
        elif Path("/run/netns", self.name).exists():
            subprocess.run(["ip", "netns", "del", self.name], check=True)

    def _await(self) -> None:
        holder, until = self._holder, time.monotonic() + 5
        assert holder is not None
        while Path(f"/proc/{holder.pid}/comm").read_text() != "sleep\n":
            if holder.poll() is not None or time.monotonic() > until:
                holder.kill()
                raise OSError("unshare --user --net is refused")
            time.sleep(0.01)

    @staticmethod
    def _run(*words: str, files: tuple[int, ...] = ()) -> None:
        subprocess.run(words, check=True, capture_output=True, pass_fds=files)


class DelayedLink:
    """
    `near` and `far` are what a command begins with that runs in the namespace with the address NEAR or FAR; a packet
    takes `there_s` or `back_s`. While `cut` is set packets are lost, and nobody is told: no FIN, no RST, no answer.

    Raises:
        RuntimeError: this machine does not let us make namespaces or TUN devices, with what it said.
    """

    def __init__(self, *, there_s: float, back_s: float) -> None:
        self.cut = threading.Event()
        self._over = threading.Event()
        self._ends: list[Namespace] = []
        self._files: list[int] = []
        try:
            for side, address in (("near", NEAR), ("far", FAR)):
                self._ends.append(Namespace(f"headway-{side}-{os.getpid()}", address))
                self._files.append(self._ends[-1].open())
        except (OSError, subprocess.CalledProcessError) as exc:
            self.close()
            said = exc.stderr.decode() if isinstance(exc, subprocess.CalledProcessError) else str(exc)
            raise RuntimeError(f"network namespaces are not to be had on this machine: {said}") from exc
        self.near, self.far = (each.inside for each in self._ends)
        self._carrier = threading.Thread(target=self._carry, args=(there_s, back_s), daemon=True)
        self._carrier.start()

    def close(self) -> None:
        """Nothing is left."""
        self._over.set()
        if hasattr(self, "_carrier"):
            self._carrier.join(5)
        for each in self._ends:
            each.close()

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
