"""
A and B in turns on one machine: A B, B A, A B, ... so that what changes with time changes both alike.

Each round is a run of its own, with the same keys on both sides. A round in which the generator was not well is left
out together with its partner, and that is said.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from headway import line
from headway.compare import comparison, sample
from headway.compare.differences import FEWEST_ROUNDS
from headway.errors import BadInput, RunInvalid
from headway.evidence import reading

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from headway.compare.comparison import Comparison
    from headway.compare.differences import Asked
    from headway.compare.margin import Margin
    from headway.compare.sample import Run
    from headway.model import Scenario, Sources


@dataclass(frozen=True, kw_only=True)
class Turns:
    """What came out, and the rounds' folders in the order they were run: for each round that of A and that of B."""

    found: Comparison
    folders: tuple[tuple[Path, Path], ...]


def compare(
    scenario: Scenario,
    a: Sources,
    b: Sources,
    *,
    root: Path,
    means: line.Means,
    rounds: int,
    duration_s: float | None,
    margin: Margin,
    asked: Asked,
    say: Callable[[str], None],
) -> Turns:
    """
    Load A and B in turns, then compare.

    Args:
        scenario: the traffic, and its own load.
        a, b: the two targets, and where else to look.
        root, means: as `line.load`.
        rounds: of A and B each, at least FEWEST_ROUNDS.
        duration_s: of each round, warm-up excluded; None: the scenario's.
        margin, asked: as `comparison.compare`.
        say: gets a line for each round.

    Raises:
        BadInput: too few rounds, or both sides are one.
        RunInvalid: it was interrupted; the rounds until then are kept.
        TargetUnreachable: one of the two does not answer.
    """
    if rounds < FEWEST_ROUNDS:
        raise BadInput(
            f"{rounds} rounds say nothing of how they vary", next_act=f"run at least {FEWEST_ROUNDS}, better 6"
        )
    sides: tuple[list[Run], list[Run]] = ([], [])
    folders: list[tuple[Path, Path]] = []
    for number in range(rounds):
        pair: dict[int, Path] = {}
        for side in (0, 1) if number % 2 == 0 else (1, 0):
            say(f"round {number + 1} of {rounds}: {'AB'[side]}")
            phase = replace(scenario.default_phase, seed=scenario.default_phase.seed + number)
            if duration_s is not None:
                phase = replace(phase, duration_s=duration_s)
            pair[side] = line.load(root, scenario=scenario, phases=(phase,), sources=(a, b)[side], means=means)
            evidence = reading.read(pair[side])
            if evidence.interrupted:
                raise RunInvalid(
                    f"interrupted in round {number + 1} of {rounds}; the {2 * number} runs before are kept in"
                    f" {pair[side].parent}",
                    next_act="compare again",
                )
            sides[side].append(sample.of_evidence(evidence))
        folders.append((pair[0], pair[1]))
    return Turns(found=_compared(*sides, margin, asked), folders=tuple(folders))


def _compared(a: list[Run], b: list[Run], margin: Margin, asked: Asked) -> Comparison:
    """All rounds that are well on both sides, when they are enough; else all, and the comparison says why not."""
    ill = {
        number: f"round {number + 1} is left out: run {run.id}: {run.ailments[0]}"
        for number, pair in enumerate(zip(a, b, strict=True))
        for run in pair
        if run.ailments
    }
    well = [number for number in range(len(a)) if number not in ill]
    if len(well) < FEWEST_ROUNDS:
        return comparison.compare(a, b, margin=margin, asked=asked, same_runner=False)
    found = comparison.compare(
        [a[number] for number in well], [b[number] for number in well], margin=margin, asked=asked
    )
    return replace(found, warnings=(*ill.values(), *found.warnings))
