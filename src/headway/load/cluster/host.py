"""
What runs inside a Dask worker: starts generators, keeps what they say until it is fetched, ends those left alone.

The functions are called by name through the scheduler (`Client.run`), so each machine needs this very Headway; `hello`
says which one it has. What a generator says is numbered and kept until its number is acknowledged, so that an answer
lost on the way is asked for again and counted once.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import math
import pickle
import platform
import socket
import subprocess
import sys
import tempfile
from collections import deque
from dataclasses import dataclass, replace
from multiprocessing.connection import Pipe as new_pipe
from pathlib import Path
from time import monotonic, monotonic_ns
from typing import TYPE_CHECKING, Any

import headway
from headway.errors import HeadwayError
from headway.load import reach
from headway.load.resources import Watch

if TYPE_CHECKING:
    from headway.load.cluster.parcel import Files
    from headway.load.target import Address, Target
    from headway.load.worker import Assignment
    from headway.model import Scenario

READY_S = 60.0
LEASE_S = 15.0
"""A generator whose parent has not asked after it for so long is ended: it would load a service for nobody."""
LOOK_S = 0.2
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
NETWORK = Path("/proc/self/ns/net")


@dataclass(frozen=True, kw_only=True)
class Hello:
    """Which Headway a Dask worker has, and where it runs."""

    version: str
    source: str
    python: str
    name: str
    machine: str  # the same for all that share a kernel and its network


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why a machine does not reach the target, and what to do."""

    what: str
    next_act: str


def source_digest() -> str:
    """The code that makes and counts the load: two installations of one version may still differ."""
    root, found = Path(headway.__file__).parent, hashlib.sha256()
    for room in ("load", "model"):
        for file in sorted((root / room).rglob("*.py")):
            found.update(f"{file.relative_to(root)}\n".encode() + file.read_bytes())
    return found.hexdigest()[:12]


def introduction() -> Hello:
    """This process's own."""
    try:
        machine = f"{BOOT_ID.read_text().strip()}/{NETWORK.stat().st_ino}"
    except OSError:
        machine = platform.node()
    return Hello(
        version=headway.__version__, source=source_digest(), python=platform.python_version(),
        name=socket.gethostname(), machine=machine,
    )  # fmt: skip


async def hello() -> Hello:
    """Who is there."""
    return await asyncio.to_thread(introduction)


async def clock() -> int:
    """This machine's monotonic clock, now."""
    return monotonic_ns()


async def arrive(target: Target, scenario: Scenario, ca: bytes | None) -> Address | Refusal:
    """The target's address as this machine finds it; `ca`: what is in the CA file, which is on another machine."""

    def look() -> Address:
        if ca is None:
            return reach.arrive(target, scenario)
        with tempfile.NamedTemporaryFile() as file:
            file.write(ca)
            file.flush()
            wire = replace(scenario.wire, ca_file=Path(file.name))
            return reach.arrive(target, replace(scenario, wire=wire))

    try:
        return await asyncio.to_thread(look)
    except HeadwayError as error:
        return Refusal(what=error.what, next_act=error.next_act)


