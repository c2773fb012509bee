"""
Whose time a request's is: each moment of its server span goes to one part, so that the parts add up to the span.

Backwards from its end: the child that ended last is what was waited for, as far back as it began; before it the one
that ended last before that; moments with no child are the span's own. Of children that ran in parallel only the one
waited for counts, and what ran behind it is said apart.

Source: Zhang et al. 2022, "CRISP: Critical Path Analysis of Large-Scale Microservice Architectures" (USENIX ATC).
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headway.model import BudgetPart

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CLIENT, PRODUCER = 3, 4
CACHES = frozenset({"redis", "valkey", "memcached", "keydb", "dragonfly"})
_POOL = re.compile(
    r"(?<![a-z])pool(?![a-z])|getconn|acquire[ _.]?conn|conn(?:ection)?[ _.]?(?:acquire|wait|checkout)|^connect$",
    re.IGNORECASE,
)
MOST_DEEP = 200
"""Spans inside spans; what is deeper belongs to the span at this depth."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """One span, as far as its place and kind matter. Times in ns of one clock."""

    id: bytes
    parent: bytes | None
    kind: int
    name: str
    system: str | None
    start_ns: int
    end_ns: int


@dataclass(frozen=True, kw_only=True)
class Attributed:
    """One request: part -> ns, together the server span's own length; and what ran behind something longer."""

    parts: Mapping[BudgetPart, int]
    overlap_ns: int


def part_of(span: Span) -> BudgetPart | None:
    """The part a span's time belongs to as a whole; None: its own time is the service's, its children's is theirs."""
    if _POOL.search(span.name) and span.kind not in (2, PRODUCER):
        return BudgetPart.POOL
    if span.system is not None and span.system.lower() in CACHES:
        return BudgetPart.CACHE
    if span.system is not None:
        return BudgetPart.DATABASE
    return BudgetPart.DOWNSTREAM if span.kind in (CLIENT, PRODUCER) else None


def attribute(root: Span, spans: Sequence[Span]) -> Attributed:
    """
    The critical path of one request, by part.

    Args:
        root: its server span.
        spans: all of its trace, in any order; cycles, missing parents and children that outlive their parent are borne:
            a span counts only as far as it lies inside those above it.
    """
    children: dict[bytes, list[Span]] = defaultdict(list)
    for each in spans:
        if each.parent is not None and each.id != root.id:
            children[each.parent].append(each)
    for below in children.values():
        below.sort(key=lambda each: (-each.end_ns, each.start_ns))
    parts: dict[BudgetPart, int] = defaultdict(int)
    on_path = 0
    whole = 0
    seen = {root.id}
    work = [(root, root.start_ns, root.end_ns, 0)]
    while work:
        span, low, high, depth = work.pop()
        cursor = high
        for child in children.get(span.id, ()) if depth < MOST_DEEP else ():
            if child.id in seen:
                continue
            seen.add(child.id)
            start, end = max(child.start_ns, low), min(child.end_ns, high)
            part = part_of(child)
            whole += max(0, end - start) if part is not None else 0
            end = min(end, cursor)
            if end <= start:
                # Behind what is waited for; its own children, if it is the service's code, ran behind it too.
                whole += 0 if part is not None else _hidden(child, children, seen)
                continue
            parts[BudgetPart.OWN] += cursor - end
            cursor = start
            if part is None:
                work.append((child, start, end, depth + 1))
            else:
                parts[part] += end - start
                on_path += end - start
        parts[BudgetPart.OWN] += max(0, cursor - low)
    return Attributed(parts=dict(parts), overlap_ns=max(0, whole - on_path))


def _hidden(span: Span, children: Mapping[bytes, Sequence[Span]], seen: set[bytes]) -> int:
    """Time of the calls below a span that nobody waited for."""
    total, work = 0, [span]
    while work:
        for child in children.get(work.pop().id, ()):
            if child.id not in seen:
                seen.add(child.id)
                if part_of(child) is None:
                    work.append(child)
                else:
                    total += max(0, child.end_ns - child.start_ns)
    return total
