"""
What this machine's generator reaches when the service costs nothing: measured once, kept, and told with its age.

A closed loop against the null server gives the highest rate; an open one at half of it gives the floor, the latency
that is the generator's and the kernel's own. As many null servers run as workers, on cores of their own where there
are any: the figures are what this machine's workers reach at least.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import platform
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headway import __version__
from headway.errors import EmptyPhase, RunInvalid
from headway.load import histogram, hits, null_server
from headway.load.crew import Stop
from headway.load.resources import cpu_model
from headway.model import LoadModel, Phase
from headway.thresholds import (
    CALIBRATION_MAX_AGE_S,
    CALIBRATION_MIN_CPU_RATIO,
    DISTURBED_MAX_AGE_S,
    LATENESS_P99_MAX_NS,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.context import SpawnProcess

    from headway.model import PhaseHits

READY_S = 10.0
AT_START_MAX_S = 3.0
"""What a first run may be kept waiting; the floor is left to `headway calibrate` when there is no time for it."""
FULL_MAX_S = 60.0
USERS_PER_WORKER = 32
"""Enough that a worker always has an answer to take up, few enough that they fit its caches."""
FLOOR_RATE_RATIO = 0.5


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What was measured, on which machine, when. Rates in requests per second, times in ns."""

    machine: str
    measured_at_s: float
    workers: int  # that `all_per_s` was measured with
    one_per_s: float
    all_per_s: float
    floor_p50_ns: float | None
    floor_p99_ns: float | None
    cpu_ratio: float  # of the busiest worker at `all_per_s`

    @property
    def disturbed(self) -> bool:
        """The workers did not have their cores to themselves, so they reach more than this."""
        return self.cpu_ratio < CALIBRATION_MIN_CPU_RATIO

    def per_s(self, workers: int) -> float:
        """What so many workers reach at least: more than were measured may share their cores with them."""
        return max(self.one_per_s, self.all_per_s * min(1.0, workers / self.workers))

    def facts(self, workers: int) -> dict[str, Any]:
        """What a phase's first line says of it."""
        return {
            "calibrated_per_s": self.per_s(workers),
            "calibrated_at_s": self.measured_at_s,
            "floor_p50_ns": self.floor_p50_ns,
            "floor_p99_ns": self.floor_p99_ns,
        }


def machine_key() -> str:
    """The machine and what is measured on it: another one of these is another calibration."""
    facts = (cpu_model(), cores(), platform.release(), platform.python_version(), __version__)
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0))


def cache_file() -> Path:
    """Where the user's calibrations are kept, by machine."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headway" / "calibration.json"


def known(file: Path | None = None) -> Calibration | None:
    """This machine's calibration, when there is one that is not too old. A damaged cache is an empty one."""
    try:
        found = json.loads((file or cache_file()).read_text(encoding="utf-8"))[machine_key()]
        calibration = Calibration(**found)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    most_s = DISTURBED_MAX_AGE_S if calibration.disturbed else CALIBRATION_MAX_AGE_S
    return calibration if 0 <= time.time() - calibration.measured_at_s <= most_s else None


def keep(calibration: Calibration, file: Path | None = None) -> bool:
    """
    Write it down for later runs; False where the folder can't be written, which costs the next run its start, or when
    it was disturbed and a better one is there.
    """
    file = file or cache_file()
    better = known(file) if calibration.disturbed else None
    if better is not None and not better.disturbed:
        return False
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            others = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            others = {}
        text = json.dumps({**(others if isinstance(others, dict) else {}), calibration.machine: asdict(calibration)})
        with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False, encoding="utf-8") as whole:
            whole.write(text)
        Path(whole.name).replace(file)
    except OSError:
        return False
    return True


def for_run(*, measure_now: bool) -> Calibration | None:
    """
    What a run can say of its generator: what is known, else measured quickly when that is wanted.

    A measurement that something else disturbed serves for an hour.
    """
    found = known()
    if found is not None or not measure_now:
        return found
    print(
        f"headway: measuring what this machine's generator can reach, once ({AT_START_MAX_S:g} s at most;"
        " --no-calibration leaves it out)", file=sys.stderr,
    )  # fmt: skip
    found = measure(most_s=AT_START_MAX_S, floor=False)
    if found is not None:
        keep(found)
    return found


def shown() -> Calibration:
    """
    What is known of this machine.

    Raises:
        EmptyPhase: nothing is, or it is too old.
    """
    found = known()
    if found is None:
        raise EmptyPhase("this machine is not calibrated", next_act="say 'headway calibrate'")
    return found


def renewed() -> Calibration:
    """
    Measure all of it, and keep it; for an hour if something else disturbed it, where nothing better is known.

    Raises:
        EmptyPhase: it took too long.
    """
    found = measure()
    if found is None:
        raise EmptyPhase(
            f"the calibration came to no end in {FULL_MAX_S:g} s", next_act="end what else keeps this machine busy"
        )
    keep(found)
    return found


def as_json(found: Calibration) -> str:
    """All of it, in base units."""
    return json.dumps({**asdict(found), "disturbed": found.disturbed, "file": str(cache_file())}, indent=2)


