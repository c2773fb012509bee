"""Which Dask worker gets which generator."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def spread(threads: Mapping[str, int], count: int) -> list[str]:
    """
    The worker of each of `count` generators: each worker in turn, as long as it has a thread left; when none has, they
    share, in turn again.

    Args:
        threads: of each worker, at least one.
    """
    found: list[str] = []
    while len(found) < count:
        round_ = 0
        while len(found) < count and (left := [worker for worker, most in threads.items() if most > round_]):
            found.extend(left[: count - len(found)])
            round_ += 1
    return found
