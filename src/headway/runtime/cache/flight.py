"""One load on its way in this process, which everybody who wants the same key waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from headway.runtime.cache.entry import Entry


class Flight:
    """
    Ends once: with an entry, with an error, or with neither, and then who waited begins anew.

    `fenced`: an invalidation came while it was on its way. What it brings goes to those who asked before, and is not
    kept. `offered` is what a refresh behind the scenes replaces: nobody need wait for it.
    """

    __slots__ = ("done", "entry", "error", "fenced", "offered", "waiters")

    def __init__(self) -> None:
        self.done = False
        self.entry: Entry | None = None
        self.error: BaseException | None = None
        self.fenced = False
        self.offered: Entry | None = None
        self.waiters: list[Callable[[], None]] = []
