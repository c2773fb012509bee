"""
Keys from templates: `user:{user_id}` with each field written so that different values never make the same key.

An int is written as it is and a str percent-encoded; a str that could be taken for an int or another type, or that is
empty, gets a leading `'`. Other types carry theirs: `~b1` (bool), `~n` (None), `~f0.5`, `~x00ff` (bytes),
`~d2026-01-31`.
What has no safe text is refused: its repr may change between processes.
"""

from __future__ import annotations

import datetime as dt
import enum
import hashlib
import inspect
import re
import string
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from uuid import UUID

from headway.runtime.cache.errors import NotCacheable

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_KEY_BYTES = 200
"""Longer keys end in a digest (BLAKE2b, 128 bit): keys lie in memory once each, in every process and in the server."""

_INTEGER = re.compile(r"-?[0-9]+")


def text_of(value: Any) -> str:
    """
    A field's text, free of `:`; two values have the same one only when they are of one type and equal.

    Raises:
        NotCacheable: no safe text for this type.
    """
    kind = type(value)
    if kind is int:
        return str(value)
    if kind is str:
        safe = quote(value, safe="@+,=!*()$/", errors="surrogatepass")
        return "'" + safe if not safe or safe[0] == "~" or _INTEGER.fullmatch(safe) else safe
    if isinstance(value, enum.Enum):
        return f"~e{kind.__qualname__}.{value.name}"
    if kind in _MARKED:
        return _MARKED[kind](value)
    raise NotCacheable(
        f"a key's field is a {kind.__qualname__}, which has no safe text; give an int, a str, or one of its parts"
    )


_MARKED: dict[type, Callable[[Any], str]] = {
    bool: lambda value: f"~b{int(value)}",
    type(None): lambda _value: "~n",
    float: lambda value: f"~f{value!r}",
    bytes: lambda value: f"~x{value.hex()}",
    UUID: lambda value: f"~u{value}",
    Decimal: lambda value: f"~D{value}",
    dt.date: lambda value: f"~d{value.isoformat()}",
    dt.datetime: lambda value: "~t" + quote(value.isoformat(), safe="+"),
}


class KeyTemplate:
    """
    A key with fields: `KeyTemplate("user:{user_id}:page:{page}").key(user_id=5, page=1)`.

    Raises:
        ValueError: not a template: an unnamed field, a conversion or a format, or a field twice.
    """

    def __init__(self, template: str) -> None:
        self._pieces: list[tuple[str, str | None]] = []
        for literal, field, form, conversion in string.Formatter().parse(template):
            if field is not None and (not field.isidentifier() or form or conversion):
                raise ValueError(f"the key template {template!r} has the field {field!r}; use plain names: {{user_id}}")
            self._pieces.append((literal, field))
        self.fields = tuple(field for _, field in self._pieces if field is not None)
        if len(set(self.fields)) < len(self.fields):
            raise ValueError(f"the key template {template!r} names a field twice; once is enough")
        if any(":" not in before for before, field in self._pieces[1:] if field is not None):
            raise ValueError(f"the key template {template!r} has two fields without a ':' between them; put one there")
        self.template = template

    def key(self, **fields: Any) -> str:
        """The key. Raises KeyError for a field that is missing, NotCacheable for one without a safe text."""
        whole = "".join(
            literal if field is None else literal + text_of(fields[field]) for literal, field in self._pieces
        )
        if len(whole) <= LONGEST_KEY_BYTES:
            return whole
        return f"{whole[:64]}~#{hashlib.blake2b(whole.encode(), digest_size=16).hexdigest()}"

    def of_call(self, function: Callable[..., Any]) -> Callable[..., str]:
        """
        A function from a call's arguments to its key.

        Raises:
            ValueError: the template has a field that is no parameter of the function, or the other way round.
        """
        names = [name for name in inspect.signature(function).parameters if name not in {"self", "cls"}]
        if set(names) != set(self.fields):
            raise ValueError(
                f"the key template {self.template!r} has the fields {sorted(self.fields)}, "
                f"{function.__qualname__} has the parameters {sorted(names)}; "
                "name every parameter: one that is left out would share its values"
            )
        return self.of_some(function)

    def of_some(self, function: Callable[..., Any]) -> Callable[..., str]:
        """The same for a template that need not name every parameter: a tag."""
        parameters = inspect.signature(function).parameters
        unknown = set(self.fields) - set(parameters)
        if unknown:
            raise ValueError(f"{self.template!r} names {sorted(unknown)}, which {function.__qualname__} does not have")
        places = [(name, list(parameters).index(name), parameters[name].default) for name in self.fields]

        def key(*args: Any, **kwargs: Any) -> str:
            found = {}
            for name, place, default in places:
                value = args[place] if place < len(args) else kwargs.get(name, default)
                if value is inspect.Parameter.empty:
                    raise TypeError(f"{function.__qualname__} needs the argument {name!r}")
                found[name] = value
            return self.key(**found)

        return key
