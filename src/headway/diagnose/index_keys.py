"""An index's keys as its definition says them, operator class, collation and direction included; and what follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.model import Index

QUOTES = "\"'"


def keys(index: Index) -> tuple[str, ...] | None:
    """`lower(title) text_pattern_ops`, `id DESC`, in order; None: its definition can't be read."""
    text = index.definition
    start = next((at for at in _outside(text) if text.startswith(f" USING {index.method} (", at)), None)
    if start is None:
        return None
    first = start + len(f" USING {index.method} (")
    found, depth, begin = [], 0, first
    for at in _outside(text, first):
        if text[at] == "," and depth == 0:
            found.append(text[begin:at].strip())
            begin = at + 1
        elif text[at] == ")" and depth == 0:
            return (*found, text[begin:at].strip())
        depth += {"(": 1, ")": -1}.get(text[at], 0)
    return None


def serves_as_well(longer: Index, shorter: Index) -> bool:
    """Whether every read of `shorter` can be one of `longer`: the same keys, or more after them, of the same rows."""
    many, few = keys(longer), keys(shorter)
    if many is None or few is None or not longer.valid:
        return False
    alike = (longer.table, longer.method, longer.predicate) == (shorter.table, shorter.method, shorter.predicate)
    begins = many == few or (shorter.method == "btree" and many[: len(few)] == few)
    return alike and begins and set(shorter.included) <= {*longer.included, *longer.columns}


def _outside(text: str, start: int = 0) -> Iterator[int]:
    """Places that are not inside quotes."""
    quote = ""
    for at in range(start, len(text)):
        if quote:
            quote = "" if text[at] == quote else quote
        elif text[at] in QUOTES:
            quote = text[at]
        else:
            yield at
