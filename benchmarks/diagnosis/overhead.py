"""
What collecting evidence costs the service: throughput at saturation with all collectors on and with none, in turns.

    .venv/bin/python benchmarks/diagnosis/overhead.py --rounds 12

The reference shop in its fast form is asked by users that ask again as soon as they are answered: whatever is taken
from it shows. Each round has four short runs in an order drawn by chance: collectors on, off, and off twice more for
the control, all with the same keys; the control says what no difference at all looks like on this machine. Given is
the median of the rounds' ratios with a 95% interval by bootstrap over rounds. Collectors, generator and service share
the machine's cores here: on a machine of its own the service would be disturbed by the questions alone. What a
collector does after the load has ended (plans, indexes, answers) is no part of it, as the service is not loaded then.

`--only host,statements` turns only these on, `--each` each by itself in turn. Sampling of stacks is never among "all":
`--only profile` measures it. `--keep FILE` appends the rounds to a file and counts those that are in it already.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil

from headway import line
from headway.evidence import collect, registry
from headway.evidence.collector import Collector
from headway.lab import Lab, shop_folder
from headway.lab import sources as lab_sources
from headway.load import hits
from headway.load.drive import Stop
from headway.model import LoadModel, Phase, Scenario, Sources

APART = frozenset({"profile"})
"""Collectors that are not on unless they are asked for."""
LIMIT_RATIO = 0.03
RESAMPLES = 10_000
SIDES = ("on", "off", "control a", "control b")


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One short run: good answers a second, and the share of a core that the measuring process itself used."""

    rate_per_s: float
    cores: float


@contextlib.contextmanager
def only(names: frozenset[str]) -> Iterator[None]:
    """Runs meanwhile have the collectors of these names and no other."""

    def chosen(sources: Sources, scenario: Scenario | None = None) -> tuple[Collector, ...]:
        made = registry.collectors(sources, scenario)
        for each in made:
            if each.name not in names:
                each.close()
        return tuple(each for each in made if each.name in names)

    before = collect.collectors
    collect.collectors = chosen
    try:
        yield
    finally:
        collect.collectors = before


def turn(root: Path, scenario: Scenario, sources: Sources, phase: Phase, names: frozenset[str]) -> Turn:
    """Run once with these collectors."""
    own = psutil.Process()
    spent, began = sum(own.cpu_times()[:2]), time.monotonic()
    with only(names):
        folder = collect.collect(
            root, scenario=scenario, phases=(phase,), sources=sources, slug="overhead", workers=1,
            on_second=lambda _progress: None, stop=Stop(),
        )  # fmt: skip
    cores = (sum(own.cpu_times()[:2]) - spent) / (time.monotonic() - began)
    (found,) = hits.read(folder, (phase,), tuple(each.name for each in scenario.routes))
    return Turn(rate_per_s=float(found.good.sum()) / found.seconds, cores=cores)


def rounds(
    root: Path, scenario: Scenario, sources: Sources, asked: argparse.Namespace, names: frozenset[str]
) -> Iterator[dict[str, Turn]]:
    """Round after round, each side once."""
    for number in range(asked.rounds):
        phase = Phase(
            name="overhead", model=LoadModel.CLOSED, users=asked.users, duration_s=asked.seconds, warmup_s=1,
            seed=asked.seed + number,
        )  # fmt: skip
        order = list(SIDES)
        random.Random(asked.seed + number).shuffle(order)
        made = {
            side: turn(root, scenario, sources, phase, names if side == "on" else frozenset()) for side in order
        }  # fmt: skip
        print("  " + ", ".join(f"{side} {made[side].rate_per_s:,.0f}/s" for side in SIDES), flush=True)
        yield made


