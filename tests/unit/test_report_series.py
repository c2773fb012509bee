"""What is drawn is what was counted: a peak is never averaged away, a failure never flatters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from headway.load import histogram
from headway.model import FailureKind
from headway.report import series
from headway.report.series import MOST_POINTS, Thinning
from made import report_run as made


@given(st.lists(st.one_of(st.floats(0, 1e9), st.just(float("nan"))), min_size=1, max_size=5000))
def test_thinning_keeps_the_highest_and_the_sum(values: list[float]) -> None:
    """However long the run, the highest second and the total are still there, in few enough points."""
    y = np.array(values)
    highest, step = series.thinned(y, Thinning.HIGHEST)
    total, _ = series.thinned(y, Thinning.SUM)
    assert len(highest) <= MOST_POINTS
    assert len(highest) == -(-len(y) // step)
    if not np.isnan(y).all():
        assert np.nanmax(highest) == np.nanmax(y)
        assert np.isclose(np.nansum(total), np.nansum(y))


def test_each_second_is_the_histogram_of_that_second() -> None:
    """The line over time is the same number the gate would take from that second's cells, failures included."""
    hits = made.full().phases[0]
    failed = series.failed_per_second(hits)
    drawn = series.latency_per_second(hits.response, failed, hits.seconds)
    for second in (0, 31, 56, 59):
        counts = histogram.fold(hits.response, seconds=slice(second, second + 1))
        expected = [histogram.quantile_ns(counts, q, failures=int(failed[second])) for q in series.LINE_QUANTILES]
        assert drawn[:, second].tolist() == expected
    assert np.isinf(drawn[2, 56])  # 40 of 200 failed in that second: its P99 is no latency


def test_a_second_without_an_answer_is_a_gap() -> None:
    """Nothing answered is nothing drawn, not zero."""
    hits = made.bare().phases[0]
    assert np.isnan(series.latency_per_second(hits.response, series.failed_per_second(hits), hits.seconds)).all()


@given(st.lists(st.integers(1_000, 10**10), min_size=1, max_size=400), st.integers(0, 500))
def test_the_percentile_curve_climbs_and_passes_through_the_quantiles(values: list[int], failed: int) -> None:
    """At any rank the curve shows what `quantile_ns` says, up to where failures begin."""
    counts = np.bincount(histogram.bucket_of(np.array(values)), minlength=histogram.BUCKETS)
    x, y = series.by_percentile(counts, failed)
    assert (np.diff(x) >= 0).all()
    assert (np.diff(y) >= 0).all()
    for at, value in zip(x[1:], y[1:], strict=True):
        assert histogram.quantile_ns(counts, 1 - 10**-at, failures=failed) <= value
    assert y[-1] == histogram.max_ns(counts)
    assert len(x) <= MOST_POINTS + 2


def test_no_request_has_no_curve() -> None:
    """Nothing counted, nothing drawn."""
    x, y = series.by_percentile(np.zeros(histogram.BUCKETS, dtype=np.int64), 7)
    assert len(x) == len(y) == 0


def test_what_comes_after_the_end_is_counted_in_the_last_second() -> None:
    """The slowest answers of an overloaded service come late; a chart that left them out would flatter it."""
    hits = made.full(fails=False).phases[0]
    assert not series.came_late(hits)
    late = made.failed_cells((3, 0, FailureKind.TIMEOUT, 2), (hits.seconds + 5, 0, FailureKind.TIMEOUT, 9))
    failed = series.failed_per_second(replace(hits, failures=late))
    assert (failed[3], failed[-1], failed.sum()) == (2, 9, 11)
    slow = replace(hits.response, second=np.where(hits.response.second == 59, 70, hits.response.second))
    drawn = series.latency_per_second(slow, np.zeros(hits.seconds), hits.seconds)
    assert drawn[:, 59].tolist() == series.latency_per_second(hits.response, np.zeros(60), 60)[:, 59].tolist()
    assert series.came_late(replace(hits, response=slow))


def test_a_second_without_look_ups_has_no_hit_rate() -> None:
    """0 of 0 is not 0%."""
    assert np.isnan(series.ratio_per_second([(0, 0, 0)], 2)).all()
    assert series.ratio_per_second([(1, 3, 1)], 2).tolist()[1] == 0.75
