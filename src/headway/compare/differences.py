"""
Two sides to their differences: each figure's change with its interval, and what that says.

All intervals of one comparison hold together with 95%: they are widened by how far the farthest of them strays when
blocks are redrawn, so that looking at more routes and percentiles finds no more differences that are not there. What
is "slower" lies beyond the difference that matters with its whole interval; what overlaps can't be told.

Source: Westfall and Young 1993, ch. 2 (the largest of several); Welch 1947 (degrees of freedom); Newcombe 1998 (the
difference of two shares).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from headway.compare import blocks, ranks, side
from headway.compare.calls import Call, Difference, Measure, PhaseDifferences, RouteShift, called
from headway.load import intervals
from headway.thresholds import COMPARE_MIN_BEYOND, CONFIDENCE_RATIO, MIN_BATCHES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from headway.compare.margin import Margin
    from headway.compare.sample import Sample
    from headway.compare.side import Side

    FloatArray = NDArray[np.float64]

TIMES = 1_000
"""How often blocks are redrawn: the standard error is then known to 2%."""
SEED = 20_250_101
FEWEST_ROUNDS = 3
RESOLUTION = 1 / 1024
"""What the histogram can tell apart: an interval is at least that wide to either side."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """
    What is compared. `quantiles` of all requests together, `route_quantiles` of each route; those in `required` can't
    be told when there are too few requests for them, others are left out and said so.
    """

    quantiles: tuple[float, ...] = (0.50, 0.95, 0.99, 0.999)
    route_quantiles: tuple[float, ...] = (0.50, 0.95)
    required: tuple[float, ...] = (0.50, 0.95, 0.99)


@dataclass(frozen=True, kw_only=True)
class _Figure:
    """A figure, its estimates, and (times,) both sides' redrawn ones."""

    measure: Measure
    quantile: float | None
    route: str | None
    a: float
    b: float
    drawn_a: FloatArray
    drawn_b: FloatArray


@dataclass(frozen=True, kw_only=True)
class _Drawing:
    """
    How often each stretch or round of either side is drawn; `paired`: the same rounds on both.

    inflation: of the variance of what is redrawn, of either side; freedom: its degrees of freedom.
    """

    a: FloatArray
    b: FloatArray
    inflation: tuple[float, float]
    freedom: tuple[float, float]
    paired: bool
    basis: str


def of_phase(
    a: Sequence[Sample], b: Sequence[Sample], routes: Sequence[str], *, margin: Margin, asked: Asked
) -> PhaseDifferences:
    """
    The differences of one phase.

    Args:
        a, b: the phase in one run each, or in as many rounds each, in the order they were run.
        routes: the runs' route names.
        margin: the differences that matter.
        asked: which figures.
    """
    # With one route alone, all routes say it already.
    names: dict[int | None, str | None] = {None: None} | dict(enumerate(routes if len(routes) > 1 else ()))
    sides = {index: _sides(a, b, index) for index in names}
    drawing = _drawing(*sides[None], rounds=len(a), seconds=(a[0].seconds, b[0].seconds))
    if isinstance(drawing, str):
        return _nothing(a[0].phase, drawing, sides[None], asked)
    figures: list[_Figure] = []
    left_out: list[str] = []
    for index, (one, two) in sides.items():
        wanted = asked.quantiles if index is None else asked.route_quantiles
        fit = tuple(q for q in wanted if _enough(one, two, q))
        shown = asked.required if index is None else ()
        left_out += [_too_few(q, names[index], one, two) for q in wanted if q not in fit and q not in shown]
        figures += _figures(one, two, drawing, fit, names[index])
    open_ones = [
        _unknown(q, *sides[None], _too_few(q, None, *sides[None]))
        for q in asked.quantiles
        if q in asked.required and not _enough(*sides[None], q)
    ]
    told, level = _told(figures, drawing, margin)
    errors = [
        _errors(one, two, names[index], margin)
        for index, (one, two) in sides.items()
        if index is None or one.failed.any() or two.failed.any()
    ]
    shifts = [
        _shift(one, two, drawing, names[index]) for index, (one, two) in sides.items() if one.requests and two.requests
    ]
    return PhaseDifferences(
        phase=a[0].phase,
        basis=drawing.basis,
        level=level,
        differences=tuple(sorted((*open_ones, *told, *errors), key=lambda each: _place(each, routes))),
        shifts=tuple(each for each in shifts if not math.isnan(each.superiority.slower_ratio)),
        left_out=tuple(left_out),
    )


