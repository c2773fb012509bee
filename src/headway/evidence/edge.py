"""What the edge cache answered in each phase: nginx's JSON access log, followed while it grows."""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headway.conventions import EDGE_FILE
from headway.errors import SourceRefused
from headway.evidence import columns
from headway.evidence.collector import Collector, absent, in_words, present
from headway.evidence.following import Following, Turned
from headway.model import EdgeUse, SourceState

if TYPE_CHECKING:
    from pathlib import Path

    from headway.model import Phase

LINE_MAX_BYTES = 1 << 16
MOST_KEPT_BYTES = 24 << 20
"""Lines of a phase wait to be parsed when its load has ended, which is cheaper for the service; not more than these."""
LINE_OBJECT_BYTES = 48
FROM_CACHE = frozenset({"HIT", "STALE", "UPDATING", "REVALIDATED"})
"""Answers whose body came from the cache. REVALIDATED asked the origin, which said: still good."""
FROM_ORIGIN = frozenset({"MISS", "EXPIRED", "BYPASS", "SCARCE"})
KNOWN = FROM_CACHE | FROM_ORIGIN | {"-"}
_NAME, _NUMBER = rb'"[a-z_]++":', rb"(?:0|[1-9]\d*+)(?:\.\d++)?"
_VALUE = rb'(?:"[ !#-\[\]-~]*+"|' + _NUMBER + rb")"
_USUAL = re.compile(
    rb'\{"msec":(' + _NUMBER + rb"),(?:(?!\"upstream_|\"msec\")" + _NAME + _VALUE + rb",)*"
    rb'"upstream_cache_status":"([A-Z-]*+)"(?:,(?!"upstream_|"msec")' + _NAME + _VALUE + rb")*"
    rb'(?:,"upstream_response_time":"([ !#-\[\]-~]*+)")?\}'
)
"""
A line in the order docs/evidence.md shows, of plain ASCII without escapes: read thus in a third of JSON's time. The
groups are not possessive: Python 3.11.2 then finds no line usual.
"""


@dataclass(kw_only=True)
class Window:
    """One phase's span of time and what its lines said. Lines are credited by their own time, so late ones count."""

    phase: str
    begun_s: float
    ended_s: float = math.inf
    by_status: Counter[str] = field(default_factory=Counter)
    seconds: dict[int, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    unread: int = 0


class Edge(Collector):
    """A log of JSON objects, one a line, with `msec` and `upstream_cache_status`; other lines are counted as unread."""

    name = "edge"

    def __init__(self, log: Path | None) -> None:
        super().__init__()
        self._file = log
        self._log: Following | None = None
        self._kept: deque[bytes | Window | None] = deque()
        """Lines as they are, None for one that is too long, a phase's window where its lines begin."""
        self._kept_bytes = 0
        self._reading: Window | None = None
        self.windows: list[Window] = []

    def check(self) -> SourceState:
        if self._file is None:
            return absent(self.name, "--edge-log")
        try:
            self._log = Following(self._file, line_max_bytes=LINE_MAX_BYTES)
        except OSError as exc:
            cure = "name the access log of the nginx in front, readable to you"
            raise SourceRefused(f"the edge log {self._file} cannot be read: {in_words(exc)}", next_act=cure) from exc
        return present(self.name, f"{self._file.name}")

    def begin(self, phase: Phase, at_s: float) -> None:
        self._follow(MOST_KEPT_BYTES)
        self.windows.append(Window(phase=phase.name, begun_s=at_s))
        self._keep(self.windows[-1])

    def sample(self, at_s: float) -> None:
        self._follow(MOST_KEPT_BYTES)

    def end(self, phase: Phase, at_s: float) -> None:
        self._follow()
        if self.windows:
            self.windows[-1].ended_s = at_s
            self._reading = None

    def finish(self) -> None:
        self._follow()

    def write(self, folder: Path) -> None:
        if self._file is not None:
            columns.write(folder / EDGE_FILE, EdgeUse, [_use(window) for window in self.windows])

    def close(self) -> None:
        if self._log is not None:
            self._log.close()

    def _follow(self, keep_bytes: int = 0) -> None:
        """Read what was added, and parse the oldest lines, but for so much."""
        if self._log is None:
            return
        for line in self._log.lines():
            self._keep(line)
            self._parse(keep_bytes)
        self._parse(keep_bytes)
        match self._log.turned:
            case Turned.ROTATED:
                self.remark = "the log was rotated during the run, and followed"
            case Turned.CUT:
                self.remark = "the log was cut short during the run: lines may be missing"
                if self.windows:
                    self.lower_bound_phases.add(self.windows[-1].phase)
        self._log.turned = Turned.NOT

    def _keep(self, entry: bytes | Window | None) -> None:
        self._kept.append(entry)
        self._kept_bytes += _size(entry)

    def _parse(self, keep_bytes: int) -> None:
        while self._kept_bytes > keep_bytes:
            entry = self._kept.popleft()
            self._kept_bytes -= _size(entry)
            if isinstance(entry, Window):
                self._reading = entry
            elif entry is None:
                self._unread()
            else:
                self._line(entry)

    def _line(self, line: bytes) -> None:
        read = parse(line)
        if read is None:
            self._unread()
            return
        at_s, status, asked = read
        for window in reversed(self.windows):
            if window.begun_s <= at_s < window.ended_s:
                window.by_status[status] += 1
                second = window.seconds[int(at_s - window.begun_s)]
                second[0] += status in FROM_CACHE
                second[1] += asked
                return

    def _unread(self) -> None:
        if self._reading is not None:
            self._reading.unread += 1


def _size(entry: bytes | Window | None) -> int:
    return LINE_OBJECT_BYTES + (len(entry) if isinstance(entry, bytes) else 0)


def parse(line: bytes) -> tuple[float, str, bool] | None:
    """
    One line of the log.

    Returns:
        (unix seconds, cache status, whether the origin was asked and not the cache), or None when it isn't one of ours:
        other formats, cut lines, other people's bytes. "-" is an answer that no cache was asked for.
    """
    usual = _USUAL.fullmatch(line)
    if usual is not None:
        at_s, status, upstream = float(usual[1]), usual[2].decode() or "-", usual[3]
        return _said(at_s, status, upstream is None or upstream in {b"", b"-"})
    try:
        record = json.loads(line)
        at_s = float(record["msec"])
        status = record["upstream_cache_status"] or "-"
        upstream = record.get("upstream_response_time") or "-"
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
    return _said(at_s, status, upstream == "-")


def _said(at_s: float, status: object, alone: bool) -> tuple[float, str, bool] | None:
    """What a line says; `alone`: nobody upstream was asked."""
    if not math.isfinite(at_s) or not isinstance(status, str) or status not in KNOWN:
        return None
    return at_s, status, status in FROM_ORIGIN or (status == "-" and not alone)


def _use(window: Window) -> EdgeUse:
    return EdgeUse(
        phase=window.phase,
        by_status=dict(window.by_status),
        per_second=tuple((second, hits, asked) for second, (hits, asked) in sorted(window.seconds.items())),
        unread_lines=window.unread,
    )
