"""
Resampling that keeps what hangs together: blocks of consecutive seconds, or whole rounds of A and B.

Answers that follow each other are alike, so a bootstrap over requests makes any two runs differ. Within one run whole
blocks of seconds are drawn, as long as the latencies' swings ask for. Where A and B were run in turns, whole rounds
are drawn, A and B of a round together: what disturbs both falls out of their difference.

Source: Politis and Romano 1992 (circular block bootstrap); Politis and White 2004, corrected 2009 (block length);
Hesterberg 2015 (a bootstrap's standard error is too small by (k - 1) / k, and Student's t with few blocks).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

MOST_BLOCKS = 15
"""More and shorter ones hang together where a queue is long; see gate.intervals.MOST_BATCHES."""
FEWEST_BLOCKS = 5
"""Fewer say nothing of how much they differ: Student's t with 4 degrees of freedom is 2.8, with 2 it is 4.3."""


def length(series: Sequence[FloatArray]) -> int:
    """
    Stretches a block should have so that blocks hardly hang together: the longest any series asks for.

    Args:
        series: each (n,), of the same n: what is counted in each stretch.

    Returns:
        At least n / MOST_BLOCKS.
    """
    n = len(series[0])
    return max(math.ceil(n / MOST_BLOCKS), *(_politis_white(each) for each in series))


def _politis_white(x: FloatArray) -> int:
    """The block length at which a mean's variance is estimated best; 1 where nothing hangs together."""
    n = len(x)
    centred = x - x.mean()
    variance = float(centred @ centred) / n
    if n < 4 or variance == 0:
        return 1
    in_row = max(5, math.ceil(math.sqrt(math.log10(n))))
    most = min(n - 1, math.ceil(math.sqrt(n)) + in_row)
    covariance = np.array([float(centred[: n - lag] @ centred[lag:]) / n for lag in range(most + 1)])
    small = np.abs(covariance[1:] / variance) < 2 * math.sqrt(math.log10(n) / n)
    # The first lag after which a run of them is small; where none is, the last that isn't.
    runs = (lag for lag in range(len(small)) if small[lag : lag + in_row].all())
    m = next(runs, int(np.flatnonzero(~small).max(initial=0)) + 1)
    if m == 0:
        return 1
    m = min(2 * m, most)
    lags = np.arange(-m, m + 1)
    window = np.minimum(1.0, 2 * (1 - np.abs(lags) / m))  # flat-topped
    weighted = window * covariance[np.abs(lags)]
    spread, spectrum = float((np.abs(lags) * weighted).sum()), float(weighted.sum())
    longest = math.ceil(n / 3)
    if spectrum <= 0:
        return 1
    best = float((2 * spread**2 / (4 / 3 * spectrum**2) * n) ** (1 / 3))
    return min(longest, max(1, math.ceil(best)))


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
