"""
What collecting evidence costs the service while a phase goes on: `overhead.py` by single seconds, its default.

overhead.py can turn whole phases on and off too, but the machine's own speed changes more between two phases than
collectors could take. Here single seconds of one phase are: of each three, in an order drawn by chance, one is on and
two are off. While off nothing is asked and nothing looked at, and what was logged is passed over unread. On beside the
mean of the two that are off is the cost, one of them beside the other the control. Given is the median over all threes
with a 95% interval by bootstrap over rounds, of answers a second, and of answers for a second of processor time of
everything that belongs to them (servers, service, generator, collectors): with all cores busy the first is in
proportion to the second, and who else wants the cores is not in it.

What is read once when a phase begins is no part of this: its processor time stands apart. A round takes 16 s.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from unittest.mock import patch

import numpy as np
import psutil

from headway.evidence import collect as collecting
from headway.evidence import registry
from headway.evidence.collector import Collector, present
from headway.evidence.edge import Edge
from headway.evidence.waits import Waits
from headway.load import hits
from headway.load.drive import Stop
from headway.model import LoadModel, Phase, Scenario, Sources, SourceState

if TYPE_CHECKING:
    from pathlib import Path

APART = frozenset({"profile"})
"""Collectors that are not on unless they are asked for."""
BEGINNING_S = 2
"""Seconds behind a phase's begin that count for nothing: its readings are still being made."""
THREE = ("on", "off", "control")
SECONDS = BEGINNING_S + 4 * len(THREE)
"""Of each round."""
LIMIT_RATIO = 0.03
RESAMPLES = 10_000
Three = dict[str, float]
"""Side -> answers a second; side with " cpu" -> answers for a second of processor time."""


class Meter:
    """Processor time of the lab and of this process with its children, by phase: cores busy with them on average."""

    def __init__(self, roots: list[int]) -> None:
        self._roots = [psutil.Process(pid) for pid in (os.getpid(), *roots)]
        self._family: list[int] = []
        self._begun: tuple[float, dict[int, float]] = (0.0, {})
        self.cores: dict[str, float] = {}
        self.look()

    def look(self) -> None:
        """Find the processes; between phases, as it takes some time."""
        found = {each.pid for root in self._roots for each in (root, *root.children(recursive=True))}
        self._family = sorted(found)

    def read(self) -> tuple[float, dict[int, float]]:
        """The clock, and each process's seconds so far, ended threads too; a process that has ended is left out."""
        took = {}
        for pid in self._family:
            with contextlib.suppress(OSError):
                took[pid] = time.clock_gettime((~pid << 3) | 2)  # clock_getcpuclockid(3) of another process
        return time.perf_counter(), took

    def begin(self) -> None:
        """A phase's load is measured from now on."""
        self._begun = self.read()

    def end(self, phase: str) -> None:
        """It was until now."""
        (before_s, before), (after_s, after) = self._begun, self.read()
        both = before.keys() & after.keys()
        self.cores[phase] = sum(after[pid] - before[pid] for pid in both) / (after_s - before_s)
        self.look()


def sides(phase: Phase) -> list[str]:
    """Of each second of a phase."""
    dice = random.Random(phase.seed)
    found = [""] * BEGINNING_S
    while len(found) + len(THREE) <= phase.duration_s:
        found += dice.sample(THREE, len(THREE))
    return found


class Clock:
    """Which side the present second is of; None: no phase is measured."""

    def __init__(self) -> None:
        self.begun_s = 0.0
        self.sides: list[str] = []

    def begin(self, phase: Phase, at_s: float) -> None:
        """A phase's measured part begins."""
        self.begun_s, self.sides = at_s, sides(phase)

    @property
    def on(self) -> bool:
        """Whether collectors may work now."""
        second = int(time.time() - self.begun_s)
        return not (0 <= second < len(self.sides)) or self.sides[second] in {"", "on"}


@dataclass
class Took:
    """Seconds of processor time of all collectors' own threads: of samples, at the begin of phases, behind them."""

    sampling_s: float = 0.0
    beginning_s: float = 0.0
    ending_s: float = 0.0


class Metered(Collector):
    """Reads the processor time of everything at each second of a phase, in a thread of its own."""

    name = "meter"

    def __init__(self, clock: Clock, roots: list[int]) -> None:
        super().__init__()
        self._clock = clock
        self._meter = Meter(roots)
        self.cores: dict[str, list[float]] = {}

    def check(self) -> SourceState:
        return present(self.name, "of processor time")

    def begin(self, phase: Phase, at_s: float) -> None:
        self._clock.begin(phase, at_s)
        threading.Thread(target=self._watch, args=(phase, at_s), name="meter", daemon=True).start()

    def _watch(self, phase: Phase, at_s: float) -> None:
        self._meter.look()  # in the seconds that count for nothing
        reads = []
        for second in range(int(phase.duration_s) + 1):
            time.sleep(max(0.0, at_s + second - time.time()))
            reads.append(self._meter.read())
        found = []
        for (before_s, before), (after_s, after) in itertools.pairwise(reads):
            both = before.keys() & after.keys()
            found.append(sum(after[pid] - before[pid] for pid in both) / (after_s - before_s))
        self.cores[phase.name] = found


