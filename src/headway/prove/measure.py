"""
With and without, in turns: what a remedy is worth to a statement, with an interval that knows both sources of chance.

Each round measures both sides, in an order drawn by chance, with the same sets of parameters. The interval redraws
rounds (the machine's moods) and parameter sets (the workload's variety) together, which errs on the wide side.

Source: Owen 2007, "The pigeonhole bootstrap"; Efron and Tibshirani 1993, 13.3 (percentile intervals).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from headway.model import Effect
from headway.thresholds import CONFIDENCE_RATIO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

DRAWS = 2_000
TAIL = (1 - CONFIDENCE_RATIO) / 2


@dataclass(frozen=True, kw_only=True)
class Paired:
    """
    One quantity, measured in turns.

    without, with_: (rounds, sets) float64, in one unit.
    """

    without: FloatArray
    with_: FloatArray

    def saving(self, seed: int = 0) -> tuple[float, float, float]:
        """(low, measured, high) of the share of the mean that the remedy saves; below 0 it costs."""
        before, after = self._drawn(seed)
        mean = float(self.without.mean())
        measured = (mean - float(self.with_.mean())) / mean if mean else 0.0
        ratios = (before - after) / np.where(before > 0, before, np.inf)
        low, high = np.quantile(ratios, [TAIL, 1 - TAIL])
        return min(float(low), measured), measured, max(float(high), measured)

    def saved(self, seed: int = 0) -> tuple[float, float, float]:
        """(low, measured, high) of what the remedy saves each time, in the unit measured."""
        before, after = self._drawn(seed)
        measured = float(self.without.mean() - self.with_.mean())
        low, high = np.quantile(before - after, [TAIL, 1 - TAIL])
        return min(float(low), measured), measured, max(float(high), measured)

    def effect(self, metric: str, unit: str, *, decides: bool = False, seed: int = 0) -> Effect:
        """Both sides' means with their intervals."""
        before, after = self._drawn(seed)
        (b_low, b_high), (a_low, a_high) = (np.quantile(each, [TAIL, 1 - TAIL]) for each in (before, after))
        was, now = float(self.without.mean()), float(self.with_.mean())
        return Effect(
            metric=metric, unit=unit, samples=int(self.without.size), decides=decides,
            before=was, before_low=min(float(b_low), was), before_high=max(float(b_high), was),
            after=now, after_low=min(float(a_low), now), after_high=max(float(a_high), now),
        )  # fmt: skip

    def _drawn(self, seed: int) -> tuple[FloatArray, FloatArray]:
        random = np.random.default_rng(seed)
        rounds, sets = self.without.shape
        r = _weights(random, rounds)
        s = _weights(random, sets)
        return np.einsum("dr,rs,ds->d", r, self.without, s), np.einsum("dr,rs,ds->d", r, self.with_, s)


def paired(without: Sequence[Sequence[float]], with_: Sequence[Sequence[float]]) -> Paired:
    """
    From lists: one a round, of one number a set.

    Raises:
        ValueError: the two are not of one shape, or empty.
    """
    one, other = np.array(without, dtype=np.float64), np.array(with_, dtype=np.float64)
    if one.shape != other.shape or one.ndim != 2 or not one.size:
        raise ValueError(f"rounds with and without must match: {one.shape} and {other.shape}")
    return Paired(without=one, with_=other)


def _weights(random: np.random.Generator, n: int) -> FloatArray:
    """(DRAWS, n): how often each is drawn, as a share; each row sums to 1."""
    drawn = random.integers(0, n, size=(DRAWS, n))
    rows = np.repeat(np.arange(DRAWS), n)
    return np.bincount(rows * n + drawn.ravel(), minlength=DRAWS * n).reshape(DRAWS, n) / n
