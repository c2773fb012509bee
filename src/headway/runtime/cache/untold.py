"""Invalidations that the remote level has not been told, and those that it may have been told in vain."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

EVERYTHING = "*"
"""The tag that every entry has: its barrier is how a whole cache is cleared."""

MOST_MISSED = 10_000
"""Invalidations kept for a remote level that is down; one more, and the whole cache is cleared when it is back."""

DOUBT_S = 10.0
"""What a primary was told so shortly before it was lost is told again: the replica that takes over may not have it."""


class Untold:
    """Every method may be called from any thread."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._told: deque[tuple[float, bool, str]] = deque(maxlen=MOST_MISSED)
        self.keys: set[str] = set()
        self.tags: set[str] = set()

    def miss(self, *, keys: Iterable[str] = (), tags: Iterable[str] = ()) -> None:
        """The remote level could not be told these."""
        with self._mutex:
            self._miss(keys, tags)

    def tell(self, now: float, *, keys: Iterable[str] = (), tags: Iterable[str] = ()) -> None:
        """It has been told these."""
        with self._mutex:
            for is_tag, names, missed in ((False, keys, self.keys), (True, tags, self.tags)):
                for name in names:
                    self._told.append((now, is_tag, name))
                    missed.discard(name)

    def doubt(self, now: float) -> None:
        """The connection was lost: what was told just before it counts as untold."""
        with self._mutex:
            late = [(is_tag, name) for at, is_tag, name in self._told if now - at <= DOUBT_S]
            self._told.clear()
            self._miss((name for is_tag, name in late if not is_tag), (name for is_tag, name in late if is_tag))

    def has(self, key: str, tags: tuple[str, ...]) -> bool:
        """Whether the remote level may still have what has been invalidated here."""
        if not self.keys and not self.tags:
            return False
        return key in self.keys or not self.tags.isdisjoint((EVERYTHING, *tags))

    def __len__(self) -> int:
        return len(self.keys) + len(self.tags)

    def _miss(self, keys: Iterable[str], tags: Iterable[str]) -> None:
        self.keys.update(keys)
        self.tags.update(tags)
        if len(self.keys) > MOST_MISSED:
            self.keys.clear()
            self.tags.add(EVERYTHING)
