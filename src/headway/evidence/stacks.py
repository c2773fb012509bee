"""
Sampled stacks: read from what py-spy writes, kept as one speedscope file, read back.

Two clocks. "cpu": only threads that were running, so its seconds are processor time. "wall": every thread at every
tick, in order of time, waiting ones included: what a thread was in the middle of at any moment. A stack that has much
more wall time than processor time was waiting there.

Source: speedscope, src/lib/file-format-spec.ts; py-spy 0.4, src/chrometrace.rs and src/speedscope.rs.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from headway.errors import BundleDamaged, HeadwayError
from headway.evidence import bundle

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

CPU, WALL = "cpu", "wall"
SCHEMA = "https://www.speedscope.app/file-format-schema.json"
MICRO = 1e-6
_THREAD = re.compile(r"thread \((\w+)\)(?:: (.*))?", re.DOTALL)
_LIBRARY = re.compile(r"^(?:.*/)?(?:site-packages|dist-packages)/|^(?:.*/)?lib(?:64)?/python\d(?:\.\d+)?t?/")
_SHARED = re.compile(r"\.so(?:\.[\d.]+)?$")
_ROOT_MIN_TIMES = 3


@dataclass(frozen=True, kw_only=True)
class Frame:
    """
    One line of one function. `file` is relative: to the service's folder, or to what libraries are installed in.

    `own`: the service's own code, not a library's and not Python's.
    """

    name: str
    file: str
    line: int
    own: bool

    @property
    def place(self) -> str:
        """ "shop/routes/users.py:41 in list_users", as `Location.code` has it."""
        return f"{self.file}:{self.line} in {self.name}" if self.line else f"{self.file} in {self.name}"


@dataclass(frozen=True, kw_only=True)
class Samples:
    """
    The samples of one thread on one clock in one phase: n of them.

    at_s: unix times, empty on the processor's clock, which keeps no order; seconds: what each stands for; stacks:
    frames outermost first, indices into `Profile.frames`; an empty one where nobody looked.
    """

    process: str  # the name it was watched by
    pid: int
    thread: str
    clock: str
    phase: str
    at_s: tuple[float, ...]
    seconds: tuple[float, ...]
    stacks: tuple[tuple[int, ...], ...]

    @property
    def whole_s(self) -> float:
        """Seconds of all samples that saw a stack."""
        return sum(each for each, stack in zip(self.seconds, self.stacks, strict=True) if stack)


@dataclass(frozen=True, kw_only=True, eq=False)  # one is read once, and what was found in it is kept by it
class Profile:
    """All samples of a run. `watched_s`: phase -> seconds in which stacks were taken, of each process."""

    frames: tuple[Frame, ...]
    threads: tuple[Samples, ...]
    rates_per_s: Mapping[str, int]  # by clock
    watched_s: Mapping[str, float] = field(default_factory=dict)
    torn: int = 0  # samples left out: read while the interpreter changed them
    notes: tuple[str, ...] = ()
    lines: Mapping[str, str] = field(default_factory=dict)  # "file:line" -> the source, of the service's own code

    def of(self, clock: str, phase: str | None = None) -> tuple[Samples, ...]:
        """The threads of one clock, and of one phase where it is named."""
        return tuple(each for each in self.threads if each.clock == clock and phase in (None, each.phase))


@dataclass(frozen=True)
class RawFrame:
    name: str
    file: str  # as the interpreter has it
    line: int


@dataclass(frozen=True, kw_only=True)
class RawSample:
    """One sample as py-spy wrote it; `thread` is its label without the frame."""

    thread: str
    at_s: float
    seconds: float
    stack: tuple[RawFrame, ...]


def from_chrome_trace(events: Any, started_at_s: float) -> list[RawSample]:
    """
    py-spy's `--format chrometrace --idle --threads`: what each thread did from one tick to the next.

    Args:
        events: the decoded JSON: frames that begin (B) and end (E), `ts` in microseconds since py-spy started.
        started_at_s: unix time at which it did.

    Raises:
        HeadwayError: not such a file.
    """
    open_: dict[int, list[RawFrame]] = defaultdict(list)
    since: dict[int, float] = {}
    found: list[RawSample] = []
    try:
        for event in events:
            if event["ph"] not in ("B", "E"):
                continue
            tid, at = int(event["tid"]), float(event["ts"])
            stack = open_[tid]
            if stack and at > since[tid]:
                found.append(_sample(stack, started_at_s + since[tid] * MICRO, (at - since[tid]) * MICRO))
            since[tid] = at
            if event["ph"] == "B":
                args = event["args"]
                stack.append(RawFrame(str(event["name"]), str(args["filename"]), int(args.get("line") or 0)))
            elif stack:
                stack.pop()
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise HeadwayError(
            f"py-spy's trace cannot be read: {exc!r}", next_act="use the py-spy of headway[lab]"
        ) from exc
    return found


def from_speedscope(content: Any) -> list[RawSample]:
    """
    py-spy's `--format speedscope --threads`, without idle threads: what ran.

    Raises:
        HeadwayError: not such a file.
    """
    found: list[RawSample] = []
    try:
        frames = [
            RawFrame(str(each["name"]), str(each.get("file") or ""), int(each.get("line") or 0))
            for each in content["shared"]["frames"]
        ]
        for profile in content["profiles"]:
            for stack, weight in zip(profile["samples"], profile["weights"], strict=True):
                found.append(_sample([frames[index] for index in stack], 0.0, float(weight)))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as exc:
        raise HeadwayError(f"py-spy's file cannot be read: {exc!r}", next_act="use the py-spy of headway[lab]") from exc
    return found


def _sample(stack: Sequence[RawFrame], at_s: float, seconds: float) -> RawSample:
    told = _THREAD.fullmatch(stack[0].name) if stack and not stack[0].file else None
    label = "" if told is None else f"{told[2] or 'thread'} {told[1]}"
    return RawSample(thread=label, at_s=at_s, seconds=seconds, stack=tuple(stack[1:] if told else stack))


def without_torn(samples: Sequence[RawSample], roots: Mapping[str, frozenset[RawFrame | None]]) -> list[RawSample]:
    """
    Samples whose outermost frame their thread is known to have.

    Read without stopping the interpreter, a stack can be half one and half another; most such begin in the middle.
    """
    return [each for each in samples if each.thread not in roots or _root(each) in roots[each.thread]]


def usual_roots(samples: Iterable[RawSample]) -> dict[str, frozenset[RawFrame | None]]:
    """The outermost frames each thread was seen with more than once or twice, or for most of its time."""
    times: dict[str, dict[RawFrame | None, int]] = defaultdict(lambda: defaultdict(int))
    spent: dict[str, dict[RawFrame | None, float]] = defaultdict(lambda: defaultdict(float))
    for each in samples:
        times[each.thread][_root(each)] += 1
        spent[each.thread][_root(each)] += each.seconds
    return {
        thread: frozenset(
            root
            for root, count in counted.items()
            if count >= _ROOT_MIN_TIMES or spent[thread][root] > sum(spent[thread].values()) / 2
        )
        for thread, counted in times.items()
    }


def _root(sample: RawSample) -> RawFrame | None:
    """Its outermost frame whatever its line: a main function moves on, and is still the same root."""
    return RawFrame(sample.stack[0].name, sample.stack[0].file, 0) if sample.stack else None


def framed(raw: RawFrame, folder: str) -> Frame:
    """
    A frame with its file made short, and told whose it is.

    Args:
        raw: as the interpreter has it.
        folder: the process's working folder; a file in it is named from there.
    """
    if not raw.file or raw.file.startswith(("<", "[")):
        return Frame(name=raw.name, file=raw.file or "?", line=raw.line, own=False)
    if _SHARED.search(raw.file):
        return Frame(name=raw.name, file=raw.file.rpartition("/")[2], line=raw.line, own=False)
    library = _LIBRARY.match(raw.file)
    if library:
        # Nested: a virtual environment's site-packages is inside its lib/python3.x.
        rest = raw.file
        while (found := _LIBRARY.match(rest)) is not None:
            rest = rest[found.end() :]
        return Frame(name=raw.name, file=rest, line=raw.line, own=False)
    prefix = folder.rstrip("/") + "/"
    inside = raw.file.startswith(prefix)
    short = raw.file[len(prefix) :] if inside else "/".join(raw.file.strip("/").split("/")[-3:])
    return Frame(name=raw.name, file=short, line=raw.line, own=True)


def as_speedscope(profile: Profile, name: str) -> dict[str, Any]:
    """A profile as speedscope reads it; the member `headway` is for Headway alone, and others pass it over."""
    return {
        "$schema": SCHEMA,
        "version": "0.0.1",
        "exporter": "headway",
        "name": name,
        "activeProfileIndex": 0,
        "shared": {"frames": [{"name": f.name, "file": f.file, "line": f.line} for f in profile.frames]},
        "profiles": [_profile(each) for each in profile.threads],
        "headway": {
            "own": [index for index, each in enumerate(profile.frames) if each.own],
            "threads": [
                {
                    "process": each.process, "pid": each.pid, "thread": each.thread, "clock": each.clock,
                    "phase": each.phase, "started_at_s": each.at_s[0] if each.at_s else None,
                }
                for each in profile.threads
            ],
            "rates_per_s": dict(profile.rates_per_s),
            "watched_s": dict(profile.watched_s),
            "torn": profile.torn,
            "notes": list(profile.notes),
            "lines": dict(profile.lines),
        },
    }  # fmt: skip


def _profile(each: Samples) -> dict[str, Any]:
    clock = "processor time" if each.clock == CPU else "wall time"
    return {
        "type": "sampled",
        "name": f"{each.process} {each.pid} {each.thread}: {clock}, {each.phase}",
        "unit": "seconds",
        "startValue": 0,
        "endValue": sum(each.seconds),
        "samples": [list(stack) for stack in each.stacks],
        "weights": list(each.seconds),
    }


def write(path: Path, profile: Profile, name: str) -> None:
    """
    Write the speedscope file, compact.

    Raises:
        HeadwayError: the disk is full or read-only.
    """
    import json

    text = json.dumps(as_speedscope(profile, name), separators=(",", ":"), ensure_ascii=False)
    bundle.put(path, text.encode("utf-8", "backslashreplace"))


def read(path: Path) -> Profile:
    """
    Read what `write` wrote.

    Raises:
        BundleDamaged: missing, cut short, or written by another tool.
    """
    content = bundle.get_json(path)
    try:
        own, meta = set(content["headway"]["own"]), content["headway"]
        frames = tuple(
            Frame(name=str(each["name"]), file=str(each["file"]), line=int(each["line"]), own=index in own)
            for index, each in enumerate(content["shared"]["frames"])
        )
        threads = tuple(
            _samples(told, each, len(frames)) for told, each in zip(meta["threads"], content["profiles"], strict=True)
        )
        return Profile(
            frames=frames, threads=threads,
            rates_per_s={str(k): int(v) for k, v in meta["rates_per_s"].items()},
            watched_s={str(k): float(v) for k, v in meta["watched_s"].items()},
            torn=int(meta["torn"]), notes=tuple(map(str, meta["notes"])),
            lines={str(k): str(v) for k, v in meta["lines"].items()},
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as exc:
        raise BundleDamaged(f"is damaged: {exc!r}", next_act="run again with --profile", file=path) from exc


def _samples(told: Mapping[str, Any], each: Mapping[str, Any], frames: int) -> Samples:
    seconds = tuple(map(float, each["weights"]))
    stacks = tuple(tuple(map(int, stack)) for stack in each["samples"])
    if len(seconds) != len(stacks) or any(not 0 <= index < frames for stack in stacks for index in stack):
        raise ValueError("samples and frames don't fit")
    at_s, now = [], told["started_at_s"]
    if now is not None:
        for length in seconds:
            at_s.append(float(now))
            now += length
    return Samples(
        process=str(told["process"]), pid=int(told["pid"]), thread=str(told["thread"]), clock=str(told["clock"]),
        phase=str(told["phase"]), at_s=tuple(at_s), seconds=seconds, stacks=stacks,
    )  # fmt: skip
