"""
The remote level's clock, carried on by this process's monotonic clock.

Expiry is decided by one clock, the server's, which also removes the keys; no process's wall clock takes part, so a
clock that jumps on a web server changes nothing.
"""

from __future__ import annotations

import math

RENEW_S = 30.0
"""Drift between two clocks in half a minute is well below a millisecond (100 ppm: 3 ms)."""


class ServerClock:
    """An estimate that is never behind: an answer's delay makes entries look older, not younger."""

    def __init__(self) -> None:
        self._ahead_ms: float | None = None
        self._asked_at = 0.0

    def unsure(self, now: float) -> bool:
        """Whether the server must be asked (again)."""
        return self._ahead_ms is None or now - self._asked_at > RENEW_S

    def learn(self, server_ms: float, asked_at: float) -> None:
        """`server_ms` was read after `asked_at`, monotonic s: taken for that moment, so never behind."""
        self._ahead_ms = server_ms - 1000.0 * asked_at
        self._asked_at = asked_at

    def forget(self) -> None:
        """
        The connection was lost: the next server may be another, and has to be asked. What was read from the last one
        and is being decoded still goes by its clock.
        """
        self._asked_at = -math.inf

    def to_local(self, server_ms: float) -> float:
        """The monotonic time of this process, s, at a time of the server, ms."""
        if self._ahead_ms is None:
            raise ValueError("the server's clock is not known yet; ask it first")
        return (server_ms - self._ahead_ms) / 1000.0
