"""What two runs are said to differ by: no more than they do, and no less where there is enough to see it by."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from compared import sample
from headway.compare import blocks, differences, ranks, side
from headway.compare.calls import Call, Difference, Measure, PhaseDifferences, called
from headway.compare.differences import Asked
from headway.compare.margin import Margin
from headway.compare.sample import FAILED, Sample, coarser

NOTHING_IS_SMALL = Margin(ratio=0.0, latency_ns=0.0, errors_ratio=0.0)
USUAL = Margin()


def told(a: Sample, b: Sample, margin: Margin = USUAL, *routes: str) -> PhaseDifferences:
    return differences.of_phase([a], [b], routes or ("GET /a",), margin=margin, asked=Asked())


def figure(found: PhaseDifferences, q: float | None, measure: Measure = Measure.LATENCY) -> Difference:
    (one,) = [each for each in found.differences if (each.quantile, each.measure, each.route) == (q, measure, None)]
    return one


def latencies(found: PhaseDifferences) -> list[Difference]:
    return [each for each in found.differences if each.measure is Measure.LATENCY]


@pytest.mark.parametrize(("persistence", "cases"), [(0.0, 60), (0.6, 80), (0.8, 60)])
def test_two_runs_of_one_service_are_called_different_in_at_most_one_case_of_twenty(
    monkeypatch: pytest.MonkeyPatch, persistence: float, cases: int
) -> None:
    """Over all percentiles together, latencies whose seconds hang together; without a margin within chance of it."""
    monkeypatch.setattr(differences, "TIMES", 300)
    random = np.random.default_rng(17)
    strict = usual = 0
    for _ in range(cases):
        a, b = (sample(random, persistence=persistence, rate=60) for _ in "ab")
        found = latencies(told(a, b, NOTHING_IS_SMALL))
        strict += any(each.call in (Call.WORSE, Call.BETTER) for each in found)
        usual += any(each.low > USUAL.ratio or each.high < -USUAL.ratio for each in found)
    assert usual <= 0.05 * cases
    assert strict <= 0.05 * cases + 2 * math.sqrt(0.05 * 0.95 * cases)


def test_requests_that_were_taken_for_independent_would_differ_every_time() -> None:
    """The lie the blocks are for: the usual Mann-Whitney formula calls half of all pairs of one service different."""
    random = np.random.default_rng(3)
    usual = ours = 0
    for _ in range(30):
        a, b = (sample(random, persistence=0.8, rate=60) for _ in "ab")
        (shift,) = told(a, b).shifts
        n, m = shift.requests
        z = (shift.superiority.slower_ratio - 0.5) / math.sqrt((n + m + 1) / (12 * n * m))
        usual += abs(z) > 1.96
        ours += shift.superiority.p < 0.05
    assert usual >= 12
    assert ours <= 4


def test_ten_percent_is_found_with_enough_data() -> None:
    """A service that is 10% slower, 5% mattering, in runs of ten minutes: slower at p50 and p95, no more errors."""
    random = np.random.default_rng(4)
    found = [
        told(sample(random, seconds=600, rate=100), sample(random, seconds=600, rate=100, scale=1.1)) for _ in range(5)
    ]
    assert all(figure(each, 0.5).call is Call.WORSE for each in found)
    assert sum(figure(each, 0.95).call is Call.WORSE for each in found) >= 4
    assert all(figure(each, 0.5).low < 0.1 < figure(each, 0.5).high for each in found)
    assert all(each.shifts[0].superiority.size == "negligible" for each in found)  # and it is still slower


def test_a_faster_one_is_called_faster_and_the_same_the_same() -> None:
    """Both ways round, with data that settles it."""
    random = np.random.default_rng(5)
    a, b = sample(random, seconds=300, rate=300), sample(random, seconds=300, rate=300, scale=0.7)
    assert {each.call for each in latencies(told(a, b)) if each.quantile != 0.999} == {Call.BETTER}
    same = told(a, sample(random, seconds=300, rate=300), Margin(ratio=0.1))
    assert figure(same, 0.5).call is Call.SAME
    assert figure(same, None, Measure.THROUGHPUT).call is Call.SAME


def test_a_longer_tail_alone_is_found_where_the_middle_is_the_same() -> None:
    """p99 slower, p50 not: what an effect size over all requests would have called negligible."""
    random = np.random.default_rng(6)
    found = told(sample(random, seconds=300, rate=300), sample(random, seconds=300, rate=300, tail=4))
    assert figure(found, 0.99).call is Call.WORSE
    assert abs(figure(found, 0.5).change) < 0.05
    assert figure(found, 0.5).call is not Call.WORSE
    assert found.shifts[0].superiority.size == "negligible"


def test_a_millisecond_is_needed_too() -> None:
    """20% of 2 ms is 0.4 ms: certain, and no difference that matters unless it is said to be one."""
    random = np.random.default_rng(7)
    a, b = sample(random, scale=0.1, rate=300), sample(random, scale=0.12, rate=300)
    assert figure(told(a, b), 0.5).call is Call.SAME
    assert figure(told(a, b, Margin(latency_ns=0.0)), 0.5).call is Call.WORSE


def test_a_service_that_fails_is_not_faster() -> None:
    """Failed requests rank as slower than all: a server that answers 8% with an error at once has no better p95."""
    random = np.random.default_rng(8)
    a, b = sample(random, rate=300), sample(random, rate=300, scale=0.5, failed=0.08)
    found = told(a, b)
    assert math.isinf(figure(found, 0.95).b)
    assert figure(found, 0.95).call is Call.WORSE
    assert figure(found, None, Measure.ERRORS).call is Call.WORSE
    assert figure(found, None, Measure.THROUGHPUT).call is Call.WORSE


def test_ranks_that_may_fall_among_failures_are_left_open() -> None:
    """At 5% of failures the p95 may be any time or none; nothing bounds it from above."""
    random = np.random.default_rng(9)
    found = figure(told(sample(random, rate=200), sample(random, rate=200, failed=0.05)), 0.95)
    assert math.isinf(found.high)
    assert found.call in (Call.OPEN, Call.WORSE)


def test_no_failures_on_either_side_is_said_with_how_many_there_may_be() -> None:
    """Nought against nought is no proof that there are none."""
    random = np.random.default_rng(10)
    found = figure(told(sample(random), sample(random)), None, Measure.ERRORS)
    assert found.call is Call.SAME
    assert "no request failed; below 0." in found.reason


def test_too_few_requests_for_a_percentile_cannot_be_told() -> None:
    """20 requests beyond it are needed; p99.9 is left out and said so, p99 can't be told."""
    random = np.random.default_rng(11)
    found = told(sample(random, rate=20), sample(random, rate=20))
    assert figure(found, 0.99).call is Call.OPEN
    assert "2,000 are needed" in figure(found, 0.99).reason
    assert any(each.startswith("p99.9 of all routes") for each in found.left_out)


