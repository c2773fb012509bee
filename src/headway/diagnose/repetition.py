"""
A statement that requests of one route repeat: is it an N+1, or one of the many things that look like one?

An N+1 asks once for each row of something: as often as there are rows, each time for another key, from one place in the
code, of one server, in reading. What breaks one of these is named, so that it can be said why there is no finding.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from headway.diagnose.repeats import Manner
from headway.diagnose.statement_shape import Kind
from headway.model import Confidence
from headway.thresholds.rules import (
    N_PLUS_ONE_CONSTANT_MIN_CALLS,
    N_PLUS_ONE_FOLLOWING_MIN_CALLS,
    N_PLUS_ONE_MIN_CALLS,
    POLLING_MIN_GAP_NS,
)

if TYPE_CHECKING:
    from headway.diagnose.repeats import Repeat
    from headway.diagnose.statement_shape import Shape

MOST_KEYS = 4_096
"""Keys remembered over requests to see whether they are always the same; more than this are not."""
MIN_REQUESTS = 3
"""Fewer requests say nothing of whether the number of calls is constant."""


class Cause(StrEnum):
    N_PLUS_ONE = "N+1"
    NOT_A_READ = "it doesn't read the service's tables"
    MANY_KEYS = "it asks for many keys at once already"
    PAGES = "it reads one page after another"
    NO_KEY = "it is not asked by a key"
    LOCKS = "it locks rows, one transaction's at a time"
    RETRIES = "it is tried again after failures"
    POLLING = "it is asked again after a wait"
    DUPLICATE = "it asks for the same key again"
    SERVERS = "each call goes to another server"
    PLACES = "the calls come from different lines of code"
    CONSTANT = "the number of calls is the same in every request, however many rows there are"
    FEW = "too few calls in a request"


@dataclass(kw_only=True)
class Repetition:
    """Everything seen of one statement in requests of one route that asked it at least twice; (requests,) lists."""

    calls: list[int] = field(default_factory=list)
    cost_ns: list[int] = field(default_factory=list)
    total_ns: list[int] = field(default_factory=list)
    request_ns: list[int] = field(default_factory=list)
    distinct: list[int | None] = field(default_factory=list)  # different keys; None where they aren't seen
    source_rows: list[int | None] = field(default_factory=list)
    most_of_one: list[int] = field(default_factory=list)  # calls to one server from one line of code
    peers_most: list[int] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)
    undone_ratio: list[float] = field(default_factory=list)
    waits: list[bool] = field(default_factory=list)
    full_pages: list[bool] = field(default_factory=list)
    manners: Counter[Manner] = field(default_factory=Counter)
    sources: Counter[str | None] = field(default_factory=Counter)
    codes: Counter[str | None] = field(default_factory=Counter)
    request_keys: set[int] = field(default_factory=set)
    keys: set[int] = field(default_factory=set)

    def add(
        self, repeat: Repeat, request_ns: int, request_key: int | None, source: str | None, code: str | None
    ) -> None:
        """Take in one request's repeats. `source` and `code`: the texts that the repeat has numbers of."""
        self.calls.append(repeat.calls)
        self.cost_ns.append(repeat.cost_ns)
        self.total_ns.append(repeat.total_ns)
        self.request_ns.append(request_ns)
        self.distinct.append(len(repeat.keys) if repeat.without_key == 0 else None)
        self.source_rows.append(repeat.source_rows)
        self.most_of_one.append(min(repeat.peers_most, repeat.places_most))
        self.peers_most.append(repeat.peers_most)
        self.failures.append(repeat.failures)
        self.undone_ratio.append(repeat.undone_ratio)
        self.waits.append(_waits(repeat))
        self.full_pages.append(repeat.full_pages)
        self.manners[repeat.manner] += 1
        self.sources[source] += 1
        self.codes[code] += 1
        if request_key is not None and len(self.request_keys) < MOST_KEYS:
            self.request_keys.add(request_key)
        if len(self.keys) < MOST_KEYS:
            self.keys.update(int(each) for each in repeat.keys[:MOST_KEYS])

    @property
    def requests(self) -> int:
        """Requests that repeated it."""
        return len(self.calls)

    @property
    def typical(self) -> float:
        """Calls in a request that repeats it much: the 90th percentile."""
        return float(np.quantile(self.calls, 0.9))

    @property
    def source(self) -> str | None:
        """The statement that was read before it in most requests; None where there was none."""
        text, count = self.sources.most_common(1)[0]
        return text if count * 2 > self.requests else None

    @property
    def code(self) -> str | None:
        """The line of code it is asked from in most requests; None where that isn't said."""
        return self.codes.most_common(1)[0][0]

    @property
    def follows_source(self) -> bool:
        """Its calls are as many as the rows of what was read before, wherever both are known, which is often."""
        both = [(n, rows) for n, rows in zip(self.calls, self.source_rows, strict=True) if rows is not None]
        same = sum(n == rows for n, rows in both)
        return len(both) >= min(MIN_REQUESTS, self.requests) and same >= 0.9 * len(both) and max(self.calls) > 2

    @property
    def constant(self) -> bool:
        """The same number of calls in each of several requests."""
        return self.requests >= MIN_REQUESTS and len(set(self.calls)) == 1

    @property
    def same_keys(self) -> bool:
        """The same keys in each of several requests: no more of them in all than in one."""
        known = [each for each in self.distinct if each is not None]
        return len(known) == self.requests >= MIN_REQUESTS and len(self.keys) <= max(known)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What a repetition is, how sure that is, and what it rests on."""

    cause: Cause
    confidence: Confidence = Confidence.LIKELY
    because: str = ""


def judge(seen: Repetition, shape: Shape) -> Judged:
    """
    What a repeated statement is.

    Args:
        seen: the requests that repeated it, one or more.
        shape: what its text says.
    """
    return _by_text(seen, shape) or _by_calls(seen) or _by_number(seen, shape)


def _by_text(seen: Repetition, shape: Shape) -> Judged | None:
    if shape.kind is not Kind.READ:
        return Judged(cause=Cause.NOT_A_READ)
    if shape.locks:
        return Judged(cause=Cause.LOCKS)
    if shape.many_keys:
        return Judged(cause=Cause.MANY_KEYS)
    paged = shape.after and (not shape.keys or _mostly(seen.full_pages) or seen.source is None)
    if shape.offset or paged:
        return Judged(cause=Cause.PAGES)
    return None if shape.keys else Judged(cause=Cause.NO_KEY)


def _by_calls(seen: Repetition) -> Judged | None:
    failed = [failures >= calls - 1 for failures, calls in zip(seen.failures, seen.calls, strict=True)]
    if _mostly(failed) or _mostly([each >= 0.8 for each in seen.undone_ratio]):
        return Judged(cause=Cause.RETRIES)
    known = [each for each in seen.distinct if each is not None]
    if len(known) * 2 > seen.requests and np.quantile(known, 0.9) <= 2:
        most = max(seen.calls)
        return Judged(cause=Cause.DUPLICATE, because=f"{int(max(known))} different keys in up to {most:,} calls")
    if _mostly(seen.waits) and seen.source is None and not known:
        return Judged(cause=Cause.POLLING)
    if np.quantile(seen.most_of_one, 0.9) < N_PLUS_ONE_MIN_CALLS <= seen.typical:
        servers = np.quantile(seen.peers_most, 0.9) < N_PLUS_ONE_MIN_CALLS
        return Judged(cause=Cause.SERVERS if servers else Cause.PLACES)
    return None


def _by_number(seen: Repetition, shape: Shape) -> Judged:
    known = [each for each in seen.distinct if each is not None]
    typical = min(seen.typical, float(np.quantile(known, 0.9))) if known else seen.typical
    if seen.follows_source and typical >= N_PLUS_ONE_FOLLOWING_MIN_CALLS:
        because = "in every request as many calls as the statement before returned rows"
        return Judged(cause=Cause.N_PLUS_ONE, confidence=Confidence.CERTAIN, because=because)
    if typical < N_PLUS_ONE_MIN_CALLS:
        what = f"{typical:.3g} calls in a request, fewer than {N_PLUS_ONE_MIN_CALLS}"
        return Judged(cause=Cause.FEW, because=what)
    always = seen.same_keys and (seen.source is None or len(seen.request_keys) > 1)
    if always or (seen.constant and typical < N_PLUS_ONE_CONSTANT_MIN_CALLS):
        return Judged(cause=Cause.CONSTANT, because=f"always {seen.calls[0]:,}" if seen.constant else "the same keys")
    return _sure(seen, shape, known)


def _sure(seen: Repetition, shape: Shape, known: list[int]) -> Judged:
    """An N+1, and how sure that is."""
    confidence = Confidence.LIKELY
    different = bool(known) and sum(known) > 0.5 * sum(seen.calls)
    varies = max(seen.calls) >= 1.5 * min(seen.calls)
    span = f"between {min(seen.calls):,} and {max(seen.calls):,} calls a request"
    if different and varies:
        confidence, because = Confidence.CERTAIN, f"{span}, each for another key"
    elif different:
        because = "each call asks for another key"
    elif _mostly(seen.waits) or not shape.parsed:
        confidence, because = Confidence.POSSIBLE, "the calls are far apart, or the text is cut off"
    elif varies:
        because = f"{span}: it goes with the rows of something"
    else:
        because = f"{seen.typical:,.0f} calls a request, by a key"
    return Judged(cause=Cause.N_PLUS_ONE, confidence=confidence, because=because)


def _waits(repeat: Repeat) -> bool:
    """Even gaps with nothing else in them, much longer than the calls: somebody sleeps."""
    long = repeat.gap_ns >= max(POLLING_MIN_GAP_NS, 5 * repeat.mean_ns)
    return long and repeat.gap_spread < 0.5 and repeat.idle_ratio >= 0.8


def _mostly(values: list[bool]) -> bool:
    return sum(values) * 2 > len(values)
