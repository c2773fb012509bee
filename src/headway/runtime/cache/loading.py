"""Load a value under a lease, store it, and end the flight: generators of effects, as reading.py."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from headway.runtime.cache import wire
from headway.runtime.cache.core import FENCE_S, LEASE_S, RENEWED_S
from headway.runtime.cache.effects import Load, Run, Sleep
from headway.runtime.cache.entry import Choice, Entry, choose
from headway.runtime.cache.errors import CacheDown, CacheRefused, NotCacheable
from headway.runtime.cache.scripts import ACQUIRE, RELEASE, STORE

if TYPE_CHECKING:
    from collections.abc import Callable

    from headway.runtime.cache.core import Core
    from headway.runtime.cache.effects import Steps
    from headway.runtime.cache.flight import Flight
    from headway.runtime.cache.policy import Policy

log = logging.getLogger("headway.runtime.cache")

FIRST_POLL_S, LONGEST_POLL_S, SLOWER = 0.002, 0.05, 1.5
"""How often who waits for another process's load looks for it: one question a process, for a key."""


class Lease(NamedTuple):
    """
    The right to load. `token` is empty when it could not be had: the load then is not stored remotely, and its stamp is
    such that whatever is invalidated from now on is later.
    """

    token: str
    stamp: float


def load(
    core: Core,
    key: str,
    flight: Flight,
    source: Callable[[], Any],
    policy: Policy,
    stale: Entry | None,
    *,
    patient_s: float | None,
) -> Steps[None]:
    """
    Load and store; the flight lands whatever happens, and errors go to those who wait in it.

    Args:
        stale: what may be served when the source fails.
        patient_s: how long to wait for another process's load; None: not at all, its refresh is as good as ours.
    """
    lease = Lease("", core.blind_stamp())
    try:
        got = yield from take(core, key, policy, stale, patient_s)
        if isinstance(got, Entry):
            core.keep(key, flight, got, policy)
            core.land(key, flight, entry=got)
            return
        if got is None:
            core.land(key, flight, entry=stale)
            return
        lease = got
        entry = yield from ask_source(core, source, policy, lease)
        yield from store(core, key, flight, entry, policy, lease)
        core.land(key, flight, entry=entry)
    except Exception as exc:  # noqa: BLE001 - everything a source raises goes to those who wait
        yield from release(core, key, lease)
        fail(core, key, flight, policy, stale, exc, waited_for=patient_s is not None)
    except GeneratorExit:  # thrown away unfinished: nothing may be asked any more
        core.land(key, flight)
        raise
    except BaseException:
        core.land(key, flight)
        yield from release(core, key, lease)
        raise
    finally:
        if core.leases.get(key, ("", 0.0))[0] == lease.token:
            core.leases.pop(key, None)


def take(
    core: Core, key: str, policy: Policy, stale: Entry | None, patient_s: float | None
) -> Steps[Lease | Entry | None]:
    """The lease; or a newer entry that has come; or None when another process loads and we do not wait."""
    if not core.remote:
        return Lease("", core.local_stamp())
    token, known = core.token(), stale.stamp if stale is not None else 0.0
    keys = [core.value_key(key), core.lease_key(key), core.clock_key]
    until, pause_s = core.now() + (patient_s or 0.0), FIRST_POLL_S
    while True:
        asked_at = core.now()
        try:
            reply = yield Run(ACQUIRE, keys, token, int(LEASE_S * 1000), f"{known:.0f}")
            entry = (yield from newer(core, key, reply[1], policy)) if reply[0] == 2 else None
        except CacheDown:
            if core.strict:
                raise
            return Lease("", core.blind_stamp())
        if reply[0] == 1:
            core.clock.learn(float(reply[2]), asked_at)
            core.leases[key] = (token, asked_at + (policy.hard_timeout_s or RENEWED_S))
            core.saw(float(reply[1]))
            return Lease(token, float(reply[1]))
        if entry is not None:
            return entry
        if reply[0] == 2:
            known = max(known, wire.times(reply[1])[1])
            continue
        if patient_s is None:
            return None
        if pause_s == FIRST_POLL_S:
            core.counts.lease_waits += 1
        if core.now() >= until:
            return Lease("", core.blind_stamp())
        yield Sleep(min(pause_s, max(0.0, until - core.now())))
        pause_s = min(LONGEST_POLL_S, pause_s * SLOWER)


