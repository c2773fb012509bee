"""
Hits and misses by key template, from short bursts of MONITOR. Only when asked for: it slows the cache meanwhile.

No server counts hits by key, and MONITOR shows commands without their answers. What was a miss is inferred from what
the service did next: a key that is stored soon after it was read was not there. The server's own count of hits and
misses over the same bursts stands beside it, so that a reader sees whether the inference fits this service.
"""

from __future__ import annotations

import re
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from headway.conventions import CACHE_MONITOR_FILE
from headway.evidence import columns
from headway.evidence.cache_session import NotAllowed, right
from headway.evidence.cache_words import DROPS, EVERY_SECOND, READS, STORES, Templates, keys_of
from headway.evidence.collector import Collector, absent, failed, in_words, present
from headway.model import CacheKeyUse, SourceState

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from headway.evidence.cache_session import CacheSession
    from headway.model import Phase

BURST_S, EVERY_S = 0.5, 5.0
MOST_LINES, MOST_BYTES = 10_000, 8 << 20
"""A burst ends by whichever comes first."""
MOST_KEYS = 100_000
STORED_WITHIN_S = 0.25
"""A key stored so soon after it was read was stored because it was missed. Slower services' misses pass for hits, which
the server's own count then shows."""
HANDSHAKE = ("hello", "client|setname", "client|setinfo", "client|setinfo")
"""What a new connection of redis-py sends of its own."""
_LINE = re.compile(rb'\+?(\d+\.\d+) \[\d+ .*?\] "((?:[^"\\]|\\.)*)"(.*)', re.DOTALL)
_WORD = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_LONGEST_LINE = 4_096
"""Keys stand at a line's beginning; what is behind it are values, and is not looked at."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One command of a burst."""

    at_s: float
    command: str
    keys: tuple[bytes, ...]


@dataclass(kw_only=True)
class _Tally:
    """What the bursts of one phase add up to, by key. Kept in memory until the phase ends, then only by template."""

    reads: Counter[bytes] = field(default_factory=Counter)
    misses: Counter[bytes] = field(default_factory=Counter)
    present: Counter[bytes] = field(default_factory=Counter)  # reads of keys that the burst had seen stored, no misses
    undecided: Counter[bytes] = field(default_factory=Counter)  # too near to the burst's end
    writes: Counter[bytes] = field(default_factory=Counter)
    named: Counter[bytes] = field(default_factory=Counter)
    commands: int = 0
    watched_s: float = 0.0
    lookups_counted: int = 0
    misses_counted: int = 0


class CacheMonitor(Collector):
    """Half a second in five, at most 10,000 commands each; on a connection of its own, closed after each burst."""

    name = "cache monitor"

    def __init__(self, session: CacheSession, *, wanted: bool) -> None:
        super().__init__()
        self._session = session
        self._wanted = wanted
        self._due_s: float | None = None
        self._tally = _Tally()
        self.found: list[CacheKeyUse] = []

    def check(self) -> SourceState:
        if not self._wanted:
            state = absent(self.name, "--cache-monitor")
            return SourceState(
                name=state.name, presence=state.presence,
                detail="no hits and misses by key: no server counts them, and MONITOR, which costs it speed, was not"
                " asked for", next_act="infer them with --cache-monitor",
            )  # fmt: skip
        import redis

        try:
            self._watch(0.0)
        except redis.exceptions.NoPermissionError:
            return failed(self.name, "its user may not send MONITOR", right("monitor"))
        except redis.ResponseError as exc:
            return failed(self.name, f"MONITOR is refused: {in_words(exc)}", "leave --cache-monitor out")
        except NotAllowed as exc:
            return failed(self.name, "its user may not send INFO", str(exc))
        return present(self.name, f"bursts of {BURST_S:g} s in {EVERY_S:g}, {MOST_LINES:,} commands at most")

    def begin(self, phase: Phase, at_s: float) -> None:
        self._tally, self._due_s = _Tally(), at_s

    def sample(self, at_s: float) -> None:
        if self._due_s is None or at_s < self._due_s:
            return
        self._due_s = at_s + EVERY_S
        before = self._session.info("stats")[0]
        seen = self._watch(BURST_S)
        after = self._session.info("stats")[0]
        missed = int(after["keyspace_misses"]) - int(before["keyspace_misses"])
        self._tally.lookups_counted += int(after["keyspace_hits"]) - int(before["keyspace_hits"]) + missed
        self._tally.misses_counted += missed
        count(self._tally, seen)

    def end(self, phase: Phase, at_s: float) -> None:
        if self._due_s is None:
            return
        self._due_s = None
        self.found += folded(phase.name, self._tally)
        self._tally = _Tally()

    def write(self, folder: Path) -> None:
        if self._wanted:
            columns.write(folder / CACHE_MONITOR_FILE, CacheKeyUse, self.found)

    def _watch(self, for_s: float) -> list[Seen]:
        """One burst. The connection is closed behind it: MONITOR has no end of its own."""
        pool = self._session.client().connection_pool
        connection: Any = pool.make_connection()
        self._session.opened += 1
        seen: list[Seen] = []
        try:
            connection.connect()
            self._session.own.update(HANDSHAKE)
            connection.send_command("MONITOR")
            connection.read_response()
            self._session.own["monitor"] += 1
            until, size = time.monotonic() + for_s, 0
            while (left := until - time.monotonic()) > 0 and len(seen) < MOST_LINES and size < MOST_BYTES:
                if not connection.can_read(timeout=left):
                    break
                line = connection.read_response(disable_decoding=True)
                size += len(line)
                found = parsed(bytes(line[:_LONGEST_LINE]))
                if found is not None:
                    seen.append(found)
        finally:
            connection.disconnect()
        return seen


