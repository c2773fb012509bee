"""Values drawn while load is made: in batches, by the distribution or in the order the scenario asks for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from headway.model import Order

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from headway.model import Hot, Parameter

    Ranks = Callable[[], NDArray[np.int64]]

BATCH = 4096
TABLE_KEYS = 1 << 20
"""Zipf over more keys than this is sampled without a table of their weights, which would take 8 bytes a key."""


class RanDry(Exception):
    """Each value was to be used once, and all are used. Load that goes on would repeat them; the message says whose."""


class Draw:
    """
    Draws batches of one parameter's values.

    Args:
        rows: gives a batch of positions; shared by the columns of a feed.
        text: the value at a position.
        constant: the value, where there is only this one.
        feed: whose column it is, if any.
    """

    __slots__ = ("constant", "feed", "rows", "text")

    def __init__(
        self,
        rows: Callable[[], list[int]],
        text: Callable[[int], str],
        *,
        constant: str | None = None,
        feed: str | None = None,
    ) -> None:
        self.rows = rows
        self.text = text
        self.constant = constant
        self.feed = feed

    def __call__(self) -> list[str]:
        """A batch of values; of a parameter in an order it is a single one, so that none is drawn and not used."""
        return [*map(self.text, self.rows())]


def draws(
    parameters: Iterable[Parameter],
    values: Mapping[str, Sequence[str]],
    rng: np.random.Generator,
    *,
    worker: int = 0,
    workers: int = 1,
) -> dict[str, Draw]:
    """
    What draws each parameter's values in one worker.

    Args:
        parameters: of the scenario.
        values: what `feed.values` gave: the lists of those that have one.
        rng: its randomness; the same seed draws the same values.
        worker: this worker's number: parameters in an order are dealt out among the workers like cards.
        workers: how many there are.
    """
    found: dict[str, Draw] = {}
    feeds: dict[str, Callable[[], list[int]]] = {}
    for each in parameters:
        listed = values.get(each.name, ())
        size = len(listed) or (each.high or 0) - (each.low or 0) + 1
        rows = feeds.get(each.feed or "")
        if rows is None:
            rows = _rows(each, size, rng, worker, workers)
        if each.feed is not None:
            feeds[each.feed] = rows
        once = each.order is Order.ONCE
        found[each.name] = Draw(
            rows,
            listed.__getitem__ if listed else _number(each.low or 0),
            constant=listed[0] if len(listed) == 1 and not once else None,
            feed=each.feed,
        )
    return found


def _number(low: int) -> Callable[[int], str]:
    return lambda rank: str(low + rank)


def _rows(
    parameter: Parameter, size: int, rng: np.random.Generator, worker: int, workers: int
) -> Callable[[], list[int]]:
    if parameter.order is not Order.RANDOM:
        return _dealt(parameter, size, worker, workers)
    drawn = ranks(size, rng, exponent=parameter.exponent, hot=parameter.hot)
    return lambda: drawn().tolist()


def _dealt(parameter: Parameter, size: int, worker: int, workers: int) -> Callable[[], list[int]]:
    """One position a call: worker w of n has the positions w, w + n, w + 2n, ..."""
    at = worker - workers
    name = parameter.feed or parameter.name

    def again() -> list[int]:
        nonlocal at
        at = (at + workers) % size
        return [at]

    def once() -> list[int]:
        nonlocal at
        at += workers
        if at >= size:
            raise RanDry(f"{name} ran dry: of its {size:,} values each was to be used once; give it more, or load less")
        return [at]

    return once if parameter.order is Order.ONCE else again


def ranks(size: int, rng: np.random.Generator, *, exponent: float | None = None, hot: Hot | None = None) -> Ranks:
    """
    A function that draws BATCH positions in [0, size).

    Args:
        size: at least 1.
        rng: its randomness.
        exponent: zipf: position k with probability (k + 1)^-exponent / (sum over all).
        hot: a hot set at the front.
    """
    if hot is not None:
        return _hot(size, hot, rng)
    if exponent is None:
        return lambda: rng.integers(0, size, BATCH)
    if size <= TABLE_KEYS:
        cumulative = np.cumsum(np.arange(1, size + 1, dtype=np.float64) ** -exponent)
        cumulative /= cumulative[-1]
        return lambda: np.searchsorted(cumulative, rng.random(BATCH))
    return _wide_zipf(size, exponent, rng)


def _hot(size: int, hot: Hot, rng: np.random.Generator) -> Ranks:
    keys = hot_keys(size, hot)

    def drawn() -> NDArray[np.int64]:
        warm = rng.integers(0, keys, BATCH)
        if keys == size:
            return warm
        return np.where(rng.random(BATCH) < hot.requests_ratio, warm, rng.integers(keys, size, BATCH))

    return drawn


def hot_keys(size: int, hot: Hot) -> int:
    """How many keys the hot set has: at least one."""
    return min(size, max(1, round(size * hot.keys_ratio)))


def _wide_zipf(size: int, exponent: float, rng: np.random.Generator) -> Ranks:
    """
    Zipf over any number of keys in constant memory: rejection-inversion, which accepts nearly every try.

    Source: W. Hoermann, G. Derflinger, "Rejection-inversion to generate variates from monotone discrete
    distributions", ACM TOMACS 6 (1996).
    """
    below, above = _area(np.array([1.5, size + 0.5]), exponent)
    below -= 1.0
    sure = 2.0 - float(_unarea(_area(np.array([2.5]), exponent) - 2.0**-exponent, exponent)[0])

    def tried() -> NDArray[np.int64]:
        area = above + rng.random(BATCH) * (below - above)
        at = _unarea(area, exponent)
        rank = np.clip(np.floor(at + 0.5), 1, size)
        good = (rank - at <= sure) | (area >= _area(rank + 0.5, exponent) - np.exp(-exponent * np.log(rank)))
        kept: NDArray[np.int64] = rank[good].astype(np.int64) - 1
        return kept

    def drawn() -> NDArray[np.int64]:
        found = tried()
        while found.size < BATCH:
            found = np.concatenate([found, tried()])
        return found[:BATCH]

    return drawn


def _area(x: NDArray[np.float64], exponent: float) -> NDArray[np.float64]:
    """The integral of x^-exponent from 1, also where the exponent is (nearly) 1."""
    log = np.log(x)
    if math.isclose(exponent, 1.0, abs_tol=1e-12):
        return log
    return np.asarray(np.expm1((1.0 - exponent) * log) / (1.0 - exponent))


def _unarea(area: NDArray[np.float64], exponent: float) -> NDArray[np.float64]:
    """The inverse of `_area`."""
    if math.isclose(exponent, 1.0, abs_tol=1e-12):
        return np.asarray(np.exp(area))
    # Rounding may take the product a hair below -1, where the logarithm ends.
    inner = np.maximum(area * (1.0 - exponent), -1.0 + 1e-16)
    return np.asarray(np.exp(np.log1p(inner) / (1.0 - exponent)))


class Stream:
    """Values of one parameter, one a call, drawn in batches."""

    __slots__ = ("_draw", "_encode", "_encoded", "_left")

    def __init__(self, draw: Callable[[], list[str]], encode: Callable[[str], bytes] | None = None) -> None:
        self._draw = draw
        self._encode = encode or str.encode
        self._left: list[str] = []
        self._encoded: list[bytes] = []

    def text(self) -> str:
        """The next value."""
        if not self._left:
            self._left = self._draw()
        return self._left.pop()

    def encoded(self) -> bytes:
        """The next value, already encoded."""
        if not self._encoded:
            encode = self._encode
            self._encoded = [encode(value) for value in self._draw()]
        return self._encoded.pop()


class _Rows:
    """Rows of one feed, one a call."""

    __slots__ = ("_columns", "_left", "_rows")

    def __init__(self, columns: Mapping[str, Draw]) -> None:
        self._columns = {name: draw.text for name, draw in columns.items()}
        self._rows = next(iter(columns.values())).rows
        self._left: list[int] = []

    def fill(self, values: dict[str, str]) -> None:
        if not self._left:
            self._left = self._rows()
        row = self._left.pop()
        for name, text in self._columns.items():
            values[name] = text(row)


def together(known: Mapping[str, Callable[[], list[str]]], names: Collection[str]) -> Callable[[], dict[str, str]]:
    """
    A function that gives the values of one request or one visit: each name once, columns of a feed from one row.

    Args:
        known: what draws each name: `draws`'s, or any function that gives a batch.
        names: those wanted; each is known.
    """
    streams: dict[str, Stream] = {}
    feeds: dict[str, dict[str, Draw]] = {}
    for name in sorted(names):
        draw: Any = known[name]
        feed = getattr(draw, "feed", None)
        if feed is None:
            streams[name] = Stream(draw)
        else:
            feeds.setdefault(feed, {})[name] = draw
    rows = [_Rows(columns) for columns in feeds.values()]
    if not rows:
        return lambda: {name: stream.text() for name, stream in streams.items()}

    def values() -> dict[str, str]:
        found = {name: stream.text() for name, stream in streams.items()}
        for each in rows:
            each.fill(found)
        return found

    return values
