"""Drive phases of load against a target: share each among workers, keep everything they measure."""

from __future__ import annotations

import ipaddress
import os
from typing import TYPE_CHECKING

from headway.load import calibration, feed, reach
from headway.load.crew import Crew, Stop
from headway.load.local import Local
from headway.load.log import LoadLog
from headway.load.scenario import split_url
from headway.load.worker import Assignment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from headway.model import Phase, Progress, Scenario

__all__ = ["Stop", "default_workers", "drive"]


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
    on: str | None = None,
    tolerate: int = 0,
    calibrate: bool = False,
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
        on: `dask://host:port` of a scheduler whose workers make the load; None: this machine does.
        tolerate: how many generator processes may be lost without ending the run.
        calibrate: measure first what this machine's generator can reach, where that is not known.
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
    calibrated = calibration.for_run(measure_now=calibrate)
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
            facts = calibrated.facts(crew_size) if calibrated is not None else {}
            crew = Crew(number, phase, Local(shares), log, stop, on_second, tolerate=tolerate, facts=facts)
            crew.run(lambda phase=phase: on_measure_start(phase), lambda phase=phase: on_measure_end(phase))  # type: ignore[misc]
    finally:
        log.close()
