"""Which key was read or written when: what all hit rates are made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]
    BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class KeyStream:
    """
    n accesses in order of time.

    key: (n,) int64, whatever tells keys apart, 0 .. distinct - 1; at_ns: (n,) int64, never falling; write: (n,) bool,
    the key's value changed then; size_bytes: (distinct,) int64 size of each key's value, None where it is not known.
    Make one with `made`.
    """

    key: IntArray
    at_ns: IntArray
    write: BoolArray
    distinct: int
    size_bytes: IntArray | None = None

    @property
    def reads(self) -> int:
        """How many accesses are reads."""
        return int(len(self.key) - self.write.sum())

    @property
    def lasts_s(self) -> float:
        """Seconds from the first access to the last."""
        return float(self.at_ns[-1] - self.at_ns[0]) / 1e9 if len(self.key) else 0.0

    def read_only(self) -> KeyStream:
        """The reads alone; keys keep their numbers."""
        if not self.write.any():
            return self
        return self.only(~self.write)

    def only(self, which: BoolArray) -> KeyStream:
        """
        Some of the accesses; keys keep their numbers.

        Args:
            which: (n,) those that are kept.
        """
        return KeyStream(
            key=self.key[which], at_ns=self.at_ns[which], write=self.write[which], distinct=self.distinct,
            size_bytes=self.size_bytes,
        )  # fmt: skip


def made(
    key: NDArray[Any],
    at_ns: IntArray,
    *,
    write: BoolArray | None = None,
    size_bytes: IntArray | None = None,
) -> KeyStream:
    """
    A stream of accesses in any order.

    Args:
        key: (n,) anything numpy can sort.
        at_ns: (n,) times.
        write: (n,) which are writes; None: none.
        size_bytes: (n,) size of the value at each access, 0 where it is not known; a key has its last known size.

    Raises:
        ValueError: lengths differ, or a size is below 0.
    """
    n = len(key)
    if len(at_ns) != n or (write is not None and len(write) != n) or (size_bytes is not None and len(size_bytes) != n):
        raise ValueError("keys, times, writes and sizes are equally many")
    order = np.argsort(at_ns, kind="stable")
    names, numbers = np.unique(key[order], return_inverse=True)
    sizes = None
    if size_bytes is not None:
        if n and int(size_bytes.min()) < 0:
            raise ValueError("a size is at least 0")
        ordered = size_bytes[order].astype(np.int64)
        known = ordered > 0
        sizes = np.zeros(len(names), dtype=np.int64)
        sizes[numbers[known]] = ordered[known]  # of several the last one stays
    return KeyStream(
        key=numbers.astype(np.int64).reshape(-1), at_ns=at_ns[order].astype(np.int64),
        write=np.zeros(n, dtype=np.bool_) if write is None else write[order].astype(np.bool_),
        distinct=len(names), size_bytes=sizes,
    )  # fmt: skip
