"""
A cache that is too small: keys are thrown out for want of room, and look-ups miss.

For: misses came with evictions; where the requests' keys explain the hit rate seen, the curve says what more room would
give. Against: what is thrown out may never be asked for again, and then more room gives nothing: where the curve says
that, nothing is said of size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from headway.diagnose import cache_use, route_keys
from headway.diagnose.hit_rates.curves import EXACT_READS
from headway.diagnose.hit_rates.distances import stack_distances
from headway.diagnose.words import fingerprint, one_line
from headway.errors import HeadwayError
from headway.model import Confidence, Estimate, Finding, Remedy, RemedyKind, Subject
from headway.thresholds.rules import (
    CACHE_AGREES_RATIO,
    CACHE_MIN_READS,
    CACHE_READS_AGREE_RATIO,
    CACHE_ROOM_MIN_GAIN_RATIO,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.diagnose.hit_rates.stream import KeyStream
    from headway.model import CacheUse, Evidence

RULE = "cache-evictions"
TIMES = (1, 2, 4)


@dataclass(frozen=True, kw_only=True)
class _Curve:
    """Hit rates of the keys that explain the cache: at its present size, twice, four times, and with room for all."""

    of: str
    distinct: int
    sizes: tuple[int, ...]
    hits: tuple[float, ...]


def find(evidence: Evidence) -> Iterator[Finding]:
    """One finding a phase whose misses came with evictions."""
    for use in evidence.caches:
        if not cache_use.too_small(use) or use.hits + use.misses < CACHE_MIN_READS:
            continue
        curve = _explained(evidence, use)
        if curve is None or curve.hits[-1] - curve.hits[0] >= CACHE_ROOM_MIN_GAIN_RATIO:
            yield _finding(evidence, use, curve)


def _finding(evidence: Evidence, use: CacheUse, curve: _Curve | None) -> Finding:
    lookups = use.hits + use.misses
    share = min(use.evicted, use.misses) / lookups
    return Finding(
        rule=RULE,
        phase=use.phase,
        line=(
            f"the cache is too small: {use.misses / lookups:.0%} of {lookups:,} look-ups missed while {use.evicted:,}"
            f" keys were thrown out for want of room{'' if curve is None else _promise(curve)}"
        ),
        explains=(Subject.HIT_RATE, Subject.LATENCY),
        share_ratio=share,
        share_of="cache look-ups",
        fingerprint=fingerprint(RULE),
        details=(*_told(curve), *cache_use.by_key(evidence, use.phase)),
        confidence=Confidence.POSSIBLE if curve is None else Confidence.LIKELY,
        reasons_for=(
            f"{use.evicted / max(1, use.misses):.1f} keys were evicted for each miss; {use.expired:,} expired",
            f"it held {_held(use):,} keys; {use.used_memory_bytes / 2**20:,.0f} MiB at the end, policy"
            f" {use.policy or 'unknown'}",
        ),
        reasons_against=_against(use, curve),
        remedies=(_remedy(use, curve, use.hits / lookups),),
    )


def _promise(curve: _Curve) -> str:
    best = curve.hits[-1]
    return f"; with room for all {curve.distinct:,} keys it would hit {best:.0%}"


def _told(curve: _Curve | None) -> tuple[str, ...]:
    if curve is None:
        return ()
    said = "; ".join(f"{size:,} keys {hit:.0%}" for size, hit in zip(curve.sizes, curve.hits, strict=True))
    return (f"predicted from the requests of {curve.of}: {said} (LRU, as warm as the warm-up made it)",)


def _against(use: CacheUse, curve: _Curve | None) -> tuple[str, ...]:
    found = ["first reads of a key miss whatever the size; a scan through many keys throws out what others ask for"]
    if curve is None:
        found.append(
            "no route's requests explain the hit rate seen, so that what more room would give is not known: evicted"
            " keys may never be asked for again"
        )
    if not use.maxmemory_bytes:
        found.append("maxmemory is not set now: it was changed, or something else evicts")
    return tuple(found)


def _remedy(use: CacheUse, curve: _Curve | None, now: float) -> Remedy:
    wanted = use.maxmemory_bytes * (2 if curve is None else max(1, round(curve.sizes[-1] / max(1, curve.sizes[0]))))
    return Remedy(
        kind=RemedyKind.CODE,
        title="give the cache more room, or keep less in it",
        act=f"CONFIG SET maxmemory {wanted}, or shorter values, or a TTL for what is seldom read",
        estimate=None if curve is None else Estimate(
            metric="hit rate", before=now, after=curve.hits[-1], unit="ratio", by="stack distances"
        ),
    )  # fmt: skip


def _held(use: CacheUse) -> int:
    """Keys, on average where it is known: questions about memory at the end may have evicted some."""
    return sum(use.keys_by_database.values()) if use.keys_mean is None else round(use.keys_mean)


def _explained(evidence: Evidence, use: CacheUse) -> _Curve | None:
    """
    The curve of the requests that explain the cache: about as many reads as look-ups, and at its present size about the
    hit rate that was counted. Each GET route alone, then all together; None where none does.
    """
    hits = next((each for each in evidence.phases if each.phase.name == use.phase), None)
    held, lookups = _held(use), use.hits + use.misses
    if hits is None or evidence.imported is not None or not held:
        return None
    try:
        keys = route_keys.of_phase(evidence, hits)
    except HeadwayError:
        return None
    streams = {one_line(name): each.stream.read_only() for name, each in keys.items()}
    if len(streams) > 1:
        streams["all GET routes"] = _joined(list(streams.values()))
    for name, stream in streams.items():
        distinct, reads = len(np.unique(stream.key)), int((stream.at_ns >= 0).sum())
        if abs(reads / lookups - 1) > CACHE_READS_AGREE_RATIO or distinct <= held or reads > EXACT_READS:
            continue
        sizes = tuple(dict.fromkeys((*(min(distinct, held * times) for times in TIMES), distinct)))
        found = _hit_ratios(stream, sizes)
        if abs(found[0] - use.hits / lookups) <= CACHE_AGREES_RATIO:
            return _Curve(of=name, distinct=distinct, sizes=sizes, hits=found)
    return None


def _hit_ratios(stream: KeyStream, sizes: tuple[int, ...]) -> tuple[float, ...]:
    """Of LRU caches that the warm-up's reads have filled, over the reads after it."""
    distances = stack_distances(stream.key)[stream.at_ns >= 0]
    return tuple(float(((distances >= 0) & (distances < size)).mean()) for size in sizes)


def _joined(streams: list[KeyStream]) -> KeyStream:
    from headway.diagnose.hit_rates.stream import made

    above = np.cumsum([0, *(each.distinct for each in streams)])
    return made(
        np.concatenate([each.key + first for each, first in zip(streams, above, strict=False)]),
        np.concatenate([each.at_ns for each in streams]),
    )
