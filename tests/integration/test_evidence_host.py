"""Processes of this machine, read from /proc as cheaply as it goes: they say what psutil says."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from headway.evidence.family import ALL_EVERY_S, Processes, Watched, _from_psutil, _open_files

CODE = "import os, sys; held = [open(os.devnull) for _ in range(7)]; print('up', flush=True); sys.stdin.read()"


@pytest.fixture
def child(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose name is made to mislead whoever splits its line at blanks."""
    program = tmp_path / "x) R 1 (y"
    program.symlink_to(Path(sys.executable).resolve())
    started = subprocess.Popen([program, "-S", "-c", CODE], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert started.stdout is not None
    assert started.stdin is not None
    assert started.stdout.readline() == b"up\n"
    yield started
    started.kill()
    started.wait()
    started.stdin.close()
    started.stdout.close()


def test_a_process_says_what_psutil_says(child: subprocess.Popen[bytes]) -> None:
    """Parent, birth, CPU, memory, threads and open files, of a name with brackets and blanks."""
    own, other = Processes().look(child.pid), _from_psutil(child.pid)
    assert own is not None
    assert other is not None
    assert psutil.Process(child.pid).name() == "x) R 1 (y"
    assert (own.parent, own.threads, own.ended) == (other.parent, other.threads, other.ended) == (os.getpid(), 1, False)
    assert own.born_s == pytest.approx(other.born_s, abs=0.02)
    assert own.born_s == pytest.approx(time.time(), abs=30)
    assert own.cpu_s == pytest.approx(other.cpu_s, abs=0.02)
    assert own.resident_bytes == pytest.approx(other.resident_bytes, rel=0.05)
    assert _open_files(child.pid) == psutil.Process(child.pid).num_fds() >= 10


def test_a_child_is_counted_from_its_start_to_its_end(child: subprocess.Popen[bytes]) -> None:
    """One that came between two looks is found though nobody else is read again; one that ended is not counted."""
    processes = Processes()
    watched = Watched("tests", os.getpid(), processes)
    assert child.pid in processes.children(100.0)[os.getpid()]
    watched.sample(100.0, processes.children(100.0))
    late = subprocess.Popen([sys.executable, "-S", "-c", CODE], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    with late:
        known = processes.children(101.0)
        assert {child.pid, late.pid} <= set(known[os.getpid()])
        with_both = watched.sample(101.0, known)
        late.kill()
        os.waitid(os.P_PID, late.pid, os.WEXITED | os.WNOWAIT)
        ended = processes.look(late.pid)
        with_ended = watched.sample(102.0, processes.children(102.0))
    without = watched.sample(103.0, processes.children(103.0))
    assert with_both is not None
    assert with_ended is not None
    assert without is not None
    assert ended is not None
    assert ended.ended
    assert with_ended.open_files is not None
    assert without.threads == with_both.threads - 1
    assert without.resident_bytes < with_both.resident_bytes
    assert late.pid not in processes.children(104.0)[os.getpid()]


def test_a_number_that_was_given_anew_leaves_the_family(child: subprocess.Popen[bytes]) -> None:
    """A remembered parent that a process itself denies isn't believed, and is mended at once and at every full look."""
    processes = Processes()
    first = Watched("child", child.pid, processes)
    processes.children(100.0)
    processes._parents[os.getpid()] = child.pid  # as if a child of the child had had this number
    lying = processes.children(101.0)
    assert os.getpid() in lying[child.pid]
    assert [pid for pid, _ in first._family(lying)] == [child.pid]
    assert os.getpid() not in processes.children(102.0).get(child.pid, [])
    processes._parents[os.getpid()] = child.pid
    assert os.getpid() not in processes.children(100.0 + ALL_EVERY_S).get(child.pid, [])
    processes._parents[os.getpid()] = 2**22 + 1  # as if its parent had ended, and another had taken it
    assert os.getpid() in processes.children(101.0 + ALL_EVERY_S)[os.getppid()]
