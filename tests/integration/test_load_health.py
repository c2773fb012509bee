"""The generator's own health, each ailment by its real cause: no files, no ports, no processor, more than it can do."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from headway.gate.health import mistimed_phases, unaccounted, unwell
from headway.gate.health_notes import notes
from headway.load import calibration, drive, hits, resources
from headway.load.scenario import single
from headway.model import FailureKind, LoadModel, Phase, PhaseHits
from load_target import OK, says, target
from made.judged import made_evidence

OPEN = Phase(name="scenario", model=LoadModel.OPEN, rate_per_s=400, duration_s=1, warmup_s=0.1, timeout_s=1)
CLOSED = Phase(name="scenario", model=LoadModel.CLOSED, users=60, duration_s=1, warmup_s=0.1, timeout_s=1)
ALONE = """
import sys
from pathlib import Path
from headway.load import calibration, drive
from headway.load.scenario import single
from test_load_health import CLOSED, driven

if __name__ == "__main__":
    with calibration.null_service(1) as url:
        driven(Path(sys.argv[1]), url, CLOSED)
"""


def driven(folder: Path, url: str, phase: Phase, *, on_start: Callable[[], None] = lambda: None) -> PhaseHits:
    """One phase by one process, driven and read back."""
    drive.drive(
        single(url), (phase,), url, folder, workers=1, on_second=lambda _second: None,
        on_measure_start=lambda _phase: on_start(), on_measure_end=lambda _phase: None, stop=drive.Stop(),
    )  # fmt: skip
    (found,) = hits.read(folder, (phase,), ("GET /",))
    return found


def driven_within(limits: list[str], folder: Path) -> PhaseHits:
    """60 users by a process that begins under these limits, against a null server of its own."""
    (folder / "alone.py").write_text(ALONE)
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    ran = subprocess.run(
        [*limits, sys.executable, str(folder / "alone.py"), str(folder)], capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": paths}, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, f"network namespaces may not be allowed on this machine: {ran.stderr}"
    (found,) = hits.read(folder, (CLOSED,), ("GET /",))
    return found


def exhausted(found: PhaseHits) -> int:
    return int(found.failures.count[found.failures.kind == list(FailureKind).index(FailureKind.EXHAUSTED)].sum())


def test_a_generator_out_of_file_descriptors_is_no_service_s_fault(tmp_path: Path) -> None:
    """60 users and 40 descriptors: the run is invalid, says which limit and how to raise it, and how near it came."""
    found = driven_within(["prlimit", "--nofile=40:40"], tmp_path)
    assert exhausted(found) > 0
    (why, *_) = unwell(found)
    assert "no file descriptor or local port" in why
    assert "Too many open files" in why
    assert "ulimit -n" in why
    assert found.health.files_allowed == 40
    assert found.health.files_peak is not None
    assert 36 < found.health.files_peak <= 40
    assert any("of 40 file descriptors" in each for each in notes(made_evidence(found)))
    assert unaccounted(found) == 0


def test_a_generator_out_of_ports_is_no_service_s_fault(tmp_path: Path) -> None:
    """60 users and 20 local ports, in a network namespace of their own: invalid, with the range to widen. A machine
    that allows no namespaces fails here and says so; nothing is skipped."""
    narrow = "ip link set lo up && echo '40000 40019' > /proc/sys/net/ipv4/ip_local_port_range && exec \"$@\""
    own = [] if os.geteuid() == 0 else ["--map-root-user"]
    found = driven_within(["unshare", "--net", *own, "sh", "-c", narrow, "sh"], tmp_path)
    assert exhausted(found) > 0
    (why, *_) = unwell(found)
    assert "Cannot assign requested address" in why
    assert "ip_local_port_range" in why
    assert found.health.ports_allowed == 20
    assert found.health.ports_peak is not None
    assert 19 <= found.health.ports_peak <= 20  # the one request before the load may have left one in TIME_WAIT
    assert any("of 20 local ports" in each for each in notes(made_evidence(found)))


def test_ports_are_counted_as_the_kernel_has_them(tmp_path: Path) -> None:
    """As many local ports as connections, also those in TIME_WAIT; the service's own side is not counted twice."""
    with target(says(OK, wait_s=0.05)) as service:
        port = int(service.url.rpartition(":")[2])
        found = driven(tmp_path, service.url, replace(CLOSED, users=7))
        with socket.create_connection(("127.0.0.1", port)) as first:
            first.shutdown(socket.SHUT_WR)
            while first.recv(1):
                pass
        waiting = resources.Ports(("127.0.0.1", port)).in_use()
    assert found.health.ports_peak in {7, 7 + 1}  # one asked before the load, and may be in TIME_WAIT
    assert waiting is not None
    assert waiting >= 1
    assert resources.Ports(("::1", port)).in_use() == 0
    assert resources.Ports(None).in_use() is None
    assert resources.Ports(("/run/a.sock", 0)).in_use() is None


def generator() -> psutil.Process:
    """The one worker of this process."""
    (found,) = [each for each in psutil.Process().children() if "spawn_main" in " ".join(each.cmdline())]
    return found


def test_a_worker_that_did_not_run_is_seen_to_be_late(tmp_path: Path) -> None:
    """The worker is stopped for a third of a second: its own lateness is told from the service's slowness."""

    def stopped() -> None:
        worker = generator()
        worker.send_signal(signal.SIGSTOP)
        time.sleep(0.35)
        worker.send_signal(signal.SIGCONT)

    with target(says(OK)) as service:
        stopper = threading.Timer(0.3, stopped)
        found = driven(tmp_path, service.url, OPEN, on_start=stopper.start)
        stopper.join()
    assert found.health.lateness_max_ns is not None
    assert found.health.lateness_max_ns > 250e6
    why = mistimed_phases(made_evidence(found))["scenario"]
    assert "sent late" in why or "lagged" in why
    assert found.planned.sum() == found.sent.sum() == 400


def test_more_than_the_machine_can_do_is_said_with_what_it_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calibrated, kept, and asked for four times as much: the run is invalid and names both figures. A rate it can do
    well is valid, and the floor of its own stands beside a median that is near it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    measured = calibration.measure(most_s=20, floor=False)
    assert measured is not None
    assert measured.all_per_s > 1_000
    known = replace(measured, floor_p50_ns=10e9, floor_p99_ns=10e9)
    assert calibration.keep(known)
    assert calibration.known() == known
    much = replace(OPEN, rate_per_s=round(4 * measured.all_per_s), max_connections=64)
    with calibration.null_service(1) as url:
        (too_much := tmp_path / "much").mkdir()
        drowned = driven(too_much, url, much)
        (little := tmp_path / "little").mkdir()
        calm = driven(little, url, OPEN)
    assert drowned.health.calibrated_per_s == measured.per_s(1)
    figures = f"workers were calibrated at {measured.per_s(1):,.0f} on this machine"
    assert any(figures in why for why in unwell(drowned))
    assert any("its own queues show" in each for each in notes(made_evidence(drowned)))
    assert unaccounted(drowned) == 0
    assert not any(figures in why for why in unwell(calm))
    assert any("near the generator's own floor" in each for each in notes(made_evidence(calm)))


def test_a_calibration_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A first run is not kept waiting: after the time allowed nothing is said rather than something half measured."""
    began = time.monotonic()
    assert calibration.measure(most_s=0.2, floor=False) is None
    assert time.monotonic() - began < 8
