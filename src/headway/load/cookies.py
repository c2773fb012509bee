"""
The cookies of one visitor: set by answers, sent back with its later requests.

As much of RFC 6265 as one visitor of one host needs: name, value, Path, and deletion by Max-Age or Expires. A cookie
that expires later than now is kept until the visit ends.
"""

from __future__ import annotations

import re
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_OWN = re.compile(rb"\r\ncookie:[ \t]*([^\r\n]*)", re.IGNORECASE)


class Jar:
    """Cookies by name and path."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: dict[tuple[bytes, bytes], bytes] = {}

    def take(self, set_cookies: Iterable[bytes], path: bytes) -> None:
        """
        Keep or delete what an answer says.

        Args:
            set_cookies: values of Set-Cookie headers; one that is no cookie is passed over.
            path: of the request, which gives the cookie's path when it names none.
        """
        for text in set_cookies:
            pair, *attributes = text.split(b";")
            name, equals, value = pair.partition(b"=")
            if not equals or not name.strip():
                continue
            said = dict(_attribute(each) for each in attributes)
            where = said.get(b"path", b"")
            key = (name.strip(), where if where.startswith(b"/") else _folder(path))
            if _is_over(said):
                self._kept.pop(key, None)
            else:
                self._kept[key] = value.strip()

    def header(self, path: bytes) -> bytes:
        """What a Cookie header for that path says, longest paths first; empty when there is nothing to say."""
        fitting = [(where, name, value) for (name, where), value in self._kept.items() if _fits(path, where)]
        fitting.sort(key=lambda each: -len(each[0]))
        return b"; ".join(b"%b=%b" % (name, value) for _, name, value in fitting)

    def sent_with(self, request: bytes) -> bytes:
        """The request with these cookies, after those that its template has of its own."""
        if not self._kept:
            return request
        text = self.header(target_of(request))
        if not text:
            return request
        end = request.index(b"\r\n\r\n")
        own = _OWN.search(request, 0, end)
        if own is not None:
            joined = b"; ".join(each for each in (own[1].strip(), text) if each)
            return b"%b\r\ncookie: %b%b" % (request[: own.start()], joined, request[own.end() :])
        return b"%b\r\ncookie: %b%b" % (request[:end], text, request[end:])


def target_of(request: bytes) -> bytes:
    """Path and query in a request's first line."""
    return request[: request.index(b"\r\n")].split(b" ")[1]


def _attribute(text: bytes) -> tuple[bytes, bytes]:
    name, _, value = text.partition(b"=")
    return name.strip().lower(), value.strip()


def _folder(path: bytes) -> bytes:
    """The default path of RFC 6265, 5.1.4: everything up to the last slash."""
    return path.partition(b"?")[0].rpartition(b"/")[0] or b"/"


def _fits(path: bytes, where: bytes) -> bool:
    path = path.partition(b"?")[0]
    return path == where or (path.startswith(where) and (where.endswith(b"/") or path[len(where) :].startswith(b"/")))


def _is_over(said: dict[bytes, bytes]) -> bool:
    """Max-Age goes before Expires; a date that can't be read says nothing."""
    age = said.get(b"max-age")
    if age is not None and re.fullmatch(rb"-?\d{1,18}", age):
        return int(age) <= 0
    try:
        date = parsedate_to_datetime(said[b"expires"].decode("latin-1"))
        return date.timestamp() <= time.time()
    except (KeyError, ValueError, OverflowError):
        return False
