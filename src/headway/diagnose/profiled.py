"""What a profile says: time by function, the service's own line that a sample was in, what runs on an event loop."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from headway.conventions import PROFILE_FILE
from headway.diagnose.windows import within
from headway.evidence import stacks
from headway.evidence.stacks import CPU, WALL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from headway.evidence.stacks import Frame, Profile, Samples
    from headway.model import Evidence, PhaseHits

Function = tuple[str, str]  # file, name
HOLD_MIN_LOOKS = 8
HOLD_MIN_REPEATED = 0.3
HOLD_ABOVE_CHANCE = 2.5
LOOP = {
    "asyncio/base_events.py": {"run_forever", "_run_once", "run_until_complete"},
    "asyncio/events.py": {"_run"},
    "asyncio/runners.py": {"run"},
    "uvloop/__init__.py": {"run"},
    "rloop/loop.py": {"run_forever", "_run", "run_until_complete"},
    "granian/server/mp.py": {"_spawn_asgi_worker", "_spawn_asgi_lifespan_worker", "_spawn_rsgi_worker"},
    "granian/server/mt.py": {"_spawn_asgi_worker", "_spawn_asgi_lifespan_worker", "_spawn_rsgi_worker"},
    "trio/_core/_run.py": {"unrolled_run", "run"},
}
"""Functions of event loops: what stands on top of the last of them runs in a callback, and nothing else runs with it.
uvloop itself is compiled and has no frames; what starts it has."""
POLL = {("selectors.py", "select"), ("asyncio/base_events.py", "_run_once")}
"""Where asyncio's own loop waits for something to happen, and where it is between callbacks."""


@dataclass(frozen=True, kw_only=True)
class FunctionTime:
    """One function: seconds as the innermost frame, and anywhere on the stack, a recursion counted once."""

    function: Function
    own: bool
    self_s: float
    total_s: float
    hottest_line: int


def load(folder: Path) -> Profile | None:
    """
    The profile of a run; None when none was taken.

    Raises:
        BundleDamaged: it can't be read.
    """
    file = folder / PROFILE_FILE
    return _load(file, file.stat().st_mtime_ns) if file.exists() else None


@lru_cache(maxsize=2)
def _load(file: Path, _changed_ns: int) -> Profile:
    return stacks.read(file)


def function_of(frame: Frame) -> Function:
    """A frame without its line."""
    return frame.file, frame.name


