"""
Bodies in, rows on disk out: a bounded queue between who receives and one thread that takes bodies apart many at a time.

What finds no room is counted by its reason; nothing is left out in silence.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from headway.evidence.otlp import outline, rows, spans
from headway.evidence.otlp.fields import Buffer
from headway.evidence.otlp.pools import Pools
from headway.evidence.otlp.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from headway.evidence.otlp.outline import Outline
    from headway.evidence.otlp.rows import Manner

MOST_WAITING_BYTES = 64 << 20
"""Of bodies that wait for their turn; a sender is asked to come again when they are more."""
LOT_BYTES = 4 << 20
LOT_SPANS = 8_192
"""Taken apart at once: much more no longer makes it faster, and takes memory some thirty times the bytes."""
LINGER_S = 0.2
"""How long few bodies wait for more: a step costs the same for one as for hundreds."""
MOST_STORED = 30_000_000
MOST_NAMES = 100


@dataclass(kw_only=True)
class Counts:
    """What was received and what became of it. Bodies are counted in `refused`, spans in `dropped`, by reason."""

    bodies: int = 0
    bytes: int = 0
    spans: int = 0
    stored: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    services: Counter[str] = field(default_factory=Counter)
    sdks: set[str] = field(default_factory=set)
    instrumentations: set[str] = field(default_factory=set)
    last_at_s: float | None = None
    longest_gap_s: float = 0.0  # between one body and the next
    ahead_ns: int = 0  # how far a span's end lay after the moment it was received: the senders' clock is ahead

    def came(self, size: int, count: int, at_s: float) -> None:
        """One more body."""
        self.bodies += 1
        self.bytes += size
        self.spans += count
        if self.last_at_s is not None:
            self.longest_gap_s = max(self.longest_gap_s, at_s - self.last_at_s)
        self.last_at_s = at_s


@dataclass(frozen=True, kw_only=True)
class _Waiting:
    body: bytes
    outline: Outline
    at_ns: int

    @property
    def count(self) -> int:
        """Spans."""
        return len(self.outline)


class Intake:
    """
    Takes bodies in any thread and writes them in its own.

    Args:
        manner: how spans are kept.
        most_waiting_bytes: of bodies not yet taken apart.
    """

    def __init__(self, manner: Manner, *, most_waiting_bytes: int = MOST_WAITING_BYTES) -> None:
        self.counts = Counts()
        self.pools = Pools()
        self.full = ""  # why no span can be stored any more
        self._manner = manner
        self._most_waiting_bytes = most_waiting_bytes
        self._waiting: deque[_Waiting] = deque()
        self._waiting_bytes = 0
        self._spool: Spool | None = None
        self._changed = threading.Condition()
        self._ending = False
        self._thread = threading.Thread(target=self._work, name="headway-spans", daemon=True)
        self._thread.start()

    def store(self, file: Path) -> None:
        """From now on spans are written there; until now they waited."""
        try:
            spool: Spool | None = Spool(file)
        except OSError as exc:
            spool, self.full = None, f"cannot write: {exc.strerror or exc}"
        with self._changed:
            self._spool = spool
            self._changed.notify_all()

    def take(self, body: bytes) -> int:
        """
        Take one body of spans; returns how many of them can't be kept, for want of room on disk.

        Raises:
            Malformed: it is no request of spans.
            BlockingIOError: the queue is full: come again.
        """
        self._refuse_when_full(len(body))  # before any work is done for it
        found = outline.outline(body)
        outline.check(body)
        count, now_ns = len(found), time.time_ns()
        with self._changed:
            self._refuse_when_full(len(body))
            self.counts.came(len(body), count, now_ns / 1e9)
            if self.full:
                self.counts.dropped[self.full] += count
                return count
            self._waiting.append(_Waiting(body=body, outline=found, at_ns=now_ns))
            self._waiting_bytes += len(body)
            self._changed.notify_all()
        return 0

    def _refuse_when_full(self, size: int) -> None:
        if self._waiting_bytes + size > self._most_waiting_bytes:
            self.counts.refused["busy, asked to come again"] += 1
            raise BlockingIOError("the queue is full")

    def close(self) -> None:
        """Write what waits, and end the file."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        self._thread.join()

    def told(self) -> dict[str, Any]:
        """The counts as plain data."""
        counts = self.counts
        return {
            "bodies": counts.bodies, "bytes": counts.bytes, "spans": counts.spans, "stored": counts.stored,
            "refused": dict(counts.refused), "dropped": dict(counts.dropped), "services": dict(counts.services),
            "sdks": sorted(counts.sdks), "instrumentations": sorted(counts.instrumentations),
            "last_at_s": counts.last_at_s, "longest_gap_s": counts.longest_gap_s, "ahead_ns": counts.ahead_ns,
            "waiting": len(self._waiting), "full": self.full,
            "pools": [{"name": each.name, "largest": each.largest, "readings": each.readings}
                      for each in self.pools.found.values()],
            "other_metrics": self.pools.other_metrics,
        }  # fmt: skip

    def _work(self) -> None:
        while lot := self._lot():
            self._keep(lot)
            with self._changed:
                self._waiting_bytes -= sum(len(each.body) for each in lot)
        if self._spool is not None:
            try:
                self._spool.close()
            except OSError as exc:
                self.full = self.full or f"cannot write: {exc.strerror or exc}"

    def _lot(self) -> list[_Waiting]:
        """The next bodies to be taken apart together; empty at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._ending or (self._waiting and (self._spool or self.full)))
            if not self._ending:
                self._changed.wait_for(self._enough, LINGER_S)
            lot: list[_Waiting] = []
            size = count = 0
            while self._waiting and size < LOT_BYTES and count < LOT_SPANS:
                lot.append(self._waiting.popleft())
                size, count = size + len(lot[-1].body), count + lot[-1].count
            return lot

    def _enough(self) -> bool:
        return self._ending or self._waiting_bytes >= LOT_BYTES or sum(e.count for e in self._waiting) >= LOT_SPANS

    def _keep(self, lot: Sequence[_Waiting]) -> None:
        try:
            self._write(lot)
        except ValueError:  # Malformed, or a text that is no text
            if len(lot) == 1:
                self.counts.refused["damaged"] += 1
                self.counts.dropped["damaged"] += lot[0].count
                return
            for each in lot:
                self._keep([each])

    def _write(self, lot: Sequence[_Waiting]) -> None:
        starts = list(accumulate((len(each.body) for each in lot), initial=0))[:-1]
        buffer = Buffer(b"".join(each.body for each in lot))
        found = outline.joined([each.outline for each in lot], starts)
        batches = []
        for first in range(0, len(found), LOT_SPANS):
            taken = spans.decoded(buffer, found, first, first + LOT_SPANS)
            batches.append((rows.table(taken, self._manner), int(taken.end_ns.max(initial=0))))
        # Nothing is written, or counted, before the whole lot is known to be sound.
        for (batch, left), latest_ns in batches:
            self._store(batch)
            self.counts.dropped.update(left)
            self.counts.ahead_ns = max(self.counts.ahead_ns, min(latest_ns, rows.LATEST_NS) - lot[-1].at_ns)
        for sender, count in zip(found.senders, np.bincount(found.sender, minlength=len(found.senders)), strict=True):
            if sender.service in self.counts.services or len(self.counts.services) < MOST_NAMES:
                self.counts.services[sender.service] += int(count)
            if len(self.counts.sdks) < MOST_NAMES:
                self.counts.sdks.add(sender.sdk[:100])
        if len(self.counts.instrumentations) < MOST_NAMES:
            self.counts.instrumentations.update(each[:100] for each in found.scopes)

    def _store(self, batch: Any) -> None:
        count = batch.num_rows
        if self.counts.stored + count > MOST_STORED:
            self.full = f"more than {MOST_STORED:,} spans"
        if self._spool is not None and not self.full:
            try:
                self._spool.write(batch)
            except OSError as exc:  # DiskFull is one
                self.full = f"cannot write: {exc.strerror or exc}"
        if self._spool is None or self.full:
            self.counts.dropped[self.full or "not written anywhere"] += count
        else:
            self.counts.stored += count
