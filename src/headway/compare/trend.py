"""
Where the runs of one traffic and load have gone: +4% a release is within every release's tolerance, and adds up.

Each run is one point, whatever its own interval: what differs from run to run is in the points. The slope is Theil and
Sen's median of all slopes between two runs, in percent a run; whether there is one at all is Mann and Kendall's test.
One bad run moves neither.

Source: Sen 1968; Mann 1945, Kendall 1975.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from headway.compare.baseline import QUANTILES, figures_ns
from headway.compare.calls import Call
from headway.model import ExitCode
from headway.thresholds import CONFIDENCE_RATIO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from headway.compare.margin import Margin
    from headway.compare.sample import Run

    FloatArray = NDArray[np.float64]

FEWEST_RUNS = 5
"""Of four runs that all rise, one set in 24 does so by chance, either way one in 12: no test can call that a trend."""


@dataclass(frozen=True, kw_only=True)
class Trend:
    """
    One percentile of all requests of one phase over runs, oldest first.

    a_run: median change from a run to the next, as a ratio; low, high: its 95% interval; p: of no trend at all (Mann
    and Kendall); None where there are too few runs. since_first: last / first - 1. largest_step: largest increase from
    one run to the next. creeping: every step was within what matters, and together they are not.
    """

    phase: str
    quantile: float
    runs: tuple[str, ...]
    values_ns: tuple[float, ...]
    a_run: float | None
    low: float | None
    high: float | None
    p: float | None
    since_first: float
    largest_step: float
    creeping: bool
    matters: float

    @property
    def call(self) -> Call:
        """Worse when what the runs add up to is beyond what matters with the slope's whole interval."""
        if self.low is None or self.high is None:
            return Call.OPEN
        steps = len(self.values_ns) - 1
        low, high = ((1 + each) ** steps - 1 for each in (self.low, self.high))
        if low > self.matters:
            return Call.WORSE
        if high < -self.matters:
            return Call.BETTER
        if high <= self.matters:
            return Call.SAME if low >= -self.matters else Call.NOT_WORSE
        return Call.OPEN


def exit_code(found: Sequence[Trend]) -> ExitCode:
    """3 when any percentile went up by more than matters, 4 when one may have."""
    calls = {each.call for each in found}
    if Call.WORSE in calls:
        return ExitCode.BROKEN
    return ExitCode.INCONCLUSIVE if Call.OPEN in calls or not calls else ExitCode.KEPT


def trends(runs: Sequence[Run], margin: Margin) -> tuple[Trend, ...]:
    """
    The trend of each phase and percentile.

    Args:
        runs: of the same traffic and load, oldest first.
        margin: the differences that matter.
    """
    if len(runs) < 2:
        return ()
    figures = [{name: figures_ns(each) for name, each in run.samples.items()} for run in runs]
    shared = [name for name in runs[0].samples if all(name in each for each in figures)]
    return tuple(
        of_values(name, q, tuple(each.id for each in runs), tuple(each[name][at] for each in figures), margin)
        for name in shared
        for at, q in enumerate(QUANTILES)
    )


def of_values(phase: str, q: float, runs: tuple[str, ...], values_ns: tuple[float, ...], margin: Margin) -> Trend:
    """
    The trend of one series.

    Args:
        phase, q: what it is of.
        runs: their ids, oldest first.
        values_ns: one for each; inf where the rank fell among failed requests.
        margin: the differences that matter.
    """
    steps = [_change(one, two) for one, two in pairwise(values_ns)]
    since, matters = _change(values_ns[0], values_ns[-1]), margin.latency_ratio(values_ns[0])
    small = all(step <= margin.latency_ratio(one) for step, one in zip(steps, values_ns, strict=False))
    a_run = low = high = p = None
    if len(values_ns) >= FEWEST_RUNS and all(math.isfinite(each) and each > 0 for each in values_ns):
        a_run, low, high = slope(np.log(values_ns))
        p = kendall(np.array(values_ns))
    return Trend(
        phase=phase, quantile=q, runs=runs, values_ns=values_ns, a_run=a_run, low=low, high=high, p=p,
        since_first=since, largest_step=max(steps), creeping=small and since > matters, matters=matters,
    )  # fmt: skip


def _change(one: float, two: float) -> float:
    if math.isinf(one) and math.isinf(two):
        return 0.0
    return two / one - 1 if one > 0 else math.nan


def slope(logs: FloatArray) -> tuple[float, float, float]:
    """
    Theil and Sen's slope and its 95% interval, as ratios a step.

    Args:
        logs: (n,) logarithms of the values.
    """
    n = len(logs)
    one, two = np.triu_indices(n, 1)
    slopes = np.sort((logs[two] - logs[one]) / (two - one))
    reach = float(special.ndtri((1 + CONFIDENCE_RATIO) / 2)) * math.sqrt(_variance(logs))
    low = max(0, math.floor((len(slopes) - reach) / 2) - 1)
    high = min(len(slopes) - 1, math.ceil((len(slopes) + reach) / 2))
    return (
        math.expm1(float(np.median(slopes))),
        math.expm1(float(slopes[low])),
        math.expm1(float(slopes[high])),
    )


def kendall(values: FloatArray) -> float:
    """Mann and Kendall's p of no trend, either way; normal approximation with continuity correction."""
    one, two = np.triu_indices(len(values), 1)
    score = float(np.sign(values[two] - values[one]).sum())
    spread = math.sqrt(_variance(values))
    if spread == 0:
        return 1.0
    return min(1.0, 2 * float(special.ndtr(-max(0.0, abs(score) - 1) / spread)))


def _variance(values: FloatArray) -> float:
    """Of Kendall's score where there is no trend, ties taken off."""
    n = len(values)
    ties = np.unique(values, return_counts=True)[1]
    return float(n * (n - 1) * (2 * n + 5) - (ties * (ties - 1) * (2 * ties + 5)).sum()) / 18
