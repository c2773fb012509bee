"""
What collecting evidence costs the service: throughput at saturation with all collectors on and with none, in turns.

    .venv/bin/python benchmarks/diagnosis/overhead.py --rounds 14

The reference shop in its fast form is asked by users that ask again as soon as they are answered: whatever is taken
from it shows. Single seconds of a phase are on and off in turns (steady.py says how). `--by phases` turns whole phases
of 2 s on and off instead, so that what is read when a phase begins is counted too: each round is four of them in an
order drawn by chance, with the same keys: collectors on, off, and off twice more for the control, which says what no
difference at all looks like on this machine. While off a collector is told of no phase and takes no sample; its
connection stays. Given is the median of the rounds' ratios with a 95% interval by bootstrap over rounds. Throughput is
what counts, and what the machine's other guests and processes disturb most: so the answers for a second of processor
time are compared too. Collectors, generator and service share the machine's cores here: on a machine of its own the
service would be disturbed by the questions alone. What a collector does after the load has ended (plans, indexes,
answers) is no part of it, as the service is not loaded then.

By phases, beside it stands what each collector itself took while on: processor time of its threads in the phase and,
apart from that, behind it, when the load has ended; and time it waited for answers, which bounds what the servers spent
on them.
The processor time depends little on what else the machine does, the waiting much. Few rounds show it: `--rounds 2`.
A round takes some 14 s, the lab 20 s.

SIGTERM and Ctrl-C end it and take the lab down.

`--only host,statements` turns only these on, `--each` each by itself in turn. Sampling of stacks is never among "all":
`--only profile` measures it. `--keep FILE` appends the rounds to a file and counts those that are in it already.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from types import FrameType
from unittest.mock import patch

import numpy as np
import psutil
import steady
from steady import APART, Meter

from headway import line
from headway.evidence import collect as collecting
from headway.evidence import registry, runfile
from headway.evidence.collector import Collector, present
from headway.lab import Lab, shop_folder
from headway.lab import sources as lab_sources
from headway.load import hits
from headway.load.drive import Stop
from headway.model import LoadModel, Phase, Scenario, Sources, SourceState

LIMIT_RATIO = 0.03
RESAMPLES = 10_000
FEWEST = 8
SIDES = ("on", "off", "control a", "control b")


Round = dict[str, float]
"""Side -> good answers a second."""
HELPERS = {"headway-looks": "waits"}
"""Threads that a collector starts for one phase, and whose they are."""


@dataclass
class Took:
    """Seconds of one collector."""

    phase_s: float = 0.0  # of processor time, while the phase was measured
    behind_s: float = 0.0  # of processor time, when its load had ended
    waited_s: float = 0.0  # for answers


Spent = dict[str, Took]


@contextlib.contextmanager
def only(names: frozenset[str], spent: Spent, meter: Meter) -> Iterator[None]:
    """Runs meanwhile have the collectors of these names and no other, in phases that are called on."""

    def chosen(sources: Sources, scenario: Scenario | None = None) -> tuple[Collector, ...]:
        made = registry.collectors(sources, scenario)
        for each in made:
            if each.name in names:
                gate(each, spent)
            else:
                each.close()
        return (Metered(meter), *(each for each in made if each.name in names))

    with patch.object(collecting, "collectors", chosen):
        yield


class Metered(Collector):
    """Has the meter read at both ends of every phase, on or off, in a thread of its own."""

    name = "meter"

    def __init__(self, meter: Meter) -> None:
        super().__init__()
        self._meter = meter

    def check(self) -> SourceState:
        return present(self.name, "of processor time")

    def begin(self, phase: Phase, at_s: float) -> None:
        self._meter.begin()

    def end(self, phase: Phase, at_s: float) -> None:
        self._meter.end(phase.name)


def gate(collector: Collector, spent: Spent) -> None:
    """Let it hear only of phases that are on, and of the seconds in them; count what it takes."""
    begin, sample, end = collector.begin, collector.sample, collector.end
    took = spent.setdefault(collector.name, Took())
    on = False

    def counted(act: Callable[[], None], *, behind: bool = False) -> None:
        wall, own = time.perf_counter(), time.thread_time()
        act()
        own, wall = time.thread_time() - own, time.perf_counter() - wall
        took.waited_s += max(0.0, wall - own)
        if behind:
            took.behind_s += own
        else:
            took.phase_s += own

    def began(phase: Phase, at_s: float) -> None:
        nonlocal on
        on = phase.name.startswith("on ")
        if on:
            counted(lambda: begin(phase, at_s))

    def sampled(at_s: float) -> None:
        if on:
            counted(lambda: sample(at_s))

    def ended(phase: Phase, at_s: float) -> None:
        nonlocal on
        if on:
            took.phase_s += helped(collector.name)
            counted(lambda: end(phase, at_s), behind=True)
        else:
            # What follows a log reads it up to here, so that no phase that is on pays for one that was off.
            sample(at_s)
        on = False

    vars(collector).update(begin=began, sample=sampled, end=ended)


def helped(name: str) -> float:
    """Seconds of processor time of the threads that this collector started when the phase began."""
    return sum(
        time.clock_gettime(time.pthread_getcpuclockid(each.ident))
        for each in threading.enumerate()
        if HELPERS.get(each.name) == name and each.ident is not None
    )


def planned(asked: argparse.Namespace) -> tuple[Phase, ...]:
    """The phases of all rounds, in the order they are run."""
    made = []
    for number in range(asked.seed, asked.seed + asked.rounds):
        order = list(SIDES)
        random.Random(number).shuffle(order)
        made += [
            Phase(
                name=f"{side} {number}", model=LoadModel.CLOSED, users=asked.users, duration_s=asked.seconds,
                warmup_s=asked.warmup, seed=number,
            )
            for side in order
        ]  # fmt: skip
    return tuple(made)


def rounds(root: Path, scenario: Scenario, sources: Sources, asked: argparse.Namespace, meter: Meter) -> list[Round]:
    """What each side of each round reached, and by its name with " cpu" the answers for a second of processor time."""
    phases = planned(asked)
    folder = collecting.collect(
        root, scenario=scenario, phases=phases, sources=sources, slug="overhead", workers=1,
        on_second=lambda _progress: None, stop=Stop(),
    )  # fmt: skip
    said = runfile.read(folder).sources
    print("; ".join(f"{each.name} {each.presence.value}" for each in said), flush=True)
    found: dict[str, Round] = {}
    for each in hits.read(folder, phases, tuple(route.name for route in scenario.routes)):
        side, _, number = each.phase.name.rpartition(" ")
        reached = float(each.good.sum()) / each.seconds
        found.setdefault(number, {}).update({side: reached, f"{side} cpu": reached / meter.cores[each.phase.name]})
    return list(found.values())


def ratio(found: list[Round], one: str, other: str) -> tuple[float, float, float]:
    """The median of the rounds' ratios, and its 95% interval by bootstrap over rounds."""
    each = np.array([made[one] / made[other] for made in found])
    drawn = np.random.default_rng(1).choice(each, size=(RESAMPLES, len(each)))
    low, high = np.quantile(np.median(drawn, axis=1), (0.025, 0.975))
    return float(np.median(each)), float(low), float(high)


