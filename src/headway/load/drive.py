"""Drive phases of load against a target: start the workers together, gather their seconds, keep everything."""

from __future__ import annotations

import ipaddress
import multiprocessing
import os
import time
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

from headway.errors import HeadwayError
from headway.load import feed, progress, reach, worker
from headway.load.log import LoadLog
from headway.load.scenario import split_url
from headway.load.worker import Assignment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from multiprocessing.connection import Connection as Pipe
    from multiprocessing.context import SpawnProcess
    from pathlib import Path

    from headway.load.recorder import Second
    from headway.model import Phase, Progress, Scenario

READY_S = 60.0
LEAD_NS = 200_000_000
"""From the order to the start: time for every worker to have heard it."""
TICK_S = 0.05


class Stop:
    """How a run is ended early, from a signal handler."""

    def __init__(self) -> None:
        self.draining = False
        self.at_once = False

    def drain(self) -> None:
        """No new requests; wait a little for those in flight."""
        self.draining = True

    def now(self) -> None:
        """End the workers."""
        self.draining = self.at_once = True


def default_workers(host: str) -> int:
    """One a core; on a loopback target half of them, at least one: the service needs the others."""
    cores = len(os.sched_getaffinity(0))
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    return max(1, cores // 2) if local else cores


def drive(
    scenario: Scenario,
    phases: Sequence[Phase],
    target_url: str,
    folder: Path,
    *,
    database_url: str | None = None,
    workers: int | None = None,
    on_second: Callable[[Progress], None],
    on_measure_start: Callable[[Phase], None],
    on_measure_end: Callable[[Phase], None],
    stop: Stop,
) -> None:
    """
    Run the phases one after another and append what they measure to the folder's two logs.

    Args:
        scenario: the traffic.
        phases: how much of it, and how long.
        target_url: `http://host:port`; its path is not used, the routes have theirs.
        folder: the run's folder.
        database_url: where parameters given by a query are read.
        workers: generator processes; None: `default_workers`.
        on_second: gets each second's progress.
        on_measure_start: called when a phase's warm-up has ended.
        on_measure_end: called when a phase's measured time has ended, before it drains.
        stop: ends the run early.

    Raises:
        BadInput: the target or a parameter means nothing.
        TargetUnreachable: nothing there speaks HTTP.
    """
    host, port, _ = split_url(target_url)
    address = reach.resolve(host, port)
    header = f"{host if ':' not in host else f'[{host}]'}:{port}"
    values = {each.name: feed.values_of(each, database_url) for each in scenario.parameters}
    reach.check(address, header, scenario)
    count = workers or default_workers(address[0])
    log = LoadLog(folder)
    try:
        for number, phase in enumerate(phases):
            if stop.draining:
                break
            # A worker without a connection could not send its share.
            crew_size = min(count, phase.users or phase.max_connections)
            shares = [
                Assignment(
                    phase=phase, routes=scenario.routes, parameters=scenario.parameters, values=values,
                    address=address, host=header, worker=each, workers=crew_size,
                )
                for each in range(crew_size)
            ]  # fmt: skip
            crew = Crew(number, phase, shares, log, stop, on_second)
            crew.run(lambda phase=phase: on_measure_start(phase), lambda phase=phase: on_measure_end(phase))  # type: ignore[misc]
    finally:
        log.close()


class Crew:
    """The workers of one phase."""

    def __init__(
        self,
        number: int,
        phase: Phase,
        shares: Sequence[Assignment],
        log: LoadLog,
        stop: Stop,
        on_second: Callable[[Progress], None],
    ) -> None:
        self._number = number
        self._phase = phase
        self._log = log
        self._stop = stop
        self._gathered = progress.Gathering(phase, len(shares), on_second)
        self._pipes: dict[Pipe, int] = {}
        self._processes: list[SpawnProcess] = []
        self._lost = 0
        self._drained = False
        self._started_at_s = 0.0
        self._shares = shares

    def run(self, on_measure_start: Callable[[], None], on_measure_end: Callable[[], None]) -> None:
        """Start, gather, end. Workers are gone afterwards, whatever happens."""
        phase = self._phase
        try:
            self._hire()
            began_ns = time.monotonic_ns() + LEAD_NS
            start_s = phase.warmup_s + (began_ns - time.monotonic_ns()) / 1e9
            self._started_at_s = time.time() + start_s
            self._log.event(
                "start", self._number, started_at_s=self._started_at_s, workers=len(self._shares),
                offset_s=self._log.offset_s(self._started_at_s),
            )  # fmt: skip
            for pipe in self._pipes:
                pipe.send(("start", began_ns))
            hooks = [(start_s, on_measure_start), (start_s + phase.whole_seconds, on_measure_end)]
            self._gather(began_ns - LEAD_NS, hooks)
            self._gathered.end()
        finally:
            self._dismiss()
        self._log.event(
            "end", self._number, workers_lost=self._lost, finished=not self._lost and not self._stop.draining
        )

    def _hire(self) -> None:
        """Start the workers and wait until each is ready."""
        spawn = multiprocessing.get_context("spawn")
        for each in self._shares:
            ours, theirs = spawn.Pipe()
            process = spawn.Process(target=worker.main, args=(theirs, each), daemon=True)
            process.start()
            theirs.close()
            self._processes.append(process)
            self._pipes[ours] = each.worker
        for pipe in self._pipes:
            try:
                ready = pipe.poll(READY_S) and pipe.recv()[0] == "ready"
            except (EOFError, OSError):
                ready = False
            if not ready:
                raise HeadwayError("a generator process did not start", next_act="look for its error above")

    def _gather(self, from_ns: int, hooks: list[tuple[float, Callable[[], None]]]) -> None:
        """Take the workers' messages until each is done or gone; call the hooks when their time has come."""
        while self._pipes and not self._stop.at_once:
            for pipe in wait(list(self._pipes), TICK_S):
                self._take(pipe)  # type: ignore[arg-type]  # wait() gives back what it was given
            elapsed_s = (time.monotonic_ns() - from_ns) / 1e9
            if self._stop.draining and not self._drained:
                self._drain()
            while hooks and (elapsed_s >= hooks[0][0] or (self._drained and len(hooks) == 1)):
                hooks.pop(0)[1]()
        if len(hooks) == 1:
            hooks.pop()[1]()

    def _take(self, pipe: Pipe) -> None:
        try:
            message: tuple[Any, ...] = pipe.recv()
        except (EOFError, OSError):
            # A worker that leaves without "done" was killed: what it would have sent was not.
            self._pipes.pop(pipe)
            self._lost += 1
            self._drain()
            return
        if message[0] == "second":
            second: Second = message[1]
            if second.second >= 0:
                self._log.second(self._number, self._pipes[pipe], self._started_at_s, second)
            self._gathered.second(second)
        elif message[0] == "done":
            self._pipes.pop(pipe)

    def _drain(self) -> None:
        self._drained = True
        for pipe in self._pipes:
            try:
                pipe.send(("drain",))
            except OSError:
                continue  # it is gone; its pipe's end says so next

    def _dismiss(self) -> None:
        for process in self._processes:
            if self._pipes:
                process.terminate()
            process.join(5)
            if process.is_alive():
                process.kill()
                process.join()