@pytest.mark.parametrize("seconds", [0, 1, 5, 9])
def test_too_short_a_run_cannot_be_told(seconds: int) -> None:
    """Nine seconds say nothing of how seconds differ; nothing at all is not the same either."""
    random = np.random.default_rng(12)
    found = told(sample(random, seconds=max(seconds, 1)), sample(random, seconds=60))
    assert {each.call for each in found.differences} == {Call.OPEN}
    assert "measure at least 10 s" in found.differences[0].reason


def test_swings_as_long_as_the_run_cannot_be_told() -> None:
    """A run that drifts all the way has been seen once: the reason says how long to measure."""
    random = np.random.default_rng(13)
    a, b = (sample(random, seconds=40, persistence=0.99, swing=0.6) for _ in "ab")
    found = told(a, b)
    assert {each.call for each in found.differences} == {Call.OPEN}
    assert "swing for some" in found.differences[0].reason


def test_rounds_are_drawn_as_pairs() -> None:
    """What disturbs a round disturbs A and B of it alike: 10% are found through disturbances of 50%."""
    random = np.random.default_rng(14)
    levels = random.normal(0, 0.5, size=8)
    a = [sample(random, seconds=20, rate=200, level=each, spread=0.2) for each in levels]
    b = [sample(random, seconds=20, rate=200, level=each, spread=0.2, scale=1.15) for each in levels]
    found = differences.of_phase(a, b, ("GET /a",), margin=USUAL, asked=Asked(quantiles=(0.5,), required=(0.5,)))
    assert "8 rounds" in found.basis
    assert figure(found, 0.5).call is Call.WORSE


