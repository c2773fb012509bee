"""
TOML with places. `tomllib` reads it, which knows values and no places; a walk over the same text finds those.

The walk is only ever made over text that tomllib has accepted, so it need not know what is wrong TOML, only where
things begin and end. That both see the same keys is held by a property test.

Source: TOML 1.0.0, https://toml.io/en/v1.0.0.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any

from headway.load.places import Place, Rows, Table

Path = tuple[str | int, ...]
_SPACE = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(r'"""(?:\\.|[^\\])*?"{3,5}' + r"|'''.*?'{3,5}" + r'|"(?:\\.|[^"\\])*"' + r"|'[^']*'", re.DOTALL)
_PLAIN = re.compile(r"[^,\]}#\r\n]+")


def read(text: str) -> Table:
    """
    The text's tables.

    Raises:
        tomllib.TOMLDecodeError, ValueError, RecursionError: it is not TOML, or beyond what Python's reader takes.
    """
    text = text.replace("\r\n", "\n")
    content = tomllib.loads(text)
    walk = _Walk(text)
    walk.document()
    table = _placed(content, (), walk)
    if not isinstance(table, Table):
        raise TypeError("a document is a table")
    table.at = Place(1, 1)
    return table


class _Walk:
    """Finds the place of each key and each value by its path."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._starts = [0, *(found.end() for found in re.finditer("\n", text))]
        self._line = 0
        self.keys: dict[Path, Place] = {}
        self.values: dict[Path, Place] = {}
        self._counts: dict[Path, int] = {}  # tables of each [[array]] so far

    def document(self) -> None:
        """All of it."""
        table: Path = ()
        self._skip()
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip()

    def _header(self) -> Path:
        """`[a.b]` or `[[a.b]]`, to the path of the table that follows."""
        many = self._text.startswith("[[", self._at)
        begin = self._place()
        self._at += 2 if many else 1
        path: Path = ()
        names = self._names()
        for nth, (name, place) in enumerate(names, start=1):
            path = (*path, name)
            self.keys.setdefault(path, place)
            self.values.setdefault(path, begin)
            if nth == len(names) and many:
                self._counts[path] = self._counts.get(path, 0) + 1
            if path in self._counts:
                path = (*path, self._counts[path] - 1)
        self.values.setdefault(path, begin)
        self._at += 2 if many else 1
        return path

    def _pair(self, table: Path) -> None:
        """`a.b = value`."""
        path = table
        for name, place in self._names():
            path = (*path, name)
            self.keys.setdefault(path, place)
            self.values.setdefault(path, place)
        self._at += 1  # the =
        self._skip()
        self._value(path)

    def _value(self, path: Path) -> None:
        self.values[path] = self._place()
        here = self._text[self._at]
        if here == "[":
            self._list(path)
        elif here == "{":
            self._inline(path)
        else:
            found = (_STRING if here in "\"'" else _PLAIN).match(self._text, self._at)
            self._at = len(self._text) if found is None else found.end()

    def _list(self, path: Path) -> None:
        self._at += 1
        self._skip()
        nth = 0
        while self._text[self._at] != "]":
            self._value((*path, nth))
            nth += 1
            self._skip()
            if self._text[self._at] == ",":
                self._at += 1
                self._skip()
        self._at += 1

    def _inline(self, path: Path) -> None:
        self._at += 1
        self._skip()
        while self._text[self._at] != "}":
            self._pair(path)
            self._skip()
            if self._text[self._at] == ",":
                self._at += 1
                self._skip()
        self._at += 1

    def _names(self) -> list[tuple[str, Place]]:
        """A dotted key: its parts and their places; stops after it and the space behind it."""
        found = []
        while True:
            self._skip()
            place = self._place()
            quoted = _STRING.match(self._text, self._at) or _BARE.match(self._text, self._at)
            if quoted is None:
                raise ValueError(f"no key at line {place.line}")
            raw = quoted[0]
            found.append((tomllib.loads(f"k = {raw}")["k"] if raw[0] in "\"'" else raw, place))
            self._at = quoted.end()
            self._skip()
            if self._text[self._at] != ".":
                return found
            self._at += 1

    def _skip(self) -> None:
        found = _SPACE.match(self._text, self._at)
        self._at = self._at if found is None else found.end()

    def _place(self) -> Place:
        while self._line + 1 < len(self._starts) and self._starts[self._line + 1] <= self._at:
            self._line += 1
        return Place(self._line + 1, self._at - self._starts[self._line] + 1)


def _placed(value: Any, path: Path, walk: _Walk) -> Any:
    if isinstance(value, dict):
        return Table(
            {key: _placed(each, (*path, key), walk) for key, each in value.items()},
            walk.values.get(path),
            {key: walk.keys[(*path, key)] for key in value if (*path, key) in walk.keys},
            {key: walk.values[(*path, key)] for key in value if (*path, key) in walk.values},
        )
    if isinstance(value, list):
        places = [walk.values.get((*path, nth)) for nth in range(len(value))]
        return Rows(
            [_placed(each, (*path, nth), walk) for nth, each in enumerate(value)], walk.values.get(path), places
        )
    return value
