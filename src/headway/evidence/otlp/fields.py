"""
Protobuf messages of one kind taken apart side by side: the first field of all, then the second of all, and so on.

A loop over messages costs Python microseconds a field; this costs numpy some tens of nanoseconds.

Source: protobuf.dev, "Encoding".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]
    UIntArray = NDArray[np.uint64]

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MOST_FIELDS = 4_096
"""Fields of one message. SDKs keep 128 attributes, events and links each; a message with more costs a step for each."""
_PADDING = bytes(32)
_BEYOND = np.int64(1 << 40)


class Malformed(ValueError):
    """Bytes that are not the message they should be."""


class Buffer:
    """Bytes, readable at many places at once; with room behind them, so that reading over their end stays inside."""

    def __init__(self, content: bytes) -> None:
        padded = content + _PADDING
        self.content = content
        self.bytes = np.frombuffer(padded, dtype=np.uint8)
        # The eight bytes from each place on, as one little-endian number: overlapping, nothing is copied.
        self.words: UIntArray = np.ndarray((len(padded) - 7,), dtype="<u8", buffer=padded, strides=(1,))

    def rows(self, low: IntArray, width: int) -> NDArray[np.uint8]:
        """(n, width) the bytes from each place on."""
        found: NDArray[np.uint8] = self.bytes[low[:, None] + np.arange(width)]
        return found

    def ragged(self, low: IntArray, high: IntArray) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """The bytes of all ranges one after another: (n + 1,) offsets, and the bytes."""
        sizes = high - low
        offsets = np.concatenate(([0], np.cumsum(sizes)))
        at = np.arange(offsets[-1]) + np.repeat(low - offsets[:-1], sizes)
        return offsets, self.bytes[at]


@dataclass(frozen=True, kw_only=True)
class Fields:
    """
    (m,) each: the fields of many messages, in the order of their steps; those of one message stand in their own order.

    `owner` is the message's index. Of BYTES, `low` and `high` bound them; of the others `value` holds the number.
    """

    owner: IntArray
    number: IntArray
    wire: IntArray
    low: IntArray
    high: IntArray
    value: UIntArray

    def of(self, number: int, wire: int) -> NDArray[np.bool_]:
        """Which are of this number and wire type; one of another type is a field nobody knows."""
        return np.asarray((self.number == number) & (self.wire == wire))


def walk(buffer: Buffer, low: IntArray, high: IntArray) -> Fields:
    """
    The fields of messages.

    Args:
        buffer: the bytes.
        low, high: (n,) where each message begins and ends.

    Raises:
        Malformed: a field runs over its message's end, a group, or more than MOST_FIELDS fields.
    """
    owner = np.flatnonzero(low < high)
    at, end = low[owner], high[owner]
    found: list[tuple[NDArray[np.generic], ...]] = []
    for _ in range(MOST_FIELDS):
        if not len(owner):
            break
        tag, after_tag = _varints(buffer, at)
        number, wire = (tag >> np.uint64(3)).astype(np.int64), (tag & np.uint64(7)).astype(np.int64)
        fixed = (wire == FIXED64) | (wire == FIXED32)
        if fixed.all():
            value, start = np.zeros(len(at), dtype=np.uint64), after_tag
        else:
            value, start = _varints(buffer, np.minimum(after_tag, end))
        length = np.where(wire == BYTES, np.minimum(value, np.uint64(_BEYOND)).astype(np.int64), 0)
        if fixed.any():
            word = buffer.words[np.minimum(after_tag, end)]
            value = np.where(fixed, np.where(wire == FIXED32, word & np.uint64(0xFFFFFFFF), word), value)
            start = np.where(fixed, after_tag + np.where(wire == FIXED32, 4, 8), start)
        stop = start + length
        if ((stop > end) | (number < 1) | ~(fixed | (wire == VARINT) | (wire == BYTES))).any():
            raise Malformed("a field runs over the end of its message, or is of no known kind")
        found.append((owner, number, wire, start, stop, value))
        left = stop < end
        owner, at, end = owner[left], stop[left], end[left]
    else:
        if len(owner):
            raise Malformed(f"a message of more than {MOST_FIELDS:,} fields")
    if not found:
        none, nothing = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.uint64)
        return Fields(owner=none, number=none, wire=none, low=none, high=none, value=nothing)
    parts = [np.concatenate(part) for part in zip(*found, strict=True)]
    return Fields(**dict(zip(("owner", "number", "wire", "low", "high", "value"), parts, strict=True)))


def _varints(buffer: Buffer, at: IntArray) -> tuple[UIntArray, IntArray]:
    """The variable-length numbers at many places, and where each ends; one without an end ends beyond everything."""
    value, end = buffer.bytes[at].astype(np.uint64), at + 1
    more = np.flatnonzero(value >= np.uint64(0x80))
    if len(more):
        value[more], end[more] = _long_varints(buffer, at[more])
    return value, end


def _long_varints(buffer: Buffer, at: IntArray) -> tuple[UIntArray, IntArray]:
    word = buffer.words[at]
    stops = ~word & np.uint64(0x8080808080808080)
    stop = stops & (~stops + np.uint64(1))  # the lowest byte without a continuation bit
    size = ((np.bitwise_count(stop - np.uint64(1)) + 1) >> 3).astype(np.int64)
    value = word & (stop | (stop - np.uint64(1))) & np.uint64(0x7F7F7F7F7F7F7F7F)
    for kept, moved, by in (
        (0x007F007F007F007F, 0x7F007F007F007F00, 1),
        (0x00003FFF00003FFF, 0x3FFF00003FFF0000, 2),
        (0x000000000FFFFFFF, 0x0FFFFFFF00000000, 4),
    ):
        value = (value & np.uint64(kept)) | ((value & np.uint64(moved)) >> np.uint64(by))
    long = np.flatnonzero(stops == 0)
    if len(long):  # nine or ten bytes: negative numbers
        ninth, tenth = (buffer.bytes[at[long] + more].astype(np.uint64) for more in (8, 9))
        value[long] |= ((ninth & np.uint64(0x7F)) << np.uint64(56)) | np.where(ninth < 0x80, 0, tenth << np.uint64(63))
        size[long] = np.where(ninth < 0x80, 9, np.where(tenth < 0x80, 10, _BEYOND))
    return value, at + size


def pieces(content: bytes, low: int, high: int) -> Iterator[tuple[int, int, int]]:
    """
    One message's fields of bytes, in order: (number, low, high); other fields are passed over.

    For messages with very many fields of one kind, as a batch has spans.

    Raises:
        Malformed: a field runs over the message's end, or is of no known kind.
    """
    at = low
    while at < high:
        if at + 3 < high and content[at] & 0x87 == BYTES and content[at + 1] >= 0x80 > content[at + 2]:
            # As good as all spans: a number below 16, 128 bytes to 16 kB.
            number, begin = content[at] >> 3, at + 3
            at = begin + (content[at + 1] & 0x7F | content[at + 2] << 7)
            if at > high:
                raise Malformed("a field runs over the end of its message")
            yield number, begin, at
            continue
        tag, at = _varint(content, at, high)
        wire = tag & 7
        if wire == BYTES:
            size, at = _varint(content, at, high)
            if size > high - at:
                raise Malformed("a field runs over the end of its message")
            yield tag >> 3, at, at + size
            at += size
        elif wire == VARINT:
            _, at = _varint(content, at, high)
        elif wire in (FIXED64, FIXED32):
            at += 8 if wire == FIXED64 else 4
        else:
            raise Malformed("a field of no known kind")
    if at != high:
        raise Malformed("a field runs over the end of its message")


def _varint(content: bytes, at: int, high: int) -> tuple[int, int]:
    value = shift = 0
    while at < high and shift < 70:
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise Malformed("a number without an end")
