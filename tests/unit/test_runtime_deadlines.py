"""One timer for many deadlines."""

from __future__ import annotations

import asyncio
import time

import pytest

from headway.runtime.cache.deadlines import Deadlines


def test_who_is_late_is_ended_and_nobody_else() -> None:
    """Of a hundred that begin in turn, each second one hangs: those end with TimeoutError in their time, not before."""

    async def one(deadlines: Deadlines, number: int) -> tuple[bool, float]:
        await asyncio.sleep(number / 1000)
        began = time.monotonic()
        try:
            with deadlines.one():
                await asyncio.sleep(5 if number % 2 else 0)
        except TimeoutError:
            return True, time.monotonic() - began
        return False, time.monotonic() - began

    async def story() -> list[tuple[bool, float]]:
        deadlines = Deadlines(0.1)
        return await asyncio.gather(*(one(deadlines, number) for number in range(100)))

    told = asyncio.run(story())
    assert [late for late, _ in told] == [bool(number % 2) for number in range(100)]
    assert all(0.09 < took_s < 1 for late, took_s in told if late)


def test_a_cancelled_task_stays_cancelled() -> None:
    """The caller's own cancellation is never taken for a deadline, also when both come at once."""

    async def story() -> None:
        deadlines = Deadlines(0.02)

        async def wait() -> None:
            with deadlines.one():
                await asyncio.sleep(5)

        for after_s in (0, 0.005):
            task = asyncio.create_task(wait())
            await asyncio.sleep(after_s)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        both = asyncio.create_task(wait())
        await asyncio.sleep(0)
        time.sleep(0.03)  # noqa: ASYNC251 - so that the timer is due when the cancellation is
        both.cancel()
        with pytest.raises(asyncio.CancelledError):
            await both
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.005):
                await wait()

    asyncio.run(story())


def test_a_second_loop_has_a_timer_of_its_own() -> None:
    """The first ended with deadlines that were still to come."""
    deadlines = Deadlines(0.05)

    async def quick() -> None:
        with deadlines.one():
            await asyncio.sleep(0)

    async def slow() -> None:
        with deadlines.one():
            await asyncio.sleep(5)

    asyncio.run(quick())
    with pytest.raises(TimeoutError):
        asyncio.run(slow())
