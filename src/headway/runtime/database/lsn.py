"""
Positions in PostgreSQL's write-ahead log, as integers.

Why pg_current_wal_insert_lsn() after COMMIT, and not pg_current_wal_lsn(): with synchronous_commit = off COMMIT returns
before its record is written out, and the written position is then below the record's end. The inserted position never
is. It may be above it, by what others inserted since; that costs a little offload, never a stale read.

Source: PostgreSQL manual, "System Administration Functions"; xlog.c, XLogBytePosToRecPtr.
"""

from __future__ import annotations

import re

TEXT = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")
PAGE_BYTES = 8192
SHORT_HEADER_BYTES, LONG_HEADER_BYTES = 24, 40


def parse(text: str) -> int:
    """
    The position that PostgreSQL writes as `16/B374D848`.

    Raises:
        ValueError: it is no such text.
    """
    found = TEXT.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no position in the write-ahead log")
    return int(found[1], 16) << 32 | int(found[2], 16)


def write(position: int) -> str:
    """The text PostgreSQL reads."""
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


def record_end(inserted: int, segment_bytes: int | None) -> int:
    """
    The end of the last record, from the position at which the next would begin.

    When a record ends with its page, the next begins behind the following page's header: a long one at a segment's
    beginning, where an idle primary stands after every switch of segments (a base backup makes one). Nothing may be
    written there for a quarter of a minute, and a replica's replayed position stays at the page's end. No record ends
    right behind a header, so this is safe.

    Args:
        segment_bytes: the server's wal_segment_size; None while it is not known: then long headers are left.
    """
    if segment_bytes is not None and inserted % segment_bytes == LONG_HEADER_BYTES:
        return inserted - LONG_HEADER_BYTES
    return inserted - SHORT_HEADER_BYTES if inserted % PAGE_BYTES == SHORT_HEADER_BYTES else inserted
