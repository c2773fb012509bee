"""
What a cache knows, without any input or output: the local level, the flights, the barriers, the names of remote keys.

Shared by the asyncio and the threaded cache. Methods may be called from any thread; the listener's thread calls some.
"""

from __future__ import annotations

import random
import struct
import threading
import time
import uuid
from typing import TYPE_CHECKING

import msgspec

from headway.runtime.cache import wire
from headway.runtime.cache.breaker import Breaker
from headway.runtime.cache.counts import Counts
from headway.runtime.cache.entry import Entry
from headway.runtime.cache.flight import Flight
from headway.runtime.cache.local import Local
from headway.runtime.cache.server_clock import ServerClock
from headway.runtime.cache.untold import EVERYTHING, Untold

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from headway.runtime.cache.codecs import Codec
    from headway.runtime.cache.policy import Policy

FENCE_S = 600.0
"""How long an invalidation is remembered for loads that began before it. A load that takes longer is not stored."""

LEASE_S = 3.0
"""A lease is renewed every HEARTBEAT_S while its load goes on: a holder that died is noticed after at most so long."""

HEARTBEAT_S = 1.0

RENEWED_S = 60.0
"""A load without hard_timeout_s keeps its lease so long: one that hangs must not hold a key for ever."""

MOST_BARRIERS = 100_000

MOST_OURS = 1_000
"""Stamps of our own: forgetting them costs a local copy now and then, never a wrong one."""


