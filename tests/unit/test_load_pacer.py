"""When requests are meant to be sent."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from headway.load.pacer import NEVER, Pacer
from headway.load.worker import share
from headway.model import Arrivals, LoadModel, Phase


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


@given(st.integers(0, 1000), st.integers(1, 16))
def test_whole_numbers_are_shared_out_to_the_last(total: int, workers: int) -> None:
    """The workers' parts add up to the whole and differ by one at most."""
    parts = [share(total, each, workers) for each in range(workers)]
    assert sum(parts) == total
    assert max(parts) - min(parts) <= 1