def gate(collector: Collector, clock: Clock, took: Took) -> None:
    """Let it work only in seconds that are on; count what it takes."""
    begin, sample, end = collector.begin, collector.sample, collector.end

    def counted(act: Callable[[], None], field: str) -> None:
        before = time.thread_time()
        act()
        setattr(took, field, getattr(took, field) + time.thread_time() - before)

    def sampled(at_s: float) -> None:
        if clock.on:
            counted(lambda: sample(at_s), "sampling_s")
        elif isinstance(collector, Edge) and (log := vars(collector)["_log"]) is not None:
            for _ in log.lines():  # else the next second that is on would pay for this one
                pass

    vars(collector).update(
        begin=lambda phase, at_s: counted(lambda: begin(phase, at_s), "beginning_s"),
        sample=sampled,
        end=lambda phase, at_s: counted(lambda: end(phase, at_s), "ending_s"),
    )
    if isinstance(collector, Waits):
        look = collector.look  # its thread looks ten times a second, whatever `sample` does

        def looked(*given: object) -> bool:
            before = time.thread_time()
            found = look(*given) if clock.on else False  # type: ignore[arg-type]
            took.sampling_s += time.thread_time() - before
            return found

        vars(collector)["look"] = looked


@contextlib.contextmanager
def gated(meter: Metered, clock: Clock, took: Took) -> Iterator[None]:
    """Every collector of a run but those that are apart."""

    def chosen(sources: Sources, scenario: Scenario | None = None) -> tuple[Collector, ...]:
        made = registry.collectors(sources, scenario)
        for each in made:
            if each.name in APART:
                each.close()
            else:
                gate(each, clock, took)
        return (meter, *(each for each in made if each.name not in APART))

    with patch.object(collecting, "collectors", chosen):
        yield


def rounds(
    root: Path, scenario: Scenario, sources: Sources, asked: argparse.Namespace, first: int
) -> list[list[Three]]:
    """The threes of each round; what the collectors took is printed."""
    phases = tuple(
        Phase(
            name=f"round {number}", model=LoadModel.CLOSED, users=asked.users, duration_s=SECONDS, warmup_s=1,
            seed=number,
        )
        for number in range(first, first + asked.rounds)
    )  # fmt: skip
    clock, took = Clock(), Took()
    meter = Metered(clock, [pid for _, pid in sources.processes])
    with gated(meter, clock, took):
        folder = collecting.collect(
            root, scenario=scenario, phases=phases, sources=sources, slug="steady", workers=1,
            on_second=lambda _progress: None, stop=Stop(),
        )  # fmt: skip
    found = []
    for each in hits.read(folder, phases, tuple(route.name for route in scenario.routes)):
        found.append(threes(each.phase, np.asarray(each.good, dtype=float), meter.cores[each.phase.name]))
    on_s = sum(label in {"", "on"} for phase in phases for label in sides(phase))
    print(
        f"collectors' own threads: {took.sampling_s / on_s:.2%} of one core while on;"
        f" {1e3 * took.beginning_s / asked.rounds:.0f} ms when a phase begins, {1e3 * took.ending_s / asked.rounds:.0f}"
        " ms behind it"
    )
    return found


def threes(phase: Phase, good: np.ndarray, cores: list[float]) -> list[Three]:
    """Each three seconds of one phase."""
    labels = sides(phase)
    found = []
    for start in range(BEGINNING_S, len(labels), len(THREE)):
        at = {labels[second]: second for second in range(start, start + len(THREE))}
        if max(at.values()) < min(len(good), len(cores)):
            found.append(
                {side: good[second] for side, second in at.items()}
                | {f"{side} cpu": good[second] / cores[second] for side, second in at.items()}
            )
    return found


def told(name: str, found: list[list[Three]], of: str) -> str:
    """Cost and control with their intervals."""
    cost = [[1 - 2 * each[f"on{of}"] / (each[f"off{of}"] + each[f"control{of}"]) for each in made] for made in found]
    none = [[1 - each[f"off{of}"] / each[f"control{of}"] for each in made] for made in found]
    (middle, least, most), (null, low, high) = interval(cost), interval(none)
    verdict = "below" if most < LIMIT_RATIO else "above" if least > LIMIT_RATIO else "not decided against"
    return (
        f"{name}: {middle:+.1%} less (95%: {least:+.1%} to {most:+.1%}), {verdict} {LIMIT_RATIO:.0%};"
        f" control, nothing against nothing: {null:+.1%} ({low:+.1%} to {high:+.1%});"
        f" {sum(map(len, found))} threes in {len(found)} rounds"
    )


def interval(rounds: list[list[float]]) -> tuple[float, float, float]:
    """The median of all, and its 95% interval by bootstrap over rounds."""
    dice = np.random.default_rng(1)
    drawn = [
        np.median(np.concatenate([rounds[place] for place in dice.integers(0, len(rounds), len(rounds))]))
        for _ in range(RESAMPLES)
    ]
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(np.median(np.concatenate(rounds))), float(low), float(high)


def measured(root: Path, scenario: Scenario, sources: Sources, asked: argparse.Namespace) -> None:
    """All rounds, and what came of them with those of before."""
    kept: list[list[Three]] = []
    if asked.keep is not None and asked.keep.exists():
        lines = (json.loads(each) for each in asked.keep.read_text("utf-8").splitlines())
        kept = [each for each in lines if isinstance(each, list)]
    made = rounds(root, scenario, sources, asked, 1 + len(kept))
    if asked.keep is not None:
        with asked.keep.open("a", encoding="utf-8") as stream:
            stream.writelines(json.dumps(each) + "\n" for each in made)
    print(told("answers a second", [*kept, *made], ""))
    print(told("answers for a second of processor time", [*kept, *made], " cpu"), flush=True)
