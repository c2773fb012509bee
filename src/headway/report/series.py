"""
Evidence folded into lines that can be drawn: x and y arrays, NaN where there is nothing to draw.

Long runs have more seconds than a chart has pixels. `thinned` says by which rule several seconds became one point:
latencies and saturation keep the highest (a peak is never averaged away), rates keep the mean, counts the sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from headway.load import histogram
from headway.report.figures import quantile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from headway.model import HostSecond, LatencyCells, PhaseHits, ProcessSecond
    from headway.model.hits import IntArray

    FloatArray = NDArray[np.float64]

MOST_POINTS = 600
LINE_QUANTILES = (0.50, 0.95, 0.99)


class Thinning(StrEnum):
    """How several seconds become one point."""

    HIGHEST = "the highest"
    MEAN = "the mean"
    SUM = "the sum"


@dataclass(frozen=True, kw_only=True)
class Series:
    """One line: x (n,) ascending, y (n,) with NaN for a gap."""

    name: str
    x: FloatArray
    y: FloatArray


def thinned(y: FloatArray, rule: Thinning) -> tuple[FloatArray, int]:
    """
    At most MOST_POINTS values, and how many of the given ones each stands for.

    Args:
        y: (n,) values, NaN for none.
        rule: what a point keeps of those it stands for; NaN only where all are.

    Returns:
        (ceil(n / step),) values and step; point i stands for y[i * step:(i + 1) * step].
    """
    step = -(-len(y) // MOST_POINTS)
    if step <= 1:
        return y, 1
    padded = np.full(-(-len(y) // step) * step, np.nan)
    padded[: len(y)] = y
    rows = padded.reshape(-1, step)
    some = ~np.isnan(rows).all(axis=1)
    out = np.full(len(rows), np.nan)
    match rule:
        case Thinning.HIGHEST:
            out[some] = np.nanmax(rows[some], axis=1)
        case Thinning.MEAN:
            out[some] = np.nanmean(rows[some], axis=1)
        case Thinning.SUM:
            out[some] = np.nansum(rows[some], axis=1)
    return out, step


def per_second(name: str, y: FloatArray, rule: Thinning) -> Series:
    """A line over the seconds of a phase, x at the beginning of what each point stands for."""
    values, step = thinned(np.asarray(y, dtype=np.float64), rule)
    return Series(name=name, x=np.arange(len(values), dtype=np.float64) * step, y=values)


def step_of(seconds: int) -> int:
    """How many seconds one point of a phase this long stands for."""
    return max(1, -(-seconds // MOST_POINTS))


def failed_per_second(hits: PhaseHits) -> FloatArray:
    """(s,) failed requests by second; what failed after the measured time is counted in its last second."""
    out = np.zeros(hits.seconds)
    if hits.seconds:
        np.add.at(out, np.clip(hits.failures.second, 0, hits.seconds - 1), hits.failures.count)
    return out


def came_late(hits: PhaseHits) -> bool:
    """Whether an answer or a failure came after the measured time: requests that were due in it, and waited."""
    return any(len(each) and int(each.max()) >= hits.seconds for each in (hits.response.second, hits.failures.second))


def latency_per_second(cells: LatencyCells, failed: FloatArray, seconds: int) -> FloatArray:
    """
    Quantiles of each second, ns.

    Args:
        cells: one measure of one phase.
        failed: (s,) failed requests of each second; they count as never answered.
        seconds: s.

    Returns:
        (len(LINE_QUANTILES), s): NaN in a second without a good answer, inf where the rank falls among failures.
    """
    out = np.full((len(LINE_QUANTILES), seconds), np.nan)
    for second, counts in _by_second(cells, seconds):
        for row, q in enumerate(LINE_QUANTILES):
            value = quantile(counts, q, int(failed[second]))
            out[row, second] = np.nan if value is None else value
    return out


def by_percentile(counts: IntArray, failed: int) -> tuple[FloatArray, FloatArray]:
    """
    The whole distribution on an HDR axis, x = log10(1 / (1 - q)), failures ranked above every answer.

    Args:
        counts: (BUCKETS,) good answers.
        failed: requests never answered.

    Returns:
        x and latency in ns, (n,) each, n <= MOST_POINTS + 2: one point per used bucket at the highest rank it reaches,
        and where buckets crowd, the highest of each stretch of the axis. The slowest of all requests has no percentile
        below 1: it is drawn half a request before it.
    """
    used = np.flatnonzero(counts)
    total = int(counts.sum()) + failed
    if not total or not len(used):
        return np.empty(0), np.empty(0)
    ranks = np.minimum(np.cumsum(counts[used]) / total, 1 - 1 / (2 * total))
    x, values = -np.log10(1 - ranks), histogram.highest_ns(used).astype(np.float64)
    stretch = np.floor(x / max(float(x[-1]), 1e-12) * MOST_POINTS)
    last = np.flatnonzero(np.append(np.diff(stretch) > 0, True))  # values ascend: the last of a stretch is its highest
    # A curve begins at the lowest latency, not at the first bucket's upper rank.
    return np.concatenate(([0.0], x[last])), np.concatenate((values[:1], values[last]))


def ratio_per_second(triples: Sequence[tuple[int, int, int]], seconds: int) -> FloatArray:
    """(s,) first / (first + second) of `(second, first, second)` triples; NaN where neither moved."""
    first, other = np.zeros(seconds), np.zeros(seconds)
    for second, a, b in triples:
        if 0 <= second < seconds:
            first[second] += a
            other[second] += b
    total = first + other
    out = np.full(seconds, np.nan)
    np.divide(first, total, out=out, where=total > 0)
    return out


def host_column(host: Sequence[HostSecond], name: str, field: str, since_s: float) -> Series:
    """One field of the machine's seconds, x in seconds since `since_s`; peaks are kept."""
    x = np.array([each.at_s - since_s for each in host])
    y = np.array([getattr(each, field) for each in host], dtype=np.float64)
    return _thinned_pair(name, x, y)


def process_cores(processes: Sequence[ProcessSecond], since_s: float) -> tuple[Series, ...]:
    """Cores used by each watched process, busiest first."""
    by_name: dict[str, list[ProcessSecond]] = {}
    for each in processes:
        by_name.setdefault(each.name, []).append(each)
    lines = [
        _thinned_pair(name, np.array([e.at_s - since_s for e in seen]), np.array([e.cpu_cores for e in seen]))
        for name, seen in by_name.items()
    ]
    return tuple(sorted(lines, key=lambda line: -float(np.nanmean(line.y))))


def _thinned_pair(name: str, x: FloatArray, y: FloatArray) -> Series:
    values, step = thinned(y, Thinning.HIGHEST)
    return Series(name=name, x=x[::step], y=values)


def _by_second(cells: LatencyCells, seconds: int) -> Iterator[tuple[int, IntArray]]:
    """
    (second, (BUCKETS,) counts) of each second that has any; cells sorted once, not searched once a second.

    The slowest answers of an overloaded service come after the measured time: they count in its last second, as in the
    gate, and are never left out.
    """
    second_of = np.clip(cells.second, 0, max(0, seconds - 1))
    order = np.argsort(second_of, kind="stable")
    edges = np.searchsorted(second_of[order], np.arange(seconds + 1))
    for second in range(seconds):
        chosen = order[edges[second] : edges[second + 1]]
        if len(chosen):
            counts = np.zeros(histogram.BUCKETS, dtype=np.int64)
            np.add.at(counts, cells.bucket[chosen], cells.count[chosen])
            yield second, counts
