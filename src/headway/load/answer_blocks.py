"""
Header blocks of HTTP/2 answers, and what they mean.

Servers say the same again and again: what a block means is remembered, as heads.py does it for HTTP/1.1, with what it
does to the table of the compression. Source: RFC 7541.
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
Entries = tuple[tuple[bytes, bytes], ...]
_RESIZES = range(0x20, 0x40)
"""First bytes of a block that changes the table's size. Source: RFC 7541, 6.3."""
_OVERHEAD = 32
"""What an entry counts beside its text. Source: RFC 7541, 4.1."""


class _Table(HeaderTable):
    """Tells what a block put into it, and whether it looked something up."""

    def __init__(self) -> None:
        super().__init__()
        self.put_in: list[tuple[bytes, bytes]] = []
        self.looked_up = False

    def get_by_index(self, index: int) -> tuple[bytes, bytes]:
        if index > self.STATIC_TABLE_LENGTH:
            self.looked_up = True
        return super().get_by_index(index)

    def add(self, name: bytes, value: bytes) -> None:
        name, value = bytes(name), bytes(value)
        self.put_in.append((name, value))
        self.put(name, value)

    def put(self, name: bytes, value: bytes) -> None:
        """Add an entry, and lose the oldest that have no room any more."""
        entries, most = self.dynamic_entries, self._maxsize
        entries.appendleft((name, value))
        size = self._current_size + len(name) + len(value) + _OVERHEAD
        while size > most:
            gone, text = entries.pop()
            size -= len(gone) + len(text) + _OVERHEAD
        self._current_size = size


class Blocks:
    """
    The blocks of one connection, each of which must be read, or remembered, in its turn.

    A block that looks nothing up means the same always; one that does, while the table stands. What a block puts into
    the table is put in each time, until so much of the same has gone in that once more changes nothing.

    Args:
        most_bytes: of an answer's headers.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._decoder = hpack.Decoder(max_header_list_size=most_bytes)
        self._table = self._decoder.header_table = _Table()
        self._always: dict[bytes, tuple[Meaning, Entries, int]] = {}
        self._while_it_stands: dict[bytes, Meaning] = {}
        self._same: Entries | None = None  # what went into the table last
        self._same_bytes = 0  # how much of the same, in a row

    @property
    def remembered(self) -> int:
        """How many blocks are."""
        return len(self._always) + len(self._while_it_stands)

    def recall(self, block: bytes) -> Meaning | None:
        """What a block means that came before; None when it must be read."""
        found = self._always.get(block)
        if found is None:
            return self._while_it_stands.get(block)
        meaning, entries, size = found
        if entries:
            self._put(entries, size)
        return meaning

    def read(self, block: bytes) -> tuple[Headers, Meaning | None]:
        """
        Headers, and what they mean as those of an answer: None when there is not one status, or are two lengths.

        Raises:
            Broken: damaged, or too large.
        """
        table = self._table
        table.put_in, table.looked_up = [], False
        try:
            headers = tuple((bytes(name), bytes(value)) for name, value in self._decoder.decode(block, raw=True))
        except hpack.OversizedHeaderListError as error:
            raise Broken(
                frames.COMPRESSION_ERROR, f"headers of more than {self._most_bytes:,} bytes", FailureKind.TOO_LARGE
            ) from error
        except hpack.HPACKError as error:
            raise Broken(frames.COMPRESSION_ERROR, f"damaged headers: {error}") from error
        meaning, entries, resizes = _meaning(headers), tuple(table.put_in), bool(block) and block[0] in _RESIZES
        if entries or resizes:
            self._while_it_stands.clear()
            self._same = None
        if meaning is not None and not resizes:
            if not table.looked_up and len(self._always) < KNOWN_MOST:
                size = sum(len(name) + len(value) + _OVERHEAD for name, value in entries)
                self._always[block] = meaning, entries, size
            elif not entries and len(self._while_it_stands) < KNOWN_MOST:
                self._while_it_stands[block] = meaning
        return headers, meaning

    def _put(self, entries: Entries, size: int) -> None:
        if entries is not self._same:
            self._same, self._same_bytes = entries, 0
        elif self._same_bytes > self._table.maxsize + size:
            return  # the table holds nothing else, and would hold the same again
        self._same_bytes += size
        self._while_it_stands.clear()
        for name, value in entries:
            self._table.put(name, value)


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
