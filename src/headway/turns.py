"""
A and B in turns on one machine: A B, B A, A B, ... so that what changes with time changes both alike.

Each round is a run of its own, with the same keys on both sides. A round in which the generator was not well on either
side is left out, and run again as long as there are patience and rounds: that is said, and which rounds are left out
depends on the generator alone, never on what was measured.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from headway import line
from headway.compare import comparison, sample
from headway.compare.differences import FEWEST_ROUNDS
from headway.conventions import TURN_FILE
from headway.errors import BadInput, RunInvalid
from headway.evidence import bundle, reading

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from headway.compare.comparison import Comparison
    from headway.compare.differences import Asked
    from headway.compare.margin import Margin
    from headway.compare.sample import Run
    from headway.model import Phase, Scenario, Sources


MOST_TRIES = 2
"""Rounds run at most, as a multiple of those asked for."""


@dataclass(frozen=True, kw_only=True)
class Turns:
    """What came out, and the rounds' folders in the order they were run: for each round that of A and that of B."""

    found: Comparison
    folders: tuple[tuple[Path, Path], ...]


@dataclass(frozen=True, kw_only=True)
class _Pair:
    """One round: folder and run of A and of B."""

    a: tuple[Path, Run]
    b: tuple[Path, Run]

    @property
    def well(self) -> bool:
        return not self.a[1].ailments and not self.b[1].ailments


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
    pairs: list[_Pair] = []
    while sum(each.well for each in pairs) < rounds and len(pairs) < MOST_TRIES * rounds:
        number = len(pairs)
        well = sum(each.well for each in pairs)
        say(f"round {number + 1}: {'A, then B' if number % 2 == 0 else 'B, then A'}; {well} of {rounds} are there")
        phase = replace(scenario.default_phase, seed=scenario.default_phase.seed + number)
        if duration_s is not None:
            phase = replace(phase, duration_s=duration_s)

        def loaded(sources: Sources, phase: Phase = phase, number: int = number) -> tuple[Path, Run]:
            folder = line.load(root, scenario=scenario, phases=(phase,), sources=sources, means=means)
            bundle.put_json(folder / TURN_FILE, {"side": "A" if sources is a else "B", "round": number + 1})
            evidence = reading.read(folder)
            if evidence.interrupted:
                raise RunInvalid(
                    f"interrupted in round {len(pairs) + 1}; the rounds before are kept in {folder.parent}",
                    next_act="compare again, or those there are: headway compare A,A,A B,B,B",
                )
            return folder, sample.of_evidence(evidence)

        first, second = (a, b) if number % 2 == 0 else (b, a)
        one, two = loaded(first), loaded(second)
        pairs.append(_Pair(a=one, b=two) if number % 2 == 0 else _Pair(a=two, b=one))
    return Turns(found=_compared(pairs, margin, asked), folders=tuple((each.a[0], each.b[0]) for each in pairs))


def _compared(pairs: list[_Pair], margin: Margin, asked: Asked) -> Comparison:
    """All rounds that are well on both sides, when they are enough; else all, and the comparison says why not."""
    ill = [
        f"round {number} is left out: run {run.id}: {run.ailments[0]}"
        for number, pair in enumerate(pairs, start=1)
        for _, run in (pair.a, pair.b)
        if run.ailments
    ]
    well = [each for each in pairs if each.well]
    used = well if len(well) >= FEWEST_ROUNDS else pairs
    found = comparison.compare([each.a[1] for each in used], [each.b[1] for each in used], margin=margin, asked=asked)
    return replace(found, warnings=(*ill, *found.warnings)) if used is well else found
