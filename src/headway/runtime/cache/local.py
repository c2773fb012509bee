"""
The level in this process: decoded objects under W-TinyLFU (moka), limited in entries and in bytes at once.

An entry weighs its encoded size, at least max_bytes / max_entries: one sum keeps both limits. Decoded objects are
larger than their bytes, so max_bytes is a measure, not what the process grows by.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moka_py import Moka

if TYPE_CHECKING:
    from collections.abc import Callable

    from headway.runtime.cache.entry import Entry


class Local:
    """Keys to entries. Every method may be called from any thread."""

    def __init__(self, *, max_entries: int, max_bytes: int) -> None:
        if max_entries < 1 or max_bytes < max_entries:
            raise ValueError(
                f"the local level may hold {max_entries} entries and {max_bytes} bytes; give at least 1 each"
            )
        self.most_bytes = max_bytes
        self._least = -(-max_bytes // max_entries)
        self.clear()

    def clear(self) -> None:
        """Forget everything, in constant time."""
        # Bound methods: looked up once, not at each hit.
        entries: Moka[str, Any] = Moka(self.most_bytes, weigher=self._weight)
        self.get: Callable[[str], Entry | None] = entries.get
        self._entries = entries

    def put(self, key: str, entry: Entry, now: float) -> None:
        """Keep an entry until its keep_until."""
        lasts_s = entry.keep_until - now
        if lasts_s > 0:
            self._entries.set(key, entry, lasts_s)

    def drop(self, key: str) -> None:
        """Forget one key."""
        self._entries.remove(key)

    def sizes(self) -> tuple[int, int]:
        """(entries, weight in bytes) now."""
        self._entries.run_pending_tasks()
        return self._entries.count(), self._entries.weighted_size()

    def _weight(self, _key: str, entry: Entry) -> int:
        return max(self._least, entry.size_bytes)
