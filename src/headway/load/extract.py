"""A value out of an answer, for the journey's next steps."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from headway.load import document

if TYPE_CHECKING:
    from collections.abc import Callable

    from headway.load.answer import Answer
    from headway.model import Extraction

SOURCES = ("json", "header", "regex", "cookie")
_CHARSET = re.compile(rb"charset=\"?([\w.:-]+)", re.IGNORECASE)


def compiled(extraction: Extraction) -> Callable[[Answer], str | None]:
    """
    A function that takes the value out of an answer; None: there is none.

    json: the first value at the path, when it is text, a number, true or false; null, objects and arrays are none.
    header: the first of that name. regex: the first group of the first match in the body, or the whole match when the
    expression has no group; an empty group is a value, one that took no part is none. cookie: as the answer sets it;
    the last when it does so more than once. Headers and cookies are read as UTF-8, else as Latin-1.

    Raises:
        ValueError: the expression or the source means nothing; the message says why.
    """
    make = {"json": _json, "header": _header, "regex": _regex, "cookie": _cookie}.get(extraction.source)
    if make is None:
        raise ValueError(f"{extraction.source!r} is none of {', '.join(SOURCES)}")
    return make(extraction.expression)


def _json(expression: str) -> Callable[[Answer], str | None]:
    find = document.path(expression)

    def value(answer: Answer) -> str | None:
        try:
            found = find(document.read(answer))
        except document.NotThere:
            return None
        return document.text(found[0]) if found else None

    return value


def _header(expression: str) -> Callable[[Answer], str | None]:
    name = header_name(expression)

    def value(answer: Answer) -> str | None:
        found = answer.header(name)
        return None if found is None else header_text(found)

    return value


def _regex(expression: str) -> Callable[[Answer], str | None]:
    pattern = pattern_of(expression)
    group = 1 if pattern.groups else 0

    def value(answer: Answer) -> str | None:
        found = pattern.search(body_text(answer))
        return None if found is None else found[group]

    return value


def _cookie(expression: str) -> Callable[[Answer], str | None]:
    wanted = expression.encode()
    if not re.fullmatch(rb"[^\s=;,\"\\\x00-\x1f\x7f]+", wanted):
        raise ValueError(f"{expression!r} is no cookie's name")

    def value(answer: Answer) -> str | None:
        found = None
        for cookie in answer.all(b"set-cookie"):
            name, equals, rest = cookie.partition(b";")[0].partition(b"=")
            if equals and name.strip() == wanted:
                found = rest.strip()
        return None if found is None else header_text(found)

    return value


def header_name(expression: str) -> bytes:
    """
    A header's name as answers have it, in lower case.

    Raises:
        ValueError: no header can have it.
    """
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", expression):
        raise ValueError(f"{expression!r} is no header's name")
    return expression.lower().encode()


def pattern_of(expression: str) -> re.Pattern[str]:
    """
    Raises:
        ValueError: it is no regular expression; the message says where.
    """
    try:
        return re.compile(expression)
    except (re.error, RecursionError, OverflowError) as exc:
        raise ValueError(f"{expression!r} is no regular expression: {exc}") from exc


def body_text(answer: Answer) -> str:
    """The body as text: by the charset it says, else UTF-8; what cannot be read becomes U+FFFD."""
    said = _CHARSET.search(answer.header(b"content-type") or b"")
    try:
        return answer.body.decode(said[1].decode() if said else "utf-8", "replace")
    except (LookupError, UnicodeError):  # a charset nobody knows, or no text encoding at all
        return answer.body.decode("utf-8", "replace")


def header_text(value: bytes) -> str:
    """A header's or cookie's value: UTF-8, else Latin-1."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
