"""One generator process: gets its share of a phase, runs it on a loop of its own, reports once a second."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
import signal
from dataclasses import dataclass
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

import numpy as np

from headway.load import feed, resources, template
from headway.load.dial import Dialer
from headway.load.engine import Engine, Shot
from headway.load.pacer import Pacer
from headway.load.plain import Poller
from headway.load.recorder import Recorder, Second
from headway.load.timer import Timer
from headway.model import LoadModel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from multiprocessing.connection import Connection as Pipe

    from headway.model import Parameter, Phase, Route

NICENESS = -10
"""As root a worker goes before what else the machine does: its own lateness must not become the service's latency."""
LAG_PROBE_S = 0.05
DRAIN_S = 2.0
"""How long a run that was interrupted waits for what is in flight."""


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """One worker's share of one phase."""

    phase: Phase
    routes: tuple[Route, ...]
    parameters: tuple[Parameter, ...]
    values: Mapping[str, tuple[str, ...]]
    address: tuple[str, int]
    host: str
    worker: int
    workers: int


def main(pipe: Pipe, assignment: Assignment) -> None:
    """
    The process. Messages in: ("start", t0_ns), ("drain",). Out: ("ready",), ("second", Second), ("done",).

    Ctrl-C is the parent's to hear. When the parent is gone the pipe ends, and so does this process.
    """
    import uvloop

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with contextlib.suppress(PermissionError):  # only root may; others are told when lateness shows
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(Work(pipe, assignment).run())


