"""One timer for all questions of an event loop: asyncio.timeout makes one, and cancels it, for each."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType


class Deadlines:
    """
    `with deadlines.one(): await ...` raises TimeoutError after timeout_s, as asyncio.timeout does.

    All have the same time, so the one that began first ends first: a queue as they began, with a timer for its
    head. What is done by then is taken from it when the timer rings, not before.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._queue: deque[_Deadline] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None

    def one(self) -> _Deadline:
        """A deadline of the running task, from now on."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a deadline is for a task; call this from a coroutine that a loop runs")
        loop = task.get_loop()
        deadline = _Deadline(task, loop.time() + self._timeout_s)
        if loop is not self._loop:  # the first, or the loop before has ended with its timer
            self._queue.clear()
            self._loop = loop
        if not self._queue:
            loop.call_at(deadline.at, self._ring)
        self._queue.append(deadline)
        return deadline

    def _ring(self) -> None:
        queue, loop = self._queue, self._loop
        if loop is None:
            return
        now = loop.time()
        while queue and (queue[0].task is None or queue[0].at <= now):
            queue.popleft().expire()
        if queue:
            loop.call_at(queue[0].at, self._ring)


class _Deadline:
    __slots__ = ("at", "cancelling", "expired", "task")

    def __init__(self, task: asyncio.Task[Any], at: float) -> None:
        self.task: asyncio.Task[Any] | None = task
        self.at = at
        self.expired = False
        self.cancelling = task.cancelling()

    def expire(self) -> None:
        if self.task is not None:
            self.expired = True
            self.task.cancel()

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, _at: TracebackType | None) -> None:
        task, self.task = self.task, None
        # Who else cancelled the task meanwhile has the first word, as with asyncio.timeout.
        if self.expired and task is not None and task.uncancel() <= self.cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from exc
