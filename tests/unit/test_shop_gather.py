"""Statements for many askers at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import psycopg
import pytest

from shop.gather import Gather

if TYPE_CHECKING:
    from collections.abc import Sequence


def test_what_comes_while_one_is_under_way_goes_together() -> None:
    """The first goes alone; the three that come meanwhile are one statement, and each gets its own answer."""

    async def story() -> tuple[list[list[int]], list[int]]:
        seen: list[list[int]] = []
        begun, free = asyncio.Event(), asyncio.Event()

        async def double(some: Sequence[int]) -> list[int]:
            seen.append(list(some))
            begun.set()
            await free.wait()
            return [2 * each for each in some]

        gather = Gather(double, wait_s=0.0)
        first = asyncio.create_task(gather.ask(1))
        await begun.wait()
        others = [asyncio.create_task(gather.ask(each)) for each in (2, 3, 4)]
        await asyncio.sleep(0)
        free.set()
        return seen, [await each for each in (first, *others)]

    assert asyncio.run(story()) == ([[1], [2, 3, 4]], [2, 4, 6, 8])


@pytest.mark.parametrize(
    ("failure", "expected"),
    [(psycopg.DataError("NUL"), [2, "NUL", 6]), (psycopg.OperationalError("down"), ["down", "down", "down"])],
)
def test_one_askers_values_spoil_nobody_elses_answer(failure: Exception, expected: list[object]) -> None:
    """Values that the database cannot hold are refused to who sent them; a database that is down, to everyone."""

    async def double(some: Sequence[int]) -> list[int]:
        if 2 in some:
            raise failure
        return [2 * each for each in some]

    async def story() -> list[object]:
        gather = Gather(double, wait_s=0.0)
        told = await asyncio.gather(*map(gather.ask, (1, 2, 3)), return_exceptions=True)
        return [str(each) if isinstance(each, Exception) else each for each in told]

    assert asyncio.run(story()) == expected
