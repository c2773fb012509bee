"""
Text from outside made harmless to look at: SQL, server messages, file names, route names.

A control character can move a cursor, recolour a terminal or break an XML parser; a bidirectional override can make
`drop` read as something else. Both are shown as what they are: `\\x1b`, `\\u202e`.
"""

from __future__ import annotations

import unicodedata

# Other, format (ZWJ, bidi overrides), surrogates, private use, line and paragraph separators.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_KEPT = "\n\t"
ELLIPSIS = "…"


def visible(text: str) -> str:
    """`text` with every character that has no glyph of its own written as an escape; newline and tab are kept."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(each if each in _KEPT or not _is_unseen(each) else _escape(each) for each in text)


def one_line(text: str, most: int | None = None) -> str:
    """
    `visible(text)` with runs of white space as one space, cut to `most` characters with an ellipsis.

    Args:
        text: anything from outside.
        most: longest result, in characters; None keeps all.
    """
    line = " ".join(visible(text).split())
    return line if most is None or len(line) <= most else line[: max(0, most - 1)].rstrip() + ELLIPSIS


def _is_unseen(character: str) -> bool:
    code = ord(character)
    return unicodedata.category(character) in _UNSEEN or code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
