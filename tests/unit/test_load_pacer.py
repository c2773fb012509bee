"""When requests are meant to be sent."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from headway.load.pacer import NEVER, Pacer
from headway.load.shape import Shape
from headway.load.worker import share
from headway.model import Arrivals, LoadModel, Phase, Stage


def phase(rate_per_s: float, arrivals: Arrivals = Arrivals.CONSTANT, seed: int = 1) -> Phase:
    return Phase(
        name="p", model=LoadModel.OPEN, arrivals=arrivals, rate_per_s=rate_per_s, duration_s=1, warmup_s=0, seed=seed
    )


def times(of: Phase, *, worker: int = 0, workers: int = 1, end_ns: int = 10**9) -> list[int]:
    pacer, found = Pacer(of, worker=worker, workers=workers, end_ns=end_ns), []
    while pacer.due_ns != NEVER:
        found.append(pacer.due_ns)
        pacer.advance()
    return found


@given(st.floats(1, 20_000), st.integers(1, 5))
def test_constant_arrivals_of_all_workers_are_one_even_row(rate: float, workers: int) -> None:
    """Whatever the number of workers, their times together are every 1/rate from 0 on, none missing, none twice."""
    together = sorted(t for each in range(workers) for t in times(phase(rate), worker=each, workers=workers))
    expected = np.arange(len(together)) * 1e9 / rate
    assert np.abs(np.array(together) - expected).max() <= 2
    assert len(together) * 1e9 / rate >= 10**9 - 2


@given(st.integers(1, 2**32), st.integers(0, 3))
def test_two_pacers_of_one_seed_say_the_same(seed: int, worker: int) -> None:
    """The pacer that counts and the one that follows it give the same times, in order, all before the end."""
    made = [times(phase(3000, Arrivals.POISSON, seed), worker=worker, workers=4) for _ in range(2)]
    assert made[0] == made[1]
    assert all(a <= b for a, b in pairwise(made[0]))
    assert all(0 <= each < 10**9 for each in made[0])


def test_poisson_gaps_are_exponential_at_the_rate() -> None:
    """Poisson arrivals have the rate asked for and gaps that spread as far as their mean; seeds and workers differ."""
    made = times(phase(1000, Arrivals.POISSON), end_ns=100 * 10**9)
    gaps = np.diff(made)
    assert abs(len(made) - 100_000) < 5 * np.sqrt(100_000)
    assert abs(gaps.std() / gaps.mean() - 1) < 0.02
    assert made[:50] != times(phase(1000, Arrivals.POISSON, seed=2))[:50]
    halves = [times(phase(1000, Arrivals.POISSON), worker=each, workers=2, end_ns=100 * 10**9) for each in range(2)]
    assert halves[0][:50] != halves[1][:50]
    assert abs(sum(map(len, halves)) - 100_000) < 5 * np.sqrt(100_000)


LASTS_S = st.sampled_from([0.0, 0.05, 0.3, 1.0])
RATES = st.sampled_from([0.0, 1.0, 40.0, 700.0, 3000.0])
STAGES = st.lists(st.tuples(LASTS_S, RATES), min_size=1, max_size=4)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from([0.0, 5.0, 800.0]), STAGES, st.integers(1, 4), st.sampled_from([0.0, 0.4]))
def test_constant_arrivals_follow_any_shape(
    start: float, stages: list[tuple[float, float]], n: int, warmup: float
) -> None:
    """Between any two moments there are as many starts as the integral of the rate says, to within one."""
    of = Phase(
        name="p", model=LoadModel.OPEN, rate_per_s=start, warmup_s=warmup, duration_s=sum(s for s, _ in stages),
        stages=tuple(Stage(duration_s=s, target=rate) for s, rate in stages),
    )  # fmt: skip
    end_s = warmup + of.duration_s
    made = sorted(t for each in range(n) for t in times(of, worker=each, workers=n, end_ns=int(end_s * 1e9)))
    shape = Shape(of)
    for at_s in np.linspace(0, end_s, 23):
        before = int(np.searchsorted(made, at_s * 1e9 - 1))
        assert abs(before - shape.total(at_s - warmup)) <= 1.001


@settings(max_examples=30, deadline=None)
@given(STAGES, st.integers(1, 2**32))
def test_poisson_arrivals_follow_any_shape(stages: list[tuple[float, float]], seed: int) -> None:
    """Seen through the integral of the rate, the gaps are exponential with mean one (Kolmogorov-Smirnov)."""
    of = Phase(
        name="p", model=LoadModel.OPEN, arrivals=Arrivals.POISSON, rate_per_s=500.0, warmup_s=0, seed=seed,
        duration_s=sum(s for s, _ in stages) + 2, stages=(*(Stage(duration_s=s, target=r) for s, r in stages),
                                                         Stage(duration_s=2, target=500.0)),
    )  # fmt: skip
    made = times(of, end_ns=int(of.duration_s * 1e9))
    gaps = np.diff([Shape(of).total(each / 1e9) for each in made])
    assert stats.kstest(gaps, "expon").pvalue > 1e-7


@given(st.integers(1, 50), st.integers(1, 4))
def test_bursts_come_at_once_and_at_the_mean_rate(burst: int, workers: int) -> None:
    """`burst_size` starts share each moment, over all workers together, and the moments keep the mean rate."""
    of = replace(phase(1000, Arrivals.BURSTS), burst_size=burst)
    made = sorted(t for each in range(workers) for t in times(of, worker=each, workers=workers))
    moments, sizes = np.unique(made, return_counts=True)
    assert set(sizes[:-1].tolist()) <= {burst}
    assert np.abs(np.diff(moments) - burst * 1e6).max(initial=0) <= 1
    assert 1000 <= len(made) < 1000 + burst


def test_a_replay_gives_its_own_times_after_the_warm_up() -> None:
    """Recorded arrivals come as recorded, counted from the end of the warm-up, and then no more."""
    of = replace(phase(1, Arrivals.REPLAY), warmup_s=2.0, rate_per_s=None)
    recorded = np.arange(5000, dtype=np.int64) * 1000
    pacer = Pacer(of, worker=0, workers=1, end_ns=10**12, recorded_ns=recorded)
    found = []
    while pacer.due_ns != NEVER:
        found.append(pacer.due_ns)
        pacer.advance()
    assert found == (recorded + 2 * 10**9).tolist()


def test_a_rate_from_nothing_and_a_jump() -> None:
    """A ramp from 0 starts as the square root says; a jump is felt at once; after a rate of 0 nothing comes."""
    ramp = replace(phase(0.0), duration_s=4, stages=(Stage(duration_s=4, target=100.0),))
    made = np.array(times(ramp, end_ns=4 * 10**9)) / 1e9
    assert np.allclose(made, np.sqrt(np.arange(len(made)) * 2 * 4 / 100), atol=1e-6)
    stages = (Stage(duration_s=1, target=10.0), Stage(duration_s=0, target=0.0))
    jump = replace(phase(10.0), duration_s=3, stages=stages)
    assert max(times(jump, end_ns=3 * 10**9)) <= 10**9


@given(st.integers(0, 1000), st.integers(1, 16))
def test_whole_numbers_are_shared_out_to_the_last(total: int, workers: int) -> None:
    """The workers' parts add up to the whole and differ by one at most."""
    parts = [share(total, each, workers) for each in range(workers)]
    assert sum(parts) == total
    assert max(parts) - min(parts) <= 1
