"""
What a search for a breakpoint may try and cost, and how long a try has to be for the gate to call it.

A gate that is to be sure that at most 1% fail must have seen some hundreds of requests of which none did. At 1,000 a
second that is no time; at 8 a second it is a minute. So a try at a low rate lasts longer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from headway.gate.case import weigh
from headway.gate.plan import clauses, share_of
from headway.load import histogram, intervals
from headway.model import Side, State, Subject
from headway.thresholds import MIN_BATCHES

if TYPE_CHECKING:
    from headway.load.intervals import Interval
    from headway.model import Clause, Promise, Scenario

GROWTH = 2.0
LONGER = 2.0
LONGEST_TRY_S = 150.0
"""No try is longer, and a first one at most half as long: somebody waits for the answer."""
MOST_REQUESTS = 10_000_000
"""A promise that takes more to be sure of, as that none at all fails, is one that no try can show to hold."""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """
    What to search, and what it may cost.

    start_per_s: the first rate; most_per_s: none above it is tried. duration_s: of a first try, where the rate is high
    enough. needed: requests without which no try is called kept, `requests_needed`. within_ratio: how near the broken
    rate may be to the one that holds, 0.1 is within 10%. overhead_s: the most that a try takes besides its measured
    time. allowed_s: no try is begun that could end later; None: `usual_s`.
    """

    start_per_s: float
    most_per_s: float
    duration_s: float
    needed: float
    within_ratio: float
    overhead_s: float = 0.0
    allowed_s: float | None = None

    @property
    def longest_s(self) -> float:
        """The longest a search takes, from its first try to its last."""
        return self.usual_s if self.allowed_s is None else self.allowed_s

    @property
    def usual_s(self) -> float:
        """Time for a search from the first rate to the highest in which every other try has to be repeated."""
        growing = math.ceil(math.log(max(self.most_per_s / self.start_per_s, 1.0), GROWTH)) + 1
        halving = math.ceil(math.log2(max(math.log(GROWTH) / math.log1p(self.within_ratio), 1.0)))
        rates = [self.start_per_s * GROWTH**step for step in range(growing)] + [self.start_per_s] * halving
        tries_s = sum(self.cost_s(self.first_s(rate)) + self.cost_s(self.again_s(rate)) / 2 for rate in rates)
        return tries_s + 4 * self.cost_s(self.again_s(self.start_per_s))

    @property
    def floor_per_s(self) -> float:
        """No lower rate is tried: a first try of the longest kind would be too short to call it kept."""
        return min(self.start_per_s, 2 * self.needed / self.most_s)

    @property
    def most_s(self) -> float:
        """The longest that a single try may be."""
        return max(LONGEST_TRY_S, LONGER * self.duration_s)

    def first_s(self, rate_per_s: float) -> float:
        """
        How long a rate is tried at first: as long as asked, and long enough to be called if that is to be had.

        Who asks for tries in which the gate calls nothing, whatever the rate, gets them as short.
        """
        needed_s = math.ceil(self.needed / rate_per_s) if math.isfinite(self.needed) else math.inf
        in_reach = needed_s <= self.most_s / 2 and self.duration_s >= MIN_BATCHES
        return max(self.duration_s, needed_s) if in_reach else self.duration_s

    def again_s(self, rate_per_s: float, useful_s: float | None = None) -> float:
        """
        How long a rate is tried again: for LONGER times what was asked, or where it is low for as long as at first.

        `useful_s`: how long the gate said that it would need; no less than that, if it may be.
        """
        again_s = max(LONGER * self.duration_s, self.first_s(rate_per_s))
        return again_s if useful_s is None else min(max(again_s, math.ceil(useful_s)), self.most_s)

    def cost_s(self, duration_s: float) -> float:
        """The most that a try of such a length can take."""
        return duration_s + self.overhead_s


def requests_needed(promise: Promise, scenario: Scenario) -> float:
    """
    The fewest requests of a try, at one rate, that the gate can call kept: when none fails and none is slow.

    Args:
        promise: what must hold.
        scenario: says what share of the requests a clause's route gets.

    Returns:
        inf: no number would do. Latencies by windows count seconds, not requests, and ask for none here.
    """
    return max((_fewest(each) / (_share(each, scenario) or 1.0) for each in clauses(promise)), default=0.0)


def _share(clause: Clause, scenario: Scenario) -> float | None:
    return None if clause.route is None else share_of(clause.route, scenario)


def _fewest(clause: Clause) -> float:
    """By halving: what n flawless requests show, n + 1 do as well."""
    low, high = 0, 1
    while not _shown(clause, high):
        low, high = high, 2 * high
        if high > MOST_REQUESTS:
            return math.inf
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _shown(clause, middle) else (middle, high)
    return high


def _shown(clause: Clause, requests: int) -> bool:
    """Whether so many flawless requests show that the clause holds, in as few seconds as the gate takes."""
    interval = _flawless(clause, requests)
    return interval is None or weigh(clause, interval.low, interval.high) is State.KEPT


def _flawless(clause: Clause, requests: int) -> Interval | None:
    """What the gate would know of them; None for a clause that it does not weigh by the number of requests."""
    totals = np.full(MIN_BATCHES, requests // MIN_BATCHES)
    totals[: requests % MIN_BATCHES] += 1
    none = np.zeros_like(totals)
    if clause.subject in {Subject.ERROR_RATE, Subject.AVAILABILITY}:
        return intervals.share(none if clause.subject is Subject.ERROR_RATE else totals, totals)
    if clause.subject is not Subject.LATENCY or clause.side is not Side.CLIENT or clause.windows_ratio is not None:
        return None
    if clause.statistic is None or clause.statistic.quantile is None:
        return None
    counts = np.zeros(histogram.BUCKETS, dtype=np.int64)
    counts[0] = requests
    return intervals.quantile(counts, clause.statistic.quantile, 0, none, totals)
