"""A route's template to the bytes of its requests."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from typing import TYPE_CHECKING
from urllib.parse import quote

from headway.conventions import USER_AGENT
from headway.load.draw import Stream, together

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from headway.model import Route

    Part = bytes | tuple[str, Callable[[str], bytes]] | Callable[[Mapping[str, str]], bytes]
    """Literal bytes; a value's name and its encoder; or what makes bytes of all values."""

_NAME = re.compile(r"(\$\{[A-Z_][A-Z0-9_]*\}|\{[A-Za-z_]\w*(?:\.[\w-]+)?\})")
_UNSAFE = re.compile(r"[\r\n\x00]")
_BASIC = re.compile(r"(?i:basic) +([^ ].*:.*)", re.DOTALL)


def names(text: str) -> set[str]:
    """The names in a template: `{name}`, `{feed.column}`; `${NAME}`, of the environment, is called "$NAME"."""
    return {_called(each) for each in _NAME.findall(text)}


def route_names(route: Route) -> set[str]:
    """All names in what a route sends, and in what it expects."""
    sent = (route.path, route.body or "", *(value for _, value in route.headers))
    return names("\n".join((*sent, *(check.equals or "" for check in route.checks))))


def filled(text: str, values: Mapping[str, str]) -> str:
    """The text with its names' values; a name that has none stays as it is written."""
    return _NAME.sub(lambda found: values.get(_called(found[0]), found[0]), text)


def _called(written: str) -> str:
    return f"${written[2:-1]}" if written[0] == "$" else written[1:-1]


def in_path(value: str) -> bytes:
    """Percent-encoded, so that no value can end the path, the form field or the line."""
    # Most values are numbers, for which asking is far cheaper than quoting.
    return value.encode() if value.isascii() and value.isalnum() else quote(value, safe="", errors="replace").encode()


def in_json(value: str) -> bytes:
    """Escaped as inside a JSON string; digits stay digits."""
    if value.isascii() and value.isalnum():
        return value.encode()
    return json.dumps(value, ensure_ascii=False)[1:-1].encode("utf-8", "replace")


def in_header(value: str) -> bytes:
    """Without the characters that would end the header."""
    return _UNSAFE.sub(" ", value).encode("utf-8", "replace")


def renderer(route: Route, host: str, draws: Mapping[str, Callable[[], list[str]]]) -> Callable[[], bytes]:
    """
    A function that gives the bytes of the route's next request.

    Args:
        route: the template.
        host: what the Host header says.
        draws: name -> a function that draws a batch of values (`draw.draws`).
    """
    used = names("\n".join((route.path, route.body or "", *(value for _, value in route.headers)))) & draws.keys()
    constant = {name: text for name in used if (text := getattr(draws[name], "constant", None)) is not None}
    head, body = _parts_of(route, host, used, constant)
    if not any(isinstance(each, bytes) is False for each in (*head, *body)):
        whole = _whole(b"".join(head), b"".join(body), has_body=route.body is not None)  # type: ignore[arg-type]
        return lambda: whole
    varying = used - constant.keys()
    if len(varying) == 1 and route.body is None:
        fast = _one(head, draws)
        if fast is not None:
            return fast
    fill, values = _filler(route, head, body), together(draws, varying)
    return lambda: fill(values())


def bound(
    route: Route, host: str, known: Collection[str], constant: Mapping[str, str] | None = None
) -> Callable[[Mapping[str, str]], bytes]:
    """
    A function that gives the bytes of one request for values it is handed, as a journey has them.

    Args:
        route: the template.
        host: what the Host header says.
        known: the names that will have a value; others stay as they are.
        constant: those of them whose value is known now, and need not be handed.
    """
    return _filler(route, *_parts_of(route, host, known, constant or {}))


def _filler(route: Route, head: list[Part], body: list[Part]) -> Callable[[Mapping[str, str]], bytes]:
    has_body = route.body is not None
    return lambda values: _whole(_joined(head, values), _joined(body, values), has_body=has_body)


