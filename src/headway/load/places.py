"""Where in a file a table, a key and a value stand: what lets a refusal name line and column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Place:
    """A line, and a character in it where that is known; both counted from 1. `file` None: the file that is read."""

    line: int
    column: int | None = None
    file: str | None = None


class Table(dict[str, Any]):
    """
    A table of a file.

    Args:
        content: keys and values; tables in it are Tables, lists are Rows.
        at: where the table itself stands.
        keys_at: where its keys stand.
        values_at: where its values stand.
    """

    def __init__(
        self,
        content: dict[str, Any],
        at: Place | None = None,
        keys_at: dict[str, Place] | None = None,
        values_at: dict[str, Place] | None = None,
    ) -> None:
        super().__init__(content)
        self.at = at
        self.keys_at = keys_at or {}
        self.values_at = values_at or {}


class Rows(list[Any]):
    """A list of a file; `items_at` has the place of each item."""

    def __init__(self, content: list[Any], at: Place | None = None, items_at: list[Place | None] | None = None) -> None:
        super().__init__(content)
        self.at = at
        self.items_at = items_at or [at] * len(content)


def key_at(table: object, key: str) -> Place | None:
    """Where a key stands; the table itself when that is not known."""
    return table.keys_at.get(key, table.at) if isinstance(table, Table) else None


def value_at(table: object, key: str | int) -> Place | None:
    """Where a value stands, or the item of a list; the whole when that is not known."""
    if isinstance(table, Table):
        return table.values_at.get(str(key), table.keys_at.get(str(key), table.at))
    if isinstance(table, Rows) and isinstance(key, int) and key < len(table.items_at):
        return table.items_at[key] or table.at
    return None


def without(table: dict[str, Any], key: str) -> Table:
    """The table without that key; everything else keeps its place."""
    rest = {name: value for name, value in table.items() if name != key}
    return Table(rest, table.at, table.keys_at, table.values_at) if isinstance(table, Table) else Table(rest)


def searched(file: Path | None, text: str) -> tuple[int | None, int | None]:
    """Line and column of a text's first place in a file that was read before, and whose places are gone."""
    try:
        content = "" if file is None else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None, None
    at = content.find(text)
    if at < 0:
        return None, None
    return content.count("\n", 0, at) + 1, at - content.rfind("\n", 0, at)
