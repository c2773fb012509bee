"""Count, sum, mean and spread of what happened between two readings of running counters."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Moments:
    """
    A running summary as pg_stat_statements keeps it: n values, their sum, mean, population deviation and extremes.

    All in one unit (ms in PostgreSQL). An empty one has zeros; its extremes mean nothing.
    """

    count: int = 0
    total: float = 0.0
    mean: float = 0.0
    deviation: float = 0.0
    minimum: float = 0.0
    maximum: float = 0.0

    @property
    def squares(self) -> float:
        """Sum of squared distances from the mean."""
        return self.count * self.deviation**2


@dataclass(frozen=True, kw_only=True)
class Between:
    """What was added between two readings. `minimum`/`maximum` are None when they may be from before."""

    count: int
    total: float
    squares: float
    minimum: float | None
    maximum: float | None

    @property
    def mean(self) -> float:
        return self.total / self.count

    @property
    def deviation(self) -> float:
        return math.sqrt(self.squares / self.count)


def between(before: Moments, after: Moments) -> Between:
    """
    The values added between two readings of the same counters; `after.count > before.count`.

    Formula: with n added values of mean m to b values of mean B,
    M2_added = M2_after - M2_before - (m - B)^2 * b * n / (b + n).
    The difference of nearly equal sums keeps only rounding noise; M2_added is not taken below that noise, so that a
    spread that can't be known is not shown as none.

    Source: Chan, Golub, LeVeque (1983), "Algorithms for Computing the Sample Variance", pairwise formula, solved for
    the second part.
    """
    count = after.count - before.count
    total = max(after.total - before.total, 0.0)
    if before.count == 0:
        return Between(count=count, total=total, squares=after.squares, minimum=after.minimum, maximum=after.maximum)
    shift = total / count - before.mean
    squares = after.squares - before.squares - shift**2 * before.count * count / after.count
    noise = 8 * sys.float_info.epsilon * (after.squares + after.count * after.mean**2)
    return Between(
        count=count,
        total=total,
        squares=max(squares, noise),
        # An extreme that moved between the readings was reached between them.
        minimum=after.minimum if after.minimum < before.minimum else None,
        maximum=after.maximum if after.maximum > before.maximum else None,
    )


def joined(parts: list[Between]) -> Between:
    """Several groups of values as one (Chan's formula); an extreme is known when every part's is."""
    count = sum(part.count for part in parts)
    total = sum(part.total for part in parts)
    mean = total / count
    minima = [part.minimum for part in parts]
    maxima = [part.maximum for part in parts]
    return Between(
        count=count,
        total=total,
        squares=sum(part.squares + part.count * (part.mean - mean) ** 2 for part in parts),
        minimum=None if None in minima else min(each for each in minima if each is not None),
        maximum=None if None in maxima else max(each for each in maxima if each is not None),
    )
