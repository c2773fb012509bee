"""Axes: where the ticks stand and what they say. Values in base units, positions as ratios 0..1 of the plot."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headway.report.words import ns_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LOG_FROM_RATIO = 50.0  # a linear axis hides what is 50 times smaller than its top
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, kw_only=True)
class Tick:
    at: float  # 0..1 along the axis
    label: str


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One axis from `low` to `high`; `log` axes have low > 0."""

    low: float
    high: float
    ticks: tuple[Tick, ...]
    log: bool = False

    def at(self, value: float) -> float:
        """Where a value stands, 0..1; values outside stand on the edge."""
        if self.log:
            value = max(value, self.low)
            place = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            place = (value - self.low) / (self.high - self.low)
        return min(1.0, max(0.0, place))


def ticks(low: float, high: float, most: int) -> tuple[float, ...]:
    """
    Round numbers from `low` to `high`, at most `most`, steps of 1, 2, 2.5 or 5 times a power of ten.

    Source: Heckbert, "Nice numbers for graph labels", Graphics Gems, 1990.
    """
    if not high > low:
        return (low,)
    rough = (high - low) / max(1, most - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * each for each in _STEPS if power * each >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return tuple(index * step for index in range(first, math.floor(high / step + 1e-9) + 1))


def linear(high: float, label: Callable[[float], str], *, most: int = 6, low: float = 0.0) -> Axis:
    """An axis from `low` up to the first round number at or above `high`."""
    high = high if high > low and math.isfinite(high) else low + 1.0
    marks = ticks(low, high, most)
    if marks[-1] < high * (1 - 1e-9):
        step = marks[1] - marks[0] if len(marks) > 1 else high - low
        marks = (*marks, marks[-1] + step)
    top = marks[-1]
    placed = tuple(Tick(at=(mark - low) / (top - low), label=label(mark)) for mark in marks)
    return Axis(low=low, high=top, ticks=placed)


def latency(values: Sequence[float]) -> Axis:
    """An axis for latencies in ns: linear while one can see all of them on it, else logarithmic. 0..1 ms for none."""
    good = [each for each in values if math.isfinite(each) and each > 0]
    if not good:
        return linear(1e6, ns_label)
    low, high = min(good), max(good)
    if high / low < LOG_FROM_RATIO:
        return linear(high * 1.05, ns_label)
    bottom, top = 10 ** math.floor(math.log10(low)), 10 ** math.ceil(math.log10(high) - 1e-9)
    decades = round(math.log10(top / bottom))
    every = -(-decades // 6)
    marks = [bottom * 10.0**exponent for exponent in range(0, decades + 1, every)]
    placed = tuple(Tick(at=index * every / decades, label=ns_label(mark)) for index, mark in enumerate(marks))
    return Axis(low=bottom, high=top, ticks=placed, log=True)


def seconds(length_s: float, *, most: int = 6) -> Axis:
    """A time axis that ends where the phase ends, not at the next round number."""
    length_s = max(1.0, length_s)
    marks = _time_marks(length_s, most)
    return Axis(low=0.0, high=length_s, ticks=tuple(Tick(at=mark / length_s, label=time_label(mark)) for mark in marks))


def percentiles(decades: float) -> Axis:
    """The HDR axis, x = log10(1 / (1 - q)): 0%, 90%, 99%, 99.9% at equal distances; the median where it has room."""
    high = max(1.0, decades)
    median = -math.log10(0.5)
    marks = [(0.0, "0%")] + ([(median, "50%")] if median / high > 0.12 else [])
    every = 1 if high < 5 else 2
    nines = range(1, math.floor(high + 1e-9) + 1, every)
    marks += [(float(each), f"{(1 - 10.0**-each) * 100:.10g}%") for each in nines]
    return Axis(low=0.0, high=high, ticks=tuple(Tick(at=at / high, label=label) for at, label in marks))


def ns_label(value: float) -> str:
    """Tick labels have no needless zeros: "250 ms", not "250.0 ms"."""
    if value == 0:
        return "0"
    number, _, unit = ns_text(value).partition(" ")
    return f"{number.rstrip('0').rstrip('.') if '.' in number else number} {unit}"


def count_label(value: float) -> str:
    """1500 -> "1.5K"."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "K")):
        if abs(value) >= size:
            return f"{value / size:.4g}{unit}"
    return f"{value:.4g}"


def percent_label(value: float) -> str:
    return f"{value * 100:.4g}%"


def bytes_label(value: float) -> str:
    """Decimal units, as the ticks stand at decimal places: "2 MB/s"."""
    for size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if abs(value) >= size:
            return f"{value / size:.4g} {unit}/s"
    return f"{value:.4g} B/s" if value else "0"


def time_label(value: float) -> str:
    """90 -> "1:30"; seconds below a minute keep their unit."""
    if value < 60:
        return f"{value:.4g} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"


def _time_marks(length_s: float, most: int) -> tuple[float, ...]:
    for step in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400):
        if length_s / step <= most - 1:
            return tuple(float(mark) for mark in range(0, math.floor(length_s) + 1, step))
    return ticks(0.0, length_s, most)
