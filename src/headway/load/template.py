"""A route's template to the bytes of its requests."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from headway.conventions import USER_AGENT

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from headway.model import Route

_NAME = re.compile(r"\{([A-Za-z_]\w*)\}")
_UNSAFE = re.compile(r"[\r\n\x00]")


def names(text: str) -> set[str]:
    """The `{name}`s in a template."""
    return set(_NAME.findall(text))


class Stream:
    """Values of one parameter, one a call, drawn in batches."""

    def __init__(self, draw: Callable[[], list[str]], encode: Callable[[str], bytes] | None = None) -> None:
        self._draw = draw
        self._encode = encode
        self._left: list[str] = []
        self._encoded: list[bytes] = []

    def text(self) -> str:
        """The next value."""
        if not self._left:
            self._left = self._draw()
        return self._left.pop()

    def encoded(self) -> bytes:
        """The next value, already encoded."""
        if not self._encoded:
            encode = self._encode or in_path
            self._encoded = [encode(value) for value in self._draw()]
        return self._encoded.pop()


def in_path(value: str) -> bytes:
    """Percent-encoded, so that no value can end the path, the form field or the line."""
    # Most values are numbers, for which asking is far cheaper than quoting.
    return value.encode() if value.isascii() and value.isalnum() else quote(value, safe="").encode()


def in_json(value: str) -> bytes:
    """Escaped as inside a JSON string; digits stay digits."""
    return json.dumps(value, ensure_ascii=False)[1:-1].encode()


def in_header(value: str) -> bytes:
    """Without the characters that would end the header."""
    return _UNSAFE.sub(" ", value).encode("utf-8", "replace")


def renderer(route: Route, host: str, draws: Mapping[str, Callable[[], list[str]]]) -> Callable[[], bytes]:
    """
    A function that gives the bytes of the route's next request.

    Args:
        route: the template.
        host: what the Host header says.
        draws: parameter -> a function that draws a batch.
    """
    head = _head(route, host)
    used = [name for name in draws if name in names(route.path + "".join(value for _, value in route.headers))]
    in_body = [name for name in draws if route.body is not None and name in names(route.body)]
    if not used and not in_body:
        whole = _whole(head.encode(), (route.body or "").encode(), has_body=route.body is not None)
        return lambda: whole
    if len(used) == 1 and route.body is None and head.count("{" + used[0] + "}") == 1:
        return _one_in_path(head, route, used[0], draws[used[0]])
    streams = {name: Stream(draws[name]) for name in {*used, *in_body}}
    fill = bound(route, host, streams)
    return lambda: fill({name: stream.text() for name, stream in streams.items()})


def bound(route: Route, host: str, known: Collection[str]) -> Callable[[Mapping[str, str]], bytes]:
    """
    A function that gives the bytes of one request for values it is handed, as a journey has them.

    Args:
        route: the template.
        host: what the Host header says.
        known: the `{name}`s that will have a value; others stay as they are.
    """
    head = _head(route, host)
    path_end = len(f"{route.method} {route.path}")
    line, rest = _parts(head[:path_end], known, in_path), _parts(head[path_end:], known, in_header)
    body = _parts(route.body or "", known, in_path if _is_form(route) else in_json)
    has_body = route.body is not None
    return lambda values: _whole(
        _filled(line, values) + _filled(rest, values), _filled(body, values), has_body=has_body
    )


def _one_in_path(head: str, route: Route, name: str, draw: Callable[[], list[str]]) -> Callable[[], bytes]:
    """The common case, kept short: one value, once, in the path or a header."""
    before, _, after = head.partition("{" + name + "}")
    stream = Stream(draw, in_path if name in names(route.path) else in_header)
    start, end, encoded = before.encode(), after.encode() + b"\r\n", stream.encoded
    return lambda: b"%b%b%b" % (start, encoded(), end)


def _head(route: Route, host: str) -> str:
    own = {name.lower() for name, _ in route.headers}
    lines = [f"{route.method} {route.path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in (("host", host), ("user-agent", USER_AGENT), ("accept", "*/*"))
              if name not in own]  # fmt: skip
    if route.body is not None and "content-type" not in own:
        lines.append("content-type: application/json")
    if route.body is None and route.method in {"POST", "PUT", "PATCH"}:
        lines.append("content-length: 0")
    lines += [f"{name}: {value}" for name, value in route.headers]
    return "\r\n".join(lines) + "\r\n"


def _is_form(route: Route) -> bool:
    return any(
        name.lower() == "content-type" and value.startswith("application/x-www-form-urlencoded")
        for name, value in route.headers
    )


def _whole(head: bytes, body: bytes, *, has_body: bool) -> bytes:
    return b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body) if has_body else head + b"\r\n"


_Part = tuple[bytes, str, "Callable[[str], bytes] | None"]
"""Literal bytes; or, with an encoder, the name of the value that stands there."""


def _parts(text: str, known: Collection[str], encode: Callable[[str], bytes]) -> list[_Part]:
    """The text cut at its `{name}`s, once; braces around what isn't known stay literal."""
    found: list[_Part] = []
    for index, part in enumerate(_NAME.split(text)):
        if index % 2 == 0:
            found.append((part.encode(), "", None))
        elif part in known:
            found.append((b"", part, encode))
        else:
            found.append((b"{%b}" % part.encode(), "", None))
    return found


def _filled(parts: list[_Part], values: Mapping[str, str]) -> bytes:
    return b"".join([literal if encode is None else encode(values[name]) for literal, name, encode in parts])
