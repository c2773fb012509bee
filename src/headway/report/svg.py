"""
Charts as HTML with inline SVG, no script.

The lines stretch with the page (`preserveAspectRatio="none"`, strokes that do not scale); every word stands outside the
SVG at its own size, so that a phone shows the same 12 pixel label as a wide screen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from headway.report.visible import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from headway.report.axis import Axis
    from headway.report.series import FloatArray

WIDTH, HEIGHT = 1000, 220  # of the viewBox; HEIGHT is the plot's real height in pixels too, so labels can be spread
_LABEL_PX = 15
_MOST_TIPS = 120
_ENDS_EARLY = 0.8  # of the x axis: a line that ends before it is named at its own end, not at the plot's edge


@dataclass(frozen=True, kw_only=True)
class Line:
    """
    One line. `ink` is a colour of the style sheet (s1..s6), `dash` tells lines of one ink apart without colour.

    x, y: (n,) in the axes' units; NaN in y is a gap, inf stands at the upper edge and is not joined.
    """

    name: str
    x: FloatArray
    y: FloatArray
    ink: str
    dash: str = ""  # "", "dashed", "dotted"
    steps: bool = False


@dataclass(frozen=True, kw_only=True)
class Mark:
    """Something that happened at x: a short bar from the upper edge down, `share` of the height (0..1) deep."""

    x: float
    width: float
    share: float
    tip: str


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A promised limit: a dashed line from the left edge to x, and an upright there. x None: the whole width."""

    y: float
    label: str
    x: float | None = None


