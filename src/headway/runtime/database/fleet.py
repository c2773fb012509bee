"""
Which server answers: the whole of routing, without a connection, a clock or a thread of its own.

A read goes to the replica with the fewest connections out among those that are fit and have replayed what the session
wrote; else to one that is about to; else to the primary.

Source: GitLab, "Database load balancing" (sticking by LSN); least outstanding requests as in Envoy and HAProxy.
"""

from __future__ import annotations

import math
import threading
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from headway.runtime.database.history import History, Lag

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from headway.runtime.database.settings import Settings


WAIT_AGAIN_S = 1.0
"""After a wait in vain: a replica that lags by more than the patience costs one read a second its patience, not all."""


class Reason(StrEnum):
    """Why a read went where it went."""

    REPLICA = "replica"
    WAITED = "replica, after waiting for its replay"
    SCOPE = "primary: asked for"
    UNREPLAYED = "primary: no replica has replayed the session's write"
    NO_REPLICA = "primary: no replica is fit"


@dataclass(frozen=True, kw_only=True)
class Sight:
    """
    One look at a server.

    Args:
        recovering: whether it is a standby.
        position: of a standby the position replayed, else the position inserted.
        start: names this start of this server: its postmaster's start time.
        cluster: the cluster's system identifier.
        segment_bytes: its wal_segment_size.
        asked_at_s, at_s: when the look was sent and answered, monotonic.
    """

    recovering: bool
    position: int
    start: str
    cluster: str
    segment_bytes: int
    asked_at_s: float
    at_s: float


class Server:
    """What is known of one server. Written by its fleet alone."""

    def __init__(self, name: str, *, is_primary: bool) -> None:
        self.name = name
        self.is_primary = is_primary
        self.outstanding = 0
        self.sight: Sight | None = None
        self.position = 0
        self.lag = Lag(least=0.0, most=0.0)
        self.silent_since_s: float | None = None
        self.no_wait_until_s = 0.0
        self.silence = "not seen yet"