def _place(each: Difference, routes: Sequence[str]) -> tuple[int, int, float]:
    """All routes first, then each in the scenario's order; latencies, then throughput, then errors."""
    return (
        -1 if each.route is None else list(routes).index(each.route),
        list(Measure).index(each.measure),
        each.quantile or 0.0,
    )


def _sides(a: Sequence[Sample], b: Sequence[Sample], route: int | None) -> tuple[Side, Side]:
    if len(a) == 1:
        return side.of_run(a[0], route), side.of_run(b[0], route)
    return side.of_rounds(a, route), side.of_rounds(b, route)


def _drawing(a: Side, b: Side, *, rounds: int, seconds: tuple[int, int]) -> _Drawing | str:
    """What is redrawn, or why nothing can be."""
    random = np.random.default_rng(SEED)
    if rounds > 1:
        weights = blocks.drawn(rounds, 1, TIMES, random)
        return _Drawing(
            a=weights, b=weights, inflation=(rounds / (rounds - 1),) * 2, freedom=(rounds - 1,) * 2, paired=True,
            basis=f"{rounds} rounds of A and B in turns, drawn as pairs",
        )  # fmt: skip
    if min(seconds) < MIN_BATCHES:
        return f"{min(seconds)} s are too few: measure at least {MIN_BATCHES} s, better 60"
    drawn, inflation, freedom, lengths = [], [], [], []
    counted = [[*(each.above(q) for q in (0.5, 0.95, 0.99)), each.in_time()] for each in (a, b)]
    if a.unit_s == b.unit_s:  # what hangs together in one run hangs together in the other, and two show it better
        swings = [blocks.swing(zip(*counted, strict=True))] * 2
    else:
        swings = [blocks.swing([each] for each in one) for one in counted]
    for each, swing in zip((a, b), swings, strict=True):
        n = len(each.count)
        if n < blocks.FEWEST_SWINGS * swing.stretches:
            lasts_s = swing.stretches * each.unit_s
            return (
                f"the latencies swing for some {lasts_s:.0f} s at a time, and a run of {n * each.unit_s:.0f} s has seen"
                f" too little of that: measure at least {2 * blocks.FEWEST_SWINGS * lasts_s:.0f} s"
            )
        k = swing.blocks(n)
        drawn.append(blocks.drawn(n, swing.block(n), TIMES, random))
        inflation.append(swing.missed(n) * k / (k - 1))
        freedom.append(k - 1)
        lengths.append(f"{swing.block(n) * each.unit_s:.3g} s")
    basis = f"blocks of {' and '.join(dict.fromkeys(lengths))} within each run"
    return _Drawing(
        a=drawn[0], b=drawn[1], inflation=(inflation[0], inflation[1]), freedom=(freedom[0], freedom[1]),
        paired=False, basis=basis,
    )  # fmt: skip