@dataclass(frozen=True, kw_only=True)
class Band:
    """A stretch of the x axis with a name: a phase, or the ranks that failed."""

    low: float
    high: float
    label: str
    kind: str = "phase"  # or "failed"


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One chart. `x_words` and `y_words` say a value in the tooltips."""

    title: str
    caption: str
    x: Axis
    y: Axis
    lines: Sequence[Line]
    x_title: str
    x_words: Callable[[float], str]
    y_words: Callable[[float], str]
    marks: Sequence[Mark] = ()
    limits: Sequence[Limit] = ()
    bands: Sequence[Band] = ()


def draw(chart: Chart) -> Markup:
    """The figure: heading, caption, legend, plot with axes, title of the x axis."""
    shown = [line for line in chart.lines if len(line.x)]
    parts = [
        Markup('<figure class="chart"><figcaption><h4>{}</h4>').format(one_line(chart.title)),
        Markup("<p>{}</p>").format(one_line(chart.caption)) if chart.caption else Markup(),
        Markup("</figcaption>"),
        _legend(chart, shown),
        Markup('<div class="plot"><div class="yticks" aria-hidden="true">'),
        *(
            Markup('<span style="top:{}%">{}</span>').format(_percent(1 - tick.at), tick.label)
            for tick in chart.y.ticks
        ),
        Markup("</div>"),
        _canvas(chart, shown),
        _names(chart, shown),
        Markup('<div class="xticks" aria-hidden="true">'),
        *(_x_tick(tick.at, tick.label) for tick in chart.x.ticks),
        Markup('</div></div><p class="xtitle">{}</p></figure>').format(chart.x_title),
    ]
    return Markup().join(parts)


def _x_tick(at: float, label: str) -> Markup:
    edge = " first" if at < 0.02 else " last" if at > 0.96 else ""
    return Markup('<span class="xt{}" style="left:{}%">{}</span>').format(edge, _percent(at), label)


def _canvas(chart: Chart, shown: Sequence[Line]) -> Markup:
    """The SVG itself: grid, bands, marks, limits, lines, and on top an invisible strip a point for its tooltip."""
    parts = [
        Markup('<div class="canvas"><svg viewBox="0 0 {} {}" preserveAspectRatio="none" role="img">').format(
            WIDTH, HEIGHT
        ),
        Markup("<title>{}</title>").format(one_line(f"{chart.title}. {chart.caption}")),
        *(_rule("rule", 0, _y(chart, tick.at), WIDTH, _y(chart, tick.at)) for tick in chart.y.ticks),
        *(_band(chart, band) for band in chart.bands),
        *(_mark(chart, mark) for mark in chart.marks),
        *(_line(chart, line) for line in shown),
        *(_limit(chart, limit) for limit in chart.limits),
        _tips(chart, shown),
        Markup("</svg>"),
        *(_limit_label(chart, limit) for limit in chart.limits),
        *(_band_label(chart, band) for band in chart.bands),
        Markup("</div>"),
    ]
    return Markup().join(parts)


def _line(chart: Chart, line: Line) -> Markup:
    path, pen_down, last_y = [], False, 0.0
    lone: list[str] = []
    for index, (x, y) in enumerate(zip(line.x.tolist(), line.y.tolist(), strict=True)):
        if not math.isfinite(y):
            pen_down = False
            continue
        px, py = chart.x.at(x) * WIDTH, _y(chart, chart.y.at(y))
        if not pen_down and (index + 1 == len(line.y) or not math.isfinite(float(line.y[index + 1]))):
            lone.append(f"M{px:.1f},{py:.1f}h0")  # a point without neighbours still shows, as a dot
        if pen_down and line.steps:
            path.append(f"L{px:.1f},{last_y:.1f}")
        path.append(f"{'L' if pen_down else 'M'}{px:.1f},{py:.1f}")
        pen_down, last_y = True, py
    out = Markup('<path class="line {} {}" d="{}"/>').format(line.ink, line.dash, "".join(path))
    return out + (Markup('<path class="dot {}" d="{}"/>').format(line.ink, "".join(lone)) if lone else Markup())


def _mark(chart: Chart, mark: Mark) -> Markup:
    left = chart.x.at(mark.x) * WIDTH
    right = chart.x.at(mark.x + mark.width) * WIDTH
    return Markup('<rect class="failed" x="{}" y="0" width="{}" height="{}"><title>{}</title></rect>').format(
        f"{left:.1f}", f"{max(2.0, right - left):.1f}", f"{max(0.04, min(1.0, mark.share)) * HEIGHT:.1f}", mark.tip
    )


def _limit(chart: Chart, limit: Limit) -> Markup:
    y = _y(chart, chart.y.at(limit.y))
    x = WIDTH if limit.x is None else chart.x.at(limit.x) * WIDTH
    out = _rule("limit", 0, y, x, y)
    # The upright: at this rank the curve must pass below the corner.
    return out + (_rule("limit", x, 0, x, y) if limit.x is not None else Markup())


def _limit_label(chart: Chart, limit: Limit) -> Markup:
    place = chart.y.at(limit.y)
    side = "below" if place > 0.85 else "above"
    return Markup('<span class="limitname {}" style="top:{}%">{}</span>').format(
        side, _percent(1 - place), one_line(limit.label)
    )


def _band(chart: Chart, band: Band) -> Markup:
    left, right = chart.x.at(band.low) * WIDTH, chart.x.at(band.high) * WIDTH
    return Markup('<rect class="band {}" x="{}" y="0" width="{}" height="{}"><title>{}</title></rect>').format(
        band.kind, f"{left:.1f}", f"{max(1.0, right - left):.1f}", HEIGHT, one_line(band.label)
    )


def _band_label(chart: Chart, band: Band) -> Markup:
    return Markup('<span class="bandname {}" style="left:{}%;max-width:{}%">{}</span>').format(
        band.kind,
        _percent(chart.x.at(band.low)),
        _percent(max(0.08, chart.x.at(band.high) - chart.x.at(band.low))),
        one_line(band.label),
    )


def _tips(chart: Chart, shown: Sequence[Line]) -> Markup:
    """Invisible upright strips with a `<title>`: the values of all lines at that x. At most _MOST_TIPS of them."""
    if not shown:
        return Markup()
    longest = max(shown, key=lambda line: len(line.x))
    every = -(-len(longest.x) // _MOST_TIPS)
    edges = [chart.x.at(float(x)) * WIDTH for x in longest.x[::every]] + [float(WIDTH)]
    parts = []
    for index, x in enumerate(longest.x[::every].tolist()):
        values = [f"{line.name} {_value(chart, line, x)}" for line in shown]
        parts.append(
            Markup('<rect class="tip" x="{}" y="0" width="{}" height="{}"><title>{}</title></rect>').format(
                f"{edges[index]:.1f}",
                f"{max(0.5, edges[index + 1] - edges[index]):.1f}",
                HEIGHT,
                "\n".join([chart.x_words(x), *(one_line(value) for value in values)]),
            )
        )
    return Markup().join(parts)


def _value(chart: Chart, line: Line, x: float) -> str:
    index = max(0, int(line.x.searchsorted(x, side="right")) - 1)
    y = float(line.y[index])
    return "–" if math.isnan(y) else chart.y_words(y)


def _legend(chart: Chart, shown: Sequence[Line]) -> Markup:
    entries = [
        Markup('<li class="{}"><i class="swatch {}"></i>{}</li>').format(line.ink, line.dash, one_line(line.name))
        for line in shown
    ]
    if chart.marks:
        entries.append(Markup('<li class="bad"><i class="swatch block"></i>failed requests</li>'))
    return Markup('<ul class="legend">{}</ul>').format(Markup().join(entries))


def _names(chart: Chart, shown: Sequence[Line]) -> Markup:
    """Each line's name at its right end, spread so that none covers another."""
    ends = []
    for line in shown:
        finite = np.flatnonzero(np.isfinite(line.y))
        if len(finite):
            last = finite[-1]
            left = chart.x.at(float(line.x[last]))
            ends.append((_y(chart, chart.y.at(float(line.y[last]))), left if left < _ENDS_EARLY else 1.0, line))
    ends.sort(key=lambda end: end[0])
    tops = spread([top for top, _, _ in ends], _LABEL_PX, HEIGHT)
    spans = [
        Markup('<span class="{}" style="top:{}%;left:{}%">{}</span>').format(
            line.ink, _percent(top / HEIGHT), _percent(left), one_line(line.name, 18)
        )
        for top, (_, left, line) in zip(tops, ends, strict=True)
    ]
    return Markup('<div class="names" aria-hidden="true">{}</div>').format(Markup().join(spans))


def spread(wanted: Sequence[float], gap: float, height: float) -> list[float]:
    """
    Places as near as can be to `wanted` (ascending), at least `gap` apart, inside 0..height.

    When there is no room for all at `gap` apart they are spaced evenly.
    """
    if not wanted:
        return []
    gap = min(gap, height / len(wanted))
    placed: list[float] = []
    for each in wanted:
        placed.append(max(each, placed[-1] + gap) if placed else max(0.0, each))
    limit = height
    for index in range(len(placed) - 1, -1, -1):
        placed[index] = min(placed[index], limit)
        limit = placed[index] - gap
    return placed


def _rule(kind: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    return Markup('<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(
        kind, *(f"{each:.1f}" for each in (x1, y1, x2, y2))
    )


def _y(chart: Chart, at: float) -> float:
    return (1 - at) * HEIGHT


def _percent(ratio: float) -> str:
    return f"{ratio * 100:.2f}"