def newer(core: Core, key: str, blob: bytes, policy: Policy) -> Steps[Entry | None]:
    """The entry that came while we asked for the lease; None when it does not count, or is not fresh."""
    from headway.runtime.cache.reading import barriers_of, counts_still, tell_time

    yield from tell_time(core)
    entry = core.decode(blob, policy)
    if entry is None or choose(entry, core.now(), policy) is Choice.LOOK or core.now() >= entry.fresh_until:
        return None
    known = core.barriers
    yield from barriers_of(core, entry, ())
    return entry if counts_still(core, key, entry, known) else None


def ask_source(core: Core, source: Callable[[], Any], policy: Policy, lease: Lease) -> Steps[Entry]:
    """The source's value as an entry, not stored yet."""
    began = core.now()
    core.counts.loads += 1
    value = yield Load(source, policy.hard_timeout_s)
    took_s = core.now() - began
    ttl_s = core.ttl_s(value, policy)
    entry = Entry(
        value, stamp=lease.stamp, born_at=began, fresh_until=core.now() + ttl_s, delta_s=took_s, tags=policy.tags
    )
    return entry.under(policy, core.now(), core.chance) if ttl_s > 0 else entry


def store(core: Core, key: str, flight: Flight, entry: Entry, policy: Policy, lease: Lease) -> Steps[None]:
    """Keep an entry here and in the remote level, unless it is older than an invalidation."""
    ttl_s = entry.fresh_until - core.now()
    if ttl_s <= 0:
        yield from release(core, key, lease)
        return
    body = wire.body(
        entry.value,
        codec=core.codec,
        delta_s=entry.delta_s,
        tags=entry.tags,
        compress_over_bytes=policy.compress_over_bytes,
    )
    entry.size_bytes = len(body) + wire.TIMES_BYTES
    core.keep(key, flight, entry, policy)
    if not lease.token:
        return
    if core.now() - entry.born_at > FENCE_S:  # the fence that would refuse it may be forgotten by now
        core.counts.stores_refused += 1
        yield from release(core, key, lease)
        return
    barriers = [core.barrier_key(tag) for tag in ("*", *entry.tags)]
    keys = [core.value_key(key), core.lease_key(key), core.fence_key(key), *barriers]
    times_ms = (f"{1000 * ttl_s:.3f}", f"{1000 * policy.grace_s:.3f}")
    try:
        stored = yield Run(STORE, keys, lease.token, f"{lease.stamp:.0f}", *times_ms, body)
    except CacheRefused as exc:
        log.warning("%s: loaded, but the remote level refuses to store it: %s", key, exc)
        yield from release(core, key, lease)
    except CacheDown:
        if core.strict:
            raise
    else:
        core.counts.stores += stored
        core.counts.stores_refused += 1 - stored
        if not stored:
            core.local.drop(key)  # the invalidation that refused it is on its way to us


def release(core: Core, key: str, lease: Lease) -> Steps[None]:
    """Give the lease back, if we can; it expires anyway."""
    if lease.token:
        with contextlib.suppress(CacheDown):
            yield Run(RELEASE, [core.lease_key(key)], lease.token, "0")


def fail(
    core: Core,
    key: str,
    flight: Flight,
    policy: Policy,
    stale: Entry | None,
    exc: Exception,
    *,
    waited_for: bool,
) -> None:
    """The source failed: serve what is stale and leave the source in peace for a while, or pass the error on."""
    now = core.now()
    core.counts.load_failures += 1
    if stale is None or now >= stale.keep_until or isinstance(exc, (NotCacheable, CacheDown)):
        if not waited_for:
            log.warning("%s: its refresh failed: %r", key, exc)
        core.land(key, flight, error=exc)
        return
    log.warning("%s: the source failed, served from a copy %.0f s past its time: %r", key, now - stale.fresh_until, exc)
    core.counts.fail_safe_served += 1
    # A copy that is served for the time of the throttle, and no longer than it may be kept.
    covered = Entry(
        stale.value,
        stamp=stale.stamp,
        born_at=stale.born_at,
        fresh_until=stale.fresh_until,
        delta_s=stale.delta_s,
        tags=stale.tags,
        size_bytes=stale.size_bytes,
    )
    covered.keep_until = stale.keep_until
    covered.stale_until = covered.refresh_at = min(now + policy.throttle_s, stale.keep_until)
    core.keep(key, flight, covered, policy)
    core.land(key, flight, entry=covered)