def _figures(a: Side, b: Side, drawing: _Drawing, quantiles: tuple[float, ...], route: str | None) -> list[_Figure]:
    if not (a.requests and b.requests):
        return []
    (times_a, rates_a), (times_b, rates_b) = a.redrawn(drawing.a, quantiles), b.redrawn(drawing.b, quantiles)
    found = [
        _Figure(
            measure=Measure.LATENCY, quantile=q, route=route, a=a.quantile_ns(q), b=b.quantile_ns(q),
            drawn_a=times_a[:, column], drawn_b=times_b[:, column],
        )
        for column, q in enumerate(quantiles)
    ]  # fmt: skip
    if route is None:
        found.append(
            _Figure(
                measure=Measure.THROUGHPUT, quantile=None, route=None, a=a.throughput_per_s(), b=b.throughput_per_s(),
                drawn_a=rates_a, drawn_b=rates_b,
            )
        )  # fmt: skip
    return found


def _told(figures: list[_Figure], drawing: _Drawing, margin: Margin) -> tuple[list[Difference], float]:
    """The differences, and the level each interval has by itself."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = [(np.log(each.drawn_a), np.log(each.drawn_b)) for each in figures]
        drawn = [two - one for one, two in logs]
    level = _level_of_each([each for each in drawn if np.isfinite(each).all()])
    return [
        _told_one(figure, one, two, drawing, level, margin)
        for figure, (one, two) in zip(figures, logs, strict=True)
    ], level  # fmt: skip


def _level_of_each(drawn: list[FloatArray]) -> float:
    """The level of each interval by itself at which all hold together with CONFIDENCE_RATIO."""
    farthest = [np.abs(each - each.mean()) / each.std() for each in drawn if each.std() > 0]
    if not farthest:
        return CONFIDENCE_RATIO
    reach = float(np.quantile(np.max(farthest, axis=0), CONFIDENCE_RATIO))
    return max(CONFIDENCE_RATIO, 1 - 2 * float(special.ndtr(-reach)))


def _told_one(
    figure: _Figure, one: FloatArray, two: FloatArray, drawing: _Drawing, level: float, margin: Margin
) -> Difference:
    with np.errstate(divide="ignore", invalid="ignore"):
        change = float(np.log(figure.b) - np.log(figure.a))
        drawn = two - one
    low, high = _interval(change, one, two, drawn, drawing, level)
    low, high = low - RESOLUTION, high + RESOLUTION
    matters = margin.of(figure.measure, figure.a)
    ratios = tuple(math.expm1(each) for each in (change, low, high))
    harm = 1 if figure.measure is Measure.LATENCY else -1
    call, reason, more = called(*ratios, matters=matters, harm=harm)
    return Difference(
        measure=figure.measure, quantile=figure.quantile, route=figure.route, a=figure.a, b=figure.b,
        change=ratios[0], low=ratios[1], high=ratios[2], matters=matters, call=call, reason=reason, more=more,
    )  # fmt: skip


def _interval(
    change: float, one: FloatArray, two: FloatArray, drawn: FloatArray, drawing: _Drawing, level: float
) -> tuple[float, float]:
    """Of the logarithm of b / a."""
    if not np.isfinite(drawn).all() or not math.isfinite(change):
        return _ranked(drawn, level)
    variance, freedom = _variance(one, two, drawn, drawing)
    half = float(special.stdtrit(freedom, (1 + level) / 2)) * math.sqrt(variance)
    return change - half, change + half


def _variance(one: FloatArray, two: FloatArray, drawn: FloatArray, drawing: _Drawing) -> tuple[float, float]:
    """Of what was redrawn, and its degrees of freedom."""
    if drawing.paired:
        return float(drawn.var(ddof=1)) * drawing.inflation[0], drawing.freedom[0]
    own = [float(each.var(ddof=1)) * more for each, more in zip((one, two), drawing.inflation, strict=True)]
    return sum(own), welch(own, drawing.freedom)


def _ranked(drawn: FloatArray, level: float) -> tuple[float, float]:
    """The redrawn ones' own bounds, open if need be: where ranks fall among failed requests nothing has an error."""
    down, up = np.where(np.isnan(drawn), -math.inf, drawn), np.where(np.isnan(drawn), math.inf, drawn)
    tail = (1 - level) / 2
    return (
        float(np.quantile(down, tail, method="lower")),
        float(np.quantile(up, 1 - tail, method="higher")),
    )


