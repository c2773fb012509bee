"""
When requests are meant to be sent, whatever the service does: the schedule of an open model.

The n-th start is due when the integral of the rate reaches a number: n for constant arrivals, a sum of exponential
draws for Poisson arrivals (time rescaling), n rounded down to whole bursts for bursts. So ramps and steps need no
special case. A pacer holds one batch of times and can be made again from its seed, so a backlog needs no queue: one
pacer runs at the front and counts what is due, a second of the same seed follows and gives each request its intended
send time.

Source: Cinlar, Introduction to Stochastic Processes, 4.7 (time change of a Poisson process).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from headway.load.shape import Shape
from headway.model import Arrivals

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from headway.model import Phase

BATCH = 2048
NEVER = 1 << 62


class Pacer:
    """
    Intended send times of one worker, in ns from the phase's start, in order.

    Constant arrivals of w workers interleave: worker k takes every w-th time. Poisson arrivals are independent streams
    of rate/w, whose sum is Poisson with the whole rate. Of a recording worker k takes every w-th arrival as well.

    Args:
        phase: an open phase.
        worker: this worker's number, from 0.
        workers: how many there are.
        end_ns: no time at or after it is given.
        recorded_ns: (n,) this worker's arrivals of a recording, from the end of the warm-up on; for Arrivals.REPLAY.
    """

    def __init__(
        self,
        phase: Phase,
        *,
        worker: int,
        workers: int,
        end_ns: int,
        recorded_ns: NDArray[np.int64] | None = None,
    ) -> None:
        if phase.arrivals is Arrivals.REPLAY:
            if recorded_ns is None:
                raise ValueError("a replay has recorded arrivals")
        elif not phase.rate_per_s and not phase.stages:
            raise ValueError("an open phase has a rate")
        self._shape = Shape(phase)
        self._arrivals = phase.arrivals
        self._burst = phase.burst_size
        self._recorded_ns = recorded_ns
        self._warmup_ns = int(phase.warmup_s * 1e9)
        self._worker, self._workers = worker, workers
        self._rng = np.random.default_rng((phase.seed, worker))
        self._end_ns = end_ns
        self._made = 0
        self._total = 0.0
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
        if self._recorded_ns is not None and self._arrivals is Arrivals.REPLAY:
            part = self._recorded_ns[self._made : self._made + BATCH] + self._warmup_ns
            self._made += BATCH
            return [*part[::-1].tolist()] if len(part) else [NEVER]
        at_ns = self._shape.reached_s(self._totals()) * 1e9
        return [*np.rint(np.minimum(at_ns, float(NEVER))).astype(np.int64)[::-1].tolist()]

    def _totals(self) -> NDArray[np.float64]:
        """Where the integral of the rate stands at the next starts."""
        if self._arrivals is Arrivals.POISSON:
            totals = self._total + np.cumsum(self._rng.standard_exponential(BATCH)) * self._workers
            self._total = float(totals[-1])
            return totals
        numbers = self._worker + self._workers * np.arange(self._made, self._made + BATCH, dtype=np.int64)
        self._made += BATCH
        if self._arrivals is Arrivals.BURSTS:
            numbers -= numbers % self._burst
        return numbers.astype(np.float64)
