"""SLOWLOG entries that are new in each phase: the command and its key's template, never an argument."""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from headway.conventions import CACHE_SLOW_FILE
from headway.evidence import columns
from headway.evidence.cache_session import OWN_NAME, NotAllowed
from headway.evidence.cache_words import Templates, keys_of
from headway.evidence.collector import Collector, failed, present
from headway.model import CacheSlow, SourceState

if TYPE_CHECKING:
    from pathlib import Path

    from headway.evidence.cache_session import CacheSession
    from headway.model import Phase

MOST = 128
"""Entries asked for at once: as many as a server keeps unless told otherwise (slowlog-max-len)."""
MOST_IN_A_PHASE = 10_000
CLIENTS = 5

Entry = tuple[str, bytes | None, float, str]
"""Command, its first key, ns, the client's name."""


class CacheSlowLog(Collector):
    """
    The server's own log of commands that ran longer than its threshold (10 ms unless set): execution, not waiting.

    Its newest entry's number is looked at once a second, and the entries are fetched when it has moved.
    """

    name = "cache slow log"

    def __init__(self, session: CacheSession) -> None:
        super().__init__()
        self._session = session
        self._last = -1
        self._counting = False
        self._entries: list[Entry] = []
        self._lost = 0
        self.found: list[CacheSlow] = []

    def check(self) -> SourceState:
        try:
            self._last = self._newest()
        except NotAllowed as exc:
            return failed(self.name, "its user may not send SLOWLOG GET", str(exc))
        threshold = "a threshold it doesn't tell"
        with suppress(Exception):  # CONFIG is often denied, and only says more
            told = self._session.ask("CONFIG", "GET", "slowlog-log-slower-than")
            (value,) = told.values() if isinstance(told, dict) else told[1::2]
            threshold = "nothing: it is off" if int(value) < 0 else f"{int(value) / 1e3:g} ms"
        return present(self.name, f"commands that ran longer than {threshold}")

    def begin(self, phase: Phase, at_s: float) -> None:
        self._last, self._entries, self._lost, self._counting = self._newest(), [], 0, True

    def sample(self, at_s: float) -> None:
        if self._counting:
            self._fetch()

    def end(self, phase: Phase, at_s: float) -> None:
        if not self._counting:
            return
        self._fetch()
        self._counting = False
        self.found += folded(phase.name, self._entries)
        if self._lost:
            self.lower_bound_phases.add(phase.name)
            self.remark = f"{self._lost:,} entries were overwritten before they could be read"

    def write(self, folder: Path) -> None:
        columns.write(folder / CACHE_SLOW_FILE, CacheSlow, self.found)

    def _newest(self) -> int:
        entries = self._session.ask("SLOWLOG", "GET", 1)
        return int(entries[0][0]) if entries else self._last

    def _fetch(self) -> None:
        newest = self._newest()
        if newest < self._last:  # the server was restarted: its numbers begin again
            self._last = -1
        wanted = newest - self._last
        if wanted <= 0:
            return
        new = [each for each in self._session.ask("SLOWLOG", "GET", min(wanted, MOST)) if int(each[0]) > self._last]
        # An entry that was added between the two questions is taken, too.
        newest = max((int(each[0]) for each in new), default=newest)
        room = MOST_IN_A_PHASE - len(self._entries)
        self._lost += max(0, newest - self._last - min(len(new), room))
        self._last = newest
        self._entries += [found for each in new[:room] if (found := _entry(each))[3] != OWN_NAME]


def _entry(told: Any) -> Entry:
    """[number, unix seconds, microseconds, arguments, address, client's name]; the last two since Redis 4."""
    words = [bytes(each) for each in told[3]]
    command = words[0].decode("ascii", "backslashreplace").upper() if words else ""
    keys = keys_of(command, words[1:])
    name = bytes(told[5]).decode("ascii", "backslashreplace") if len(told) > 5 else ""
    return command, keys[0] if keys else None, float(told[2]) * 1e3, name


def folded(phase: str, entries: list[Entry]) -> list[CacheSlow]:
    """One row a command and template, the longest together first."""
    templates = Templates({key for _, key, _, _ in entries if key is not None})
    groups: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        groups[entry[0], "" if entry[1] is None else templates.of(entry[1])].append(entry)
    rows = [
        CacheSlow(
            phase=phase, command=command, key=key, count=len(members), total_ns=sum(each[2] for each in members),
            maximum_ns=max(each[2] for each in members),
            clients=tuple(sorted({each[3] for each in members if each[3]}))[:CLIENTS],
        )
        for (command, key), members in groups.items()
    ]  # fmt: skip
    return sorted(rows, key=lambda each: -each.total_ns)