def test_rounds_of_one_service_differ_in_at_most_one_case_of_twenty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each round with a disturbance of its own, for A and for B: what no interval within a run could see."""
    monkeypatch.setattr(differences, "TIMES", 300)
    random = np.random.default_rng(15)
    different = 0
    for _ in range(120):
        a, b = (
            [sample(random, seconds=10, rate=40, level=each) for each in random.normal(0, 0.1, size=6)] for _ in "ab"
        )
        found = differences.of_phase(a, b, ("GET /a",), margin=NOTHING_IS_SMALL, asked=Asked())
        different += any(each.call in (Call.WORSE, Call.BETTER) for each in latencies(found))
    assert different <= 6


def test_chance_arrivals_are_not_throughput() -> None:
    """At Poisson arrivals two runs are asked a different number: a service that answers them all is no slower."""
    random = np.random.default_rng(16)
    found = figure(told(sample(random, rate=10), sample(random, rate=10)), None, Measure.THROUGHPUT)
    assert found.call is not Call.OPEN


@given(
    change=st.floats(-0.9, 5), half=st.floats(0, 2), matters=st.floats(0, 0.5), harm=st.sampled_from((1, -1))
)  # fmt: skip
def test_a_call_follows_from_the_interval_alone(change: float, half: float, matters: float, harm: int) -> None:
    """Worse and better lie beyond what matters with the whole interval, the same within; sides mirror each other."""
    low, high = change - half, change + half
    call, _, more = called(change, low, high, matters=matters, harm=harm)
    mirrored, _, _ = called(-change, -high, -low, matters=matters, harm=-harm)
    assert call is mirrored
    bad = low if harm > 0 else -high
    assert (call is Call.WORSE) == (bad > matters)
    if call is Call.SAME:
        assert -matters <= low
        assert high <= matters
    assert more is None or (call is Call.OPEN and more >= 1)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=8))
def test_superiority_is_the_share_of_pairs(counts: list[tuple[int, int]]) -> None:
    """Against every pair counted by hand, failures included, ties half."""
    random = np.random.default_rng(0)
    buckets = np.array([*sorted(random.choice(5_000, size=len(counts) - 1, replace=False)), FAILED])
    one, two = (np.array([each[at] for each in counts]) for at in (0, 1))
    if not one.sum() or not two.sum():
        return
    a, b = (_side(buckets, each) for each in (one, two))
    pairs = [
        (1.0 if y > x else 0.5 if y == x else 0.0)
        for x in np.repeat(buckets, one)
        for y in np.repeat(buckets, two)
    ]  # fmt: skip
    assert ranks.superiority(a, b) == pytest.approx(float(np.mean(pairs)))


def _side(buckets: NDArray[np.int64], counts: NDArray[np.int64]) -> side.Side:
    n = len(buckets)
    phase = Sample(
        phase="p", seconds=1, unit_s=1, unit=np.zeros(n, dtype=np.int64), route=np.zeros(n, dtype=np.int64),
        bucket=buckets, count=counts, good=np.ones(1, dtype=np.int64), planned=None,
    )  # fmt: skip
    return side.of_run(phase, None)


@given(units=st.integers(1, 60), block=st.integers(1, 20), seed=st.integers(0, 9))
def test_blocks_drawn_are_as_long_as_the_run(units: int, block: int, seed: int) -> None:
    """Each redrawn run has as many stretches, whatever the block."""
    weights = blocks.drawn(units, min(block, units), 5, np.random.default_rng(seed))
    assert (weights.sum(axis=1) == units).all()


def test_coarser_stretches_hold_the_same_requests() -> None:
    """Pinning cuts a run into fewer stretches; no request is lost, and no percentile moves."""
    fine = sample(np.random.default_rng(1), seconds=100, failed=0.02)
    rough = coarser(fine, 15)
    assert rough.units == 15
    assert rough.count.sum() == fine.count.sum()
    assert rough.good.sum() == fine.good.sum()
    assert side.of_run(rough, None).quantile_ns(0.95) == side.of_run(fine, None).quantile_ns(0.95)


def test_the_same_runs_get_the_same_answer() -> None:
    """The drawing is seeded: asking twice is no way to another verdict."""
    random = np.random.default_rng(2)
    a, b = sample(random), sample(random)
    assert told(a, b) == told(a, b)
