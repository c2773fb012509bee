"""
Redirects that are followed: the request that goes out instead, on the same connection's terms and the same clock.

301, 302 and 303 are followed with GET and without a body (HEAD stays HEAD), as browsers do; 307 and 308 with the same
method and body. Source: RFC 9110, 15.4; Fetch, "HTTP-redirect fetch".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin, urlsplit

from headway.load.cookies import target_of

if TYPE_CHECKING:
    from urllib.parse import SplitResult

STATUSES = frozenset({301, 302, 303, 307, 308})
_KEEPING = frozenset({307, 308})
_OF_THE_BODY = re.compile(
    rb"\r\n(?:content-(?:length|type|encoding|language)|transfer-encoding|expect)[ \t]*:[^\r\n]*", re.IGNORECASE
)
_PORTS = {"http": 80, "https": 443}


def followed(request: bytes, status: int, location: bytes, origin: str) -> bytes | None:
    """
    The request that a redirect asks for.

    Args:
        request: what was answered, HTTP/1.1 as bytes.
        status: one of STATUSES.
        location: the Location header.
        origin: scheme, host and port of the target, as in a URL without a path.

    Returns:
        The request, or None when it would go to another scheme, host or port, or nowhere.
    """
    try:
        here = urlsplit(origin)
        there = urlsplit(urljoin(origin + target_of(request).decode("latin-1"), location.decode("utf-8").strip()))
        if (there.scheme, there.hostname, _port(there)) != (here.scheme, here.hostname, _port(here)):
            return None
    except ValueError:  # not UTF-8, no port number, a bracket that doesn't close
        return None
    path = quote(there.path or "/", safe="/%:@!$&'()*+,;=~-._")
    query = f"?{quote(there.query, safe='/%:@!$&()*+,;=~-._?')}" if there.query else ""
    line, rest = request.split(b"\r\n", 1)
    method = line.split(b" ", 1)[0]
    if status not in _KEEPING and method not in {b"GET", b"HEAD"}:
        method = b"GET"
        head = (b"\r\n" + rest).partition(b"\r\n\r\n")[0]
        rest = _OF_THE_BODY.sub(b"", head)[2:] + b"\r\n\r\n"
    return b"%b %b HTTP/1.1\r\n%b" % (method, (path + query).encode(), rest)


def _port(url: SplitResult) -> int | None:
    return url.port or _PORTS.get(url.scheme)