class Work:
    """One phase's work in one process."""

    def __init__(self, pipe: Pipe, assignment: Assignment) -> None:
        self._pipe = pipe
        self._mine = assignment
        self._recorder = Recorder(len(assignment.routes))
        self._started: asyncio.Future[int] | None = None
        self._drain = asyncio.Event()
        self._second = -1
        self._files = resources.listed_files()

    async def run(self) -> None:
        """Prepare, wait for the start, send, drain, report."""
        loop = asyncio.get_running_loop()
        self._started = loop.create_future()
        shots, draw_routes = self._shots()
        phase = self._mine.phase
        most = share(phase.users or phase.max_connections, self._mine.worker, self._mine.workers)
        poller = Poller(loop)
        engine = Engine(
            dialer=Dialer(self._mine.address, phase.timeout_s, poller), shots=shots, draw_routes=draw_routes,
            recorder=self._recorder, timeout_ns=int(phase.timeout_s * 1e9), most=most,
        )  # fmt: skip
        loop.add_reader(self._pipe.fileno(), self._heard)
        gc.collect()
        gc.freeze()
        self._pipe.send(("ready",))
        began_ns = await self._started
        engine.measure_from_ns = began_ns + int(phase.warmup_s * 1e9)
        engine.measure_to_ns = engine.measure_from_ns + phase.whole_seconds * 10**9
        timer = Timer(poller, engine.wake)
        if phase.model is LoadModel.OPEN:
            poller.after, poller.idle = engine.wake, engine.rearm
            self._begin_open(engine, timer, began_ns)
        else:
            loop.call_later(max(0.0, (began_ns - monotonic_ns()) / 1e9), engine.begin_closed)
        lag = loop.create_task(self._probe_lag())
        await self._measure(engine)
        lag.cancel()
        timer.close()
        poller.close()
        self._pipe.send(("done",))

    def _begin_open(self, engine: Engine, timer: Timer, began_ns: int) -> None:
        front, back = (
            Pacer(
                self._mine.phase, worker=self._mine.worker, workers=self._mine.workers,
                end_ns=engine.measure_to_ns - began_ns,
            )
            for _ in range(2)
        )  # fmt: skip
        engine.begin_open(front, back, timer, began_ns)

    async def _measure(self, engine: Engine) -> None:
        """Warm-up, measured seconds, then what is still due or in flight."""
        start_ns, end_ns = engine.measure_from_ns, engine.measure_to_ns
        await self._warm_up(engine)
        if self._drain.is_set():
            engine.abandon()  # before anything was measured: there is nothing to tell
            return
        self._recorder.measure(monotonic_ns())
        self._second = 0
        while not self._drain.is_set() and start_ns + (self._second + 1) * 10**9 <= end_ns:
            await self._until(start_ns + (self._second + 1) * 10**9)
            if not self._drain.is_set():
                self._report(engine)
        await self._until(end_ns)
        engine.wake()
        engine.stop_sending(forget_backlog=self._drain.is_set())
        patience_ns = int(2 * self._mine.phase.timeout_s * 1e9) + 10**9
        give_up_ns = monotonic_ns() + (int(DRAIN_S * 1e9) if self._drain.is_set() else patience_ns)
        while not engine.quiet and monotonic_ns() < give_up_ns:
            await asyncio.sleep(0.02)
            if self._drain.is_set():
                engine.stop_sending(forget_backlog=True)
                give_up_ns = min(give_up_ns, monotonic_ns() + int(DRAIN_S * 1e9))
            if monotonic_ns() >= start_ns + (self._second + 1) * 10**9:
                self._report(engine)
        engine.abandon()
        self._report(engine)

    async def _warm_up(self, engine: Engine) -> None:
        """Tell the live view of each second; nothing of it is kept."""
        start_ns = engine.measure_from_ns
        for second in range(-int(self._mine.phase.warmup_s), 0):
            await self._until(start_ns + (second + 1) * 10**9)
            if self._drain.is_set():
                return
            (planned, sent, good), engine.warmed = engine.warmed, [0, 0, 0]
            told = Second(
                second=second, planned=planned, sent=sent, good=good, statuses={}, failures=[], received_bytes=0,
                connections=engine.connections, backlog=engine.backlog,
            )  # fmt: skip
            self._pipe.send(("second", told))
        await self._until(start_ns)

    async def _until(self, at_ns: int) -> None:
        """Wait for an instant, or for the order to drain."""
        wait_s = (at_ns - monotonic_ns()) / 1e9
        if wait_s <= 0 or self._drain.is_set():
            return
        try:
            async with asyncio.timeout(wait_s):
                await self._drain.wait()
        except TimeoutError:
            return

    def _report(self, engine: Engine) -> None:
        now_ns = monotonic_ns()
        second = self._recorder.flush(self._second, now_ns, connections=engine.connections, backlog=engine.backlog)
        second.files = resources.open_files() or self._files + engine.connections
        second.files_allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._second = max(self._second + 1, (now_ns - engine.measure_from_ns) // 10**9)
        self._pipe.send(("second", second))

    async def _probe_lag(self) -> None:
        """How late the loop runs what was to run now: its own work is in the way."""
        while True:
            due_ns = monotonic_ns() + int(LAG_PROBE_S * 1e9)
            await asyncio.sleep(LAG_PROBE_S)
            if self._second >= 0:
                self._recorder.lags.append(max(0, monotonic_ns() - due_ns))

    def _heard(self) -> None:
        try:
            message: tuple[Any, ...] = self._pipe.recv()
        except (EOFError, OSError):
            # The parent is gone: nobody wants the rest.
            os._exit(0)
        if message[0] == "start" and self._started is not None:
            self._started.set_result(int(message[1]))
        elif message[0] == "drain":
            self._drain.set()

    def _shots(self) -> tuple[list[Shot], Callable[[], list[int]]]:
        mine = self._mine
        rng = np.random.default_rng((mine.phase.seed, mine.worker, 1))
        draws = {each.name: feed.drawer(each, mine.values.get(each.name, ()), rng) for each in mine.parameters}
        shots = [
            Shot(
                render=template.renderer(route, mine.host, draws),
                good=frozenset(route.expect_status),
                head_only=route.method == "HEAD",
            )
            for route in mine.routes
        ]
        weights = np.array([route.weight for route in mine.routes])
        odds = weights / weights.sum()

        def draw_routes() -> list[int]:
            found: list[int] = rng.choice(len(odds), size=feed.BATCH, p=odds).tolist()
            return found

        return shots, draw_routes


def share(total: int, worker: int, workers: int) -> int:
    """Worker `worker`'s part of a whole number, the first ones getting what is left over."""
    return total // workers + (worker < total % workers)
