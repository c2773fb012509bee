"""The JSON in an answer, and paths into it (RFC 9535)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from headway.load.answer import Answer

SHOWN = 60
"""Characters of a value that a reason shows."""
_TYPES = {dict: "an object", list: "an array", str: "text", bool: "true or false", type(None): "null"}


class NotThere(Exception):
    """The answer is not JSON, or has nothing at the path; the message says which, in a few words."""


class _Last:
    """The last answer read, as several checks of one step look into the same."""

    def __init__(self) -> None:
        self.answer: Answer | None = None
        self.document: Any = None


_last = _Last()


def read(answer: Answer) -> Any:
    """
    The answer's body as JSON.

    Raises:
        NotThere: it is not.
    """
    if _last.answer is answer:
        return _last.document
    try:
        # Also UTF-16 and UTF-32, which json knows by their first bytes.
        document = json.loads(answer.body)
    except (ValueError, RecursionError) as exc:
        raise NotThere("the body is empty" if not answer.body.strip() else "the body is not JSON") from exc
    _last.answer, _last.document = answer, document
    return document


def path(expression: str) -> Callable[[Any], Sequence[Any]]:
    """
    A function that finds the values at a path in a document, in the document's order; none: an empty list.

    Raises:
        ValueError: it is no JSONPath of RFC 9535; the message says where, in a line.
    """
    from jsonpath import JSONPathEnvironment, JSONPathError

    try:
        compiled = JSONPathEnvironment(strict=True).compile(expression)
    except (JSONPathError, RecursionError) as exc:
        raise ValueError(str(exc).strip().partition("\n")[0]) from exc
    plain = _plain(compiled)
    if plain is not None:
        return lambda document: _walk(document, plain)

    def found(document: Any) -> Sequence[Any]:
        try:
            values: Sequence[Any] = compiled.findall(document)
        except (
            JSONPathError,
            RecursionError,
        ):  # deeper than the library goes, or a filter that compares apples to pears
            return []
        return values

    return found


def _plain(compiled: Any) -> tuple[str | int, ...] | None:
    """Names and indexes only, as most paths are: those are walked without the library, ten times as fast."""
    from jsonpath import selectors

    if not compiled.singular_query():
        return None
    keys: list[str | int] = []
    for segment in compiled.segments:
        (selector,) = segment.selectors
        if isinstance(selector, selectors.NameSelector):
            keys.append(selector.name)
        elif isinstance(selector, selectors.IndexSelector):
            keys.append(selector.index)
        else:
            return None
    return tuple(keys)


def _walk(document: Any, keys: tuple[str | int, ...]) -> Sequence[Any]:
    at = document
    for key in keys:
        # A text has indexes too, and an object may have the name "0": neither is meant.
        fits = isinstance(at, dict) if isinstance(key, str) else isinstance(at, list)
        if not fits:
            return ()
        try:
            at = at[key]
        except (KeyError, IndexError):
            return ()
    return (at,)


def text(value: Any) -> str | None:
    """A value as text: strings as they are, numbers and true/false as JSON writes them; None: null, object, array."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, dict | list):
        return None
    return json.dumps(value)


def shown(value: Any) -> str:
    """A value in a reason: text as it is, others by what they are."""
    written = text(value)
    return _TYPES[type(value)] if written is None else short(written)


def short(value: str) -> str:
    """The first of a text, on one line."""
    line = " ".join(value.split())
    return repr(line if len(line) <= SHOWN else line[: SHOWN - 1] + "…")
