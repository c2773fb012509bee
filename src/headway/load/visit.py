"""
One visitor on its way: a journey's steps, or a single request whose answer is looked into.

A visit has values of its own: its parameters are drawn once, so that `{user_id}` is the same in each of its steps;
what a step extracts takes the place of what was there. So do its cookies. It ends with its last step or with the first
that fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from headway.load import redirect
from headway.load.cookies import Jar, target_of
from headway.model import FailureKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from random import Random

    from headway.load.answer import Answer
    from headway.model import Think

Failure = tuple[FailureKind, str]


class Hop(Enum):
    """The answer is a redirect, and `Visit.request` is now what it asks for."""

    HOP = "hop"


@dataclass(frozen=True, kw_only=True, slots=True)
class Leg:
    """One step, ready to be taken."""

    route: int
    render: Callable[[Mapping[str, str]], bytes]
    good: frozenset[int]  # empty: 200 to 399
    head_only: bool
    checks: tuple[Callable[[Answer, Mapping[str, str]], str | None], ...] = ()
    extract: tuple[tuple[str, Callable[[Answer], str | None]], ...] = ()
    think: Think | None = None


@dataclass(frozen=True, kw_only=True)
class Course:
    """
    A journey, ready to be taken by any number of visitors.

    Args:
        legs: its steps, at least one.
        draw: the values a visit begins with.
        rng: for pauses.
    """

    legs: tuple[Leg, ...]
    draw: Callable[[], dict[str, str]]
    rng: Random

    def begin(self, due_ns: int, recorded: bytes = b"") -> Visit:
        """A visitor whose first request was meant to be sent at that moment; `recorded`: the bytes of that request."""
        return Visit(self, due_ns, recorded)


class Visit:
    """
    A visitor's state. `due_ns` and `sent_ns` are those of its request in hand; `hops` the redirects it followed.

    `user` is whoever makes the visit, for the closed model to know.
    """

    __slots__ = (
        "_asked", "_course", "_jar", "_recorded", "_step", "_values", "due_ns", "head_only", "hops", "leg", "sent_ns",
        "user",
    )  # fmt: skip

    def __init__(self, course: Course, due_ns: int, recorded: bytes = b"") -> None:
        self._course = course
        self._values = course.draw()
        self._jar = Jar()
        self._step = 0
        self._asked = b""
        self._recorded = recorded
        self.leg = course.legs[0]
        self.head_only = self.leg.head_only
        self.due_ns = due_ns
        self.sent_ns = 0
        self.hops = 0
        self.user: object = None

    @property
    def more(self) -> bool:
        """Whether steps come after this one."""
        return self._step + 1 < len(self._course.legs)

    def request(self) -> bytes:
        """The bytes of the request in hand."""
        if not self.hops:
            self._asked = self._recorded or self.leg.render(self._values)
        return self._jar.sent_with(self._asked)

    def judge(self, status: int, answer: Callable[[], Answer], hops: int, origin: str) -> Failure | Hop | None:
        """
        Look into the answer: cookies, redirects, checks, what is to be extracted.

        Args:
            status: the answer's.
            answer: gives it whole; asked only when there is something to look for.
            hops: redirects followed at most; 0: a redirect is an answer like any other.
            origin: redirects that leave it are failures.

        Returns:
            None when it is good.
        """
        leg = self.leg
        good = status in leg.good if leg.good else 200 <= status < 400
        hopping = hops > 0 and status in redirect.STATUSES and status not in leg.good
        try:
            whole = answer()
        except ValueError as error:
            if not good:
                return FailureKind.STATUS, str(status)
            return FailureKind.CHECK if leg.checks else FailureKind.EXTRACT, f"the body cannot be read: {error}"
        self._jar.take(whole.all(b"set-cookie"), target_of(self._asked))
        location = whole.header(b"location") if hopping else None
        if location is not None:
            return self._hop(status, location, hops, origin)
        if not good:
            return FailureKind.STATUS, str(status)
        return self._look(whole)

    def advance(self, due_ns: int) -> bool:
        """On to the next step, which is due then; False after the last."""
        if not self.more:
            return False
        self._step += 1
        self.leg = self._course.legs[self._step]
        self.head_only = self.leg.head_only
        self.due_ns = due_ns
        self.hops = 0
        return True

    def pause_ns(self) -> int:
        """How long the visitor thinks after this step's answer; drawn anew at each call."""
        think = self.leg.think
        return 0 if think is None else int(pause_s(think, self._course.rng) * 1e9)

    def _look(self, answer: Answer) -> Failure | None:
        """Checks, then what the next steps need."""
        for check in self.leg.checks:
            reason = check(answer, self._values)
            if reason is not None:
                return FailureKind.CHECK, reason
        for name, extract in self.leg.extract:
            value = extract(answer)
            if value is None:
                return FailureKind.EXTRACT, name
            self._values[name] = value
        return None

    def _hop(self, status: int, location: bytes, hops: int, origin: str) -> Failure | Hop:
        shown = location.decode("utf-8", "replace")[:80]
        if self.hops >= hops:
            return FailureKind.REDIRECT, f"more than {hops}, the last to {shown}"
        asked = redirect.followed(self._asked, status, location, origin)
        if asked is None:
            return FailureKind.REDIRECT, f"it leads away from {origin}, to {shown}"
        self._asked = asked
        self.head_only = asked.startswith(b"HEAD ")
        self.hops += 1
        return Hop.HOP


def pause_s(think: Think, rng: Random) -> float:
    """One pause."""
    if think.exponential:
        return rng.expovariate(1.0) * think.low_s
    return rng.uniform(think.low_s, think.high_s) if think.high_s > think.low_s else think.low_s
