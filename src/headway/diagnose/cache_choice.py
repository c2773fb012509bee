"""The TTL and the size that a route's keys ask for, at the knees of its hit-rate curves, and what they would cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from headway.diagnose.hit_rates import che, curves, simulate, stale
from headway.promises.spoken import duration_text
from headway.thresholds.rules import CACHE_KNEE_RATIO, CACHE_STALE_MAX_RATIO

if TYPE_CHECKING:
    from headway.diagnose.hit_rates.shards import Sample
    from headway.diagnose.hit_rates.stream import KeyStream
    from headway.diagnose.route_keys import RouteKeys

VALUE_BYTES = 2_048
ENTRY_BYTES = 120
"""What a Valkey entry takes beside its value: key, table slot, expiry. Measured anew by each proof."""
VALKEY_CLOCK_S = 1.0
"""By which Valkey tells how long a key is unused. Source: Valkey, src/server.h, LRU_CLOCK_RESOLUTION."""
CHEAP_BYTES = 16 << 20
"""Where all keys fit into so little, the size is no question: room for all."""
TTLS_S = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
SIZES = 12
SIMULATED = 500_000
"""Accesses up to which TTL and size are followed together, one by one; beyond it the lesser of both curves stands."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One TTL. `stale` is the share of the reads that are sure to be stale, `stale_possible` an upper bound."""

    ttl_s: float
    hit: float
    stale: float
    stale_possible: float


@dataclass(frozen=True, kw_only=True)
class Choice:
    """
    What was chosen for one route, and the curves it was chosen from.

    `hit`: with `ttl_s` and `entries` together, of a cache that begins empty. `forget_on_write`: by TTL alone too many
    reads would be stale; `hit` and `stale` are of a cache whose key each write drops. `hit_all_forget`: when the
    writes that may change a key drop it, too. `che_hit` is the same TTL and size by popularities alone. `compulsory`:
    share of the reads that are the first of their key.
    """

    ttl_s: float
    entries: int
    distinct: int
    hit: float
    stale: float
    stale_possible: float
    forget_on_write: bool
    hit_all_forget: float
    che_hit: float
    compulsory: float
    by_ttl: tuple[Point, ...]
    by_size: tuple[tuple[int, float], ...]
    lasts_s: float
    sampled_ratio: float


def chosen(keys: RouteKeys, value_bytes: int | None = None) -> Choice | None:
    """
    The best TTL and size of one route; None without reads or time.

    Args:
        keys: the route's.
        value_bytes: of one answer, where it is known; else VALUE_BYTES are taken.
    """
    stream = keys.stream
    if not stream.reads or stream.lasts_s <= 0:
        return None
    sample = curves.sampled(stream)
    points = _points(keys, sample.stream, tuple(curves.ttl(sample, _ttls(stream)).tolist()))
    point, forget = _knee(points)
    distinct = len(np.unique(stream.read_only().key))
    by_size = _by_size(sample, distinct)
    all_bytes = distinct * ((value_bytes or VALUE_BYTES) + ENTRY_BYTES)
    entries = distinct if all_bytes <= CHEAP_BYTES else _smallest(by_size)
    hit, at_ttl = point.hit, min(point.hit, dict(by_size)[entries])
    if len(stream.key) <= SIMULATED:
        clock_s = VALKEY_CLOCK_S if entries < distinct else None
        outcome = simulate.run(
            stream, capacity=entries, ttl_s=point.ttl_s, forget_on_write=forget, sampled_clock_s=clock_s
        )
        hit, sure = outcome.hit_ratio, outcome.stale_ratio
        least = simulate.run(
            keys.possible, capacity=entries, ttl_s=point.ttl_s, forget_on_write=True, sampled_clock_s=clock_s
        ).hit_ratio
    else:
        hit, sure = at_ttl, 0.0 if forget else point.stale
        least = max(0.0, hit - point.stale_possible)  # each stale hit becomes a miss, and each miss a new fill
    return Choice(
        ttl_s=point.ttl_s, entries=entries, distinct=distinct, hit=hit, stale=sure,
        stale_possible=max(point.stale_possible - point.stale, 0.0) + sure, forget_on_write=forget,
        hit_all_forget=least, che_hit=_che(stream, point.ttl_s, entries),
        compulsory=curves.compulsory_ratio(stream), by_ttl=points, by_size=by_size, lasts_s=stream.lasts_s,
        sampled_ratio=sample.rate_ratio,
    )  # fmt: skip


