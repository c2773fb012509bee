"""Write through and invalidate: generators of effects, as reading.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headway.runtime.cache import wire
from headway.runtime.cache.core import FENCE_S
from headway.runtime.cache.effects import Run
from headway.runtime.cache.entry import Entry
from headway.runtime.cache.errors import CacheDown
from headway.runtime.cache.policy import LONGEST_S
from headway.runtime.cache.scripts import BAR, INVALIDATE, PUT
from headway.runtime.cache.untold import EVERYTHING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headway.runtime.cache.core import Core
    from headway.runtime.cache.effects import Steps
    from headway.runtime.cache.flight import Flight
    from headway.runtime.cache.policy import Policy

FENCE_MS = int(FENCE_S * 1000)


def put(core: Core, key: str, value: Any, policy: Policy) -> Steps[bool]:
    """
    Store a value that the caller has: newer than every load that has begun. False: only here, and other processes may
    have the old one until they can be told.
    """
    flight = core.watch()  # another process may write after us, and be heard before our own reply is
    try:
        return (yield from send(core, key, value, policy, flight))
    finally:
        core.unwatch(flight)


def send(core: Core, key: str, value: Any, policy: Policy, flight: Flight) -> Steps[bool]:
    """Write remotely, then here, unless `flight` heard of something newer meanwhile."""
    ttl_s = core.ttl_s(value, policy)
    if ttl_s <= 0:
        return (yield from invalidate(core, [key]))
    body = wire.body(
        value, codec=core.codec, delta_s=0.0, tags=policy.tags, compress_over_bytes=policy.compress_over_bytes
    )
    told, stamp = True, core.blind_stamp() if core.remote else core.local_stamp()
    if core.remote:
        keys = [core.value_key(key), core.lease_key(key), core.fence_key(key), core.clock_key]
        times_ms = (f"{1000 * ttl_s:.3f}", f"{1000 * policy.grace_s:.3f}")
        asked_at = core.now()
        try:
            reply = yield Run(PUT, keys, *times_ms, body, FENCE_MS, core.channel, core.message("key", [key]))
        except CacheDown:
            core.untold.miss(keys=[key])
            if core.strict:
                raise
            told = False
        else:
            stamp = float(reply[0])
            core.wrote(stamp)
            core.clock.learn(float(reply[1]), asked_at)
            core.untold.tell(core.now(), keys=[key])
    keep_own(core, key, value, ttl_s, stamp, policy, flight, len(body) + wire.TIMES_BYTES)
    return told


def keep_own(
    core: Core, key: str, value: Any, ttl_s: float, stamp: float, policy: Policy, flight: Flight, size_bytes: int
) -> None:
    """Keep here what was written, unless `flight` heard of something newer meanwhile."""
    now = core.now()
    entry = Entry(
        value, stamp=stamp, born_at=now, fresh_until=now + ttl_s, tags=policy.tags, size_bytes=size_bytes
    ).under(policy, now, core.chance)
    core.drop([key], spare=flight)  # what is on its way to it is older
    core.keep(key, flight, entry, policy)


def invalidate(core: Core, keys: Sequence[str]) -> Steps[bool]:
    """Forget keys everywhere. False: the remote level could not be told; it will be when it is back."""
    if not keys:
        return True
    core.counts.invalidations += len(keys)
    core.drop(keys)
    if not core.remote:
        return True
    try:
        yield from send_keys(core, keys)
    except CacheDown:
        core.untold.miss(keys=keys)
        if core.strict:
            raise
        return False
    return True


def send_keys(core: Core, keys: Sequence[str]) -> Steps[None]:
    """Tell the remote level to forget keys, and fence here with the stamp it gave that."""
    names = [core.clock_key]
    for key in keys:
        names += (core.value_key(key), core.lease_key(key), core.fence_key(key))
    core.wrote(float((yield Run(INVALIDATE, names, FENCE_MS, core.channel, core.message("key", keys)))))
    core.drop(keys)  # again: a copy may have been read since, before the remote level forgot its own
    core.untold.tell(core.now(), keys=keys)


def invalidate_tags(core: Core, tags: Sequence[str]) -> Steps[bool]:
    """Entries with any of these tags count no longer, anywhere. False: as in `invalidate`."""
    if not tags:
        return True
    core.counts.invalidations += len(tags)
    if not core.remote:
        core.raise_barriers(tags, core.local_stamp())
        return True
    try:
        yield from send_tags(core, tags)
    except CacheDown:
        core.flush()  # which entries have the tags is written in the entries alone
        core.untold.miss(tags=tags)
        if core.strict:
            raise
        return False
    return True


def send_tags(core: Core, tags: Sequence[str]) -> Steps[None]:
    """Raise barriers in the remote level and here."""
    names = [core.clock_key, *map(core.barrier_key, tags)]
    stamp = float((yield Run(BAR, names, int(LONGEST_S * 1000), core.channel, core.message("tag", tags))))
    core.raise_barriers(tags, stamp)
    core.untold.tell(core.now(), tags=tags)


def catch_up(core: Core) -> Steps[None]:
    """Tell the remote level, now that it is back, what it could not be told."""
    tags, keys = sorted(core.untold.tags), sorted(core.untold.keys)
    if tags:
        yield from send_tags(core, tags)
    for begin in range(0, len(keys), 500):
        yield from send_keys(core, keys[begin : begin + 500])


def clear(core: Core) -> Steps[bool]:
    """Everything in this namespace and version counts no longer: one barrier, however many entries."""
    return (yield from invalidate_tags(core, (EVERYTHING,)))
