"""Runs to a comparison: may they be compared, every phase's differences, and what they come to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headway.compare import differences, likeness
from headway.compare.calls import Call
from headway.compare.differences import FEWEST_ROUNDS, Asked
from headway.compare.margin import Margin
from headway.errors import BadInput
from headway.model import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headway.compare.calls import PhaseDifferences
    from headway.compare.sample import Run

ONE_EACH = (
    "one run each: what differs from start to start of a service (memory layout, caches, neighbours) is in neither"
    " interval; 'headway compare --interleave' runs A and B in turns"
)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """
    B against A. `not_comparable`: why differences would say nothing; then there are none.

    a, b: one run each, or as many rounds each, in the order they were run.
    """

    a: tuple[Run, ...]
    b: tuple[Run, ...]
    margin: Margin
    not_comparable: tuple[str, ...]
    phases: tuple[PhaseDifferences, ...]
    warnings: tuple[str, ...]

    @property
    def exit_code(self) -> ExitCode:
        """3 when any figure is worse, 4 when one may be, 5 when the runs can't be compared."""
        calls = {each.call for phase in self.phases for each in phase.differences}
        if self.not_comparable:
            return ExitCode.INVALID
        if Call.WORSE in calls:
            return ExitCode.BROKEN
        return ExitCode.INCONCLUSIVE if Call.OPEN in calls or not calls else ExitCode.KEPT


def compare(
    a: Sequence[Run], b: Sequence[Run], *, margin: Margin, asked: Asked | None = None, same_runner: bool = False
) -> Comparison:
    """
    B against A.

    Args:
        a, b: one run each, or as many rounds each: the n-th of A was run beside the n-th of B.
        margin: the differences that matter.
        asked: which figures; None: the usual ones.
        same_runner: refuse runs that aren't known to have been made on one machine.

    Raises:
        BadInput: a run is on both sides, or the rounds are not as many on both sides, or too few.
    """
    _check_sides(a, b)
    refused, warned = _likeness(a, b, same_runner=same_runner)
    shared = [] if refused else [name for name in a[0].samples if name in b[0].samples]
    phases = tuple(
        differences.of_phase(
            [each.samples[name] for each in a],
            [each.samples[name] for each in b],
            a[0].routes,
            margin=margin,
            asked=asked or Asked(),
        )
        for name in shared
    )
    if len(a) == 1 and not refused:
        warned = [*warned, ONE_EACH]
    return Comparison(
        a=tuple(a), b=tuple(b), margin=margin, not_comparable=tuple(refused), phases=phases, warnings=tuple(warned)
    )


def _check_sides(a: Sequence[Run], b: Sequence[Run]) -> None:
    if len(a) != len(b) or not a:
        raise BadInput(f"{len(a)} runs of A and {len(b)} of B", next_act="name as many of either, in their order")
    if 1 < len(a) < FEWEST_ROUNDS:
        raise BadInput(f"{len(a)} rounds say nothing of how they vary", next_act=f"run at least {FEWEST_ROUNDS}")
    twice = {each.id for each in a} & {each.id for each in b}
    if twice:
        raise BadInput(f"{min(twice)} is on both sides", next_act="name two runs")


def _likeness(a: Sequence[Run], b: Sequence[Run], *, same_runner: bool) -> tuple[list[str], list[str]]:
    """Why the runs can't be compared, and what warns; each round against the first."""
    refused: list[str] = []
    warned: list[str] = []
    for each in (*b, *a[1:]):
        refused += likeness.not_comparable(a[0], each, same_runner=same_runner)
        warned += likeness.warnings(a[0], each)
    return list(dict.fromkeys(refused)), list(dict.fromkeys(warned))