def _ttls(stream: KeyStream) -> tuple[float, ...]:
    """Those that the stream can tell apart: none longer than it lasts, but for one that never expires in it."""
    shorter = tuple(each for each in TTLS_S if each < stream.lasts_s)
    return (*shorter, next(each for each in (*TTLS_S, float("inf")) if each >= stream.lasts_s)) if shorter else (1.0,)


def _points(keys: RouteKeys, sampled: KeyStream, hits: tuple[float, ...]) -> tuple[Point, ...]:
    found = []
    for ttl_s, hit in zip(_ttls(keys.stream), hits, strict=True):
        finite = min(ttl_s, 10 * keys.stream.lasts_s)
        sure = stale.of_keys(keys.stream, finite)
        maybe = max(sure, stale.of_keys(keys.possible, finite))
        maybe = max(maybe, stale.of_rate(sampled, finite, keys.collection_per_s, spread=False))
        found.append(Point(ttl_s=ttl_s, hit=hit, stale=sure, stale_possible=maybe))
    return tuple(found)


def _knee(points: tuple[Point, ...]) -> tuple[Point, bool]:
    """The shortest TTL with most of the hits; where it would be too stale, the same with writes that drop the key."""
    fresh = [each for each in points if each.stale <= CACHE_STALE_MAX_RATIO]
    best = max(each.hit for each in points)
    fresh_best = max((each.hit for each in fresh), default=0.0)
    among, forget = (fresh, False) if fresh_best >= 0.8 * best and fresh else (list(points), True)
    most = max(each.hit for each in among)
    return next(each for each in among if each.hit >= CACHE_KNEE_RATIO * most), forget


def _by_size(sample: Sample, distinct: int) -> tuple[tuple[int, float], ...]:
    sizes = sorted({max(1, round(each)) for each in np.geomspace(1, max(1, distinct), SIZES)} | {distinct})
    hits = curves.lru(sample, sizes)
    return tuple((size, float(hit)) for size, hit in zip(sizes, hits, strict=True) if not np.isnan(hit))


def _smallest(by_size: tuple[tuple[int, float], ...]) -> int:
    most = by_size[-1][1]
    return next(size for size, hit in by_size if hit >= CACHE_KNEE_RATIO * most)


def _che(stream: KeyStream, ttl_s: float, entries: int) -> float:
    """The lesser of the two approximations: with both limits neither helps the other."""
    counts = np.bincount(stream.read_only().key).astype(np.float64)
    counts = counts[counts > 0]
    return float(min(che.lru(counts, [entries])[0], che.ttl(counts, stream.lasts_s, [ttl_s])[0]))


def told(choice: Choice) -> tuple[str, ...]:
    """The curves in words, for a finding's details."""
    by_ttl = "; ".join(
        f"{duration_text(each.ttl_s * 1e9)} {each.hit:.0%}{_stale(each)}" for each in choice.by_ttl
    )  # fmt: skip
    by_size = "; ".join(f"{size:,} entries {hit:.0%}" for size, hit in choice.by_size)
    lines = [
        f"hit rate by TTL, room for all: {by_ttl}",
        f"hit rate by size, without TTL: {by_size}",
        f"{choice.compulsory:.0%} of the reads are the first of their key, which no cache that begins empty hits;"
        f" the run saw {duration_text(choice.lasts_s * 1e9)} of them, and longer TTLs are not told apart",
    ]
    apart = abs(choice.che_hit - choice.hit)
    if not choice.forget_on_write:
        agree = "agrees" if apart < 0.05 else "differs: popularity moves, keys come in turn, or the run is short"
        lines.append(f"cross-check by popularity alone (Che): {choice.che_hit:.0%}, which {agree}")
    if choice.sampled_ratio < 1:
        lines.append(f"of a sample of {choice.sampled_ratio:.1%} of the keys (SHARDS)")
    return tuple(lines)


def _stale(point: Point) -> str:
    if point.stale_possible < 0.0005:
        return ""
    if point.stale_possible - point.stale < 0.0005:
        return f" ({point.stale:.1%} stale)"
    return f" ({point.stale:.1%} to {point.stale_possible:.1%} stale)"
