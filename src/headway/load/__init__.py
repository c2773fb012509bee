"""
The load engine. Scenarios written in Python take their words from here: `from headway.load import Scenario, get, post`.

Times are seconds, rates per second, shares ratios in (0, 1]. What means nothing raises BadInput, with the line of the
Python file it stands in.

Nothing is imported until such a word is asked for, since every room of the line imports something from this one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headway.load.api import (
        Scenario,
        bare,
        csv,
        delete,
        get,
        head,
        hot,
        journey,
        json_lines,
        once,
        options,
        patch,
        post,
        put,
        query,
        rows,
        sequential,
        think,
        uniform,
        values,
        zipf,
    )

__all__ = [
    "Scenario", "bare", "csv", "delete", "get", "head", "hot", "journey", "json_lines", "once", "options",
    "patch", "post", "put", "query", "rows", "sequential", "think", "uniform", "values", "zipf",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from headway.load import api

    return getattr(api, name)