def _one(head: list[Part], draws: Mapping[str, Callable[[], list[str]]]) -> Callable[[], bytes] | None:
    """The common case, kept short: one value, once, in the path or a header."""
    places = [at for at, part in enumerate(head) if not isinstance(part, bytes)]
    part = head[places[0]]
    if len(places) > 1 or not isinstance(part, tuple):
        return None
    start = b"".join(each for each in head[: places[0]] if isinstance(each, bytes))
    end = b"".join(each for each in head[places[0] + 1 :] if isinstance(each, bytes)) + b"\r\n"
    encoded = Stream(draws[part[0]], part[1]).encoded
    return lambda: b"%b%b%b" % (start, encoded(), end)


def _parts_of(
    route: Route, host: str, known: Collection[str], constant: Mapping[str, str]
) -> tuple[list[Part], list[Part]]:
    """Head and body, cut at their names once."""
    own = {name.lower() for name, _ in route.headers}
    head: list[Part] = [f"{route.method} ".encode(), *_parts(route.path, known, constant, in_path), b" HTTP/1.1\r\n"]
    for name, value in (("host", host), ("user-agent", USER_AGENT), ("accept", "*/*")):
        if name not in own:
            head.append(f"{name}: {value}\r\n".encode())
    if route.body is not None and "content-type" not in own:
        head.append(b"content-type: application/json\r\n")
    if route.body is None and route.method in {"POST", "PUT", "PATCH"}:
        head.append(b"content-length: 0\r\n")
    for name, value in route.headers:
        parts = _basic(name, value, known, constant) or _parts(value, known, constant, in_header)
        head += [f"{name}: ".encode(), *parts, b"\r\n"]
    body = _parts(route.body or "", known, constant, in_path if _is_form(route) else in_json)
    return _merged(head), _merged(body)


def _basic(name: str, value: str, known: Collection[str], constant: Mapping[str, str]) -> list[Part]:
    """`authorization: Basic USER:PASSWORD`, which is sent in base64 as RFC 7617 has it; no base64 has a colon."""
    found = _BASIC.fullmatch(value) if name.lower() in {"authorization", "proxy-authorization"} else None
    if found is None:
        return []
    parts = _merged(_parts(found[1], known, constant, lambda text: text.encode("utf-8", "replace")))
    if all(isinstance(each, bytes) for each in parts):
        return [b"Basic " + b64encode(_joined(parts, {}))]
    return [lambda values: b"Basic " + b64encode(_joined(parts, values))]


def _is_form(route: Route) -> bool:
    return any(
        name.lower() == "content-type" and value.lower().startswith("application/x-www-form-urlencoded")
        for name, value in route.headers
    )


def _whole(head: bytes, body: bytes, *, has_body: bool) -> bytes:
    return b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body) if has_body else head + b"\r\n"


def _parts(
    text: str, known: Collection[str], constant: Mapping[str, str], encode: Callable[[str], bytes]
) -> list[Part]:
    """The text cut at its names; what isn't known stays as it is written."""
    found: list[Part] = []
    for index, written in enumerate(_NAME.split(text)):
        name = _called(written) if index % 2 else ""
        if name in constant:
            found.append(encode(constant[name]))
        elif index % 2 and name in known:
            found.append((name, encode))
        else:
            found.append(written.encode())
    return found


def _merged(parts: list[Part]) -> list[Part]:
    """Neighbouring literals as one."""
    found: list[Part] = []
    for part in parts:
        if isinstance(part, bytes) and found and isinstance(found[-1], bytes):
            found[-1] += part
        else:
            found.append(part)
    return found


def _joined(parts: list[Part], values: Mapping[str, str]) -> bytes:
    return b"".join(
        [
            part if isinstance(part, bytes) else part[1](values[part[0]]) if isinstance(part, tuple) else part(values)
            for part in parts
        ]
    )
