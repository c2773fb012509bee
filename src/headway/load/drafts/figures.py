"""Figures for proposals: rounded so that nobody takes them for measured ones, and the words that say where from."""

from __future__ import annotations

import math

from headway.promises.proposals import Proposal

_STEPS = (1, 1.5, 2, 3, 5, 7.5, 10)
ROOM_RATIO = 1.2
"""A limit proposed from a measurement leaves a fifth of room: tomorrow's same traffic is not exactly today's."""
SMALLEST_MS = 10
"""No limit below it is proposed: the figure would be the generator's, the network's and the log's own resolution."""
BEGIN_MS = 500
BEGIN = "A figure to begin with, measured nowhere: say what the service's users need."


def rounded_up(value: float) -> float:
    """To the next of 1, 1.5, 2, 3, 5, 7.5 times a power of ten."""
    if value <= 0:
        return 0.0
    size = 10.0 ** math.floor(math.log10(value))
    return next(step * size for step in _STEPS if step * size >= value * (1 - 1e-9))


def limit_ms(measured_us: float) -> float:
    """The limit to propose for a time that was measured."""
    return max(float(SMALLEST_MS), rounded_up(measured_us / 1e3 * ROOM_RATIO))


def rate(per_s: float) -> float:
    """A rate to three digits, as it is written down."""
    return float(f"{per_s:.3g}")


def rate_words(per_s: float) -> str:
    """ "12,300 req/sec", "0.25 req/sec"; as criteria are read."""
    value = rate(per_s)
    return f"{value:,.0f} req/sec" if value >= 100 else f"{value:g} req/sec"


def ms_words(us: float) -> str:
    """ "12 ms", "0.4 ms"."""
    return f"{us / 1e3:.3g} ms" if us < 1e6 else f"{us / 1e3:,.0f} ms"


def begin(at_per_s: float, why_rate: str) -> tuple[Proposal, ...]:
    """What is proposed where the source measured nothing."""
    return (
        Proposal(text=f"API response time P95 < {BEGIN_MS} ms at {rate_words(at_per_s)}", why=f"{BEGIN} {why_rate}"),
        Proposal(text=f"Error rate < 1% at {rate_words(at_per_s)}", why=f"{BEGIN} {why_rate}"),
    )
