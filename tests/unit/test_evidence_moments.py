"""The difference of two running summaries is the summary of what came between."""

from __future__ import annotations

import statistics
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.evidence.moments import Between, Moments, between, joined

times_ms = st.lists(st.floats(0.001, 60_000), min_size=1, max_size=60)


def summary(values: list[float]) -> Moments:
    """As pg_stat_statements keeps it."""
    return Moments(
        count=len(values),
        total=sum(values),
        mean=statistics.fmean(values),
        deviation=statistics.pstdev(values),
        minimum=min(values),
        maximum=max(values),
    )


@given(times_ms, times_ms)
def test_mean_and_spread_come_back(before: list[float], added: list[float]) -> None:
    """Whatever came before, mean and deviation of the added values are found again, to rounding."""
    found = between(summary(before), summary(before + added))
    largest = max(before + added)
    assert found.count == len(added)
    assert found.mean == pytest.approx(statistics.fmean(added), rel=1e-6, abs=largest * 1e-9)
    assert found.deviation == pytest.approx(statistics.pstdev(added), rel=1e-3, abs=largest * 1e-5)


@given(times_ms)
def test_nothing_before_gives_everything(added: list[float]) -> None:
    """A statement first seen in the phase has its own numbers, extremes too."""
    found = between(Moments(), summary(added))
    assert found.deviation == pytest.approx(statistics.pstdev(added))
    assert (found.minimum, found.maximum) == (min(added), max(added))


@given(times_ms, times_ms)
def test_an_extreme_is_given_only_when_it_is_of_the_phase(before: list[float], added: list[float]) -> None:
    """An extreme is never one from before."""
    found = between(summary(before), summary(before + added))
    assert found.minimum in {None, min(added)}
    assert found.maximum in {None, max(added)}
    assert (found.maximum is None) == (max(added) <= max(before))


def test_a_lost_spread_is_not_shown_as_none() -> None:
    """A million calls of an hour before drown the spread of ten fast ones: the noise is shown, not 0."""
    before = Moments(count=10**6, total=3.6e12, mean=3.6e6, deviation=1e6, minimum=1, maximum=1e7)
    after = Moments(count=10**6 + 10, total=3.6e12, mean=3.6e12 / (10**6 + 10), deviation=1e6, minimum=1, maximum=1e7)
    assert between(before, after).deviation > 100 * sys.float_info.epsilon


@given(st.lists(times_ms, min_size=1, max_size=5))
def test_joined_groups_are_one_group(groups: list[list[float]]) -> None:
    """Users of one statement joined are as if one had run it."""
    whole = [value for group in groups for value in group]
    found = joined([between(Moments(), summary(group)) for group in groups])
    assert isinstance(found, Between)
    assert found.mean == pytest.approx(statistics.fmean(whole))
    assert found.deviation == pytest.approx(statistics.pstdev(whole), rel=1e-6, abs=max(whole) * 1e-9)
    assert (found.minimum, found.maximum) == (min(whole), max(whole))
