"""
When requests are meant to be sent, whatever the service does: the schedule of an open model.

A pacer holds one batch of times and can be made again from its seed, so a backlog needs no queue: one pacer runs at
the front and counts what is due, a second of the same seed follows and gives each request its intended send time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from headway.model import Arrivals

if TYPE_CHECKING:
    from headway.model import Phase

BATCH = 2048
NEVER = 1 << 62


class Pacer:
    """
    Intended send times of one worker, in ns from the phase's start, in order.

    Constant arrivals of w workers interleave: worker k takes every w-th time. Poisson arrivals are independent streams
    of rate/w, whose sum is Poisson with the whole rate.

    Args:
        phase: an open phase.
        worker: this worker's number, from 0.
        workers: how many there are.
        end_ns: no time at or after it is given.
    """

    def __init__(self, phase: Phase, *, worker: int, workers: int, end_ns: int) -> None:
        if not phase.rate_per_s:
            raise ValueError("an open phase has a rate")
        self._gap_ns = workers * 1e9 / phase.rate_per_s
        self._offset_ns = worker * 1e9 / phase.rate_per_s
        self._poisson = phase.arrivals is Arrivals.POISSON
        self._rng = np.random.default_rng((phase.seed, worker))
        self._end_ns = end_ns
        self._made = 0
        self._last_ns = 0.0
        self._times: list[int] = []
        self.passed = 0
        self.due_ns = 0
        self.advance()
        self.passed = 0

    def advance(self) -> None:
        """Go to the next time; `due_ns` is NEVER after the last."""
        if not self._times:
            self._times = self._batch()
        self.due_ns = self._times.pop()
        self.passed += 1
        if self.due_ns >= self._end_ns:
            self.due_ns = NEVER
            self._times = [NEVER]

    def _batch(self) -> list[int]:
        """The next times, last first."""
        if self._poisson:
            gaps = np.cumsum(self._rng.exponential(self._gap_ns, BATCH))
            times = (self._last_ns + gaps).astype(np.int64)
            self._last_ns += float(gaps[-1])
        else:
            numbers = np.arange(self._made, self._made + BATCH)
            times = (self._offset_ns + self._gap_ns * numbers).astype(np.int64)
            self._made += BATCH
        return list(times[::-1].tolist())
