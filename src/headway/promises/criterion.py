"""
The plain text of one acceptance criterion, to clauses that can be measured.

The grammar is criterion.lark; reading.py checks that the words agree, sentence.py that the clauses do; instead.py says
what could be said. Understanding is all or nothing: a criterion with one word that is neither in the grammar nor
harmless has no clauses at all, as a promise with a condition left out is another promise.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from headway.promises.quantities import Refused
from headway.promises.sentence import clauses

if TYPE_CHECKING:
    from lark import Lark

    from headway.model import Clause

LONGEST = 400
"""Characters of one criterion. More is prose, and the time to parse grows faster than the text."""

_ESCAPES = {
    "lt": "<", "gt": ">", "le": "≤", "leq": "≤", "ge": "≥", "geq": "≥", "nbsp": " ", "micro": "µ", "quot": '"',
    "#60": "<", "#62": ">", "#8804": "≤", "#8805": "≥", "#160": " ", "#x3c": "<", "#x3e": ">", "#x2264": "≤",
    "#x2265": "≥", "amp": "&",
}  # fmt: skip
_ESCAPE = re.compile(r"&(?:amp;)*(#?\w+);", re.IGNORECASE)
_MARKDOWN_ESCAPE = re.compile(r"\\([<>*_`{}\[\]()#+.!~|-])")
_EMPHASIS = re.compile(r"(?<!\w)([*_]{1,3})(?=\S)(.+?)(?<=\S)\1(?!\w)")
_MARK = r"(?:[✅☑☐❌✔✓✗✘☒⬜🔲🟩🟥]\ufe0f?|\[[ xX]?\])"
_MARKS_BEFORE = re.compile(rf"^(?:\s|{_MARK})+")
_MARKS_AFTER = re.compile(rf"(?:\s|{_MARK})+$")
_PRIORITY = re.compile(r"\s*[(\[]\s*(?:priority:?\s*)?(P[0-4])\s*[)\]]$", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """
    What one text was understood to promise.

    Either `clauses` has entries, or `not_understood` says why not and `instead` is a sentence that would be understood.
    `priority` is that of a trailing parenthesis, "P0" to "P4": no percentile is that low.
    """

    clauses: tuple[Clause, ...] = ()
    priority: str | None = None
    not_understood: str | None = None
    instead: str | None = None


def read(text: str) -> Reading:
    """Never raises: whatever cannot be understood is said in the answer."""
    plain, priority = plain_text(text)
    try:
        return Reading(clauses=parsed(plain), priority=priority)
    except Refused as refused:
        from headway.promises.instead import nearest

        why, instead = refused.why, nearest(plain, refused.instead)
        return Reading(priority=priority, not_understood=why, instead=instead)


def plain_text(text: str) -> tuple[str, str | None]:
    """The sentence without markup, check marks and priority; and the priority."""
    text = _ESCAPE.sub(lambda found: _ESCAPES.get(found[1].lower(), found[0]), text)
    text = _MARKDOWN_ESCAPE.sub(r"\1", text).replace("`", "")
    for _ in range(3):  # emphasis within emphasis
        text = _EMPHASIS.sub(r"\2", text)
    text = _MARKS_BEFORE.sub("", text)
    priority = None
    while True:
        text = _MARKS_AFTER.sub("", text)
        found = _PRIORITY.search(text)
        if found is None:
            break
        priority, text = priority or found[1].upper(), text[: found.start()]
    return re.sub(r"\s+", " ", text).rstrip(".").strip(), priority


def parsed(plain: str) -> tuple[Clause, ...]:
    """
    The clauses of a sentence without markup.

    Raises:
        Refused: with the part that was not understood.
    """
    from lark.exceptions import UnexpectedInput

    from headway.promises.instead import complaint

    if not plain:
        raise Refused("it is empty")
    if len(plain) > LONGEST:
        raise Refused(f"it has {len(plain)} characters; a criterion has at most {LONGEST}")
    try:
        tree = grammar().parse(plain)
    except UnexpectedInput as unexpected:
        raise complaint(plain, unexpected) from unexpected
    return clauses(tree)


@cache
def grammar() -> Lark:
    """The parser. Earley, as words may come in many orders; a plain lexer, so that a word is always the same token."""
    from lark import Lark

    text = files("headway.promises").joinpath("criterion.lark").read_text(encoding="utf-8")
    return Lark(text, parser="earley", lexer="basic", ambiguity="resolve", maybe_placeholders=False)
