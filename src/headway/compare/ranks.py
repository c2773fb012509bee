"""
How often a request of B is slower than one of A: Mann and Whitney's statistic on the two histograms.

Among millions of requests any two runs differ "significantly", as answers that follow each other are alike and as a
difference of nothing is a difference. So what is said is the effect: the probability of superiority (Vargha and
Delaney's A; Cliff's delta is 2A - 1). Its interval and its p-value come from redrawn blocks, not from the number of
requests. Failed requests are slower than all, and tie with each other.

Source: Mann and Whitney 1947; Vargha and Delaney 2000; Cliff 1993; words for sizes: Romano et al. 2006.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from headway.compare.side import AT_ONCE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from headway.compare.side import Side

    FloatArray = NDArray[np.float64]

SIZES = ((0.147, "negligible"), (0.33, "small"), (0.474, "medium"), (math.inf, "large"))
"""Of Cliff's delta, as absolute value below the first."""


@dataclass(frozen=True, kw_only=True)
class Superiority:
    """
    How often a request of B is slower than one of A, ties counted half: 0.5 is no difference.

    low, high: its 95% interval; p: of no difference at all, at the level of blocks or rounds.
    """

    slower_ratio: float
    low: float
    high: float
    p: float

    @property
    def delta(self) -> float:
        """Cliff's: from -1, every request of B faster, to 1, every one slower."""
        return 2 * self.slower_ratio - 1

    @property
    def size(self) -> str:
        """In words."""
        return next(word for below, word in SIZES if abs(self.delta) < below)


def superiority(a: Side, b: Side) -> float:
    """The probability that a request of B is slower than one of A, ties counted half; nan without requests."""
    return float(_of(a, b, a.count.sum(axis=0, keepdims=True), b.count.sum(axis=0, keepdims=True))[0])


def redrawn(a: Side, b: Side, weights_a: FloatArray, weights_b: FloatArray) -> FloatArray:
    """(times,) the same of each redrawn pair."""
    step = max(1, AT_ONCE // max(1, a.count.shape[1] + b.count.shape[1]))
    parts = [
        _of(a, b, weights_a[at : at + step] @ a.count, weights_b[at : at + step] @ b.count)
        for at in range(0, len(weights_a), step)
    ]
    return np.concatenate(parts)


def interval(measured: float, drawn: FloatArray, *, inflation: float, freedom: float, level: float) -> Superiority:
    """
    The effect with its interval.

    Args:
        measured: of the whole runs.
        drawn: (times,) of the redrawn ones.
        inflation: of the standard error, for the few blocks.
        freedom: degrees of freedom for Student's t.
        level: of the interval.
    """
    error = float(drawn.std(ddof=1)) * inflation
    half = float(special.stdtrit(freedom, (1 + level) / 2)) * error
    p = 1.0 if measured == 0.5 else 0.0
    if error > 0:
        p = 2 * float(special.stdtr(freedom, -abs(measured - 0.5) / error))
    return Superiority(slower_ratio=measured, low=max(0.0, measured - half), high=min(1.0, measured + half), p=p)


def _of(a: Side, b: Side, counts_a: FloatArray, counts_b: FloatArray) -> FloatArray:
    """For each row: for every bucket of B, the requests of A in buckets below, and half of those in the same."""
    below = np.concatenate([np.zeros((len(counts_a), 1)), np.cumsum(counts_a, axis=1)], axis=1)
    first = np.searchsorted(a.buckets, b.buckets, side="left")
    past = np.searchsorted(a.buckets, b.buckets, side="right")
    slower_than = (below[:, first] + below[:, past]) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        found: FloatArray = (counts_b * slower_than).sum(axis=1) / (below[:, -1] * counts_b.sum(axis=1))
    return found