@dataclass(frozen=True, kw_only=True)
class Pick:
    """A server to try. `wait` says that it may not have replayed what is needed yet."""

    server: Server
    reason: Reason
    wait: bool = False


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A server as one may show it. `unfit` is None for a replica that gets reads."""

    name: str
    is_primary: bool
    outstanding: int
    lag_s: float | None
    unfit: str | None


class Fleet:
    """The primary and its replicas. Every method may be called from any thread."""

    def __init__(self, primary: Server, replicas: Sequence[Server], settings: Settings) -> None:
        self.primary = primary
        self.replicas = tuple(replicas)
        self._settings = settings
        self._history = History(keep_s=2 * settings.max_lag_s + settings.unseen_s)
        self._lock = threading.Lock()
        self._turn = 0
        self.reads: Counter[Reason] = Counter()

    @property
    def servers(self) -> tuple[Server, ...]:
        """The primary first."""
        return (self.primary, *self.replicas)

    def pick(self, *, needed: int, now_s: float, tried: AbstractSet[Server], only_primary: bool = False) -> Pick:
        """
        Choose a server for a read and count it as outstanding: `done` takes that back.

        Args:
            needed: the position the read must see; 0 is none.
            tried: servers that failed this very read.
        """
        with self._lock:
            pick = self._choose(needed, now_s, tried, only_primary)
            pick.server.outstanding += 1
            return pick

    def done(self, server: Server) -> None:
        """A read or write on `server` has ended, or never began."""
        with self._lock:
            server.outstanding -= 1

    def take_primary(self) -> Server:
        """The primary, for a write, counted as outstanding."""
        with self._lock:
            self.primary.outstanding += 1
        return self.primary

    def count(self, reason: Reason) -> None:
        """A read got its connection for this reason."""
        with self._lock:
            self.reads[reason] += 1

    def saw(self, server: Server, sight: Sight) -> None:
        """A look at a server was answered."""
        with self._lock:
            server.sight, server.silent_since_s = sight, None
            server.position = sight.position
            if server.is_primary:
                if not sight.recovering:
                    self._history.add(sight.asked_at_s, sight.position)
                for each in self.replicas:  # those seen before the primary was
                    if each.sight is not None and each.lag.most == math.inf:
                        each.lag = self._history.lag(each.position, each.sight.at_s)
            else:
                server.lag = self._history.lag(sight.position, sight.at_s)

    def saw_replayed(self, server: Server, position: int, start: str) -> None:
        """A replica said on a connection to that start of it how far it has come."""
        with self._lock:
            if server.sight is not None and server.sight.start == start:
                server.position = max(server.position, position)

    def waited_in_vain(self, server: Server, now_s: float) -> None:
        """A read waited for a replica and had to go elsewhere: for a while nobody waits for that one."""
        with self._lock:
            server.no_wait_until_s = now_s + WAIT_AGAIN_S

    def lost(self, server: Server, now_s: float, why: str) -> float:
        """
        A server does not answer: it gets no reads until it is seen again.

        Returns:
            Seconds since it was first silent.
        """
        with self._lock:
            if server.silent_since_s is None:
                server.silent_since_s = now_s
            server.sight, server.silence = None, why
            return now_s - server.silent_since_s

    def silent(self, server: Server) -> bool:
        """Whether the last look at a server, or the last attempt to connect, failed."""
        return server.silent_since_s is not None

    def cluster(self) -> str | None:
        """The system identifier of the primary's cluster, or of a replica's; None while none was seen."""
        return next((each.sight.cluster for each in self.servers if each.sight is not None), None)

    def segment_bytes(self) -> int | None:
        """The primary's wal_segment_size; None while it was not seen."""
        sight = self.primary.sight
        return None if sight is None else sight.segment_bytes

    def standings(self, now_s: float) -> tuple[Standing, ...]:
        """Every server as one may show it."""
        with self._lock:
            return tuple(
                Standing(
                    name=each.name, is_primary=each.is_primary, outstanding=each.outstanding,
                    lag_s=None if each.is_primary or each.sight is None else each.lag.most,
                    unfit=self._unfit_primary(each) if each.is_primary else self._unfit(each, now_s),
                )
                for each in self.servers
            )  # fmt: skip

    def _choose(self, needed: int, now_s: float, tried: AbstractSet[Server], only_primary: bool) -> Pick:
        if only_primary:
            return Pick(server=self.primary, reason=Reason.SCOPE)
        fit = [each for each in self.replicas if each not in tried and self._unfit(each, now_s) is None]
        ready = [each for each in fit if each.position >= needed]
        if ready:
            return Pick(server=self._least(ready), reason=Reason.REPLICA)
        patience_s = self._settings.catch_up_s
        near = [each for each in fit if each.lag.least <= patience_s and each.no_wait_until_s <= now_s]
        if near:
            return Pick(server=self._least(near), reason=Reason.WAITED, wait=True)
        behind = any(self._unfit(each, now_s) is None for each in self.replicas)
        return Pick(server=self.primary, reason=Reason.UNREPLAYED if behind else Reason.NO_REPLICA)

    def _least(self, servers: list[Server]) -> Server:
        self._turn += 1  # equals take turns: an idle service must not read from the first replica alone
        turn = self._turn % len(servers)
        return min(servers[turn:] + servers[:turn], key=lambda each: each.outstanding)

    def _unfit(self, server: Server, now_s: float) -> str | None:
        sight, primary = server.sight, self.primary.sight
        if sight is None:
            return server.silence
        why = None
        if now_s - sight.at_s > self._settings.unseen_s:
            why = "not looked at lately"
        elif not sight.recovering:
            why = "it is no standby (promoted?)"
        elif primary is not None and sight.cluster != primary.cluster:
            why = "it belongs to another cluster"
        elif primary is not None and primary.asked_at_s > sight.at_s and sight.position > primary.position:
            why = "it is ahead of the primary: another timeline"
        elif server.lag.most == math.inf:
            why = "how far it is behind is not known yet"
        elif server.lag.most > self._settings.max_lag_s:
            why = f"{server.lag.most:.1f} s behind"
        return why

    def _unfit_primary(self, server: Server) -> str | None:
        if server.sight is None:
            return server.silence
        return "it is a standby" if server.sight.recovering else None
