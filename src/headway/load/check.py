"""What a good answer says besides its status."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from headway.load import document, template
from headway.load.extract import body_text, header_name, header_text, pattern_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headway.load.answer import Answer
    from headway.model import Check

    Verdict = Callable[[Answer, str | None], str | None]

SOURCES = ("json", "header", "regex", "text", "max_bytes")


def compiled(check: Check) -> Callable[[Answer, Mapping[str, str]], str | None]:
    """
    A function of an answer and the visit's values: None when the check holds, else the reason in a few words.

    `{name}`s in `equals` stand for the visit's values; braces that name none stay as they are. Without `equals` it is
    enough that the value is there.

    json: one of the values at the path equals, numbers and true/false as JSON writes them. header: one of that name
    equals. regex: the first group (or the whole match) equals. text: the body has it. max_bytes: the body, its content
    encoding taken off, is no longer than that.

    Raises:
        ValueError: the expression or the source means nothing; the message says why.
    """
    make = {"json": _json, "header": _header, "regex": _regex, "text": _text, "max_bytes": _max_bytes}.get(check.source)
    if make is None:
        raise ValueError(f"{check.source!r} is none of {', '.join(SOURCES)}")
    if check.equals is not None and check.source in {"text", "max_bytes"}:
        raise ValueError(f"a check of {check.source} has no equals")
    verdict, equals = make(check.expression), check.equals
    if equals is None or not template.names(equals):
        return lambda answer, _values: verdict(answer, equals)
    return lambda answer, values: verdict(answer, template.filled(equals, values))


def _json(expression: str) -> Verdict:
    find = document.path(expression)

    def verdict(answer: Answer, equals: str | None) -> str | None:
        try:
            found = find(document.read(answer))
        except document.NotThere as why:
            return str(why)
        if not found:
            return f"nothing at {expression}"
        if equals is None or any(_is(value, equals) for value in found):
            return None
        others = "" if len(found) == 1 else f" and {len(found) - 1} more"
        return f"{expression} is {document.shown(found[0])}{others}, not {document.short(equals)}"

    return verdict


def _is(value: object, equals: str) -> bool:
    return equals == ("null" if value is None else document.text(value))


def _header(expression: str) -> Verdict:
    name = header_name(expression)

    def verdict(answer: Answer, equals: str | None) -> str | None:
        found = [header_text(value) for value in answer.all(name)]
        if not found:
            return f"no header {expression}"
        if equals is None or equals in found:
            return None
        return f"header {expression} is {document.short(found[0])}, not {document.short(equals)}"

    return verdict


def _regex(expression: str) -> Verdict:
    pattern = pattern_of(expression)
    group = 1 if pattern.groups else 0

    def verdict(answer: Answer, equals: str | None) -> str | None:
        found = pattern.search(body_text(answer))
        if found is None:
            return f"no match for {document.short(expression)}"
        if equals is None or found[group] == equals:
            return None
        return f"{document.short(expression)} found {document.short(found[group] or '')}, not {document.short(equals)}"

    return verdict


def _text(expression: str) -> Verdict:
    if not expression:
        raise ValueError("every answer has an empty text in it")
    plain = expression.encode() if expression.isascii() else None

    def verdict(answer: Answer, _equals: str | None) -> str | None:
        there = (
            plain in answer.body if plain is not None and _is_ascii_based(answer) else expression in body_text(answer)
        )
        return None if there else f"the body lacks {document.short(expression)}"

    return verdict


def _is_ascii_based(answer: Answer) -> bool:
    """Whether ASCII text can be looked for in the bytes as they are, which is quicker: not in UTF-16 and its like."""
    return b"utf-16" not in (said := (answer.header(b"content-type") or b"").lower()) and b"utf-32" not in said


def _max_bytes(expression: str) -> Verdict:
    if not re.fullmatch(r"[0-9]{1,15}", expression):
        raise ValueError(f"max_bytes {expression!r} is no whole number")
    most = int(expression)

    def verdict(answer: Answer, _equals: str | None) -> str | None:
        size = len(answer.body)
        return None if size <= most else f"{size:,} bytes, more than {most:,}"

    return verdict
