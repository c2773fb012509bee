"""
The stacks of the watched Python processes while a phase is measured, by py-spy, into one speedscope file.

Two samplers a process: one of running threads (processor time), one of all (wall time). Neither stops the process: it
is read while it runs, so a few stacks are torn; those that can be told are left out and counted.
"""

from __future__ import annotations

import contextlib
import json
import linecache
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headway.conventions import PROFILE_FILE
from headway.errors import HeadwayError, SourceRefused
from headway.evidence import perf, pyspy, redact, stacks
from headway.evidence.collector import Collector, absent, present
from headway.evidence.stacks import CPU, WALL, Profile, Samples
from headway.thresholds import (
    PROFILE_CPU_PER_S,
    PROFILE_MOST_PROCESSES,
    PROFILE_MOST_S,
    PROFILE_SLICE_S,
    PROFILE_WALL_PER_S,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from headway.evidence.pyspy import Seen
    from headway.evidence.stacks import Frame, RawFrame, RawSample
    from headway.model import Phase, SourceState

RATES = {CPU: PROFILE_CPU_PER_S, WALL: PROFILE_WALL_PER_S}
STOP_PATIENCE_S = 10.0
BEYOND_SLICE_S = 30
_WRITERS = {CPU: ("speedscope",), WALL: ("chrometrace", "--idle")}


@dataclass(kw_only=True)
class Sampler:
    """One running py-spy."""

    seen: Seen
    clock: str
    phase: str
    file: Path
    started_at_s: float
    child: subprocess.Popen[bytes]
    said: Path
    stopped_at_s: float = 0.0


class Profiler(Collector):
    """py-spy over the measured phases. Asked for with --profile; needs the right to read the processes' memory."""

    name = "profile"

    def __init__(self, processes: Sequence[tuple[str, int]], *, wanted: bool) -> None:
        super().__init__()
        self._watched = processes
        self._wanted = wanted
        self._running: list[Sampler] = []
        self._done: list[Sampler] = []
        self._room: Path | None = None
        self._perf: dict[str, str | None] = {}  # watched name -> why perf can't look into it
        self._phase: Phase | None = None
        self._began_s = self._slice_s = 0.0
        self._watched_s: dict[str, float] = {}
        self._notes: list[str] = []
        self.profile: Profile | None = None

    def check(self) -> SourceState:
        if not self._wanted:
            return absent(self.name, "--profile")
        pyspy.program()
        if not self._watched:
            raise SourceRefused(
                "--profile has no process to look into", next_act="name the service's process with --watch NAME=PID"
            )
        found = [each for name, pid in self._watched for each in pyspy.family(name, pid)]
        others = sorted({each.name for each in found} - {each.name for each in found if each.python})
        self._perf = {each.name: perf.why_not(each) for each in perf.of(found)}
        by_perf = [each for each in perf.of(found) if self._perf[each.name] is None]
        readable, refusals = list(by_perf), []
        for each in _chosen(found):
            why = pyspy.why_not(each)
            if why is None:
                readable.append(each)
            else:
                refusals.append(f"{each.name} ({each.pid}): {why}")
        if refusals and not readable:
            raise SourceRefused(
                f"no profile can be taken of {refusals[0]}", next_act="give the right, or leave --profile"
            )
        if not readable:
            raise SourceRefused(
                f"--profile: none of the watched processes runs Python ({self._without(others) or 'all have ended'})",
                next_act="name the service's Python process with --watch NAME=PID; for other languages install perf",
            )
        names = Counter(each.name for each in readable if each.python)
        words = ", ".join(f"{count} of {name}" for name, count in names.items())
        detail = f"Python processes: {words or 'none'}; {RATES[CPU]} + {RATES[WALL]} stacks a second each"
        if by_perf:
            detail += f"; by perf, processor time alone: {', '.join(each.name for each in by_perf)}"
        if left := self._without([each for each in others if self._perf.get(each, "") is not None]):
            detail += f"; not Python, not profiled: {left}"
        if refusals:
            detail += f"; {'; '.join(refusals)}"
        return present(self.name, detail)

    def _without(self, names: Sequence[str]) -> str:
        return ", ".join(f"{name} ({why})" if (why := self._perf.get(name)) else name for name in names)

    def begin(self, phase: Phase, at_s: float) -> None:
        if self._wanted:
            self._phase, self._began_s = phase, time.time()
            self._start()

    def sample(self, at_s: float) -> None:
        """Ends a slice that is long enough, and begins the next."""
        if self._phase is None or not self._running or time.time() - self._slice_s < PROFILE_SLICE_S:
            return
        self._stop()
        if time.time() - self._began_s < PROFILE_MOST_S:
            self._start()
        else:
            self._notes.append(f"phase {self._phase.name}: only its first {PROFILE_MOST_S} s were profiled")

    def end(self, phase: Phase, at_s: float) -> None:
        self._stop()
        self._phase = None

    def finish(self) -> None:
        self._stop()
        if self._wanted and self._done:
            self.profile = assembled(self._done, self._watched_s, self._notes)
            torn = f", {self.profile.torn} torn ones left out" if self.profile.torn else ""
            taken = sum(len(each.stacks) for each in self.profile.threads)
            self.remark = f"{taken:,} stretches of stacks{torn}" + "".join(f"; {each}" for each in self.profile.notes)

    def write(self, folder: Path) -> None:
        if self.profile is not None:
            stacks.write(folder / PROFILE_FILE, self.profile, folder.name)

    def close(self) -> None:
        for each in self._running:
            each.child.kill()
            each.child.wait()
        self._running = []
        if self._room is not None:
            shutil.rmtree(self._room, ignore_errors=True)
            self._room = None

    def _start(self) -> None:
        if self._phase is None:
            return
        if self._room is None:
            self._room = Path(tempfile.mkdtemp(prefix="headway-profile-"))
        found = [each for name, pid in self._watched for each in pyspy.family(name, pid)]
        chosen = _chosen(found)
        left = sum(each.python for each in found) - len(chosen)
        note = f"{left} more Python processes were not profiled"
        if left and note not in self._notes:
            self._notes.append(note)
        self._slice_s = time.time()
        for each in chosen:
            for clock in (CPU, WALL):
                self._running.append(_spawn(each, clock, self._phase.name, self._room, len(self._done)))
        for each in perf.of(found):
            if self._perf.get(each.name, "") is None:
                self._running.append(_spawn(each, CPU, self._phase.name, self._room, len(self._done)))

    def _stop(self) -> None:
        for each in self._running:
            each.stopped_at_s = time.time()
            with contextlib.suppress(ProcessLookupError):
                each.child.send_signal(signal.SIGINT)  # it writes its file and ends
        until = time.monotonic() + STOP_PATIENCE_S
        for each in self._running:
            try:
                each.child.wait(max(until - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                each.child.kill()
                each.child.wait()
        if self._running and self._phase is not None:
            watched = max(each.stopped_at_s for each in self._running) - self._slice_s
            self._watched_s[self._phase.name] = self._watched_s.get(self._phase.name, 0.0) + watched
        self._done += self._running
        self._running = []


def _chosen(found: Iterable[Seen]) -> list[Seen]:
    """The Python processes, parents first, as many as are profiled."""
    return [each for each in found if each.python][:PROFILE_MOST_PROCESSES]


def _spawn(seen: Seen, clock: str, phase: str, room: Path, number: int) -> Sampler:
    file = room / f"{number}-{seen.pid}-{clock}.json"
    said = file.with_suffix(".txt")
    form, *more = _WRITERS[clock]
    argv = perf.command(seen.pid, file, rate_per_s=RATES[clock]) if not seen.python else [
        pyspy.program(), "record", "--pid", str(seen.pid), "--nonblocking", "--threads", "--full-filenames",
        "--rate", str(RATES[clock]), "--duration", str(PROFILE_SLICE_S + BEYOND_SLICE_S),
        "--format", form, *more, "--output", str(file),
    ]  # fmt: skip
    with said.open("wb") as stream:
        now = time.time()
        # A session of its own: Ctrl-C at the terminal is for Headway, which then ends it.
        child = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True, cwd=room
        )
    return Sampler(seen=seen, clock=clock, phase=phase, file=file, started_at_s=now, child=child, said=said)


def assembled(done: Sequence[Sampler], watched_s: Mapping[str, float], notes: Sequence[str]) -> Profile:
    """All slices of all processes as one profile; what a sampler could not give is in its notes."""
    frames: dict[Frame, int] = {}
    threads: list[Samples] = []
    source: dict[str, str] = {}
    said, torn = list(notes), 0
    groups: dict[tuple[str, int, str], list[Sampler]] = defaultdict(list)
    for each in done:
        groups[each.phase, each.seen.pid, each.seen.name].append(each)
    for group in groups.values():
        taken: dict[str, list[RawSample]] = {CPU: [], WALL: []}
        for each in group:
            try:
                taken[each.clock] += _read(each)
            except HeadwayError as exc:
                note = f"{each.seen.name} ({each.seen.pid}), {each.clock}: {exc.what}"
                said += [note] if note not in said else []
        roots = stacks.usual_roots(taken[WALL])
        for clock, samples in taken.items():
            whole = stacks.without_torn(samples, roots)
            torn += len(samples) - len(whole)
            threads += _threads(group[0], clock, whole, frames, source)
    return Profile(
        frames=tuple(frames), threads=tuple(threads), rates_per_s=RATES, watched_s=dict(watched_s), torn=torn,
        notes=tuple(said), lines=source,
    )  # fmt: skip


def _read(sampler: Sampler) -> list[RawSample]:
    """
    The samples of one sampler.

    Raises:
        HeadwayError: it left no file, or not such a one; the message has what it said.
    """
    if not sampler.seen.python:
        return perf.samples(sampler.file, rate_per_s=RATES[CPU])
    try:
        content = json.loads(sampler.file.read_bytes())
    except (OSError, ValueError, RecursionError) as exc:
        words = " ".join(sampler.said.read_text(errors="replace").replace("py-spy>", "").split())[-200:]
        raise HeadwayError(f"py-spy left nothing: {words or exc}", next_act="run again") from exc
    if sampler.clock == WALL:
        return stacks.from_chrome_trace(content, sampler.started_at_s)
    return stacks.from_speedscope(content)


def _threads(
    sampler: Sampler, clock: str, samples: Sequence[RawSample], frames: dict[Frame, int], source: dict[str, str]
) -> list[Samples]:
    """Samples by thread; of equal ones neighbours on the wall clock are joined, on the processor's all."""
    by_thread: dict[str, list[RawSample]] = defaultdict(list)
    for each in samples:
        by_thread[each.thread].append(each)
    known: dict[RawFrame, int] = {}

    def index(raw: RawFrame) -> int:
        if raw not in known:
            frame = stacks.framed(raw, sampler.seen.folder)
            known[raw] = frames.setdefault(frame, len(frames))
            if frame.own and (line := linecache.getline(raw.file, raw.line).strip()):
                source[f"{frame.file}:{frame.line}"] = redact.command(line)[:200]
        return known[raw]

    made = []
    for thread, own in sorted(by_thread.items()):
        rows = [(each.at_s, each.seconds, tuple(map(index, each.stack))) for each in own]
        rows = _in_turn(rows) if clock == WALL else _summed(rows)
        made.append(
            Samples(
                process=sampler.seen.name, pid=sampler.seen.pid, thread=thread, clock=clock, phase=sampler.phase,
                at_s=tuple(row[0] for row in rows) if clock == WALL else (),
                seconds=tuple(row[1] for row in rows), stacks=tuple(row[2] for row in rows),
            )
        )  # fmt: skip
    return made


Row = tuple[float, float, tuple[int, ...]]


def _in_turn(rows: Iterable[Row]) -> list[Row]:
    """In order of time, equal neighbours joined, gaps filled with an empty stack so that the times can be read back."""
    found: list[Row] = []
    for at_s, seconds, stack in sorted(rows, key=lambda row: row[0]):
        if found:
            before, length, last = found[-1]
            gap = at_s - before - length
            if gap > 1e-6:
                found.append((before + length, gap, ()))
            elif last == stack:
                found[-1] = (before, at_s + seconds - before, stack)
                continue
        found.append((at_s, seconds, stack))
    return found


def _summed(rows: Iterable[Row]) -> list[Row]:
    """The same stack once, the heaviest first."""
    summed: dict[tuple[int, ...], float] = defaultdict(float)
    for _, seconds, stack in rows:
        summed[stack] += seconds
    return [(0.0, seconds, stack) for stack, seconds in sorted(summed.items(), key=lambda each: -each[1])]