def welch(variances: Sequence[float], freedoms: Sequence[float]) -> float:
    """Degrees of freedom of a difference; the fewer of both where neither varies."""
    below = sum(v * v / f for v, f in zip(variances, freedoms, strict=True))
    return sum(variances) ** 2 / below if below > 0 else min(freedoms)


def _enough(a: Side, b: Side, q: float) -> bool:
    """Whether enough requests lie beyond the quantile on both sides."""
    return all(each.requests * (1 - q) >= COMPARE_MIN_BEYOND for each in (a, b))


def _too_few(q: float, route: str | None, a: Side, b: Side) -> str:
    needed = math.ceil(round(COMPARE_MIN_BEYOND / (1 - q), 6))
    return (
        f"p{q * 100:.10g} of {route or 'all routes'} ({min(a.requests, b.requests):,} requests; {needed:,} are needed"
        " on either side)"
    )


def _unknown(q: float, a: Side, b: Side, reason: str) -> Difference:
    known = a.requests and b.requests
    return Difference(
        measure=Measure.LATENCY, quantile=q, route=None,
        a=a.quantile_ns(q) if known else math.nan, b=b.quantile_ns(q) if known else math.nan,
        change=math.nan, low=-math.inf, high=math.inf, matters=math.nan, call=Call.OPEN, reason=reason,
    )  # fmt: skip


def _nothing(phase: str, why: str, sides: tuple[Side, Side], asked: Asked) -> PhaseDifferences:
    """No interval can be made: every figure is shown, and none decides."""
    differences = tuple(_unknown(q, *sides, why) for q in asked.quantiles if q in asked.required)
    return PhaseDifferences(
        phase=phase, basis="nothing could be redrawn", level=CONFIDENCE_RATIO, differences=differences, shifts=(),
        left_out=(),
    )  # fmt: skip


def _errors(a: Side, b: Side, route: str | None, margin: Margin) -> Difference:
    """Newcombe's interval of a difference of shares, from each share's own, which accounts for autocorrelation."""
    one, two = intervals.share(a.failed, a.total), intervals.share(b.failed, b.total)
    if one is None or two is None:
        return _no_errors(route, margin)
    change = two.measured - one.measured
    low = change - math.hypot(two.measured - two.low, one.high - one.measured)
    high = change + math.hypot(two.high - two.measured, one.measured - one.low)
    call, reason, more = called(change, low, high, matters=margin.errors_ratio, harm=1)
    if not one.measured and not two.measured and one.effective and two.effective:
        # Nothing was seen that could differ. That is not "can't tell", and it is no proof either: both are said.
        call, more = Call.SAME, None
        reason = f"no request failed; below {max(one.high, two.high):.2%} with 95%"
    return Difference(
        measure=Measure.ERRORS, quantile=None, route=route, a=one.measured, b=two.measured, change=change, low=low,
        high=high, matters=margin.errors_ratio, call=call, reason=reason, more=more,
    )  # fmt: skip


def _no_errors(route: str | None, margin: Margin) -> Difference:
    return Difference(
        measure=Measure.ERRORS, quantile=None, route=route, a=math.nan, b=math.nan, change=math.nan, low=-math.inf,
        high=math.inf, matters=margin.errors_ratio, call=Call.OPEN, reason="one side has no request",
    )  # fmt: skip


def _shift(a: Side, b: Side, drawing: _Drawing, route: str | None) -> RouteShift:
    drawn = ranks.redrawn(a, b, drawing.a, drawing.b)
    found = ranks.interval(
        ranks.superiority(a, b), drawn[np.isfinite(drawn)], inflation=math.sqrt(max(drawing.inflation)),
        freedom=min(drawing.freedom), level=CONFIDENCE_RATIO,
    )  # fmt: skip
    return RouteShift(route=route, superiority=found, requests=(a.requests, b.requests))
