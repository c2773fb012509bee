"""
Header blocks of HTTP/2 answers, and what they mean.

A block that says nothing of the dynamic table means the same each time while that table stands: it is decoded once and
known from then on, as heads.py does it for HTTP/1.1. Source: RFC 7541.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import hpack
from hpack.table import HeaderTable

from headway.load import frames
from headway.load.frames import Broken
from headway.model import FailureKind

if TYPE_CHECKING:
    from headway.load.answer import Headers

KNOWN_MOST = 1024
Meaning = tuple[int, int | None]
"""Status and Content-Length."""
_RESIZES = range(0x20, 0x40)
"""First bytes of a block that changes the table's size. Source: RFC 7541, 6.3."""


class _Table(HeaderTable):
    """Counts its changes."""

    changes = 0

    def add(self, name: bytes, value: bytes) -> None:
        self.changes += 1
        super().add(name, value)


class Blocks:
    """
    The blocks of one connection, each of which must be decoded in its turn.

    Args:
        most_bytes: of an answer's headers.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._decoder = hpack.Decoder(max_header_list_size=most_bytes)
        self._table = self._decoder.header_table = _Table()
        self.known: dict[bytes, Meaning] = {}

    def read(self, block: bytes) -> tuple[Headers, Meaning | None]:
        """
        Headers, and what they mean as those of an answer: None when there is not one status, or are two lengths.

        Raises:
            Broken: damaged, or too large.
        """
        changes = self._table.changes
        try:
            headers = tuple((bytes(name), bytes(value)) for name, value in self._decoder.decode(block, raw=True))
        except hpack.OversizedHeaderListError as error:
            raise Broken(
                frames.COMPRESSION_ERROR, f"headers of more than {self._most_bytes:,} bytes", FailureKind.TOO_LARGE
            ) from error
        except hpack.HPACKError as error:
            raise Broken(frames.COMPRESSION_ERROR, f"damaged headers: {error}") from error
        meaning = _meaning(headers)
        if self._table.changes != changes or (block and block[0] in _RESIZES):
            self.known.clear()
        elif meaning is not None and len(self.known) < KNOWN_MOST:
            self.known[block] = meaning
        return headers, meaning


def _meaning(headers: Headers) -> Meaning | None:
    """Status and length, when the head has one status and no two lengths."""
    status = [value for name, value in headers if name == b":status"]
    lengths = {value for name, value in headers if name == b"content-length"}
    if len(status) != 1 or len(status[0]) != 3 or not status[0].isdigit() or len(lengths) > 1:
        return None
    length = lengths.pop() if lengths else b""
    if length and (not length.isdigit() or len(length) > 18):
        return None
    return int(status[0]), int(length) if length else None