def parsed(line: bytes) -> Seen | None:
    """One line of MONITOR; None where it is not one, or names no key. Values are not kept."""
    match = _LINE.match(line)
    if match is None:
        return None
    command = match[2].decode("ascii", "backslashreplace").upper()
    keys = keys_of(command, _WORD.findall(match[3]))
    if not keys:
        return None
    most = len(keys) if command in READS | DROPS | EVERY_SECOND else 1
    return Seen(at_s=float(match[1]), command=command, keys=tuple(keys[:most]))


@dataclass(kw_only=True)
class _Reads:
    """Reads of one key in a burst: waiting for a store, with whether the key was seen stored; and the missed ones."""

    waiting: list[tuple[Seen, bool]] = field(default_factory=list)
    missed: list[Seen] = field(default_factory=list)


def count(tally: _Tally, seen: Iterable[Seen]) -> None:
    """
    Add one burst: each store takes the latest read of its key not older than STORED_WITHIN_S as its miss.

    Of any connection, as connections may be pooled: between a miss and its store nobody else's read hits either. Reads
    so near to the burst's end that a store could still have followed, as the burst's slowest did, are left undecided,
    hits and misses alike.
    """
    burst = list(seen)
    if not burst:
        return
    by_key: dict[bytes, _Reads] = defaultdict(_Reads)
    there: set[bytes] = set()
    gaps_s: list[float] = []
    tally.commands += len(burst)
    tally.watched_s += burst[-1].at_s - burst[0].at_s
    for each in burst:
        for key in each.keys:
            if len(tally.named) < MOST_KEYS or key in tally.named:
                tally.named[key] += 1
                _one(tally, each, key, by_key[key], there, gaps_s)
    decided_s = burst[-1].at_s - max(gaps_s, default=STORED_WITHIN_S)
    for key, reads in by_key.items():
        tally.misses[key] += sum(read.at_s <= decided_s for read in reads.missed)
        tally.present[key] += sum(known and read.at_s <= decided_s for read, known in reads.waiting)
        late = sum(read.at_s > decided_s for read in (*reads.missed, *(read for read, _ in reads.waiting)))
        tally.undecided[key] += late


def _one(
    tally: _Tally, each: Seen, key: bytes, reads: _Reads, there: set[bytes], gaps_s: list[float]
) -> None:  # fmt: skip
    if each.command in READS:
        tally.reads[key] += 1
        reads.waiting.append((each, key in there))
    elif each.command in STORES:
        tally.writes[key] += 1
        there.add(key)
        if reads.waiting and each.at_s - reads.waiting[-1][0].at_s <= STORED_WITHIN_S:
            missed, _ = reads.waiting.pop()
            reads.missed.append(missed)
            gaps_s.append(each.at_s - missed.at_s)
    elif each.command in DROPS:
        tally.writes[key] += 1
        there.discard(key)


def folded(phase: str, tally: _Tally) -> list[CacheKeyUse]:
    """One row a template, the most read first."""
    templates = Templates(tally.named)
    groups: dict[str, list[bytes]] = defaultdict(list)
    for key in tally.named:
        groups[templates.of(key)].append(key)
    rows = [_row(phase, template, keys, tally) for template, keys in groups.items()]
    return sorted(rows, key=lambda each: (-each.reads, -each.writes, each.key))


def _row(phase: str, template: str, keys: list[bytes], tally: _Tally) -> CacheKeyUse:
    reads, misses = (sum(each[key] for key in keys) for each in (tally.reads, tally.misses))
    undecided = sum(tally.undecided[key] for key in keys)
    known = sum(tally.present[key] for key in keys)
    rest = reads - misses - undecided - known
    aside = misses > 0  # keys of this template are stored after reads: one that was not, was there
    return CacheKeyUse(
        phase=phase, key=template, reads=reads, hits=known + (rest if aside else 0), misses=misses,
        unknown=undecided + (0 if aside else rest), writes=sum(tally.writes[key] for key in keys),
        hottest=max(tally.named[key] for key in keys), commands=tally.commands, watched_s=tally.watched_s,
        lookups_counted=tally.lookups_counted, misses_counted=tally.misses_counted,
    )  # fmt: skip
