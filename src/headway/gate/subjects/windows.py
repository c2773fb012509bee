"""
Latency by windows: the share of the phase's windows in each of which the statistic holds.

A request belongs to the second in which its answer came. A window without a single answer does not count as kept: the
service stood still. Where nothing was due in it, or that is not known, it breaks no promise either: when such windows
decide, nothing is decided.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from headway.gate.case import Answer, inconclusive, weighed
from headway.load import histogram, intervals
from headway.model import Clause, Comparison, Side, State, Subject
from headway.thresholds import MIN_BATCHES, THROUGHPUT_MAX_ERROR_RATIO

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from headway.gate.seconds import Answers
    from headway.model import Statistic

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]
    BoolArray = NDArray[np.bool_]

SOURCE = "load generator, windows of the phase, from the intended send time"
FEW_IN_WINDOW = 20
"""Answers in the middle window below which it is said how few its statistic rests on."""


def judge(clause: Clause, found: Answers, planned: IntArray | None) -> Answer:
    """
    The share of windows against the share promised.

    Args:
        clause: a latency with `windows_ratio`, `window_s`, a statistic, a comparison and a limit.
        found: the answers of its phase and route.
        planned: (s,) requests due by second; None where it is not known, as for one route.
    """
    ratio, window_s = clause.windows_ratio or 0.0, clause.window_s or 1
    count = found.seconds // window_s
    if count < MIN_BATCHES:
        return inconclusive(
            f"too few windows of {window_s} s: {count}; measure at least {MIN_BATCHES * window_s} s", source=SOURCE
        )
    kept, requests = held(clause, found, count)
    idle = _idle(found, planned, requests, window_s)
    interval = intervals.share(kept.astype(np.float64), np.ones(count))
    if interval is None:
        return inconclusive("no window was measured; run longer", source=SOURCE)
    promised = Clause(
        subject=Subject.AVAILABILITY, side=Side.CLIENT, comparison=Comparison.GE, limit=ratio
    )  # the share itself: at least so many windows
    answer = weighed(promised, interval, source=SOURCE, note=_note(kept, requests, window_s, _further(interval, ratio)))
    if answer.state is State.BROKEN and idle.any():
        best = intervals.share((kept | idle).astype(np.float64), np.ones(count))
        if best is not None and best.high >= ratio:
            return inconclusive(
                f"{idle.sum():,} of {count:,} windows have no request to judge, and they decide; take longer windows,"
                " or send more",
                source=SOURCE,
            )
    return answer


def _idle(found: Answers, planned: IntArray | None, requests: FloatArray, window_s: int) -> BoolArray:
    """Windows without an answer in which, as far as is known, none was due: nothing waited, nothing was planned."""
    count = len(requests)
    if planned is None:
        return np.equal(requests, 0)
    window = np.minimum(np.arange(found.seconds) // window_s, count - 1)
    due = np.cumsum(np.bincount(window, weights=planned[: found.seconds], minlength=count))
    idle: BoolArray = (requests == 0) & (due <= np.cumsum(requests))
    return idle


def held(clause: Clause, found: Answers, count: int) -> tuple[BoolArray, FloatArray]:
    """
    In which windows the statistic is within the limit, and how many requests ended in each.

    Args:
        clause: as `judge` has it.
        found: the answers.
        count: windows; what is left over at the end of the phase belongs to the last one.

    Returns:
        (count,) bool, (count,) requests, failures included; they are slower than any limit.
    """
    window = np.minimum(np.arange(found.seconds) // (clause.window_s or 1), count - 1)
    failed, requests = (
        np.bincount(window, weights=each, minlength=count).astype(np.float64) for each in (found.failed, found.totals)
    )
    limit, statistic = clause.limit or 0.0, clause.statistic
    highest = histogram.highest_ns(found.cells.bucket)
    within = highest <= limit if clause.comparison is Comparison.LE else highest < limit
    second = np.clip(found.cells.second, 0, found.seconds - 1)
    fast = np.bincount(window[second[within]], weights=found.cells.count[within], minlength=count)
    if statistic is None or not statistic.average:
        return (fast >= _rank(statistic, requests)) & (requests > 0), requests
    sums = np.bincount(window, weights=found.sums_ns(), minlength=count)
    good = requests - failed
    average = np.divide(sums, good, out=np.full(count, np.inf), where=good > 0)
    low = average <= limit if clause.comparison is Comparison.LE else average < limit
    # An average of the few that got through flatters.
    return low & (failed <= THROUGHPUT_MAX_ERROR_RATIO * requests), requests


def _rank(statistic: Statistic | None, requests: FloatArray) -> FloatArray:
    """How many of a window's requests must be within the limit: all for a maximum, ceil(q n) for a quantile."""
    if statistic is not None and statistic.maximum:
        return requests
    q = 0.95 if statistic is None or statistic.quantile is None else statistic.quantile
    return np.ceil(q * requests - 1e-9)


def _further(interval: intervals.Interval, ratio: float) -> int | None:
    open_still = interval.low < ratio <= interval.high
    return intervals.further_samples(interval, ratio, interval.measured) if open_still else None


def _note(kept: BoolArray, requests: FloatArray, window_s: int, further: int | None) -> str:
    said = [f"{kept.sum():,} of {len(kept):,} windows of {window_s} s hold it"]
    empty = int((requests == 0).sum())
    if empty:
        said.append(f"{empty:,} have no answer, and don't count as kept")
    middle = float(np.median(requests))
    if middle < FEW_IN_WINDOW:
        said.append(f"the middle one rests on {middle:,.0f} requests")
    if further is not None:
        said.append(f"about {further * window_s:,} s more would settle it")
    return "; ".join(said)
