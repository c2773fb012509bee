"""
How far another machine's clock is from this one's, and how well that is known.

A question sent at a and answered at b (our clock) that read r (theirs) was read at some moment in between, so their
clock is ahead by r - (a + b) / 2, give or take (b - a) / 2, however unevenly the way there and back are long. The
quickest of several answers bounds it best. Monotonic clocks are compared: no wall clock need be right.

Source: D. Mills, RFC 5905 (NTP), clock offset and the minimum filter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

EXCHANGES = 10


@dataclass(frozen=True, kw_only=True)
class Offset:
    """`theirs - ours` is `ahead_ns`, within `uncertainty_ns` either way."""

    ahead_ns: int
    uncertainty_ns: int


def offset(exchanges: Iterable[tuple[int, int, int]]) -> Offset:
    """
    The best bound of several exchanges.

    Args:
        exchanges: (asked, read, answered) ns: ours, theirs, ours.

    Raises:
        ValueError: there is none, or an answer came before its question.
    """
    asked, read, answered = min(exchanges, key=lambda each: each[2] - each[0])
    if answered < asked:
        raise ValueError("an answer cannot come before its question")
    return Offset(ahead_ns=read - (asked + answered) // 2, uncertainty_ns=(answered - asked + 1) // 2)


def start_skew_ns(offsets: Iterable[Offset], late_ns: Iterable[int] = ()) -> int:
    """
    The most by which two of the workers can have begun apart.

    Args:
        offsets: of each worker's clock.
        late_ns: how long after its instant an order arrived, for those that it did.
    """
    worst = sorted(each.uncertainty_ns for each in offsets)[-2:]
    return sum(worst) + max(late_ns, default=0) if len(worst) == 2 else 0
