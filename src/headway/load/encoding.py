"""Content encodings taken off: gzip, deflate and Brotli, never to more than was allowed. Source: RFC 9110, 8.4."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def plain(names: bytes, body: bytes, most_bytes: int) -> bytes:
    """
    A body without its encodings.

    Args:
        names: the value of Content-Encoding: in the order in which they were put on.
        body: as it came.
        most_bytes: what it may grow to.

    Raises:
        ValueError: damaged, cut off, larger than that, or in an encoding nobody here knows.
    """
    for name in reversed([each.strip().lower() for each in names.split(b",") if each.strip()]):
        take_off = _KNOWN.get(name)
        if take_off is None:
            raise ValueError(f"content encoding {name.decode('latin-1')!r} is not known")
        if body:  # an answer without a body has nothing to take off, whatever it says
            body = take_off(body, most_bytes)
    if len(body) > most_bytes:
        raise ValueError(f"more than {most_bytes} bytes")
    return body


def _gzip(body: bytes, most_bytes: int) -> bytes:
    """Members one after another count as one. Source: RFC 1952, 2.2."""
    found = b""
    while body:
        member = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        found += _inflated(member, body, most_bytes - len(found), "gzip")
        body = member.unused_data.lstrip(b"\0")
    return found


def _deflate(body: bytes, most_bytes: int) -> bytes:
    """With the zlib header that it must have, or without, as some servers send it."""
    framed = len(body) > 1 and body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0
    return _inflated(zlib.decompressobj(zlib.MAX_WBITS if framed else -zlib.MAX_WBITS), body, most_bytes, "deflate")


def _inflated(stream: zlib._Decompress, body: bytes, most_bytes: int, name: str) -> bytes:
    try:
        found = stream.decompress(body, most_bytes + 1)
    except zlib.error as error:
        raise ValueError(f"{name}: {error}") from error
    if len(found) > most_bytes:
        raise ValueError(f"more than {most_bytes} bytes")
    if not stream.eof:
        raise ValueError(f"{name}: it is cut off")
    return found


def _brotli(body: bytes, most_bytes: int) -> bytes:
    import brotli

    stream = brotli.Decompressor()
    found: list[bytes] = []
    size = 0
    while not stream.is_finished():
        try:
            piece: bytes = stream.process(body, output_buffer_limit=most_bytes + 1 - size)
        except brotli.error as error:
            raise ValueError(f"br: {error}") from error
        if not piece and not stream.is_finished() and stream.can_accept_more_data():
            raise ValueError("br: it is cut off")
        body = b""
        size += len(piece)
        found.append(piece)
        if size > most_bytes:
            raise ValueError(f"more than {most_bytes} bytes")
    return b"".join(found)


def _identity(body: bytes, _most_bytes: int) -> bytes:
    return body


_KNOWN: dict[bytes, Callable[[bytes, int], bytes]] = {
    b"gzip": _gzip, b"x-gzip": _gzip, b"deflate": _deflate, b"br": _brotli, b"identity": _identity,
}  # fmt: skip
