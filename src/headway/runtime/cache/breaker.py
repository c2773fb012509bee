"""A circuit breaker as a pure state machine: after some failures in a row, don't ask for a while."""

from __future__ import annotations


class Breaker:
    """
    Closed, open, half open.

    Args:
        failures: so many in a row open the circuit.
        open_s: how long it stays open at first; doubled after each failed trial, up to longest_s.
        longest_s: never open for longer: how late a recovery is noticed at worst.
    """

    def __init__(self, *, failures: int = 3, open_s: float = 0.5, longest_s: float = 5.0) -> None:
        self._failures = failures
        self._first_s = self._open_s = open_s
        self._longest_s = longest_s
        self._in_a_row = 0
        self._closed_at = 0.0

    def allows(self, now: float) -> bool:
        """Whether one may ask. The first to ask an open circuit after its time is the trial; others wait for it."""
        if self._in_a_row < self._failures:
            return True
        if now < self._closed_at:
            return False
        self._closed_at = now + self._open_s
        return True

    def succeeded(self) -> None:
        """An answer came: closed."""
        if self._in_a_row:
            self._in_a_row = 0
            self._open_s = self._first_s

    def failed(self, now: float) -> None:
        """No answer came."""
        self._in_a_row += 1
        if self._in_a_row == self._failures:
            self._closed_at = now + self._open_s
        elif self._in_a_row > self._failures and now + self._open_s >= self._closed_at:
            self._open_s = min(2 * self._open_s, self._longest_s)
            self._closed_at = now + self._open_s

    @property
    def is_open(self) -> bool:
        """Whether the circuit is open or half open."""
        return self._in_a_row >= self._failures
