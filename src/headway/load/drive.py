"""Drive phases of load against a target: share each among workers, keep everything they measure."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Protocol

from headway.load import calibration, environment, feed, rationing, replay, shape
from headway.load.crew import Crew, Stop
from headway.load.local import Here
from headway.load.log import LoadLog
from headway.load.target import parse
from headway.load.worker import Assignment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from headway.load.crew import Hands
    from headway.load.target import Address, Target
    from headway.model import Phase, Progress, Scenario

__all__ = ["Stop", "drive"]


class Site(Protocol):
    """Where the generators run: on this machine (`local.Here`), or on a cluster (`cluster.There`)."""

    @property
    def size(self) -> int:
        """How many generators fit, once the target's address is known."""

    def arrive(self, target: Target, scenario: Scenario) -> Address:
        """
        The target's address, as it is found there.

        Raises:
            BadInput: a proxy is asked for there.
            TargetUnreachable: nothing there speaks HTTP.
        """

    def hands(self, shares: Sequence[Assignment]) -> Hands:
        """The workers of one phase."""

    def close(self) -> None:
        """Leave it."""


def _site(on: str | None) -> Site:
    """
    Raises:
        BadInput: `on` is no cluster that answers, or one whose workers have another Headway.
    """
    if on is None:
        return Here()
    from headway.load.cluster.remote import There

    return There(on)


def drive(
    scenario: Scenario,
    phases: Iterable[Phase],
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
        phases: how much of it, and how long. Of an iterator the next is asked for when the one before is over; each
            then draws from all values to be used once, as nobody knows what the others will need.
        target_url: `http://host:port` or `https://host:port`; its path is not used, the routes have theirs.
        folder: the run's folder.
        database_url: where parameters given by a query are read.
        workers: generator processes; None: as many as fit (`Site.size`).
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
    target = parse(target_url)
    scenario = environment.filled(scenario)
    values = feed.values(scenario.parameters, database_url)
    portions = []
    if isinstance(phases, Sequence):  # all at once, so that too few values are refused before the first request
        portions = [rationing.portion(scenario, phases, number, values) for number in range(len(phases))]
    names = [each.name for each in scenario.routes]
    with closing(_site(on)) as site:
        address = site.arrive(target, scenario)
        count = workers or site.size
        calibrated = calibration.for_run(measure_now=calibrate) if on is None else None
        with closing(LoadLog(folder)) as log:
            for number, phase in enumerate(phases):
                if stop.draining:
                    break
                parameters, drawn = portions[number] if portions else rationing.portion(scenario, (phase,), 0, values)
                # A worker without a connection could not send its share.
                crew_size = min(count, shape.most(phase))
                recording = None if phase.replay is None else replay.read(phase.replay, names)
                shares = [
                    Assignment(
                        phase=phase, routes=scenario.routes, parameters=parameters, values=drawn,
                        address=address, host=target.header(scenario.wire), worker=each, workers=crew_size,
                        scheme=target.scheme, name=target.name(scenario.wire),
                        journeys=scenario.journeys, wire=scenario.wire,
                        recording=None if recording is None else recording.share(each, crew_size),
                    )
                    for each in range(crew_size)
                ]  # fmt: skip
                facts = calibrated.facts(crew_size) if calibrated is not None else {}
                # With the seeds this is all it takes to draw the same requests again (redrawn.py).
                facts |= {"values": {name: len(listed) for name, listed in drawn.items() if listed}}
                crew = Crew(number, phase, site.hands(shares), log, stop, on_second, tolerate=tolerate, facts=facts)
                crew.run(partial(on_measure_start, phase), partial(on_measure_end, phase))
