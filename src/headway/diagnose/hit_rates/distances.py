"""
LRU stack distances of all accesses at once, exactly, in O(n log n) numpy passes.

An access whose key was last seen at p hits an LRU cache exactly when the keys seen since, and its own, fit into it. Of
the accesses before i those with an earlier access at or before p are all up to p, and one for each key seen since: so
the distance is a count of smaller numbers to the left. These are counted bit by bit, as in a wavelet tree.

Source: Mattson, Gecsei, Slutz, Traiger 1970, "Evaluation techniques for storage hierarchies"; Bennett and Kruskal
1975, "LRU stack processing".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]

NEVER = -1
"""The distance of a first access."""


def stack_distances(key: IntArray, size: IntArray | None = None) -> IntArray:
    """
    What else was used since each key was last used.

    Args:
        key: (n,) in order of time.
        size: (distinct,) of each key, in whatever unit; None: each is 1. `key` indexes it.

    Returns:
        (n,) the sizes, together, of the other keys used since the last use of this one; NEVER for a first use. An LRU
        cache of capacity C hits when distance + own size <= C, as long as no single value is larger than C.
    """
    before = previous(key)
    weights = np.ones(len(key), dtype=np.int64) if size is None else size[key]
    upto = np.cumsum(weights)
    again = before >= 0
    smaller = _smaller_to_the_left(before, weights)
    found = np.full(len(key), NEVER, dtype=np.int64)
    found[again] = smaller[again] - upto[before[again]]
    return found


def previous(key: IntArray) -> IntArray:
    """(n,) where each key was last used; -1 for a first use."""
    order = np.argsort(key, kind="stable")
    found = np.full(len(key), -1, dtype=np.int64)
    same = key[order[1:]] == key[order[:-1]]
    found[order[1:][same]] = order[:-1][same]
    return found


def _smaller_to_the_left(values: IntArray, weights: IntArray) -> IntArray:
    """
    For each i the weights, together, of all j < i with values[j] <= values[i].

    Ties (the first uses, all -1) are ordered by place, so that an earlier one counts as smaller.
    """
    n = len(values)
    found = np.zeros(n, dtype=np.int64)
    if n < 2:
        return found
    rank = np.empty(n, dtype=np.int64)
    rank[np.argsort(values, kind="stable")] = np.arange(n)
    place = np.arange(n)  # of the elements, in groups of equal leading bits, each group in order of time
    for bit in range(int(n - 1).bit_length() - 1, -1, -1):
        ranks = rank[place]
        low = (ranks >> bit) & 1 == 0
        groups = ranks >> (bit + 1)
        starts = np.concatenate([[0], np.flatnonzero(groups[1:] != groups[:-1]) + 1])
        lengths = np.diff(np.concatenate([starts, [n]]))
        begins = np.repeat(starts, lengths)
        lows = np.concatenate([[0], np.cumsum(low)])
        lows_before = lows[:-1] - lows[begins]
        sums = np.concatenate([[0], np.cumsum(np.where(low, weights[place], 0))])
        high = ~low
        found[place[high]] += (sums[:-1] - sums[begins])[high]
        # A stable partition of each group by this bit: those with 0 first.
        lows_in_group = np.repeat(lows[starts + lengths] - lows[starts], lengths)
        highs_before = np.arange(n) - begins - lows_before
        moved = np.empty(n, dtype=np.int64)
        moved[begins + np.where(low, lows_before, lows_in_group + highs_before)] = place
        place = moved
    return found
