"""
The level of a phase over its time: requests per second, or users. Warm-up at the first level, then straight lines.

Times are seconds since the measured time began; the warm-up's are negative.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from headway.model import LoadModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from headway.model import Phase

    FloatArray = NDArray[np.float64]


class Shape:
    """
    A level that runs in straight lines, and what it adds up to.

    Args:
        phase: its `stages`, from its rate or its users on. After the last the level stays where it is.
    """

    def __init__(self, phase: Phase) -> None:
        level = float((phase.rate_per_s if phase.model is LoadModel.OPEN else phase.users) or 0.0)
        rows = [(-phase.warmup_s, level, level)]
        at_s = 0.0
        for stage in phase.stages:
            if stage.duration_s > 0:
                rows.append((at_s, level, stage.target))
            at_s += stage.duration_s
            level = stage.target
        rows.append((at_s, level, level))
        self._start_s, self._from, self._to = np.array(rows, dtype=np.float64).T
        lengths = np.diff(self._start_s)
        self._slope = np.append((self._to[:-1] - self._from[:-1]) / np.where(lengths > 0, lengths, 1.0), 0.0)
        sums = lengths * (self._from[:-1] + self._to[:-1]) / 2
        self._sum = np.concatenate([[0.0], np.cumsum(sums)])

    def level(self, at_s: float) -> float:
        """The level at a moment; at a jump, the one after it."""
        part = max(int(np.searchsorted(self._start_s, at_s, side="right")) - 1, 0)
        return float(self._from[part] + self._slope[part] * (max(at_s, self._start_s[0]) - self._start_s[part]))

    def total(self, at_s: float) -> float:
        """The integral of the level from the warm-up's begin to `at_s`."""
        part = max(int(np.searchsorted(self._start_s, at_s, side="right")) - 1, 0)
        x = max(at_s, self._start_s[0]) - self._start_s[part]
        return float(self._sum[part] + x * (self._from[part] + self._slope[part] * x / 2))

    def reached_s(self, totals: FloatArray) -> FloatArray:
        """
        When the integral reaches each of `totals`: the inverse of `total`.

        Args:
            totals: (n,) in order, from 0 on.

        Returns:
            (n,) seconds since the warm-up's begin; inf for what is never reached.
        """
        part = np.clip(np.searchsorted(self._sum, totals, side="right") - 1, 0, None)
        left, level, slope = totals - self._sum[part], self._from[part], self._slope[part]
        # 2y / (v + sqrt(v^2 + 2ay)) solves v x + a x^2 / 2 = y without cancellation, and is y / v where a is 0.
        root = level + np.sqrt(np.maximum(level * level + 2 * slope * left, 0.0))
        x = np.divide(2 * left, root, out=np.where(left > 0, np.inf, 0.0), where=root > 0)
        found: FloatArray = self._start_s[part] - self._start_s[0] + x
        return found


def rate_at(phase: Phase, at_s: float) -> float:
    """Starts per second that an open phase intends at a moment of its measured time."""
    return Shape(phase).level(at_s)


def users_at(phase: Phase, at_s: float) -> int:
    """Users that a closed phase has at a moment of its measured time."""
    return round(Shape(phase).level(at_s))


def peak(phase: Phase) -> float:
    """The highest level of the phase."""
    level = (phase.rate_per_s if phase.model is LoadModel.OPEN else phase.users) or 0.0
    return max([float(level), *(stage.target for stage in phase.stages)])


def most(phase: Phase) -> int:
    """The most requests that can be in flight at once: one a user, or one a connection."""
    return phase.max_connections if phase.model is LoadModel.OPEN else max(1, round(peak(phase)))
