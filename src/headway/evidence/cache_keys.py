"""The cache's keys when the load is over, by template: how many, how large, how used. A bounded SCAN, never KEYS."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headway.conventions import CACHE_KEYS_FILE
from headway.evidence import columns
from headway.evidence.cache_session import NotAllowed, right
from headway.evidence.cache_words import Templates
from headway.evidence.collector import Collector, failed, present
from headway.model import CacheKeys, SourceState

if TYPE_CHECKING:
    from pathlib import Path

    from headway.evidence.cache_session import CacheSession
    from headway.model import Phase

MOST_KEYS = 10_000
MOST_S = 3.0
LOT = 20
"""Keys asked about at once: few, as the server counts what it buffers to its memory, and evicts keys for it."""
SAMPLES = 5
"""Members of a collection that MEMORY USAGE weighs; the rest is taken to be like them. The server's own default."""


@dataclass(frozen=True, kw_only=True)
class _Key:
    name: bytes
    type: str
    bytes: int
    ttl_ms: int  # below 0: none
    idle_s: int | None
    frequency: int | None


class CacheKeySample(Collector):
    """
    The first keys that SCAN gives: it walks by the keys' hashes, so that they are a fair sample.

    TYPE, MEMORY USAGE, PTTL and OBJECT of each; none of these counts as a use of the key. They do count as look-ups in
    INFO, which is why it is done when the last phase is over.
    """

    name = "cache keys"

    def __init__(self, session: CacheSession) -> None:
        super().__init__()
        self._session = session
        self._began_s: float | None = None
        self.found: list[CacheKeys] = []

    def check(self) -> SourceState:
        try:
            keys = int(self._session.ask("DBSIZE"))
            self._session.ask("SCAN", 0, "COUNT", 1)
        except NotAllowed as exc:
            return failed(
                self.name, "its user may not look at keys", f"{exc} +dbsize +scan +type +pttl +object +memory"
            )
        return present(self.name, f"{keys:,} keys before the load")

    def begin(self, phase: Phase, at_s: float) -> None:
        if self._began_s is None:
            self._began_s = at_s

    def finish(self) -> None:
        if self._began_s is None:
            return
        until = time.monotonic() + MOST_S
        held = int(self._session.ask("DBSIZE"))
        lfu = "lfu" in str(self._session.info("memory")[0].get("maxmemory_policy"))
        keys, cursor, looked = [], 0, 0
        while looked < MOST_KEYS and time.monotonic() < until:
            cursor, names = self._session.ask("SCAN", cursor, "COUNT", LOT)
            looked += len(names)
            keys += self._looked_at(names, lfu=lfu)
            cursor = int(cursor)
            if not cursor:
                break
        self.found = folded(keys, held, time.time() - self._began_s)
        self.remark = "; ".join(
            each for each in (f"{len(keys):,} of {held:,} keys were looked at after it", self.remark) if each
        )

    def write(self, folder: Path) -> None:
        columns.write(folder / CACHE_KEYS_FILE, CacheKeys, self.found)

    def _looked_at(self, names: list[bytes], *, lfu: bool) -> list[_Key]:
        import redis

        asked: list[tuple[str | int | bytes, ...]] = []
        for name in names:
            use = "FREQ" if lfu else "IDLETIME"
            asked += [
                ("TYPE", name), ("MEMORY", "USAGE", name, "SAMPLES", SAMPLES), ("PTTL", name), ("OBJECT", use, name),
            ]  # fmt: skip
        answers = self._session.ask_all(asked)
        found = []
        for place, name in enumerate(names):
            kind, size, ttl, use_told = answers[4 * place : 4 * place + 4]
            refused = [each for each in (kind, size, ttl) if isinstance(each, redis.exceptions.NoPermissionError)]
            if refused:
                self.remark = f"some keys may not be looked at: {right('type')} +pttl +memory|usage %R~*"
            if isinstance(size, int) and isinstance(ttl, int) and isinstance(kind, (bytes, str)):
                use_value = use_told if isinstance(use_told, int) else None
                found.append(_Key(
                    name=name, type=kind if isinstance(kind, str) else kind.decode("ascii", "backslashreplace"),
                    bytes=size, ttl_ms=ttl, idle_s=None if lfu else use_value, frequency=use_value if lfu else None,
                ))  # fmt: skip
        return found  # one that expired meanwhile has no size, and is left out


def folded(keys: list[_Key], held: int, run_s: float) -> list[CacheKeys]:
    """One row a template and type, the largest together first."""
    templates = Templates({each.name for each in keys})
    groups: dict[tuple[str, str], list[_Key]] = defaultdict(list)
    for each in keys:
        groups[templates.of(each.name), each.type].append(each)
    rows = [_row(*place, members, len(keys), held, run_s) for place, members in groups.items()]
    return sorted(rows, key=lambda each: -each.bytes)


def _row(key: str, kind: str, members: list[_Key], looked_at: int, held: int, run_s: float) -> CacheKeys:
    largest = max(members, key=lambda each: each.bytes)
    timed: list[Any] = [each.idle_s for each in members if each.idle_s is not None]
    frequencies = [each.frequency for each in members if each.frequency is not None]
    return CacheKeys(
        key=key, type=kind, keys=len(members), bytes=sum(each.bytes for each in members), largest_bytes=largest.bytes,
        largest_used=None if largest.idle_s is None else largest.idle_s <= run_s,
        without_ttl=sum(each.ttl_ms < 0 for each in members),
        used=sum(each <= run_s for each in timed) if timed else None,
        frequency_maximum=max(frequencies, default=None), looked_at=looked_at, in_database=max(held, looked_at),
    )  # fmt: skip