def told(what: str, found: list[Round]) -> str:
    """What these collectors cost, beside what no difference looks like."""
    lines = [compared(f"{what}: throughput", found, "")]
    timed = [made for made in found if "on cpu" in made]
    if len(timed) >= FEWEST:
        lines.append(compared(f"{what}: answers for a second of processor time", timed, " cpu"))
    return "\n".join(lines)


def compared(what: str, found: list[Round], of: str) -> str:
    """One of the two measures."""
    speed = f"{np.median([made['off'] for made in found]):,.0f}"
    if len(found) < FEWEST:
        return f"{what}: {len(found)} rounds say nothing yet: {FEWEST} are the fewest; {speed} answers a second without"
    cost, least, most = (1 - each for each in ratio(found, f"on{of}", f"off{of}"))
    none, low, high = (1 - each for each in ratio(found, f"control a{of}", f"control b{of}"))
    least, most, low, high = min(least, most), max(least, most), min(low, high), max(low, high)
    verdict = "below" if most < LIMIT_RATIO else "above" if least > LIMIT_RATIO else "not decided against"
    return (
        f"{what}: {cost:+.1%} less (95%: {least:+.1%} to {most:+.1%}), {verdict} {LIMIT_RATIO:.0%};"
        f" control, nothing against nothing: {none:+.1%} ({low:+.1%} to {high:+.1%});"
        f" {len(found)} rounds,"
        f" median {speed} answers a second without"
    )