def ratio(found: list[dict[str, Turn]], one: str, other: str) -> tuple[float, float, float]:
    """The median of the rounds' ratios, and its 95% interval by bootstrap over rounds."""
    each = np.array([made[one].rate_per_s / made[other].rate_per_s for made in found])
    drawn = np.random.default_rng(1).choice(each, size=(RESAMPLES, len(each)))
    low, high = np.quantile(np.median(drawn, axis=1), (0.025, 0.975))
    return float(np.median(each)), float(low), float(high)


def told(what: str, found: list[dict[str, Turn]]) -> str:
    """What these collectors cost, beside what no difference looks like."""
    cost, least, most = (1 - each for each in ratio(found, "on", "off"))
    none, low, high = (1 - each for each in ratio(found, "control a", "control b"))
    least, most, low, high = min(least, most), max(least, most), min(low, high), max(low, high)
    cores = np.median([made["on"].cores - made["off"].cores for made in found])
    verdict = "below" if most < LIMIT_RATIO else "above" if least > LIMIT_RATIO else "not decided against"
    return (
        f"{what}: {cost:+.1%} of throughput (95%: {least:+.1%} to {most:+.1%}), {verdict} {LIMIT_RATIO:.0%};"
        f" control, nothing against nothing: {none:+.1%} ({low:+.1%} to {high:+.1%});"
        f" {cores:+.1%} of a core in the measuring process; {len(found)} rounds,"
        f" median {np.median([made['off'].rate_per_s for made in found]):,.0f} answers a second without"
    )


def kept(file: Path | None, what: str) -> list[dict[str, Turn]]:
    """The rounds of this kind that a file has."""
    if file is None or not file.exists():
        return []
    lines = (json.loads(each) for each in file.read_text("utf-8").splitlines())
    return [
        {side: Turn(**values) for side, values in each["round"].items()} for each in lines if each["what"] == what
    ]  # fmt: skip


def measured(root: Path, scenario: Scenario, sources: Sources, asked: argparse.Namespace, what: str) -> None:
    """All rounds of one choice of collectors, and what came of them with those of before."""
    every = frozenset(each.name for each in registry.collectors(sources, scenario))
    names = every - APART if what == "all" else frozenset(what.split(","))
    if names - every:
        raise SystemExit(f"there is no collector {', '.join(sorted(names - every))}; there are {', '.join(every)}")
    sources = replace(sources, profile=bool(names & APART))
    print(f"{what}: {', '.join(sorted(names))}", flush=True)
    found = kept(asked.keep, what)
    asked.seed += len(found)
    for made in rounds(root, scenario, sources, asked, names):
        found.append(made)
        if asked.keep is not None:
            line_of = {"what": what, "round": {side: vars(each) for side, each in made.items()}}
            with asked.keep.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(line_of) + "\n")
    if found:
        print(told(what, found), flush=True)


def main() -> None:
    """Bring the shop up, measure, take it down."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=12)
    options.add_argument("--seconds", type=float, default=3.0, help="of each run, after a second of warm-up")
    options.add_argument("--users", type=int, default=8)
    options.add_argument("--stage", type=int, default=4)
    options.add_argument("--scale", type=float, default=0.02)
    options.add_argument("--only", default="all", help="names of collectors, by commas")
    options.add_argument("--each", action="store_true", help="every collector by itself")
    options.add_argument("--keep", type=Path)
    options.add_argument("--seed", type=int, default=1)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="headway-bench-", dir="/var/tmp") as name:
        Path(name).chmod(0o711)
        lab = Lab(Path(name) / "lab")
        try:
            sources = lab_sources(lab.up(stage=asked.stage, scale=asked.scale))
            promise = line.find_promise("0050", (shop_folder(),))
            scenario = line.find_scenario(None, promise, sources.target_url)
            names = [each.name for each in registry.collectors(sources, scenario)]
            for what in names if asked.each else [asked.only]:
                measured(Path(name), scenario, sources, asked, what)
        finally:
            lab.down(purge=True)
    print(f"{psutil.cpu_count()} cores, load average {psutil.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
