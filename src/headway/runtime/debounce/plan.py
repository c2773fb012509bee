"""What a debounced act is, and what is sent for it. No input or output: debouncer.py has the shells."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

import msgspec

from headway.runtime.cache.scripts import Script

CALL = Script("call", package=__package__)
CLAIM = Script("claim", package=__package__)
DONE = Script("done", package=__package__)

MOST_TRIES = 5
"""An act whose handler raises is tried again after its lease; after so many times it is dropped, and that is logged."""

LONGEST_NAP_S = 0.5
"""A worker looks again after so long although nothing was due: another process may have called."""


class Edge(Enum):
    """When to fire."""

    LEADING = "leading"
    """At the first call; skip the others while it fired less than window_s ago."""
    TRAILING = "trailing"
    """Once it has been quiet for window_s, with the last call's payload."""
    BOTH = "both"
    """At the first call, and once more after the last one, if there was another."""


class Answer(Enum):
    """What became of a call."""

    SKIP = 0
    FIRE = 1
    LATER = 2


class Act(NamedTuple):
    """An act that is due."""

    key: str
    payload: Any
    calls: bytes
    tries: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """
    One kind of act.

    Args:
        name: names the keys in the server: `debounce:{<name>}:...`, all in one slot of a cluster.
        window_s: how long after firing calls are skipped, and how long it has to be quiet before the trailing call.
        longest_s: a trailing call waits no longer than this, however often it is called; None: for ever.
        lease_s: an act that a worker has taken, and not done by then, is given to another.
    """

    name: str
    window_s: float
    edge: Edge = Edge.LEADING
    longest_s: float | None = None
    lease_s: float = 30.0

    def __post_init__(self) -> None:
        if self.window_s < 0.001 or self.lease_s < 0.001:
            raise ValueError(f"window_s {self.window_s} and lease_s {self.lease_s} must be at least 0.001")
        if not self.name or set(self.name) & set(":{}"):
            raise ValueError(f"the name {self.name!r} must have a letter, and no ':' and no brace")

    def call(self, key: str, payload: Any) -> tuple[list[str], tuple[Any, ...]]:
        """Keys and words of CALL."""
        longest_ms = 10**12 if self.longest_s is None else int(1000 * self.longest_s)
        words = (self.edge.value, int(1000 * self.window_s), longest_ms, key, msgspec.msgpack.encode(payload))
        return [self._of("fired", key), self._of("due"), self._of("work"), self._of("calls")], words

    def claim(self) -> tuple[list[str], tuple[Any, ...]]:
        """Keys and words of CLAIM."""
        return [self._of("due"), self._of("work"), self._of("calls")], (int(1000 * self.lease_s),)

    def done(self, act: Act) -> tuple[list[str], tuple[Any, ...]]:
        """Keys and words of DONE."""
        keys = [self._of("fired", act.key), self._of("due"), self._of("work"), self._of("calls")]
        return keys, (act.key, act.calls, int(1000 * self.window_s))

    def taken(self, reply: list[Any]) -> Act | float:
        """CLAIM's reply: an act, or how long nothing is due, s."""
        if len(reply) == 1:
            return LONGEST_NAP_S if reply[0] < 0 else min(LONGEST_NAP_S, reply[0] / 1000)
        return Act(reply[0].decode(), msgspec.msgpack.decode(reply[1]), reply[2], int(reply[3]))

    def _of(self, what: str, key: str | None = None) -> str:
        return f"debounce:{{{self.name}}}:{what}" + ("" if key is None else f":{key}")
