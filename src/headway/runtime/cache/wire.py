"""
An entry as it lies in the remote level.

    offset  bytes  what
    0       8      expires at, double, ms of the server's clock     } written by the script that stores
    8       8      stamp, double, the server's logical time (us)    }
    16      2      "H1"
    18      1      low 4 bits: the codec; bit 4: zlib; bit 5: absent (None)
    19      1      number of tags
    20      4      how long the load took, float, s
    24      ...    tags: 1 byte length, UTF-8
    ...     ...    payload

Its physical TTL is what is left of its ttl and its stale time. Numbers are big-endian.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any, NamedTuple

from headway.runtime.cache.codecs import Codec
from headway.runtime.cache.errors import NotCacheable

MAGIC = b"H1"
_TIMES = struct.Struct(">dd")
TIMES_BYTES = _TIMES.size
_HEAD = struct.Struct(">2sBBf")
_ALL = struct.Struct(">dd2sBBf")
_ZLIB, _ABSENT, _CODEC = 0x10, 0x20, 0x0F
_MOST_TAGS = 255
WORTH_RATIO = 0.9
"""Compressed bytes are kept only when they are at most this share of the plain ones: else reading pays for nothing."""


class Read(NamedTuple):
    """What an entry's bytes say. Times as the server has them."""

    value: Any
    expires_ms: float
    stamp: float
    delta_s: float
    tags: tuple[str, ...]
    size_bytes: int


def body(value: Any, *, codec: Codec, delta_s: float, tags: tuple[str, ...], compress_over_bytes: int | None) -> bytes:
    """
    Everything after the two times, which the storing script writes.

    Raises:
        NotCacheable: the codec cannot write the value, or there are too many tags, or too long ones.
    """
    try:
        payload = b"" if value is None else codec.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as exc:
        raise NotCacheable(
            f"a {type(value).__qualname__} cannot be cached: {exc}; "
            "return plain data, a dataclass or a msgspec.Struct, or choose another codec"
        ) from exc
    flags = codec.number | (_ABSENT if value is None else 0)
    if compress_over_bytes is not None and len(payload) > compress_over_bytes:
        smaller = zlib.compress(payload, 1)
        if len(smaller) <= WORTH_RATIO * len(payload):
            payload, flags = smaller, flags | _ZLIB
    named = [tag.encode() for tag in tags]
    if len(named) > _MOST_TAGS or any(len(tag) > _MOST_TAGS for tag in named):
        raise NotCacheable("more than 255 tags, or a tag longer than 255 bytes; use fewer or shorter tags")
    return b"".join(
        (_HEAD.pack(MAGIC, flags, len(named), delta_s), *(bytes((len(tag),)) + tag for tag in named), payload)
    )


def read(blob: bytes, *, codec: Codec, kind: Any) -> Read | None:
    """What the bytes say; None when they are not an entry of this version, this codec and this kind: a miss."""
    try:
        expires_ms, stamp, magic, flags, tag_count, delta_s = _ALL.unpack_from(blob)
        if magic != MAGIC or flags & _CODEC != codec.number:
            return None
        at = _ALL.size
        tags = []
        for _ in range(tag_count):
            end = at + 1 + blob[at]
            tags.append(blob[at + 1 : end].decode())
            at = end
        if flags & _ABSENT:
            value = None
        else:
            payload = blob[at:]
            value = codec.decode(zlib.decompress(payload) if flags & _ZLIB else payload, kind)
    except Exception:  # noqa: BLE001 - whatever a codec raises on bytes it cannot read, it is a miss
        return None
    return Read(value, expires_ms, stamp, delta_s, tuple(tags), len(blob))


def times(blob: bytes) -> tuple[float, float]:
    """(expires at, ms; stamp) of an entry's bytes."""
    return _TIMES.unpack_from(blob)
