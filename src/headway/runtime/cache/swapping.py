"""Replace an entry by what is made of it, atomically over processes: generators of effects, as reading.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headway.runtime.cache import wire
from headway.runtime.cache.effects import Ask, Run
from headway.runtime.cache.entry import Entry
from headway.runtime.cache.reading import tell_time, with_barriers
from headway.runtime.cache.scripts import SWAP
from headway.runtime.cache.untold import EVERYTHING
from headway.runtime.cache.writing import FENCE_MS, keep_own

if TYPE_CHECKING:
    from collections.abc import Callable

    from headway.runtime.cache.core import Core
    from headway.runtime.cache.effects import Steps
    from headway.runtime.cache.flight import Flight
    from headway.runtime.cache.policy import Policy

    Change = Callable[[Entry | None], tuple[Any, float] | None]


def swap(core: Core, key: str, change: Change, policy: Policy) -> Steps[bool]:
    """
    Write what `change` makes of the fresh entry, or of None; begin anew when another has written meanwhile.

    Args:
        change: gives (value, its ttl in s), or None to leave all as it is; called once for each try.

    Returns:
        Whether it was written.

    Raises:
        CacheDown: the remote level does not answer, so nothing can be decided; also without `strict`.
        NotCacheable: the codec cannot write the value.
    """
    flight = core.watch()
    try:
        while True:
            seen, entry = yield from standing(core, key, policy)
            made = change(entry)
            if made is None:
                return False
            if (yield from written(core, key, made, (seen, entry), policy, flight)):
                return True
    finally:
        core.unwatch(flight)


def adding(core: Core, value: object, policy: Policy) -> Change:
    """The change that writes a value where there is none."""
    made = (value, core.ttl_s(value, policy))
    return lambda entry: made if entry is None and made[1] > 0 else None


def standing(core: Core, key: str, policy: Policy) -> Steps[tuple[Any, Entry | None]]:
    """(what tells it from another: a stamp, or the local entry itself; the entry if it is fresh and counts)."""
    if not core.remote:
        entry = core.peek(key)
        return entry, entry if entry is not None and core.now() < entry.fresh_until else None
    yield from tell_time(core)
    # Barriers are asked for, not remembered: an invalidation elsewhere counts from its reply on, and its message may be
    # on its way still.
    asked = (EVERYTHING, *policy.tags)
    blob, marks = yield from with_barriers(core, key, asked)
    if blob is None:
        return 0.0, None
    entry = core.decode(blob, policy)
    stamp = wire.times(blob)[1] if len(blob) > wire.TIMES_BYTES and blob[16:18] == wire.MAGIC else 0.0
    if entry is None or core.now() >= entry.fresh_until:
        return stamp, None
    others = [tag for tag in entry.tags if tag not in asked]
    if others:
        marks += yield Ask("MGET", *map(core.barrier_key, others))
    barred = any(mark is not None and float(mark) >= stamp for mark in marks)
    return stamp, None if barred or core.untold.has(key, entry.tags) else entry


def written(
    core: Core, key: str, made: tuple[Any, float], seen: tuple[Any, Entry | None], policy: Policy, flight: Flight
) -> Steps[bool]:
    """Whether the value could be written in the place of what was seen: its mark, and the entry if that counted."""
    (value, ttl_s), (mark, entry) = made, seen
    body = wire.body(
        value, codec=core.codec, delta_s=0.0, tags=policy.tags, compress_over_bytes=policy.compress_over_bytes
    )
    size_bytes = len(body) + wire.TIMES_BYTES
    if not core.remote:
        return _written_here(core, key, value, ttl_s, mark, policy, size_bytes)
    names = [
        core.value_key(key),
        core.lease_key(key),
        core.fence_key(key),
        core.clock_key,
        *(() if entry is None else map(core.barrier_key, (EVERYTHING, *entry.tags))),
    ]
    times_ms = (f"{1000 * ttl_s:.3f}", f"{1000 * policy.grace_s:.3f}")
    told = (FENCE_MS, core.channel, core.message("key", [key]), f"{mark:.0f}")
    asked_at = core.now()
    reply = yield Run(SWAP, names, *times_ms, body, *told)
    if not reply:
        return False
    core.wrote(float(reply[0]))
    core.clock.learn(float(reply[1]), asked_at)
    core.untold.tell(core.now(), keys=[key])
    keep_own(core, key, value, ttl_s, float(reply[0]), policy, flight, size_bytes)
    return True


def _written_here(
    core: Core, key: str, value: Any, ttl_s: float, seen: Entry | None, policy: Policy, size_bytes: int
) -> bool:
    stamp, now = core.local_stamp(), core.now()
    entry = Entry(
        value, stamp=stamp, born_at=now, fresh_until=now + ttl_s, tags=policy.tags, size_bytes=size_bytes
    ).under(policy, now, core.chance)
    with core.mutex:
        if core.local.get(key) is not seen:
            return False
        entry.epoch = core.epoch
        core.local.put(key, entry, now)
        flight = core.flights.pop(key, None)
        if flight is not None:
            flight.fenced = True
    return True
