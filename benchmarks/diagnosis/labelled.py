"""What a labelled case of traces is."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from made_traces import Book

if TYPE_CHECKING:
    from collections.abc import Callable

Label = tuple[str, str]
"""(route, statement)"""


@dataclass(frozen=True, kw_only=True)
class Case:
    """
    Spans of one service, and which statements of which routes are N+1 in them.

    `kind` is what the case is about: "sequential", "concurrent", "decoy" and so on. `fill` writes the spans.
    """

    name: str
    kind: str
    labels: frozenset[Label]
    fill: Callable[[Book], None]

    def book(self) -> Book:
        """The case's spans; the same ones every time."""
        made = Book(zlib.crc32(self.name.encode()))
        self.fill(made)
        return made


class Cases(list[Case]):
    """Cases in the order they are written."""

    def case(self, kind: str, *labels: Label) -> Callable[[Callable[[Book], None]], Callable[[Book], None]]:
        """Takes the function below it as a case of that kind with these labels; its name is the case's."""

        def take(fill: Callable[[Book], None]) -> Callable[[Book], None]:
            self.append(Case(name=fill.__name__, kind=kind, labels=frozenset(labels), fill=fill))
            return fill

        return take