class Core:
    """See the module. `remote` is False when there is no remote level at all."""

    def __init__(
        self,
        *,
        namespace: str,
        version: int,
        one_slot: bool = False,
        codec: Codec,
        remote: bool,
        strict: bool,
        max_entries: int,
        max_bytes: int,
        now: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        # In a cluster what stands in braces decides on which server a key lies: all of ours on one, as scripts need it.
        self.prefix = f"{{{namespace}}}:v{version}:" if one_slot else f"{namespace}:v{version}:"
        self.codec = codec
        self.remote = remote
        self.strict = strict
        self.now = now
        self.chance = chance
        self.local = Local(max_entries=max_entries, max_bytes=max_bytes)
        self.counts = Counts()
        self.epoch = 0
        self.closed = False
        self.answered: Callable[[bool, float], None] | None = None
        # ^ told of each question to the remote level: whether it was answered, and the seconds it took
        self.forget()

    def forget(self) -> None:
        """Begin anew, as a forked child has to: locks, flights and connections of the parent are not its own."""
        self.mutex = threading.Lock()
        self.flights: dict[str, Flight] = {}
        self.watchers: set[Flight] = set()
        self.leases: dict[str, tuple[str, float]] = {}  # key to (token, until when it is renewed)
        self.barriers: dict[str, float] = {}
        self.ours: set[float] = set()  # stamps of our own invalidations, which are not news when we hear of them
        self.untold = Untold()
        self.listening = False
        self.breaker = Breaker()
        self.clock = ServerClock()
        self.sender = uuid.uuid4().hex[:12]
        self.seen = 0.0  # the latest stamp of the remote level that has come here: what follows has a later one
        self._tokens = 0
        self.local.clear()
        self.epoch += 1

    # Names of keys in the remote level.

    def value_key(self, key: str) -> str:
        """Where the entry lies."""
        return f"{self.prefix}k:{key}"

    def lease_key(self, key: str) -> str:
        """Who loads it."""
        return f"{self.prefix}l:{key}"

    def fence_key(self, key: str) -> str:
        """The stamp of its last invalidation."""
        return f"{self.prefix}f:{key}"

    def barrier_key(self, tag: str) -> str:
        """The stamp of the tag's last invalidation."""
        return f"{self.prefix}t:{tag}"

    @property
    def clock_key(self) -> str:
        """The logical clock."""
        return f"{self.prefix}clock"

    @property
    def channel(self) -> str:
        """Where invalidations are published."""
        return f"{self.prefix}bus"

    def token(self) -> str:
        """A name for one lease."""
        with self.mutex:
            self._tokens += 1
            return f"{self.sender}-{self._tokens}"

    def local_stamp(self) -> float:
        """A stamp of this process alone, where there is no remote level."""
        with self.mutex:
            self.seen = max(self.now() * 1e6, self.seen + 1)
            return self.seen

    def blind_stamp(self) -> float:
        """A stamp for what is loaded without asking the remote level: before every invalidation still to come."""
        return self.seen + 0.5

    # Entries.

    def fresh(self, key: str) -> Entry | None:
        """The local entry when it can be served as it is, counted as a hit: the shortest way there is."""
        entry = self.local.get(key)
        if entry is None or entry.epoch != self.epoch or self.now() >= entry.refresh_at:
            return None
        self.counts.local_hits += 1
        return entry

    def peek(self, key: str) -> Entry | None:
        """The local entry, held against barriers that were raised since it was last looked at."""
        entry = self.local.get(key)
        if entry is None or entry.epoch == self.epoch:
            return entry
        epoch = self.epoch
        if entry.barred(self.barriers):
            self.local.drop(key)
            return None
        entry.epoch = epoch
        return entry

    def unknown_barriers(self, tags: tuple[str, ...], *, sure: bool = False) -> list[str]:
        """The tags whose barriers must be asked for: all while nobody would tell us, or when telling is too slow."""
        if sure:
            return [EVERYTHING, *tags]
        if self.listening and not tags and EVERYTHING in self.barriers:
            return []
        wanted = (EVERYTHING, *tags)
        return [tag for tag in wanted if tag not in self.barriers] if self.listening else list(wanted)

    def learn_barriers(self, tags: Iterable[str], marks: Iterable[bytes | None]) -> None:
        """What the remote level said of the barriers: kept only while the listener would hear of a new one."""
        with self.mutex:
            if len(self.barriers) > MOST_BARRIERS:
                self.barriers = {}
            for tag, mark in zip(tags, marks, strict=True):
                stamp = float(mark) if mark else -1.0
                if stamp > self.barriers.get(tag, stamp):  # its message is still on its way: copies are older than it
                    self.epoch += 1
                self._raise(tag, stamp)

    def decode(self, blob: bytes, policy: Policy) -> Entry | None:
        """The entry in the remote level's bytes; None when unreadable."""
        read = wire.read(blob, codec=self.codec, kind=policy.kind)
        if read is None:
            self.counts.unreadable += 1
            return None
        entry = Entry(
            read.value,
            stamp=read.stamp,
            fresh_until=self.clock.to_local(read.expires_ms),
            delta_s=read.delta_s,
            tags=read.tags,
            size_bytes=read.size_bytes,
            born_at=self.clock.to_local(read.stamp / 1000),
        )
        return entry.under(policy, self.now(), self.chance)

    def ttl_s(self, value: object, policy: Policy) -> float:
        """How long this value is to be kept, jitter taken off; 0 or less: not at all."""
        return policy.ttl_of(value) * (1 - policy.jitter_ratio * self.chance())

    def keep(self, key: str, flight: Flight, entry: Entry, policy: Policy) -> None:
        """Put an entry in the local level, unless an invalidation came while it was on its way."""
        if not policy.local:
            return
        with self.mutex:
            if flight.fenced or entry.barred(self.barriers):
                return
            entry.epoch = self.epoch
            self.local.put(key, entry, self.now())

    # Flights.

    def board(self, key: str) -> tuple[Flight, bool]:
        """The flight of a key, and whether the caller has begun it and must see it land."""
        with self.mutex:
            flight = self.flights.get(key)
            if flight is not None:
                return flight, False
            flight = self.flights[key] = Flight()
            return flight, True

    def land(self, key: str, flight: Flight, *, entry: Entry | None = None, error: BaseException | None = None) -> None:
        """End a flight and wake who waits. With neither entry nor error they begin anew."""
        with self.mutex:
            if self.flights.get(key) is flight:
                del self.flights[key]
            if flight.done:
                return
            flight.done, flight.entry, flight.error = True, entry, error
            waiters = flight.waiters
        for wake in waiters:
            wake()

    def wait_for(self, flight: Flight, wake: Callable[[], None]) -> bool:
        """Have `wake` called when the flight ends; False when it has ended already."""
        with self.mutex:
            if flight.done:
                return False
            flight.waiters.append(wake)
            return True

    def leave(self, key: str, flight: Flight) -> None:
        """Let the next caller begin a flight of their own: this one is too late, or too old."""
        with self.mutex:
            if self.flights.get(key) is flight:
                del self.flights[key]

    def watch(self) -> Flight:
        """A flight that nobody can join: it only learns whether anything was invalidated meanwhile."""
        flight = Flight()
        with self.mutex:
            self.watchers.add(flight)
        return flight

    def unwatch(self, flight: Flight) -> None:
        """The end of watch."""
        with self.mutex:
            self.watchers.discard(flight)

    # Invalidation, from here or from another process.

    def message(self, kind: str, names: Iterable[str]) -> bytes:
        """What is published; the script puts the stamp before it."""
        return msgspec.msgpack.encode((self.sender, kind, tuple(names)))

    def hear(self, data: bytes) -> None:
        """A message from the channel. One that cannot be read may have meant anything."""
        try:
            (stamp, _), body = wire.times(data[:8] + bytes(8)), data[8:]
            sender, kind, names = msgspec.msgpack.decode(body, type=tuple[str, str, tuple[str, ...]])
        except (ValueError, struct.error):
            self.flush()
            return
        if kind == "tag":
            self.raise_barriers(names, stamp)
        elif sender != self.sender:  # our own were dropped before they were sent
            self.saw(stamp)
            self.drop(names)

    def hear_fence(self, key: str, stamp: float | None) -> None:
        """The key was invalidated or written through, by us or another, at the stamp (None: it is not known when)."""
        if stamp in self.ours:
            return
        entry = self.local.get(key)
        if stamp is None or entry is None or entry.stamp < stamp:
            self.saw(stamp or 0.0)
            self.drop([key])

    def wrote(self, stamp: float) -> None:
        """The remote level has given this stamp to an invalidation of ours."""
        if len(self.ours) >= MOST_OURS:
            self.ours.clear()
        self.ours.add(stamp)
        self.saw(stamp)

    def saw(self, stamp: float) -> None:
        """The remote level has given this stamp: what follows has a later one."""
        self.seen = max(self.seen, stamp)

    def drop(self, keys: Iterable[str], *, spare: Flight | None = None) -> None:
        """Forget keys, and fence what is on its way to them; `spare` brings what is newer."""
        with self.mutex:
            self._fence(each for each in self.watchers if each is not spare)
            for key in keys:
                flight = self.flights.pop(key, None)
                if flight is not None:
                    flight.fenced = True
                self.local.drop(key)

    def raise_barriers(self, tags: Iterable[str], stamp: float) -> None:
        """Entries with these tags count no longer, when they are older than the stamp."""
        with self.mutex:
            for tag in tags:
                self._raise(tag, stamp)
            self.epoch += 1
            self._fence([*self.flights.values(), *self.watchers])  # their tags are not known yet
            self.flights.clear()

    def flush(self) -> None:
        """Forget the local level: invalidations may have been missed."""
        with self.mutex:
            self.local.clear()
            self.barriers = {}  # another, not emptied: who is reading may hold this one
            self.epoch += 1
            self._fence([*self.flights.values(), *self.watchers])
            self.flights.clear()
            self.counts.flushes += 1

    def _raise(self, tag: str, stamp: float) -> None:
        self.barriers[tag] = max(self.barriers.get(tag, -1.0), stamp)
        self.saw(stamp)

    @staticmethod
    def _fence(flights: Iterable[Flight]) -> None:
        for flight in flights:
            flight.fenced = True
