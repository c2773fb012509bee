"""The page of users, which is the N+1: how long it takes in each form, one request at a time."""

from __future__ import annotations

import statistics
import time
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headway.errors import LabFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headway.lab import LabStatus

PAGE = "/users?limit=20&offset={offset}"
FROM_EDGE = frozenset({"HIT", "STALE", "UPDATING"})


@dataclass(frozen=True, kw_only=True)
class Page:
    """The page of users in one form: how long it takes when nothing else goes on, in milliseconds."""

    form: str
    what: str
    median_ms: float
    slowest_ms: float
    requests: int


def timed(step: str, status: LabStatus) -> list[Page]:
    """
    The N+1 page in the forms that the step of that name has: naive, joined, kept by the edge.

    Raises:
        LabFailed: the lab is not up, or an answer that should have come from the edge did not.
    """
    if status.app_url is None:
        raise LabFailed("the lab is not up", next_act="start it: headway lab up --stage 1")
    origin = next(each.url for each in status.services if each.name == "app-1")
    if step == "2":
        return [_timed("naive", "one statement a user, no index", origin, range(0, 100, 20))]
    if step == "4":
        offsets = range(0, 400, 20)
        return [
            _timed("joined", "two statements, an index", origin, offsets),
            _timed("cached", "kept by the edge", status.app_url, offsets, kept=True),
        ]
    return []


def _timed(form: str, what: str, url: str, offsets: Sequence[int], *, kept: bool = False) -> Page:
    """
    The page timed at each offset. `kept`: asked once before, so that the timed answers come from the edge.

    Raises:
        LabFailed: an answer that should have come from the edge did not.
    """
    took: list[float] = []
    for offset in offsets:
        address = url + PAGE.format(offset=offset)
        for last in (False, True) if kept else (True,):
            began = time.perf_counter()
            with urllib.request.urlopen(address, timeout=60) as answer:  # noqa: S310 - the lab's own address
                answer.read()
                status = answer.headers.get("X-Cache")
            if last:
                took.append((time.perf_counter() - began) * 1e3)
        if kept and status not in FROM_EDGE:
            raise LabFailed(f"the edge did not keep {address}: {status}", next_act="see 'headway lab logs nginx'")
    return Page(form=form, what=what, median_ms=statistics.median(took), slowest_ms=max(took), requests=len(took))
