"""What is asked while one statement is under way goes together in the next: one journey to the database for many."""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING, Generic, TypeVar

import psycopg

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

Asked = TypeVar("Asked")
Told = TypeVar("Told")

MOST = 100
"""In one statement: what the last of a crowd waits for stays some milliseconds."""

SPOILING = (psycopg.DataError, psycopg.IntegrityError)
"""One asker's values can do this to a whole statement, of which nothing is then done: each is asked for alone."""


class Gather(Generic[Asked, Told]):
    """
    Many askers, one statement at a time.

    Args:
        work: given several at once, tells each in the same order. It runs in a context of its own: no asker's session.
        wait_s: how long the first waits for others. The statement before makes them wait in any case.
    """

    def __init__(self, work: Callable[[Sequence[Asked]], Awaitable[Sequence[Told]]], *, wait_s: float) -> None:
        self._work, self._wait_s = work, wait_s
        self._waiting: list[tuple[Asked, asyncio.Future[Told]]] = []
        self._running: asyncio.Task[None] | None = None

    async def ask(self, asked: Asked) -> Told:
        """What `work` tells of this one. Raises what `work` raises."""
        loop = asyncio.get_running_loop()
        told: asyncio.Future[Told] = loop.create_future()
        self._waiting.append((asked, told))
        if self._running is None:
            self._running = loop.create_task(self._run(), context=contextvars.Context())
        return await told

    async def _run(self) -> None:
        some: list[tuple[Asked, asyncio.Future[Told]]] = []
        try:
            while self._waiting:
                await asyncio.sleep(self._wait_s)
                some, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                await self._tell(some)
        finally:
            self._running = None
            for _, told in (*some, *self._waiting):
                told.cancel()  # nothing happens to who has been told
            self._waiting = []

    async def _tell(self, some: Sequence[tuple[Asked, asyncio.Future[Told]]]) -> None:
        try:
            answers = await self._work([asked for asked, _ in some])
        except SPOILING as exc:
            if len(some) == 1:
                _fail(some, exc)
            else:
                for one in some:
                    await self._tell([one])
        except Exception as exc:  # noqa: BLE001 - it is the askers'
            _fail(some, exc)
        else:
            for (_, told), answer in zip(some, answers, strict=True):
                if not told.done():  # whoever was cancelled meanwhile
                    told.set_result(answer)


def _fail(some: Sequence[tuple[Asked, asyncio.Future[Told]]], exc: Exception) -> None:
    for _, told in some:
        if not told.done():
            told.set_exception(exc)
