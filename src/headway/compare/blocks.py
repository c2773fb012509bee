"""
Resampling that keeps what hangs together: blocks of consecutive seconds, or whole rounds of A and B.

Answers that follow each other are alike, so a bootstrap over requests makes any two runs differ. Within one run whole
blocks of seconds are drawn, twice as long as the latencies' swings last; what swings slower than a block adds is
reckoned from the swings of first order. Where A and B were run in turns, whole rounds are drawn, A and B of a round
together: what disturbs both falls out of their difference.

Source: Politis and Romano 1992 (circular block bootstrap); Marriott and Pope 1954 (autocorrelation in short series is
estimated too small); Andrews and Monahan 1992 (first-order prewhitening); Hesterberg 2015 (a bootstrap's variance is
too small by (k - 1) / k, and Student's t with few blocks).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

MOST_BLOCKS = 12
"""More and shorter ones hang together where a queue is long; see load.intervals.MOST_BATCHES."""
FEWEST_SWINGS = 5
"""A run that is shorter than so many swings says nothing of how far it strays: two of the same differ more often."""
SWINGS_A_BLOCK = 2
STRONGEST = 0.98
TOGETHER = (1, 2, 4)
FEWEST_SUMS = 8
FEWEST_BLOCKS = 2.5


@dataclass(frozen=True, kw_only=True)
class Swing:
    """
    How long what is counted in each stretch stays high or low.

    persistence: correlation of a stretch with the next, at least 0. stretches: how many one swing lasts, 1 where
    nothing hangs together (the integrated autocorrelation time).
    """

    persistence: float

    @property
    def stretches(self) -> float:
        return (1 + self.persistence) / (1 - self.persistence)

    def block(self, n: int) -> int:
        """How many of n stretches are drawn together."""
        return max(1, min(max(math.ceil(n / MOST_BLOCKS), math.ceil(SWINGS_A_BLOCK * self.stretches)), n // 3))

    def blocks(self, n: int) -> float:
        """How many independent blocks n stretches are worth."""
        return max(FEWEST_BLOCKS, min(n / self.block(n), n / (SWINGS_A_BLOCK * self.stretches)))

    def missed(self, n: int) -> float:
        """The variance of a mean over that of one of redrawn blocks, which know nothing of swings longer than they."""
        lag, block = np.arange(1, self.block(n)), self.block(n)
        seen = 1 + 2 * float(((1 - lag / block) * self.persistence**lag).sum())
        return self.stretches / seen


def swing(counted: Iterable[Sequence[FloatArray]]) -> Swing:
    """
    The longest swing of anything counted.

    Args:
        counted: for each thing, its series in every run: (n,) what is counted in each stretch.
    """
    longest = max(_stretches(runs, together) for runs in counted for together in TOGETHER)
    return Swing(persistence=min(max((longest - 1) / (longest + 1), 0.0), STRONGEST))


def _stretches(runs: Sequence[FloatArray], together: int) -> float:
    """
    The variance of a mean over what it were if nothing hung together, as sums of so many stretches show it.

    Chance adds to every count, and hides from one second to the next what shows from four seconds to the next four.
    """
    power = product = alone = 0.0
    length = 0
    for each in runs:
        centred = each - each.mean() if len(each) else each
        kept = len(centred) // together * together
        sums = centred[:kept].reshape(-1, together).sum(axis=1)
        power += float(sums @ sums)
        product += float(sums[1:] @ sums[:-1])
        alone += float(centred[:kept] @ centred[:kept])
        length += len(sums)
    if length < FEWEST_SUMS * len(runs) or alone == 0:
        return 1.0
    found = product / power if power else 0.0
    found = min(found + (1 + 3 * found) / length * len(runs), STRONGEST)
    return power / alone * (1 + found) / (1 - found)


def drawn(units: int, block: int, times: int, random: np.random.Generator) -> FloatArray:
    """
    How often each stretch is drawn, each time.

    Args:
        units: stretches there are.
        block: consecutive ones drawn together; the last is followed by the first.
        times: how often to draw.
        random: where from.

    Returns:
        (times, units) float64; each row sums to `units`.
    """
    blocks = math.ceil(units / block)
    starts = random.integers(0, units, size=(times, blocks))
    chosen = ((starts[:, :, None] + np.arange(block)) % units).reshape(times, -1)[:, :units]
    rows = np.repeat(np.arange(times), units)
    return np.bincount(rows * units + chosen.ravel(), minlength=times * units).reshape(times, units).astype(np.float64)