class Hosted:
    """One generator of this Dask worker."""

    def __init__(self, assignment: Assignment, files: Files, *, watches: bool) -> None:
        self._assignment = assignment
        self._watches = watches
        self._watch: Watch | None = None
        self._said: deque[tuple[int, bytes]] = deque()
        self._number = 0
        self._news = asyncio.Event()
        self._over = False
        self.asked_at_s = math.inf  # while it starts it is waited for: READY_S is its limit then
        self._pipe, theirs = new_pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "headway.load.cluster.generator", str(theirs.fileno())],
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
            )  # fmt: skip
        self._pipe.send((assignment, files))
        asyncio.get_running_loop().add_reader(self._pipe.fileno(), self._heard)
        self._looking = asyncio.get_running_loop().create_task(self._look())

    async def ready(self) -> str | None:
        """None when it came to be ready, which is the first thing a generator says; else why it did not."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READY_S):
                while not self._said:
                    self._news.clear()
                    await self._news.wait()
            self.asked_at_s = monotonic()
            said = pickle.loads(self._said.popleft()[1])  # noqa: S301 - our own process
            return None if said[0] == "ready" else str(said[1])
        return f"nothing came in {READY_S:g} s"

    def start(self, began_ns: int) -> int:
        """Give the order; how long before its instant (below 0: after it), in ns of this machine's clock."""
        phase = self._assignment.phase
        if self._watches:
            from_ns = began_ns + int(phase.warmup_s * 1e9)
            self._watch = Watch(self._assignment.address, from_ns, from_ns + phase.whole_seconds * 10**9)
        self._tell(("start", began_ns))
        return began_ns - monotonic_ns()

    async def take(self, after: int, wait_s: float) -> list[tuple[int, bytes]]:
        """What it has said since message `after`, which is forgotten with those before it; waits for the first."""
        self.asked_at_s = monotonic()
        while self._said and self._said[0][0] <= after:
            self._said.popleft()
        if not self._said:
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._news.wait()
        return list(self._said)

    def drain(self) -> None:
        """No new requests."""
        self._tell(("drain",))

    async def end(self) -> None:
        """It is gone afterwards."""
        self._looking.cancel()
        self._close()
        for stop in (self._process.terminate, self._process.kill):
            if self._process.poll() is None:
                stop()
            for _ in range(40):
                if self._process.poll() is not None:
                    return
                await asyncio.sleep(0.05)

    def _tell(self, order: tuple[Any, ...]) -> None:
        with contextlib.suppress(OSError):  # it is gone; its pipe's end says so next
            self._pipe.send(order)

    def _heard(self) -> None:
        try:
            message = self._pipe.recv_bytes()
        except (EOFError, OSError):
            if not self._over:
                self._keep(pickle.dumps(("lost", "its process died")))
            self._close()
            return
        self._over = pickle.loads(message)[0] in {"done", "lost"}  # noqa: S301 - our own process
        self._keep(message)

    def _keep(self, message: bytes) -> None:
        self._number += 1
        self._said.append((self._number, message))
        self._news.set()

    def _close(self) -> None:
        if not self._pipe.closed:
            asyncio.get_running_loop().remove_reader(self._pipe.fileno())
            self._pipe.close()

    async def _look(self) -> None:
        """Tell of the machine; end it when nobody asks any more."""
        while True:
            await asyncio.sleep(LOOK_S)
            reading = self._watch.reading() if self._watch is not None else None
            if reading is not None and not self._over:
                self._keep(pickle.dumps(("host", reading)))
            if monotonic() - self.asked_at_s > LEASE_S:
                _hosted.pop(next((key for key, each in _hosted.items() if each is self), ""), None)
                self._close()
                self._process.kill()
                await asyncio.to_thread(self._process.wait)
                return


_hosted: dict[str, Hosted] = {}


async def hire(key: str, assignment: Assignment, files: Files, *, watches: bool) -> str | None:
    """Start a generator; None when it is ready, else why it is not."""
    one = _hosted[key] = Hosted(assignment, files, watches=watches)
    why = await one.ready()
    if why is not None:
        await dismiss(key)
    return why


async def start(key: str, began_ns: int) -> int | None:
    """Order a generator to begin at an instant of this machine's clock; None: it is not known here."""
    one = _hosted.get(key)
    return None if one is None else one.start(began_ns)


async def take(key: str, after: int, wait_s: float) -> list[tuple[int, bytes]] | None:
    """What a generator said since; None: it is not known here, as after a restart."""
    one = _hosted.get(key)
    return None if one is None else await one.take(after, wait_s)


async def drain(key: str) -> None:
    """No new requests."""
    one = _hosted.get(key)
    if one is not None:
        one.drain()


async def dismiss(key: str) -> None:
    """The generator is gone afterwards."""
    one = _hosted.pop(key, None)
    if one is not None:
        await one.end()
