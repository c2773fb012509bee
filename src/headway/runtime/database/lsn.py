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
SHORT_HEADER_BYTES = 24


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


def record_end(inserted: int) -> int:
    """
    The end of the last record, from the position at which the next would begin.

    When a record ends with its page, the next begins behind the following page's header, where nothing may be written
    for minutes; a replica's replayed position stays at the page's end. No record ends right behind a short header, so
    this is safe. (Behind the long header of a segment's first page it is not done: such a read goes to the primary.)
    """
    return inserted - SHORT_HEADER_BYTES if inserted % PAGE_BYTES == SHORT_HEADER_BYTES else inserted
