"""The SQL files' statements, and the few that are put together."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

from headway.runtime.database import lsn

ISOLATION = {"read committed": "READ COMMITTED", "repeatable read": "REPEATABLE READ", "serializable": "SERIALIZABLE"}


@cache
def named(name: str) -> str:
    """One statement of sql/looking.sql."""
    text = resources.files("headway.runtime.database").joinpath("sql/looking.sql").read_text()
    for block in re.split(r"(?m)^-- name: ", text)[1:]:
        title, _, body = block.partition("\n")
        if title.strip() == name:
            kept = [line for line in body.splitlines() if not line.startswith("--")]
            return "\n".join(kept).strip()
    raise KeyError(name)


def begin(isolation: str | None) -> str:
    """
    Begin a transaction that may write.

    Raises:
        ValueError: PostgreSQL has no such isolation level.
    """
    level = ""
    if isolation is not None:
        if isolation.lower() not in ISOLATION:
            raise ValueError(f"no isolation level {isolation!r}; there are {', '.join(ISOLATION)}")
        level = f" ISOLATION LEVEL {ISOLATION[isolation.lower()]}"
    return f"/* headway */ BEGIN{level} READ WRITE"


def limit(timeout_ms: int | None, *, local: bool = False) -> str:
    """Bound the statements to come, or those of this transaction; None goes back to what the server would have."""
    value = "DEFAULT" if timeout_ms is None else f"{timeout_ms:d}"
    return f"/* headway */ SET {'LOCAL ' if local else ''}statement_timeout = {value}"


def wait_for(position: int, timeout_ms: int) -> str:
    """
    PostgreSQL 19's own wait for a position, which answers `success`, `timeout` or `not in recovery`.

    Source: https://www.postgresql.org/docs/19/sql-wait-for.html
    """
    return (
        f"/* headway */ WAIT FOR LSN '{lsn.write(position)}'"
        f" WITH (MODE 'standby_replay', TIMEOUT '{timeout_ms:d}ms', NO_THROW)"
    )
