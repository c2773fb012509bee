"""
Get or load, written once: generators that yield effects (effects.py) and know neither asyncio nor threads.

    serve what is fresh -> join the flight that is on its way -> ask the remote level -> take the lease, load, store
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from headway.runtime.cache.effects import Ask, Begin, Join, Run
from headway.runtime.cache.entry import Choice, Entry, choose
from headway.runtime.cache.errors import CacheDown, SourceTimeout
from headway.runtime.cache.loading import load
from headway.runtime.cache.scripts import NOW, READ, SLIDE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from headway.runtime.cache.core import Core
    from headway.runtime.cache.effects import Steps
    from headway.runtime.cache.flight import Flight
    from headway.runtime.cache.policy import Policy

log = logging.getLogger("headway.runtime.cache")


def fetch(core: Core, key: str, source: Callable[[], Any], policy: Policy) -> Steps[Any]:
    """The value of a key: from this process, from the remote level, or from the source."""
    began = core.now()
    while True:
        entry = core.peek(key) if policy.local else None
        choice = choose(entry, core.now(), policy)
        if entry is not None and choice is not Choice.LOOK:
            core.counts.local_hits += 1
            if choice is not Choice.SERVE:
                yield from behind(core, key, entry, choice, source, policy)
            return entry.value
        flight, leads = core.board(key)
        if leads:
            yield from look(core, key, flight, entry, source, policy)
            if flight.entry is not None:
                return flight.entry.value
        elif flight.offered is not None and choose(flight.offered, core.now(), policy) is not Choice.LOOK:
            core.counts.remote_hits += 1
            core.counts.stale_served += core.now() >= flight.offered.fresh_until
            return flight.offered.value
        else:
            core.counts.joined += 1
        ended = yield from wait(core, key, flight, entry, policy, began)
        if ended is not None:
            return ended.value


def wait(
    core: Core, key: str, flight: Flight, fallback: Entry | None, policy: Policy, began: float
) -> Steps[Entry | None]:
    """
    What a flight ends with, as the caller's patience allows; None: begin anew.

    Raises:
        SourceTimeout: hard_timeout_s has passed since the caller began, and there is nothing stale to serve.
    """
    hard_at = None if policy.hard_timeout_s is None else began + policy.hard_timeout_s
    if not flight.done and policy.soft_timeout_s is not None and usable(fallback, core.now()):
        yield Join(flight, policy.soft_timeout_s)
        if not flight.done and fallback is not None and usable(fallback, core.now()):
            core.counts.soft_timeouts += 1
            core.counts.stale_served += 1
            return fallback
    if not flight.done:
        in_time = yield Join(flight, None if hard_at is None else max(0.0, hard_at - core.now()))
        if not in_time:
            core.leave(key, flight)
            core.counts.hard_timeouts += 1
            if fallback is not None and usable(fallback, core.now()):
                core.counts.stale_served += 1
                return fallback
            raise SourceTimeout(
                f"{key}: the source was not done after {policy.hard_timeout_s} s; nothing stale to serve"
            )
    if flight.error is not None:
        raise flight.error
    return flight.entry


def usable(entry: Entry | None, now: float) -> bool:
    """Whether an expired entry may still stand in for a source that fails."""
    return entry is not None and now < entry.keep_until


def look(
    core: Core, key: str, flight: Flight, entry: Entry | None, source: Callable[[], Any], policy: Policy
) -> Steps[None]:
    """Lead a flight: ask the remote level, and begin the load when that does not have it. The flight always lands."""
    try:
        found = yield from read(core, key, policy)
        choice = choose(found, core.now(), policy)
        if found is not None and choice is not Choice.LOOK:
            core.counts.remote_hits += 1
            core.keep(key, flight, found, policy)
            core.land(key, flight, entry=found)
            if choice is not Choice.SERVE:
                yield from behind(core, key, found, choice, source, policy)
            return
        core.counts.misses += 1
        stale = max((each for each in (entry, found) if each is not None), key=lambda each: each.stamp, default=None)
        patient = policy.hard_timeout_s is None and (policy.soft_timeout_s is None or not usable(stale, core.now()))
        steps = load(core, key, flight, source, policy, stale, patient_s=policy.lease_wait_s)
        yield Begin(steps, awaited=True, patient=patient)
    except Exception as exc:
        core.land(key, flight, error=exc)
        raise
    except BaseException:  # the caller was cancelled: those who wait begin anew
        core.land(key, flight)
        raise


def behind(
    core: Core, key: str, entry: Entry, choice: Choice, source: Callable[[], Any], policy: Policy
) -> Steps[None]:
    """What has to be done besides serving an entry."""
    flight, leads = core.board(key)
    if leads:
        flight.offered = entry
    if choice is Choice.SLIDE:
        slide(core, key, entry, policy)
        steps = touch(core, key, flight, entry, policy)
    else:
        if core.now() >= entry.fresh_until:
            core.counts.stale_served += 1
        elif leads:
            core.counts.early_refreshes += 1
        steps = load(core, key, flight, source, policy, entry, patient_s=None)
    if leads:
        try:
            yield Begin(steps, awaited=False)
        except SourceTimeout as exc:  # too many already: the next caller tries
            core.land(key, flight)
            log.warning("%s: not refreshed: %s", key, exc)
        except BaseException:
            core.land(key, flight)
            raise


def slide(core: Core, key: str, entry: Entry, policy: Policy) -> None:
    """Begin the ttl of a local entry anew, within its whole life."""
    now = core.now()
    whole_s = policy.max_age_s or policy.ttl_s
    entry.fresh_until = min(now + policy.ttl_s, entry.born_at + whole_s)
    entry.under(policy, now, core.chance)
    core.local.put(key, entry, now)


def touch(core: Core, key: str, flight: Flight, entry: Entry, policy: Policy) -> Steps[None]:
    """The same in the remote level."""
    try:
        if core.remote and entry.stamp > 0:
            whole_ms = 1000 * (policy.max_age_s or policy.ttl_s)
            times_ms = (1000 * policy.ttl_s, 1000 * policy.grace_s, whole_ms)
            yield Run(SLIDE, [core.value_key(key)], entry.stamp, *times_ms)
    except CacheDown:
        pass  # it expires there at its old time, which is early, not wrong
    finally:
        core.land(key, flight)


def read(core: Core, key: str, policy: Policy) -> Steps[Entry | None]:
    """The remote level's entry, fresh or stale; None when there is none that counts, or the level is down."""
    if not core.remote or core.untold.has(key, policy.tags):
        return None
    known = core.barriers
    try:
        if core.clock.unsure(core.now()):
            yield from tell_time(core)
        # Without a local level the promise is that the next read sees it: a message may be on its way still.
        unknown = core.unknown_barriers(policy.tags, sure=not policy.local)
        if unknown:
            blob, marks = yield from with_barriers(core, key, unknown)
            core.learn_barriers(unknown, marks)
        else:
            blob = yield Ask("GET", core.value_key(key))
        if blob is None:
            return None
        entry = core.decode(blob, policy)
        if entry is None:
            return None
        if entry.tags:
            yield from barriers_of(core, entry, unknown, sure=not policy.local)
    except CacheDown:
        if core.strict:
            raise
        return None
    return entry if counts_still(core, key, entry, known) else None


