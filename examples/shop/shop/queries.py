"""Reads `sql/*.sql`: each statement stands under `-- name: ...` and a line that says what it answers."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, LiteralString, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = "-- name:"


def read(name: str) -> Mapping[str, LiteralString]:
    """
    The statements of `sql/{name}.sql` by their names, comments left out.

    The texts are files of this package, never input: that is what LiteralString says to psycopg.

    Raises:
        ValueError: a name stands twice, or nothing stands under one.
    """
    return parse(files("shop").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8"), name)


def parse(text: str, origin: str) -> Mapping[str, LiteralString]:
    """The statements of one file's text by their names, in the file's order."""
    found: dict[str, str] = {}
    for block in text.split(_NAME)[1:]:
        title, _, body = block.partition("\n")
        lines = [line.strip() for line in body.splitlines() if not line.lstrip().startswith("--")]
        statement = " ".join(line for line in lines if line).removesuffix(";")
        if title.strip() in found or not statement:
            raise ValueError(f"sql/{origin}.sql: {title.strip()!r} stands twice, or nothing stands under it")
        found[title.strip()] = statement
    return cast("Mapping[str, LiteralString]", found)
