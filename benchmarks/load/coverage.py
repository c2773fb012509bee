"""
How often the gate's 95% intervals hold the true quantile when answers depend on those before them.

Simulates services whose true quantiles are known in closed form, many times, and asks load.intervals each time. An
interval that claims 95% should hold the truth in 95 of 100 runs; intervals made as if answers were independent are
shown beside.

    python benchmarks/load/coverage.py [--runs 300] [--seconds 60] [--rate 2000] [--json]
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from headway.load import histogram, intervals

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    Simulate = Callable[[np.random.Generator, float, int], tuple[FloatArray, FloatArray]]

QUANTILES = (0.5, 0.9, 0.95, 0.99, 0.999, 0.9999)
STALL_S, PERIOD_S = 0.2, 2.0


@dataclass(frozen=True, kw_only=True)
class Row:
    """One quantile of one service: ratios of runs whose interval held the truth, and whose upper end was open."""

    service: str
    q: float
    truth_ms: float
    covered: float
    too_low: float  # the whole interval below the truth: the error that flatters
    open_above: float
    independent: float  # as if answers were independent


def independent(rng: np.random.Generator, rate: float, seconds: int) -> tuple[FloatArray, FloatArray]:
    """(arrival s, response s) of exponential answers that know nothing of each other, mean 10 ms."""
    n = rng.poisson(rate * seconds)
    return np.sort(rng.uniform(0, seconds, n)), rng.exponential(0.01, n)


def queue(utilisation: float) -> Simulate:
    """M/M/1: Poisson arrivals, one server, exponential service; the response is exponential with rate mu - lambda."""

    def simulate(rng: np.random.Generator, rate: float, seconds: int) -> tuple[FloatArray, FloatArray]:
        lead_s = 5.0  # until the queue forgot that it began empty
        n = rng.poisson(rate * (seconds + lead_s))
        arrivals = np.sort(rng.uniform(-lead_s, seconds, n))
        services = rng.exponential(utilisation / rate, n)
        # Lindley: the k-th departs at S_k + max over i <= k of (A_i - S_(i-1)), S the running sum of services.
        sums = np.cumsum(services)
        departures = sums + np.maximum.accumulate(arrivals - np.concatenate([[0.0], sums[:-1]]))
        counted = arrivals >= 0
        return arrivals[counted], (departures - arrivals)[counted]

    return simulate


def stall(rng: np.random.Generator, rate: float, seconds: int) -> tuple[FloatArray, FloatArray]:
    """Nothing is answered for STALL_S of each PERIOD_S: the wait is what is left of the stall."""
    n = rng.poisson(rate * seconds)
    arrivals = np.sort(rng.uniform(0, seconds, n))
    into = (arrivals + rng.uniform(0, PERIOD_S)) % PERIOD_S
    return arrivals, np.where(into < STALL_S, STALL_S - into, 0.0005)


def exponential_s(rate: float) -> Callable[[float], float]:
    return lambda q: -math.log(1 - q) / rate


def stall_s(q: float) -> float:
    share = STALL_S / PERIOD_S
    return 0.0005 if q <= 1 - share else STALL_S * (q - (1 - share)) / share


def interval_of(arrivals: FloatArray, responses: FloatArray, seconds: int, q: float) -> intervals.Interval | None:
    """What the gate makes of it."""
    buckets = histogram.bucket_of((responses * 1e9).astype(np.int64))
    counts = np.bincount(buckets, minlength=histogram.BUCKETS)
    done = np.clip((arrivals + responses).astype(np.int64), 0, seconds - 1)
    measured = histogram.quantile_ns(counts, q)
    slower = histogram.lowest_ns(buckets) > measured
    totals = np.bincount(done, minlength=seconds).astype(float)
    above = np.bincount(done[slower], minlength=seconds).astype(float)
    return intervals.quantile(counts, q, 0, above, totals)


def as_if_independent(responses: FloatArray, q: float) -> tuple[float, float]:
    """Order statistics at binomial ranks, s."""
    n, ordered = len(responses), np.sort(responses)
    low, high = (int(stats.binom.ppf(p, n, q)) for p in (intervals.TAIL, 1 - intervals.TAIL))
    return float(ordered[max(low - 1, 0)]), float(ordered[high]) if high < n else math.inf


def rows(
    name: str, simulate: Simulate, truth_s: Callable[[float], float], *, runs: int, seconds: int, rate: float
) -> list[Row]:
    rng = np.random.default_rng(2)
    tally = {q: np.zeros(4) for q in QUANTILES}
    for _ in range(runs):
        arrivals, responses = simulate(rng, rate, seconds)
        for q in QUANTILES:
            found, truth = interval_of(arrivals, responses, seconds, q), truth_s(q)
            if found is None:
                raise RuntimeError("a run without answers")
            low, high = as_if_independent(responses, q)
            tally[q] += (
                found.low / 1e9 <= truth <= found.high / 1e9, found.high / 1e9 < truth, math.isinf(found.high),
                low <= truth <= high,
            )  # fmt: skip
    return [
        Row(service=name, q=q, truth_ms=truth_s(q) * 1e3, covered=each[0] / runs, too_low=each[1] / runs,
            open_above=each[2] / runs, independent=each[3] / runs)
        for q, each in tally.items()
    ]  # fmt: skip


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--runs", type=int, default=300)
    words.add_argument("--seconds", type=int, default=60)
    words.add_argument("--rate", type=float, default=2000)
    words.add_argument("--json", action="store_true")
    asked = words.parse_args()
    size = {"runs": asked.runs, "seconds": asked.seconds, "rate": asked.rate}
    found = [
        *rows("independent", independent, exponential_s(100), **size),
        *rows("M/M/1 at 50%", queue(0.5), exponential_s(asked.rate), **size),
        *rows("M/M/1 at 90%", queue(0.9), exponential_s(asked.rate / 9), **size),
        *rows("stall 0.2 s every 2 s", stall, stall_s, **size),
    ]
    if asked.json:
        print(json.dumps({**size, "rows": [asdict(each) for each in found]}, indent=2))
        return
    print(f"{asked.runs} runs of {asked.seconds} s at {asked.rate:g}/s; 95% intervals that held the true quantile:")
    print(
        f"{'service':<22} {'q':>7} {'true ms':>9} {'held':>6} {'all below':>9} {'open above':>10} "
        f"{'as if independent':>17}"
    )
    for each in found:
        print(
            f"{each.service:<22} {'p' + format(each.q * 100, 'g'):>7} {each.truth_ms:>9.2f} {each.covered:>6.1%} "
            f"{each.too_low:>9.1%} {each.open_above:>10.1%} {each.independent:>17.1%}"
        )


if __name__ == "__main__":
    main()