def functions(profile: Profile, threads: Iterable[Samples]) -> list[FunctionTime]:
    """Every function of some threads, the largest self time first."""
    alone: dict[Function, float] = defaultdict(float)
    whole: dict[Function, float] = defaultdict(float)
    lines: dict[Function, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    own: dict[Function, bool] = {}
    for seconds, stack in _all(threads):
        for index in set(stack):
            lines[function_of(profile.frames[index])][profile.frames[index].line] += seconds
        for each in {function_of(profile.frames[index]) for index in stack}:
            whole[each] += seconds
        last = profile.frames[stack[-1]]
        alone[function_of(last)] += seconds
        own.update({function_of(profile.frames[index]): profile.frames[index].own for index in stack})
    found = [
        FunctionTime(
            function=each, own=own[each], self_s=alone[each], total_s=total,
            hottest_line=max(lines[each], key=lambda line: lines[each][line]),
        )
        for each, total in whole.items()
    ]  # fmt: skip
    return sorted(found, key=lambda each: (-each.self_s, -each.total_s, each.function))


def _all(threads: Iterable[Samples]) -> Iterator[tuple[float, tuple[int, ...]]]:
    for each in threads:
        for seconds, stack in zip(each.seconds, each.stacks, strict=True):
            if stack:
                yield seconds, stack


def after_loop(profile: Profile, stack: Sequence[int]) -> int | None:
    """How many frames are the event loop's and what started it; None when no event loop is on the stack."""
    last = None
    for depth, index in enumerate(stack):
        frame = profile.frames[index]
        if _bare(frame.name) in LOOP.get(frame.file, ()):
            last = depth + 1
    return last


def _bare(name: str) -> str:
    return name.rpartition(".")[2]


def in_callback(profile: Profile, stack: Sequence[int]) -> tuple[int, ...] | None:
    """
    The part of a loop thread's stack that is a callback: a coroutine's step, a handler.

    Returns:
        Empty when the loop itself waits or turns; None when no event loop is on the stack.
    """
    depth = after_loop(profile, stack)
    if depth is None:
        return None
    rest = tuple(stack[depth:])
    if rest and (profile.frames[rest[0]].file, _bare(profile.frames[rest[0]].name)) in POLL:
        return ()
    return rest


def innermost_own(profile: Profile, stack: Sequence[int]) -> int | None:
    """The innermost frame of the service's own code, past its event loop; None when there is none."""
    depth = after_loop(profile, stack) or 0
    return next((index for index in reversed(stack[depth:]) if profile.frames[index].own), None)


@dataclass(frozen=True, kw_only=True)
class Place:
    """
    A function of the service's own, with all time spent in it and in library code it called.

    seconds: of the clock asked; lines: line -> seconds; below: the innermost library function -> seconds. `frames`: its
    frames' indices.
    """

    function: Function
    seconds: float
    lines: dict[int, float]
    below: Counter[str]
    frames: frozenset[int]

    @property
    def line(self) -> int:
        """The line with most of the time."""
        return max(self.lines, key=lambda line: self.lines[line])

    @property
    def code(self) -> str:
        """ "shop/routes/users.py:41 in list_users"."""
        at = f":{self.line}" if self.line else ""  # compiled code says no line
        return f"{self.function[0]}{at} in {self.function[1]}"


def places(profile: Profile, threads: Iterable[Samples], *, loop_only: bool = False) -> list[Place]:
    """
    Time by the innermost function of the service's own, the largest first; time with no such function is in none.

    Args:
        profile: whose frames.
        threads: of one clock.
        loop_only: only what ran in an event loop's callbacks.
    """
    seconds_of: dict[Function, float] = defaultdict(float)
    lines: dict[Function, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    below: dict[Function, Counter[str]] = defaultdict(Counter)
    frames: dict[Function, set[int]] = defaultdict(set)
    for seconds, stack in _all(threads):
        if loop_only and not in_callback(profile, stack):
            continue
        index = innermost_own(profile, stack)
        if index is None:
            continue
        frame, last = profile.frames[index], profile.frames[stack[-1]]
        key = function_of(frame)
        seconds_of[key] += seconds
        lines[key][frame.line] += seconds
        frames[key].add(index)
        if last is not frame:
            below[key][f"{last.file} in {last.name}"] += seconds  # type: ignore[assignment]  # a Counter of seconds
    found = [
        Place(function=each, seconds=total, lines=dict(lines[each]), below=below[each], frames=frozenset(frames[each]))
        for each, total in seconds_of.items()
    ]
    return sorted(found, key=lambda each: (-each.seconds, each.function))


def hold_s(profile: Profile, threads: Iterable[Samples], place: Place) -> float | None:
    """
    How long one call of a place holds its thread, by how often the next look finds it there again; None: unknown.

    Formula: a call of length h > T, T apart the looks, is found again with probability 1 - T/h. Short calls are found
    again as often as the place is found at all; only where it is found again much more often is a length given.
    """
    tick = 1 / profile.rates_per_s[WALL]
    looks = again = every = 0
    for each in threads:
        last = False
        for seconds, stack in zip(each.seconds, each.stacks, strict=True):
            count = max(1, round(seconds / tick))
            here = bool(stack) and innermost_own(profile, stack) in place.frames
            every += count
            if here:
                looks += count
                again += count - 1 + last
            last = here
    if looks < HOLD_MIN_LOOKS:
        return None
    share, repeated = looks / every, again / looks
    if repeated < HOLD_MIN_REPEATED or repeated < HOLD_ABOVE_CHANCE * share or repeated >= 1:
        return None
    return tick / (1 - repeated)


def had_core_ratio(evidence: Evidence, profile: Profile, hits: PhaseHits, process: str) -> float:
    """
    Share of a process's sampled processor time in which it had a core; 1 where the kernel's count isn't known.

    A sampler can't tell a thread that runs from one that is ready and waits for a core; the kernel counts the former.
    """
    watched_s = profile.watched_s.get(hits.phase.name, 0.0)
    sampled = sum(each.whole_s for each in profile.of(CPU, hits.phase.name) if each.process == process)
    counted = [each.cpu_cores for each in evidence.processes if each.name == process and within(hits, each.at_s)]
    if not counted or not sampled or not watched_s:
        return 1.0
    return min(1.0, sum(counted) / len(counted) * watched_s / sampled)


def loop_threads(profile: Profile, threads: Iterable[Samples]) -> tuple[Samples, ...]:
    """The threads that run an event loop."""
    return tuple(
        each for each in threads if any(after_loop(profile, stack) is not None for stack in each.stacks if stack)
    )
