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
_IS_KIND = np.isin(np.arange(8), (VARINT, FIXED64, BYTES, FIXED32))
_PADDING = bytes(32)
ALIKE_HEAD = 3
"""Bytes of the tag and the size before a message that `alike` finds."""
MOST_NUMBER = 8_191
"""Of a field; OTLP's are below 20."""
_BEYOND = np.uint64(1 << 40)


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


@dataclass(frozen=True, kw_only=True)
class Fields:
    """
    (m,) each: the fields of many messages, in the order of their steps; those of one message stand in their own order.

    `owner` is the message's index, `tag` number and wire type as they are written; numbers above MOST_NUMBER are that.
    Of BYTES, `low` and `high` bound them; of the others `value` holds the number.
    """

    owner: IntArray
    tag: NDArray[np.uint16]
    low: IntArray
    high: IntArray
    value: UIntArray

    @property
    def number(self) -> NDArray[np.uint16]:
        """The fields' numbers."""
        return self.tag >> np.uint16(3)

    def of(self, number: int, wire: int) -> IntArray:
        """Which are of this number and wire type; one of another type is a field nobody knows."""
        return np.flatnonzero(self.tag == np.uint16(number << 3 | wire))


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
        tag, after_tag = _tags(buffer, at)
        # The same field of many messages is as good as always of one kind, and most fields are bytes.
        alike = ((tag & 7) == BYTES).all()
        value, start, stop = (_bytes if alike else _any)(buffer, tag, after_tag, end)
        if (stop > end).any() or (tag < 8).any():
            raise Malformed("a field runs over the end of its message, or is of no known kind")
        found.append((owner, tag, start, stop, value))
        left = stop < end
        if left.all():
            at = stop
        else:
            owner, at, end = owner[left], stop[left], end[left]
    else:
        if len(owner):
            raise Malformed(f"a message of more than {MOST_FIELDS:,} fields")
    nothing = (np.zeros(0, np.int64), np.zeros(0, np.uint16), *np.zeros((2, 0), np.int64), np.zeros(0, np.uint64))
    owner, tag, start, stop, value = (np.concatenate(part) for part in zip(nothing, *found, strict=True))
    return Fields(owner=owner, tag=tag, low=start, high=stop, value=value)


def _tags(buffer: Buffer, at: IntArray) -> tuple[NDArray[np.uint16], IntArray]:
    tag, end = buffer.bytes[at].astype(np.uint16), at + 1
    more = np.flatnonzero(tag >= 0x80)
    if len(more):
        long, end[more] = _long_varints(buffer, at[more])
        tag[more] = np.minimum(long, np.uint64(MOST_NUMBER << 3) | long & np.uint64(7))
    return tag, end


def _bytes(buffer: Buffer, _: object, at: IntArray, end: IntArray) -> tuple[UIntArray, IntArray, IntArray]:
    """Where fields begin and end that are all BYTES, `at` where their sizes are; they have no other value."""
    size, start = _varints(buffer, np.minimum(at, end))
    return np.broadcast_to(np.uint64(0), len(at)), start, start + np.minimum(size, _BEYOND).astype(np.int64)


def _any(buffer: Buffer, tag: NDArray[np.uint16], at: IntArray, end: IntArray) -> tuple[UIntArray, IntArray, IntArray]:
    """The value, begin and end of fields of whatever kinds, `at` where their tags end."""
    wire = tag & 7
    if not _IS_KIND[wire].all():
        raise Malformed("a field of no known kind")
    at = np.minimum(at, end)
    is_fixed = (wire == FIXED64) | (wire == FIXED32)
    value, start = _varints(buffer, np.where(is_fixed, len(buffer.content), at))  # nothing is there: a short zero
    fixed = np.flatnonzero(is_fixed)
    is_short = wire[fixed] == FIXED32
    word = buffer.words[at[fixed]]
    value[fixed] = np.where(is_short, word & np.uint64(0xFFFFFFFF), word)
    start[fixed] = at[fixed] + np.where(is_short, 4, 8)
    length = np.where(wire == BYTES, np.minimum(value, _BEYOND).astype(np.int64), 0)
    return value, start, start + length


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
        size[long] = np.where(ninth < 0x80, 9, np.where(tenth < 0x80, 10, np.int64(_BEYOND)))
    return value, at + size


def pieces(content: bytes, low: int, high: int) -> Iterator[tuple[int, int, int]]:
    """
    One message's fields, in order, as of `piece`.

    Raises:
        Malformed: a field runs over the message's end, or is of no known kind.
    """
    while low < high:
        yield (found := piece(content, low, high))
        low = found[2]


def piece(content: bytes, at: int, high: int) -> tuple[int, int, int]:
    """
    A message's next field: its number, or 0 for what is not BYTES, and where it begins and ends.

    Raises:
        Malformed: it runs over the message's end, or is of no known kind.
    """
    tag, at = _varint(content, at, high)
    wire, size = tag & 7, 0
    if wire == BYTES:
        size, at = _varint(content, at, high)
    elif wire == VARINT:
        _, at = _varint(content, at, high)
    elif wire in (FIXED64, FIXED32):
        size = 8 if wire == FIXED64 else 4
    else:
        raise Malformed("a field of no known kind")
    if size > high - at:
        raise Malformed("a field runs over the end of its message")
    return tag >> 3 if wire == BYTES else 0, at, at + size


def alike(content: bytes, number: int, low: int, high: int) -> list[int]:
    """
    A message's next fields as far as they are messages of this number, below 16, of 128 bytes to 16 kB.

    As good as all spans are that. Each ends ALIKE_HEAD bytes before the next begins.

    Returns:
        Where each begins, and where one more would.

    Raises:
        Malformed: a field runs over the message's end.
    """
    tag, at = number << 3 | BYTES, low + ALIKE_HEAD
    found = [at]
    while at < high and content[at - 3] == tag and content[at - 2] >= 0x80 > content[at - 1]:
        at += (content[at - 2] & 0x7F | content[at - 1] << 7) + ALIKE_HEAD
        found.append(at)
    if at - ALIKE_HEAD > high:
        raise Malformed("a field runs over the end of its message")
    return found


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
