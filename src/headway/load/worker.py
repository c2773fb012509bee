"""One generator process: gets its share of a phase, runs it on a loop of its own, reports once a second."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
import signal
import traceback
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from headway.load import dial, replay, resources, shape, starts
from headway.load.closed import ClosedEngine
from headway.load.draw import RanDry
from headway.load.open import OpenEngine
from headway.load.pacer import Pacer
from headway.load.plain import Poller
from headway.load.recorder import Recorder, Second
from headway.model import LoadModel, Wire

if TYPE_CHECKING:
    from collections.abc import Mapping
    from multiprocessing.connection import Connection as Pipe
    from pathlib import Path

    from headway.load.dial import Dialer
    from headway.load.engine import Engine
    from headway.load.replay import Recording
    from headway.load.starts import Starts
    from headway.load.target import Address
    from headway.model import Journey, Parameter, Phase, Route

NICENESS = -10
"""As root a worker goes before what else the machine does: its own lateness must not become the service's latency."""
LAG_PROBE_S = 0.05
POLL_S = 0.02
RAMP_S = 0.1
"""How often the number of users follows its shape."""
DRAIN_S = 2.0
"""How long a run that was interrupted waits for what is in flight."""


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """One worker's share of one phase."""

    phase: Phase
    routes: tuple[Route, ...]
    parameters: tuple[Parameter, ...]
    values: Mapping[str, tuple[str, ...]]
    address: Address
    host: str
    worker: int
    workers: int
    journeys: tuple[Journey, ...] = ()
    wire: Wire = field(default_factory=Wire)
    scheme: str = "http"
    name: str = ""  # what the certificate must be for
    recording: Recording | None = None  # its own share of what is replayed


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
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(Work(pipe, assignment).run())
    except RanDry as dry:
        pipe.send(("lost", str(dry)))
    except Exception as error:  # noqa: BLE001 - whatever it is: the parent must hear it in words
        traceback.print_exc()
        pipe.send(("lost", f"{type(error).__name__}: {error}"))


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
        self._queue = resources.RunQueue()
        self._broken: Exception | None = None

    async def run(self) -> None:
        """Prepare, wait for the start, send, drain, report."""
        loop = asyncio.get_running_loop()
        self._started = loop.create_future()
        loop.set_exception_handler(self._break)
        mine, poller = self._mine, Poller(loop)
        loop.add_reader(self._pipe.fileno(), self._heard)
        made = starts.of(mine)
        dialer = dial.dialer(mine.wire, mine.address, mine.phase.timeout_s, poller, scheme=mine.scheme, name=mine.name)
        gc.collect()
        gc.freeze()
        self._pipe.send(("ready",))
        began_ns = await self._started
        engine = self._engine(dialer, poller, made, began_ns)
        loop.call_later(max(0.0, (began_ns - monotonic_ns()) / 1e9), engine.begin)
        lag = loop.create_task(self._probe_lag())
        ramp = loop.create_task(self._set_users(engine))
        ramp.add_done_callback(self._ramped)
        await self._measure(engine)
        lag.cancel()
        ramp.cancel()
        poller.close()
        if self._broken is not None:
            raise self._broken
        self._pipe.send(("done",))

    def _engine(self, dialer: Dialer, poller: Poller, made: Starts, began_ns: int) -> OpenEngine | ClosedEngine:
        """The phase's own, with this worker's share of it."""
        mine, phase = self._mine, self._mine.phase
        shared: Any = {
            "dialer": dialer, "poller": poller, "starts": made, "recorder": self._recorder,
            "timeout_ns": int(phase.timeout_s * 1e9), "wire": mine.wire, "origin": f"{mine.scheme}://{mine.host}",
        }  # fmt: skip
        from_ns = began_ns + int(phase.warmup_s * 1e9)
        to_ns = from_ns + phase.whole_seconds * 10**9
        engine: OpenEngine | ClosedEngine
        if phase.model is LoadModel.OPEN:
            front, back = (
                Pacer(
                    phase, worker=mine.worker, workers=mine.workers, end_ns=to_ns - began_ns,
                    recorded_ns=None if mine.recording is None else mine.recording.at_ns,
                )
                for _ in range(2)
            )  # fmt: skip
            most = share(phase.max_connections, mine.worker, mine.workers)
            recorded = (
                None if mine.recording is None else replay.requests(mine.recording, starts.travelling(mine), mine.host)
            )
            engine = OpenEngine(front=front, back=back, began_ns=began_ns, most=most, recorded=recorded, **shared)
        else:
            together = None if phase.iterations_each else phase.iterations
            engine = ClosedEngine(
                users=share(shape.users_at(phase, -phase.warmup_s), mine.worker, mine.workers), began_ns=began_ns,
                together=None if together is None else share(together, mine.worker, mine.workers),
                each=phase.iterations if phase.iterations_each else None, **shared,
            )  # fmt: skip
        engine.measure_from_ns, engine.measure_to_ns = from_ns, to_ns
        return engine

    async def _measure(self, engine: Engine) -> None:
        """Warm-up, measured seconds, then what is still due or in flight."""
        start_ns, end_ns = engine.measure_from_ns, engine.measure_to_ns
        await self._warm_up(engine)
        if self._drain.is_set():
            engine.abandon()  # before anything was measured: there is nothing to tell
            return
        self._recorder.measure(monotonic_ns(), engine.lingered_ns)
        self._queue.waited_ratio()  # from here
        self._second = 0
        self._recorder.until_ns = start_ns + 10**9
        while not self._drain.is_set() and start_ns + (self._second + 1) * 10**9 <= end_ns:
            await self._until(start_ns + (self._second + 1) * 10**9, engine)
            if _exhausted(engine):
                break
            if not self._drain.is_set():
                self._report(engine)
        await self._until(end_ns, engine)
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

    async def _until(self, at_ns: int, engine: Engine | None = None) -> None:
        """Wait for an instant, for the order to drain, or until the engine has made all the starts it may."""
        counted = self._mine.phase.iterations is not None and engine is not None
        while not self._drain.is_set() and (wait_s := (at_ns - monotonic_ns()) / 1e9) > 0:
            if counted and _exhausted(engine):
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(wait_s, POLL_S) if counted else wait_s):
                    await self._drain.wait()

    def _break(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An error nobody foresaw: from here on the figures are worth nothing, and the parent must hear why."""
        if not isinstance(context.get("exception"), RanDry):  # foreseen, and told without a traceback
            loop.default_exception_handler(context)
        self._broken = self._broken or context.get("exception") or RuntimeError(context["message"])
        self._drain.set()

    def _ramped(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            asyncio.get_running_loop().call_exception_handler({"message": "the users", "exception": error})

    async def _set_users(self, engine: Engine) -> None:
        """As many users as the phase wants at each moment, by its stages or by a file that somebody writes."""
        phase, mine = self._mine.phase, self._mine
        if not isinstance(engine, ClosedEngine) or (not phase.stages and phase.control_file is None):
            return
        while not self._drain.is_set():
            t_s = (monotonic_ns() - engine.measure_from_ns) / 1e9
            wanted = shape.users_at(phase, t_s) if phase.control_file is None else self._controlled(phase.control_file)
            if wanted is not None and engine.sending:
                engine.set_users(share(wanted, mine.worker, mine.workers))
            await asyncio.sleep(RAMP_S if phase.control_file is None else 1.0)

    def _controlled(self, file: Path) -> int | None:
        """What the file says; None, with a word about it, when it says no whole number: the users stay as many."""
        try:
            return max(0, int(file.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            self._recorder.say(f"{file} does not say how many users: {error}; there are as many as before")
            return None

    def _report(self, engine: Engine) -> None:
        engine.wake()  # so that all is planned that was due by now
        now_ns = monotonic_ns()
        second = self._recorder.flush(
            self._second, now_ns, connections=engine.connections, backlog=engine.backlog, lingered_ns=engine.lingered_ns
        )
        second.cpu_wait_ratio = self._queue.waited_ratio()
        second.files = resources.open_files() or self._files + engine.connections
        second.files_allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if isinstance(engine, ClosedEngine):
            second.iterations_left = engine.iterations_left or 0
        self._second = max(self._second + 1, (now_ns - engine.measure_from_ns) // 10**9)
        self._recorder.until_ns = engine.measure_from_ns + (self._second + 1) * 10**9
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


def _exhausted(engine: Engine | None) -> bool:
    return isinstance(engine, ClosedEngine) and engine.exhausted


def share(total: int, worker: int, workers: int) -> int:
    """Worker `worker`'s part of a whole number, the first ones getting what is left over."""
    return total // workers + (worker < total % workers)
