"""Axes end at round numbers, hold every value, and say what they are."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.report import axis
from headway.report.svg import spread

SIZES = st.floats(1e-6, 1e15)


@given(SIZES, st.integers(2, 10))
def test_ticks_are_few_round_and_inside(high: float, most: int) -> None:
    """At most as many as asked for; each a whole multiple of 1, 2, 2.5 or 5 times a power of ten."""
    marks = axis.ticks(0.0, high, most)
    assert 1 <= len(marks) <= most
    assert marks[0] == 0
    assert marks[-1] <= high * (1 + 1e-9)
    if len(marks) > 1:
        lead = marks[1] / 10 ** math.floor(math.log10(marks[1]) + 1e-9)
        assert any(math.isclose(lead, nice, rel_tol=1e-6) for nice in (1, 2, 2.5, 5, 10))


@given(SIZES)
def test_a_linear_axis_holds_its_highest_value(high: float) -> None:
    """Nothing is drawn above the top, and the top is a tick."""
    drawn = axis.linear(high, axis.count_label)
    assert drawn.high >= high * (1 - 1e-9)
    assert drawn.ticks[-1].at == pytest.approx(1.0)


@given(st.lists(st.floats(1e3, 1e11), min_size=1, max_size=30))
def test_a_latency_axis_holds_every_value_in_order(values: list[float]) -> None:
    """Linear or logarithmic, higher is higher and all are inside."""
    drawn = axis.latency(values)
    places = [drawn.at(value) for value in sorted(values)]
    assert places == sorted(places)
    assert drawn.low <= min(values) * (1 + 1e-9)
    assert drawn.high >= max(values) * (1 - 1e-9)
    assert drawn.log == (max(values) / min(values) >= axis.LOG_FROM_RATIO)


def test_an_axis_of_nothing_is_still_an_axis() -> None:
    """No value, only failures: no division by zero."""
    assert axis.latency([]).high > 0
    assert axis.latency([math.inf, math.nan]).high > 0
    assert axis.linear(0.0, axis.count_label).high > 0


@pytest.mark.parametrize("length", [1, 7, 60, 95, 600, 3600, 90_000, 10_000_000])
def test_a_time_axis_has_few_ticks_and_ends_with_the_phase(length: int) -> None:
    """A phase of any length fits its axis, never more than a phone can print."""
    drawn = axis.seconds(length)
    assert drawn.high == length
    assert 2 <= len(drawn.ticks) <= 6


def test_percentile_ticks_stand_one_nine_apart() -> None:
    """90, 99 and 99.9 percent are equally far from each other."""
    places = {tick.label: tick.at for tick in axis.percentiles(4.0).ticks}
    assert places["99%"] - places["90%"] == pytest.approx(places["99.9%"] - places["99%"])
    assert set(places) == {"0%", "90%", "99%", "99.9%", "99.99%"}
    assert "50%" in {tick.label for tick in axis.percentiles(2.0).ticks}


@given(st.lists(st.floats(0, 220), min_size=1, max_size=12))
def test_labels_never_cover_each_other(wanted: list[float]) -> None:
    """Names of lines keep their order, their distance and the plot."""
    placed = spread(sorted(wanted), 15, 220)
    gap = min(15, 220 / len(wanted))
    assert all(after - before >= gap - 1e-6 for before, after in pairwise(placed))
    assert placed[0] >= -1e-6
    assert placed[-1] <= 220 + 1e-6


@pytest.mark.parametrize(
    ("value", "said"), [(0, "0"), (250e6, "250 ms"), (1e9, "1 s"), (1.5e6, "1.5 ms"), (100e6, "100 ms")]
)
def test_tick_labels_have_no_needless_zeros(value: float, said: str) -> None:
    """ "250 ms", not "250.0 ms", and 100 ms is not 1 ms."""
    assert axis.ns_label(value) == said
