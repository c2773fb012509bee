"""One cached value in this process, and what may be done with it now. Pure: time comes in as a number."""

from __future__ import annotations

import math
from enum import Enum
from typing import TYPE_CHECKING, Any

from headway.runtime.cache.untold import EVERYTHING

if TYPE_CHECKING:
    from collections.abc import Callable

    from headway.runtime.cache.policy import Policy

SLIDE_RATIO = 0.1
"""A sliding entry is touched at most once in this share of its ttl: a write for every read costs more than it keeps."""


class Entry:
    """
    A decoded value with its times, monotonic seconds of this process.

    `refresh_at` <= `fresh_until` <= `stale_until` <= `keep_until`; its load began at `born_at`. `stamp` is the remote
    level's logical time at which its load began: the later stamp is the newer value, whatever the clocks say. `epoch`
    is the local level's epoch at which the tags were last held against the barriers; `look_at` is when the remote level
    is looked at again although the copy is fresh.
    """

    __slots__ = (
        "born_at",
        "delta_s",
        "epoch",
        "fresh_until",
        "keep_until",
        "look_at",
        "refresh_at",
        "size_bytes",
        "stale_until",
        "stamp",
        "tags",
        "value",
    )

    def __init__(
        self,
        value: Any,
        *,
        stamp: float,
        born_at: float,
        fresh_until: float,
        delta_s: float = 0.0,
        tags: tuple[str, ...] = (),
        size_bytes: int = 0,
    ) -> None:
        self.value = value
        self.stamp = stamp
        self.born_at = born_at
        self.delta_s = delta_s
        self.tags = tags
        self.size_bytes = size_bytes
        self.epoch = -1
        self.look_at = math.inf
        self.fresh_until = self.refresh_at = self.stale_until = self.keep_until = fresh_until

    def under(self, policy: Policy, now: float, random: Callable[[], float]) -> Entry:
        """Set what the policy allows, in place: when to refresh early, what is served stale."""
        self.stale_until = self.fresh_until + policy.stale_s
        self.keep_until = self.fresh_until + policy.grace_s
        if policy.sliding:
            self.refresh_at = min(self.fresh_until, now + SLIDE_RATIO * policy.ttl_s)
        elif policy.early_beta:
            # XFetch asks "-delta * beta * ln(random) >= what is left?" at each read. Drawn once a copy: one comparison.
            self.refresh_at = self.fresh_until + self.delta_s * policy.early_beta * math.log(1.0 - random())
        if policy.local_ttl_s is not None:
            self.look_at = now + policy.local_ttl_s
            self.refresh_at = min(self.refresh_at, self.look_at)
        return self

    def barred(self, barriers: dict[str, float]) -> bool:
        """Whether one of these barriers was raised after the stamp."""
        if barriers.get(EVERYTHING, -1.0) >= self.stamp:
            return True
        return bool(self.tags) and any(barriers.get(tag, -1.0) >= self.stamp for tag in self.tags)


class Choice(Enum):
    """What to do with an entry, or with its absence."""

    SERVE = "serve"
    SLIDE = "serve, and begin its ttl anew"
    REFRESH = "serve, and refresh behind the scenes"
    LOOK = "ask the remote level, then the source"


def choose(entry: Entry | None, now: float, policy: Policy) -> Choice:
    """What may be done with the entry at `now`."""
    if entry is None or now >= entry.stale_until:
        return Choice.LOOK
    if now < entry.refresh_at:
        return Choice.SERVE
    if entry.look_at <= now < entry.fresh_until:
        return Choice.LOOK
    if policy.sliding and now < entry.fresh_until:
        return Choice.SLIDE
    return Choice.REFRESH
