"""The counting of times: as precise as it says, and HdrHistogram's to the bucket."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from headway.errors import EmptyPhase
from headway.load import histogram
from headway.load.histogram import BUCKETS, HIGHEST_NS, bucket_of
from headway.model import LatencyCells

UNIT_NS = 512
times = st.one_of(st.integers(0, HIGHEST_NS), st.integers(0, 50).map(lambda power: min(1 << power, HIGHEST_NS)))


def counted(values: list[int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.bincount(bucket_of(np.array(values, dtype=np.int64)), minlength=BUCKETS)


@given(st.lists(times, min_size=1, max_size=60), st.floats(0.001, 1.0))
def test_a_quantile_is_within_a_thousandth_of_the_raw_value(values: list[int], q: float) -> None:
    """A quantile is never below the raw value of its rank, nor more than 1/1000 or one unit of 512 ns above it."""
    rank = max(1, math.ceil(q * len(values) - 1e-9))
    exact = np.sort(np.array(values))[rank - 1]
    measured = histogram.quantile_ns(counted(values), q)
    assert exact <= measured <= exact + max(exact / 1000, UNIT_NS)


@given(st.lists(times, min_size=1, max_size=60))
def test_mean_and_maximum_are_within_a_thousandth(values: list[int]) -> None:
    """Mean and maximum differ from numpy's on the raw values by 1/1000 or a unit at most."""
    exact = float(np.mean(values))
    assert abs(histogram.mean_ns(counted(values)) - exact) <= max(exact / 1000, UNIT_NS)
    assert max(values) <= histogram.max_ns(counted(values)) <= max(values) + max(max(values) / 1000, UNIT_NS)


@given(times)
def test_a_bucket_is_the_one_hdrhistogram_uses(value: int) -> None:
    """A value's bucket is HdrHistogram's counts-array index of it, and the value lies within the bucket's edges."""
    bucket = bucket_of(np.array([value]))
    assert int(bucket[0]) == HdrHistogram(1000, 3_600_000_000_000, 3)._counts_index_for(value)
    assert int(histogram.lowest_ns(bucket)[0]) <= value <= int(histogram.highest_ns(bucket)[0])


def test_every_bucket_begins_where_the_one_before_it_ended() -> None:
    """The buckets leave no gap and do not overlap."""
    every = np.arange(BUCKETS)
    assert np.array_equal(histogram.lowest_ns(every)[1:], histogram.highest_ns(every)[:-1] + 1)
    assert np.array_equal(bucket_of(histogram.lowest_ns(every)), every)


def test_times_out_of_range_are_counted_at_its_ends() -> None:
    """No time is lost: below 0 counts as 0, above an hour as an hour."""
    assert bucket_of(np.array([-5, HIGHEST_NS * 3])).tolist() == [0, BUCKETS - 1]


@given(st.integers(1, 100), st.integers(1, 100), st.floats(0.01, 1.0))
def test_failures_are_slower_than_any_answer(good: int, failed: int, q: float) -> None:
    """A quantile whose rank falls among the failures is infinite; below them it is a good answer's."""
    measured = histogram.quantile_ns(counted([1_000_000] * good), q, failures=failed)
    assert math.isinf(measured) == (math.ceil(q * (good + failed) - 1e-9) > good)


def test_nothing_measured_is_no_number() -> None:
    """Quantile, mean and maximum of no requests are refused, not zero."""
    nothing = counted([])[:BUCKETS]
    with pytest.raises(EmptyPhase):
        histogram.quantile_ns(nothing, 0.5)
    with pytest.raises(EmptyPhase):
        histogram.mean_ns(nothing)
    with pytest.raises(EmptyPhase):
        histogram.max_ns(nothing)
    assert math.isinf(histogram.quantile_ns(nothing, 0.5, failures=1))


def test_a_fold_takes_the_route_and_the_seconds_it_is_asked_for() -> None:
    """Cells of other routes and of seconds outside the slice are left out; the same bucket adds up."""
    cells = LatencyCells(
        second=np.array([0, 1, 1, 2]), route=np.array([0, 0, 1, 0]), bucket=np.array([7, 7, 7, 7]),
        count=np.array([1, 10, 100, 1000]),
    )  # fmt: skip
    assert histogram.fold(cells)[7] == 1111
    assert histogram.fold(cells, route=0)[7] == 1011
    assert histogram.fold(cells, route=0, seconds=slice(1, 2))[7] == 10
    assert histogram.fold(cells, seconds=slice(1, None))[7] == 1110
