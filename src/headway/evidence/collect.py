"""One run: check the sources, drive the load while they are sampled, write down what they saw."""

from __future__ import annotations

import platform
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from headway import __version__
from headway.conventions import HIT_LOG
from headway.errors import HeadwayError
from headway.evidence import bundle, redact, runfile
from headway.evidence.collector import PATIENCE_S, Collector, Watch, failed, in_words, present
from headway.evidence.machine import machine
from headway.evidence.registry import collectors
from headway.evidence.runfile import RunFile
from headway.load.drive import drive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from headway.load.drive import Stop
    from headway.model import Phase, Progress, Scenario, Sources, SourceState

    Chooser = Callable[[Path], Iterable[Phase]]

SAMPLE_EVERY_S = 1.0


def collect(
    root: Path,
    *,
    scenario: Scenario,
    phases: tuple[Phase, ...] | Chooser,
    sources: Sources,
    slug: str,
    workers: int | None = None,
    on: str | None = None,
    tolerate: int = 0,
    calibrate: bool = False,
    on_second: Callable[[Progress], None],
    stop: Stop,
    say: Callable[[str], None] = lambda _: None,
) -> Path:
    """
    Drive the phases against the target and keep what the named sources saw meanwhile.

    Args:
        root: the folder that has, or gets, `.headway/runs`.
        scenario: the traffic.
        phases: in the order they are driven; or what chooses them one by one, given the run's folder.
        sources: the target, and where else to look.
        slug: a word for the folder's name.
        workers: generator processes; None chooses.
        on: `dask://host:port` of a scheduler whose workers make the load; None: this machine does.
        tolerate: how many generator processes may be lost without ending the run.
        calibrate: measure first what this machine's generator can reach, where that is not known.
        on_second: gets the progress of every second.
        stop: the caller's way to end the run early; what was collected is kept, and the run says it was interrupted.
        say: gets what a source has to say before the load.

    Returns:
        The run's folder.

    Raises:
        SourceRefused: a named source refuses; nothing was loaded and no folder is left.
        TargetUnreachable: nothing that speaks HTTP answers; no folder is left.
        BadInput: the target's URL or a parameter means nothing; no folder is left.
        HeadwayError: the folder can't be written.
    """
    found = collectors(sources, scenario)
    try:
        states = [_check(each) for each in found]
        for each in found:
            if each.notice:
                say(each.notice)
        folder = bundle.create(root, slug)
        planned = phases if isinstance(phases, tuple) else ()
        chosen = list(planned)
        run = _opened(folder, scenario, planned, sources, workers, found, states)
        runfile.write(folder, run)
        for each in found:
            each.opened(folder)
        watches = [Watch(collector, state) for collector, state in zip(found, states, strict=True)]
        try:
            with _sampling(watches):
                drive(
                    scenario,
                    phases if isinstance(phases, tuple) else _noted(run, phases(folder), chosen, folder),
                    sources.target_url,
                    folder,
                    database_url=sources.database_url,
                    workers=workers,
                    on=on,
                    tolerate=tolerate,
                    calibrate=calibrate,
                    on_second=on_second,
                    on_measure_start=lambda phase: _tell(watches, "begin", phase),
                    on_measure_end=lambda phase: _tell(watches, "end", phase),
                    stop=stop,
                )
        except BaseException:
            if not (folder / HIT_LOG).exists():  # refused before the first request: an empty run is no run
                bundle.discard(folder)
                raise
            # Headway's own failure: what was collected is kept, and marked.
            _close(folder, replace(run, phases=tuple(chosen), interrupted=True), watches)
            raise
        _close(folder, replace(run, phases=tuple(chosen), interrupted=stop.draining), watches)
        return folder
    finally:
        for each in found:
            each.close()


def _noted(run: RunFile, phases: Iterable[Phase], chosen: list[Phase], folder: Path) -> Iterator[Phase]:
    """Each phase as it is chosen, written down before it begins: a run that is killed knows what it did."""
    for phase in phases:
        chosen.append(phase)
        runfile.write(folder, replace(run, phases=tuple(chosen)))
        yield phase


def _check(collector: Collector) -> SourceState:
    """
    Whether a source can be read. What refuses for want of a name or a password is raised; the rest is a state.

    Raises:
        SourceRefused: it was named and refuses.
    """
    try:
        return collector.check()
    except HeadwayError:
        raise
    except Exception as exc:  # noqa: BLE001 a source that can't be read is said, and must not keep the load from running
        return failed(collector.name, in_words(exc), "mend it, then run again")


def _opened(
    folder: Path,
    scenario: Scenario,
    phases: tuple[Phase, ...],
    sources: Sources,
    workers: int | None,
    found: tuple[Collector, ...],
    states: list[SourceState],
) -> RunFile:
    versions = {"headway": __version__, "python": platform.python_version()}
    for collector in found:
        versions |= collector.versions
    return RunFile(
        id=folder.name,
        started_at=_now(),
        headway_version=__version__,
        versions=versions,
        machine=machine(),
        target_url=redact.url(sources.target_url),
        workers=workers,
        scenario=scenario,
        phases=phases,
        sources=tuple(states),
    )


@contextmanager
def _sampling(watches: list[Watch]) -> Iterator[None]:
    """Samples of all sources once a second, until the block ends."""
    over = threading.Event()

    def sample() -> None:
        due = time.monotonic()
        while not over.wait(max(due - time.monotonic(), 0.0)):
            at_s = time.time()
            for watch in watches:
                watch.sample(at_s)
            due = max(due + SAMPLE_EVERY_S, time.monotonic())

    ticker = threading.Thread(target=sample, name="headway-samples", daemon=True)
    ticker.start()
    try:
        yield
    finally:
        over.set()
        ticker.join()


def _tell(watches: list[Watch], act: str, phase: Phase) -> None:
    """Tell all sources at once that a phase begins or ends; nobody is waited for, so the load isn't held up."""
    at_s = time.time()
    for watch in watches:
        watch.post(partial(getattr(watch.collector, act), phase, at_s))


def _close(folder: Path, run: RunFile, watches: list[Watch]) -> None:
    """
    Ask the last questions, write every source's file, then run.json: only a closed folder has `finished_at`.

    Raises:
        HeadwayError: the folder can't be written.
    """
    until = time.monotonic() + PATIENCE_S
    for watch in watches:  # in turn: plans are asked for when all statements are known
        watch.finish()
        watch.wait(max(until - time.monotonic(), 0.1))
    for watch in watches:
        watch.collector.write(folder)
    load = (
        present("load", f"{run.workers or 'as many as fit'} workers")
        if (folder / HIT_LOG).exists()
        else failed("load", f"the generator left no {HIT_LOG}", "run again")
    )
    lower = {
        watch.collector.name: tuple(sorted(watch.collector.lower_bound_phases))
        for watch in watches
        if watch.collector.lower_bound_phases
    }
    states = (load, *(watch.state for watch in watches))
    runfile.write(folder, replace(run, finished_at=_now(), sources=states, lower_bound_phases=lower))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
