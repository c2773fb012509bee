"""
A server whose response times are known in closed form, in a process of its own, with none of Headway's code:
select(2) waits to a tenth of a millisecond.

    /stall    nothing is answered for STALL_S of each PERIOD_S; else at once
    /queue    one server, exponential service of mean SERVICE_S, first come first served: M/M/1 under Poisson arrivals
    /two      92% after 2 ms, 8% after 20 ms, however many at once
    /times    what this server really took, per path, in ns, and forgets it

Ends when its standard input does.
"""

from __future__ import annotations

import heapq
import json
import os
import random
import select
import socket
import sys
from time import monotonic_ns

STALL_S, PERIOD_S, SERVICE_S = 0.2, 1.0, 0.005
SHORT_S, LONG_S, LONG_SHARE = 0.002, 0.02, 0.08
HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b"
SPIN_NS = 60_000
"""The kernel wakes a sleeper 50 us late; the last of a wait is spent looking at the clock."""


class Truth:
    """Decides when each request is answered, and answers it then."""

    def __init__(self) -> None:
        self._rng = random.Random(3)
        self._waiting: list[tuple[int, int, int, str, socket.socket]] = []
        self._number = 0
        self._free_ns = 0
        self._began_ns = monotonic_ns()
        self.times: dict[str, list[int]] = {}

    def asked(self, path: str, client: socket.socket) -> None:
        """A request is whole."""
        now = monotonic_ns()
        if path == "/times":
            told, self.times = json.dumps(self.times).encode(), {}
            client.setblocking(True)
            client.sendall(HEAD % (len(told), told))
            client.setblocking(False)
            return
        self._number += 1
        heapq.heappush(self._waiting, (self._due_ns(path, now), self._number, now, path, client))

    def _due_ns(self, path: str, now: int) -> int:
        if path == "/stall":
            into = (now - self._began_ns) % int(PERIOD_S * 1e9)
            return now + max(0, int(STALL_S * 1e9) - into)
        if path == "/queue":
            self._free_ns = max(now, self._free_ns) + int(self._rng.expovariate(1 / SERVICE_S) * 1e9)
            return self._free_ns
        if path == "/two":
            return now + int((LONG_S if self._rng.random() < LONG_SHARE else SHORT_S) * 1e9)
        return now

    def answer_due(self) -> float | None:
        """Answer what is due; seconds until the next is, None when nobody waits."""
        while self._waiting:
            left_ns = self._waiting[0][0] - monotonic_ns()
            if left_ns > SPIN_NS:
                return (left_ns - SPIN_NS) / 1e9
            if left_ns > 0:
                continue
            _, _, since_ns, path, client = heapq.heappop(self._waiting)
            if client.fileno() >= 0:
                client.send(HEAD % (2, b"ok"))
            self.times.setdefault(path, []).append(monotonic_ns() - since_ns)
        return None


def serve(listener: socket.socket) -> None:
    """Until standard input ends."""
    truth = Truth()
    heard: dict[socket.socket, bytes] = {}
    while True:
        ready, _, _ = select.select([sys.stdin, listener, *heard], [], [], truth.answer_due())
        if sys.stdin in ready:
            return
        for client in [each for each in heard if each in ready]:
            read(client, heard, truth)
        if listener in ready:
            client, _ = listener.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.setblocking(False)
            heard[client] = b""


def read(client: socket.socket, heard: dict[socket.socket, bytes], truth: Truth) -> None:
    """What a client sent: requests without a body, whole or in part."""
    try:
        data = client.recv(65536)
    except ConnectionError:
        data = b""
    if not data:
        del heard[client]
        client.close()
        return
    heard[client] += data
    while b"\r\n\r\n" in heard[client]:
        head, _, heard[client] = heard[client].partition(b"\r\n\r\n")
        truth.asked(head.split(b" ", 2)[1].decode(), client)


if __name__ == "__main__":
    if os.geteuid() == 0:
        os.setpriority(os.PRIO_PROCESS, 0, -15)  # its own lateness must not be taken for the generator's error
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
        print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
        serve(listening)