def kept(file: Path | None, what: str) -> list[Round]:
    """The rounds of this kind that a file has."""
    if file is None or not file.exists():
        return []
    lines = (json.loads(each) for each in file.read_text("utf-8").splitlines())
    return [each["round"] for each in lines if isinstance(each, dict) and each["what"] == what]


def measured(root: Path, scenario: Scenario, sources: Sources, asked: argparse.Namespace, what: str) -> None:
    """All rounds of one choice of collectors, and what came of them with those of before."""
    every = frozenset(each.name for each in registry.collectors(sources, scenario))
    names = every - APART if what == "all" else frozenset(what.split(","))
    if names - every:
        raise SystemExit(f"there is no collector {', '.join(sorted(names - every))}; there are {', '.join(every)}")
    sources = replace(sources, profile=bool(names & APART))
    print(f"{what}: {', '.join(sorted(names))}", flush=True)
    before = kept(asked.keep, what)
    asked.seed = 1 + len(before)
    spent: Spent = {}
    meter = Meter([pid for _, pid in sources.processes])
    with only(names, spent, meter):
        found = rounds(root, scenario, sources, asked, meter)
    shares(spent, asked)
    if asked.keep is not None:
        with asked.keep.open("a", encoding="utf-8") as stream:
            stream.writelines(json.dumps({"what": what, "round": each}) + "\n" for each in found)
    print(told(what, [*before, *found]), flush=True)


def shares(spent: Spent, asked: argparse.Namespace) -> None:
    """What each collector took of one core."""
    on_s = asked.rounds * asked.seconds
    every = Took(*(sum(part) for part in zip(*map(astuple, spent.values()), strict=True)))
    ordered = sorted(spent.items(), key=lambda each: -each[1].phase_s)
    print("  of one core:       in the phase   behind it, a phase   waited for answers")
    for name, took in [*(each for each in ordered if any(astuple(each[1]))), ("together", every)]:
        print(
            f"  {name:<16} {took.phase_s / on_s:14.2%} {1e3 * took.behind_s / asked.rounds:17.1f} ms"
            f" {took.waited_s / on_s:20.2%}"
        )


def terminated(_signal: int, _frame: FrameType | None) -> None:
    """SIGTERM would end this where it stands, and leave the lab behind."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(128 + signal.SIGTERM)


def main() -> None:
    """Bring the shop up, measure, take it down."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=14)
    options.add_argument("--by", choices=("seconds", "phases"), default="seconds", help="what is on and off in turns")
    options.add_argument("--seconds", type=float, default=2.0, help="of each phase")
    options.add_argument("--warmup", type=float, default=0.5, help="before each phase, in seconds")
    options.add_argument("--users", type=int, default=8)
    options.add_argument("--stage", type=int, default=4)
    options.add_argument("--scale", type=float, default=0.02)
    options.add_argument("--only", default="all", help="names of collectors, by commas")
    options.add_argument("--each", action="store_true", help="every collector by itself")
    options.add_argument("--keep", type=Path)
    asked = options.parse_args()
    signal.signal(signal.SIGTERM, terminated)
    with tempfile.TemporaryDirectory(prefix="headway-bench-", dir="/var/tmp") as name:
        Path(name).chmod(0o711)
        lab = Lab(Path(name) / "lab")
        try:
            sources = lab_sources(lab.up(stage=asked.stage, scale=asked.scale))
            promise = line.find_promise("0050", (shop_folder(),))
            scenario = line.find_scenario(None, promise, sources.target_url)
            names = [each.name for each in registry.collectors(sources, scenario)]
            if asked.by == "seconds" and asked.only == "all" and not asked.each:
                steady.measured(Path(name), scenario, sources, asked)
            else:
                for what in names if asked.each else [asked.only]:
                    measured(Path(name), scenario, sources, asked, what)
        finally:
            lab.down(purge=True)
    print(f"{psutil.cpu_count()} cores, load average {psutil.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