def with_barriers(core: Core, key: str, tags: Sequence[str]) -> Steps[tuple[Any, list[Any]]]:
    """The remote level's bytes of a key and the barrier of each tag, None for what is not there, in one round trip."""
    reply = yield Run(READ, [core.value_key(key), *map(core.barrier_key, tags)])
    blob, *marks = reply if isinstance(reply, list) else (reply, *[None] * len(tags))
    return blob, marks


def counts_still(core: Core, key: str, entry: Entry, known: dict[str, float]) -> bool:
    """
    Whether a remote entry was invalidated neither here nor, as far as is known, elsewhere.

    Args:
        known: the cache's barriers before those of the entry were asked for: a flush may have come between.
    """
    barred = entry.barred(known) or (known is not core.barriers and entry.barred(core.barriers))
    return not barred and not core.untold.has(key, entry.tags)


def barriers_of(core: Core, entry: Entry, just_asked: Sequence[str], *, sure: bool = False) -> Steps[None]:
    """Learn the barriers of an entry's tags, where nobody would have told us of them."""
    others = [tag for tag in core.unknown_barriers(entry.tags, sure=sure) if tag not in just_asked]
    if others:
        marks = yield Ask("MGET", *map(core.barrier_key, others))
        core.learn_barriers(others, marks)


def tell_time(core: Core) -> Steps[None]:
    """Learn the server's clock, when it is not known."""
    if core.clock.unsure(core.now()):
        yield from ask_time(core)


def ask_time(core: Core) -> Steps[None]:
    """Learn the clock of the server that has our keys: in a cluster only a script is sent to that one."""
    asked_at = core.now()
    seconds, micros = yield Run(NOW, [core.clock_key])
    core.clock.learn(1000 * int(seconds) + int(micros) / 1000, asked_at)


def get(core: Core, key: str, policy: Policy) -> Steps[Entry | None]:
    """What is cached and fresh, or served stale; nothing is loaded."""
    entry = core.peek(key) if policy.local else None
    if entry is not None and core.now() < entry.stale_until and entry.look_at > core.now():
        core.counts.local_hits += 1
        return entry
    flight = core.watch()
    try:
        found = yield from read(core, key, policy)
        if found is None or core.now() >= found.stale_until:
            core.counts.misses += 1
            return None
        core.counts.remote_hits += 1
        core.keep(key, flight, found, policy)
        return found
    finally:
        core.unwatch(flight)
