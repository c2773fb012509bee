"""What one client has written: how far a replica must have come before it may answer him."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Session:
    """
    One client's reads and writes, for as long as a request or a longer scope lasts. Tasks and threads may share it.

    Attributes:
        needed: the position reads must see; 0 is none.
        on_primary: reads go to the primary, whatever has been replayed.
        wrote: whether this scope committed something: then the client must carry a token on.
        unsure: a COMMIT's end is not known; reads go to the primary until the next commit.
    """

    __slots__ = ("_lock", "needed", "on_primary", "unsure", "wrote")

    def __init__(self, needed: int = 0) -> None:
        self._lock = threading.Lock()
        self.needed = needed
        self.on_primary = False
        self.wrote = False
        self.unsure = False

    def committed(self, position: int) -> None:
        """Remember a commit whose record ends at `position` or before."""
        with self._lock:
            self.needed = max(self.needed, position)
            self.wrote, self.unsure = True, False


class Sessions:
    """The session of the code that runs: carried by a context variable of its own for each database."""

    def __init__(self) -> None:
        self._current: ContextVar[Session | None] = ContextVar("headway_session", default=None)

    def current(self) -> Session:
        """The session begun around this code; without one, the thread's or task's own, made now."""
        session = self._current.get()
        if session is None:
            session = Session()
            self._current.set(session)
        return session

    @contextmanager
    def scope(self, needed: int = 0) -> Iterator[Session]:
        """A new session, which must see `needed`; the one around it comes back afterwards."""
        session = Session(needed)
        before = self._current.set(session)
        try:
            yield session
        finally:
            self._current.reset(before)

    @contextmanager
    def primary(self) -> Iterator[None]:
        """All reads of the session go to the primary. A session of its own, so that its siblings' reads do not."""
        outer = self.current()
        inner = Session(outer.needed)
        inner.on_primary = True
        before = self._current.set(inner)
        try:
            yield
        finally:
            self._current.reset(before)
            if inner.wrote:
                outer.committed(inner.needed)
            outer.unsure = outer.unsure or inner.unsure
