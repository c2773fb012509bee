"""What is shown of a phase's cache: its commands, the slow ones, its keys by template. Most of each that fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headway.diagnose import cache_use
from headway.report import visible
from headway.report.words import bytes_text, ns_text

if TYPE_CHECKING:
    from headway.model import CacheCommand, CacheKeys, CacheKeyUse, CacheSlow, CacheUse, Evidence

MOST = 12
MOST_LINES = 4


@dataclass(frozen=True, kw_only=True)
class CacheParts:
    """Rows of one phase, the weightiest first; keys stand with the last phase, as they were looked at after it."""

    commands: tuple[CacheCommand, ...]
    slow: tuple[CacheSlow, ...]
    uses: tuple[CacheKeyUse, ...]
    keys: tuple[CacheKeys, ...]
    percentiles: str
    agreement: str


def parts(evidence: Evidence, phase: str) -> CacheParts:
    """All that was collected of the cache in one phase besides INFO."""
    commands = sorted((each for each in evidence.cache_commands if each.phase == phase), key=lambda c: -c.total_ns)
    uses = [each for each in evidence.cache_key_uses if each.phase == phase]
    last = bool(evidence.phases) and evidence.phases[-1].phase.name == phase
    timed = any(each.p50_ns is not None for each in commands)
    return CacheParts(
        commands=tuple(commands[:MOST]),
        slow=tuple(each for each in evidence.cache_slow if each.phase == phase)[:MOST],
        uses=tuple(uses[:MOST]),
        keys=evidence.cache_keys[:MOST] if last else (),
        percentiles="percentiles are upper ends of classes that double" if timed else "no percentiles were told",
        agreement=cache_use.agreement(uses),
    )


def lines(evidence: Evidence, phase: str) -> list[str]:
    """The cache of one phase for a terminal; nothing where none was read."""
    use = next((each for each in evidence.caches if each.phase == phase), None)
    if use is None:
        return []
    own = parts(evidence, phase)
    out = [_use(use)]
    if own.commands:
        told = (f"{c.name.upper()} {c.calls:,} x {ns_text(c.mean_ns)}{_p99(c)}" for c in own.commands[:MOST_LINES])
        out.append(f"    commands: {', '.join(visible.one_line(each) for each in told)}")
    for slow in own.slow[:MOST_LINES]:
        named = visible.one_line(f"{slow.command} {slow.key}".strip(), 60)
        out.append(f"    slow: {named}: {slow.count:,} times, {ns_text(slow.maximum_ns)} at most")
    for row in own.uses[:MOST_LINES]:
        known = row.hits + row.misses
        rate = f"{row.hits / known:.1%} of {known:,} reads hit" if known else f"{row.reads:,} reads, hits not known"
        out.append(f"    {visible.one_line(row.key, 60)}: {rate} (inferred)")
    if own.uses:
        out.append(f"    the inference: {own.agreement}")
    for kept in own.keys[:MOST_LINES]:
        out.append(
            f"    keys {visible.one_line(kept.key, 60)} ({kept.type}): {kept.keys:,} in {bytes_text(kept.bytes)},"
            f" the largest {bytes_text(kept.largest_bytes)}"
        )
    if own.keys:
        out.append(f"    {own.keys[0].looked_at:,} of {own.keys[0].in_database:,} keys were looked at after the load")
    return out


def _use(use: CacheUse) -> str:
    lookups = use.hits + use.misses
    rate = f"{use.hits / lookups:.1%} of {lookups:,} look-ups hit" if lookups else "no look-ups"
    trip = f", round trip {ns_text(use.ping_p50_ns)}" if use.ping_p50_ns is not None else ""
    busy = f", its thread {use.cpu_ratio:.0%} busy" if use.cpu_ratio is not None else ""
    return f"  cache: {rate}, {use.evicted:,} evicted, {use.expired:,} expired{busy}{trip}"


def _p99(command: CacheCommand) -> str:
    return "" if command.p99_ns is None else f" (p99 up to {ns_text(command.p99_ns)})"