def as_text(found: Calibration) -> str:
    """For a person."""
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(found.measured_at_s))
    lines = [
        f"one worker      {found.one_per_s:>10,.0f} req/s",
        f"{found.workers} worker{'s' if found.workers > 1 else ' '}       {found.all_per_s:>10,.0f} req/s"
        f"  (of {cores()} cores; the other half serves)",
    ]
    if found.floor_p50_ns is None or found.floor_p99_ns is None:
        lines.append("latency floor   not measured: the generator was late at half that rate, so something else runs")
    else:
        lines.append(
            f"latency floor   {found.floor_p50_ns / 1e6:.3f} ms at P50, {found.floor_p99_ns / 1e6:.3f} ms at P99, at"
            f" {FLOOR_RATE_RATIO * found.all_per_s:,.0f} req/s"
        )
    kept = f"kept in {cache_file()}"
    if found.disturbed:
        kept = "used for an hour where nothing better is known"
        lines.append(f"disturbed       a worker had only {found.cpu_ratio:.0%} of its core: it can reach more")
    return "\n".join([*lines, f"measured        {when}, {kept}"])


def measure(*, most_s: float = FULL_MAX_S, floor: bool = True) -> Calibration | None:
    """
    Measure this machine's generator.

    Args:
        most_s: given up after so long.
        floor: the latency floor as well, and one worker alone where several are measured.

    Returns:
        None when it took too long: nothing is said rather than something half measured.
    """
    stop = Stop()
    until = threading.Timer(most_s, stop.now)
    until.daemon = True
    until.start()
    try:
        with null_service(max(1, cores() // 2)) as url:
            return _measured(url, max(1, cores() // 2), stop, floor=floor)
    except RunInvalid:
        return None
    finally:
        until.cancel()
        until.join()  # a thread that is still ending while the interpreter does can bring it down


def _measured(url: str, workers: int, stop: Stop, *, floor: bool) -> Calibration | None:
    closed = Phase(name="calibration", model=LoadModel.CLOSED, users=1, duration_s=1, warmup_s=0.1, timeout_s=1)
    together = _driven(url, replace(closed, users=workers * USERS_PER_WORKER), workers, stop)
    if together is None:
        return None
    all_per_s = one_per_s = float(together.good.sum() / together.seconds)
    found = Calibration(
        machine=machine_key(), measured_at_s=time.time(), workers=workers, one_per_s=one_per_s / workers,
        all_per_s=all_per_s, floor_p50_ns=None, floor_p99_ns=None, cpu_ratio=together.health.cpu_ratio or 0.0,
    )  # fmt: skip
    if not floor:
        return found
    alone = together if workers == 1 else _driven(url, replace(closed, users=USERS_PER_WORKER), 1, stop)
    half = replace(closed, model=LoadModel.OPEN, users=None, rate_per_s=FLOOR_RATE_RATIO * all_per_s)
    calm = _driven(url, half, workers, stop)
    if alone is None or calm is None:
        return None
    found = replace(found, one_per_s=float(alone.good.sum() / alone.seconds))
    if (calm.health.lateness_p99_ns or 0.0) > LATENESS_P99_MAX_NS:
        return found  # something else was running: that is no floor
    own = histogram.fold(calm.service)
    return replace(
        found,
        floor_p50_ns=histogram.quantile_ns(own, 0.50),
        floor_p99_ns=histogram.quantile_ns(own, 0.99),
    )


def _driven(url: str, phase: Phase, workers: int, stop: Stop) -> PhaseHits | None:
    """One phase against the null server; None when it was ended early or answered badly."""
    from headway.load.drive import drive
    from headway.load.scenario import single

    with tempfile.TemporaryDirectory(prefix="headway-calibration-") as name:
        folder, scenario = Path(name), single(url)
        drive(
            scenario, (phase,), url, folder, workers=workers, on_second=lambda _second: None,
            on_measure_start=lambda _phase: None, on_measure_end=lambda _phase: None, stop=stop,
        )  # fmt: skip
        read = hits.read(folder, (phase,), tuple(route.name for route in scenario.routes))
    found = read[0] if read else None
    return found if found is not None and found.finished and found.good.sum() else None


@contextmanager
def null_service(servers: int) -> Iterator[str]:
    """Null servers on one port of the loopback address."""
    spawn = multiprocessing.get_context("spawn")
    port, running = 0, list[tuple[Any, "SpawnProcess"]]()
    try:
        for _ in range(servers):
            ours, theirs = spawn.Pipe()
            process = spawn.Process(target=null_server.main, args=(theirs, port), daemon=True)
            process.start()
            theirs.close()
            running.append((ours, process))
            if not port:  # the others listen where the first one does
                port = _port_of(ours)
        for ours, _process in running[1:]:
            _port_of(ours)
        yield f"http://127.0.0.1:{port}"
    finally:
        for ours, process in running:
            ours.close()
            process.join(2)
            if process.is_alive():
                process.kill()
                process.join()


def _port_of(pipe: Any) -> int:
    try:
        if pipe.poll(READY_S):
            return int(pipe.recv())
    except (EOFError, OSError):
        pass
    raise RunInvalid("the null server did not start", next_act="look for its error above")
