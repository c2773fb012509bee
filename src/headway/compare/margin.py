"""The smallest difference that matters: what lies within it is no news, however sure one is of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headway.thresholds import COMPARE_MATTERS_ERRORS_RATIO, COMPARE_MATTERS_NS, COMPARE_MATTERS_RATIO

if TYPE_CHECKING:
    from headway.compare.calls import Measure


@dataclass(frozen=True, kw_only=True)
class Margin:
    """A latency matters when it differs by `ratio` and by `latency_ns`; a throughput by `ratio`; errors by theirs."""

    ratio: float = COMPARE_MATTERS_RATIO
    latency_ns: float = COMPARE_MATTERS_NS
    errors_ratio: float = COMPARE_MATTERS_ERRORS_RATIO

    def of(self, measure: Measure, a: float) -> float:
        """As a share of the figure `a`, in its base unit."""
        return self.latency_ratio(a) if measure.value == "latency" else self.ratio

    def latency_ratio(self, a_ns: float) -> float:
        """What matters of a latency of `a_ns`, as a share of it."""
        return max(self.ratio, self.latency_ns / a_ns) if math.isfinite(a_ns) and a_ns > 0 else self.ratio
