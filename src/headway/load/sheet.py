"""A scenario's tables beside the file they stand in, so that every refusal names its line and column."""

from __future__ import annotations

import difflib
import re
import tomllib
from typing import TYPE_CHECKING, Any

from headway.errors import BadInput
from headway.load.places import Place, Table, key_at, value_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

YAML = frozenset({".yaml", ".yml"})
MOST_BYTES = 32 << 20
PAGE = "docs/scenarios.md"


class Sheet:
    """
    A file's text, to name places in it.

    Args:
        file: what refusals name.
        text: its text; empty where the tables were not read from a text.
    """

    def __init__(self, file: Path, text: str) -> None:
        self.file = file
        self._lines = text.splitlines()

    def refuse(self, what: str, *, next_act: str, near: str = "", nth: int = 1, at: Place | None = None) -> BadInput:
        """The error, at `at`; else at the nth line that has the word `near` as a key, table or value."""
        place = at or self._found(near, nth)
        if place is None:
            return BadInput(what, next_act=next_act, file=self.file)
        return BadInput(what, next_act=next_act, file=place.file or self.file, line=place.line, column=place.column)

    def _found(self, near: str, nth: int) -> Place | None:
        if not near:
            return None
        word = re.compile(rf"(?<![\w-]){re.escape(near)}(?![\w-])")
        found = [
            Place(number, match.start() + 1)
            for number, line in enumerate(self._lines, start=1)
            if (match := word.search(line.partition("#")[0])) is not None
        ]
        return found[min(nth, len(found)) - 1] if found else None

    def known(self, table: Mapping[str, Any], keys: Iterable[str], where: str) -> None:
        """Refuse keys that mean nothing: a misspelt one would be silence about what was asked."""
        keys = tuple(keys)
        for key in table:
            if key not in keys:
                near = difflib.get_close_matches(key, keys, 1, 0.5)
                act = f"did you mean {near[0]!r}?" if near else f"it may have: {', '.join(keys)}"
                raise self.refuse(f"{where} has an unknown key {key!r}", next_act=act, near=key, at=key_at(table, key))

    def number(self, table: Mapping[str, Any], key: str, default: float | None, *, above: float = 0) -> float | None:
        """A finite number greater than `above`."""
        value = table.get(key, default)
        if value is None and key not in table:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not above < value < 1e9:
            raise self.wrong(table, key, f"is not a number above {above:g}")
        return float(value)

    def whole(self, table: Mapping[str, Any], key: str, default: int | None, *, least: int = 1) -> int | None:
        """A whole number of at least `least`."""
        value = table.get(key, default)
        if value is None and key not in table:
            return None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 1 << 62:
            raise self.wrong(table, key, f"is not a whole number of at least {least}")
        return value

    def choice(self, table: Mapping[str, Any], key: str, allowed: Iterable[str], default: str) -> str:
        """One of a few words."""
        value, allowed = table.get(key, default), tuple(allowed)
        if value not in allowed:
            raise self.wrong(table, key, "is unknown", next_act=f"say one of {', '.join(allowed)}")
        return str(value)

    def truth(self, table: Mapping[str, Any], key: str, default: bool) -> bool:
        """true or false."""
        value = table.get(key, default)
        if not isinstance(value, bool):
            raise self.wrong(table, key, "is neither true nor false")
        return value

    def text(self, table: Mapping[str, Any], key: str, default: str | None = None) -> str | None:
        """Text that is not empty."""
        value = table.get(key, default)
        if value is None and key not in table:
            return None
        if not isinstance(value, str) or not value:
            raise self.wrong(table, key, "is not text", next_act="quote it")
        return value

    def table(self, table: Mapping[str, Any], key: str, *, example: str) -> Table:
        """A table; an empty one when there is none."""
        value = table.get(key, {})
        if not isinstance(value, dict):
            raise self.wrong(table, key, "is not a table", next_act=f"say {example}")
        return value if isinstance(value, Table) else Table(value)

    def rows(self, table: Mapping[str, Any], key: str, *, example: str) -> list[Any]:
        """A list; an empty one when there is none."""
        value = table.get(key, [])
        if not isinstance(value, list):
            raise self.wrong(table, key, "is not a list", next_act=f"say {example}")
        return value

    def wrong(self, table: Mapping[str, Any], key: str, why: str, *, next_act: str = "mend it") -> BadInput:
        """The error about one value, at its place."""
        shown = repr(table.get(key))
        shown = shown if len(shown) <= 80 else shown[:79] + "…"
        return self.refuse(f"{key} = {shown} {why}", next_act=next_act, near=key, at=value_at(table, key))


def opened(path: Path) -> tuple[Sheet, Table]:
    """
    A TOML file's tables, or those of a YAML file, by its suffix.

    Raises:
        BadInput: the file is missing, too large, not UTF-8, or neither; with the line and column.
    """
    try:
        with path.open("rb") as stream:
            raw = stream.read(MOST_BYTES + 1)
        text = raw.decode("utf-8")
    except OSError as exc:
        raise BadInput(
            f"cannot read the scenario: {exc.strerror}", next_act="name a TOML, YAML or Python file", file=path
        ) from exc
    except UnicodeDecodeError as exc:
        raise BadInput("the scenario is not UTF-8", next_act="save it as UTF-8", file=path) from exc
    if len(raw) > MOST_BYTES:
        raise BadInput(
            f"the scenario is larger than {MOST_BYTES >> 20} MB", next_act="put its values into a CSV file", file=path
        )
    sheet = Sheet(path, text)
    return sheet, _yaml(sheet, text) if path.suffix.lower() in YAML else _toml(sheet, text)


def _toml(sheet: Sheet, text: str) -> Table:
    from headway.load import toml_places

    try:
        return toml_places.read(text)
    except tomllib.TOMLDecodeError as exc:
        at = re.search(r" \(at line (\d+), column (\d+)\)$| \(at end of document\)$", str(exc))
        lines = text.split("\n")
        place = Place(int(at[1]), int(at[2])) if at and at[1] else Place(len(lines), len(lines[-1]) + 1)
        raise sheet.refuse(
            f"not TOML: {str(exc)[: at.start()] if at else exc}", next_act="mend that line", at=place
        ) from exc
    except (ValueError, RecursionError) as exc:  # a number of thousands of digits, thousands of nested lists
        raise sheet.refuse(f"not TOML that can be read: {exc}", next_act="mend it") from exc


def _yaml(sheet: Sheet, text: str) -> Table:
    from headway.load import yaml_places

    try:
        return yaml_places.read(text)
    except yaml_places.NotYaml as exc:
        raise sheet.refuse(f"not YAML that can be read: {exc}", next_act="mend that line", at=exc.place) from exc
