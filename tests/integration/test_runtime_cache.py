"""The cache against a real Valkey: one load for all, invalidation, stale time, timeouts, cancellation."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pytest
import redis

from headway.runtime.cache import Cache, CacheClosed, NotCacheable, Policy, SourceTimeout, SyncCache

pytestmark = pytest.mark.anyio
PLAIN = Policy(ttl_s=60, jitter_ratio=0, early_beta=0)
REMOTE = PLAIN.but(local=False)
BOTH = pytest.mark.parametrize("backplane", ["pubsub", "tracking"])


@dataclass(frozen=True)
class User:
    """What services cache."""

    name: str
    age: int


class Source:
    """Counts its calls; may be slow, or fail."""

    def __init__(self, *, slow_s: float = 0.0) -> None:
        self.calls = 0
        self.slow_s = slow_s
        self.fails = False

    async def __call__(self) -> int:
        self.calls += 1
        mine = self.calls
        await asyncio.sleep(self.slow_s)
        if self.fails:
            raise ConnectionError("the database is down")
        return mine

    def plain(self) -> int:
        """The same for threads."""
        self.calls += 1
        mine = self.calls
        time.sleep(self.slow_s)
        if self.fails:
            raise ConnectionError("the database is down")
        return mine


@asynccontextmanager
async def caches(url: str | None, count: int = 1, **settings: Any) -> AsyncIterator[list[Cache]]:
    """Caches that stand for as many processes, each listening."""
    made = [Cache(url, namespace="t", policy=PLAIN, **settings) for _ in range(count)]
    try:
        for one in made:
            if url is not None:
                assert await asyncio.to_thread(one.listening)
        yield made
    finally:
        for one in made:
            await one.aclose()


@pytest.fixture
def anyio_backend() -> str:
    """Coroutine tests run under asyncio."""
    return "asyncio"


@pytest.fixture
def threaded(valkey_url: str) -> Iterator[SyncCache]:
    """A cache for threads, listening."""
    with SyncCache(valkey_url, namespace="t", policy=PLAIN) as cache:
        assert cache.listening()
        yield cache


async def until(holds: Callable[[], bool | Awaitable[bool]], within_s: float = 3.0) -> None:
    """Wait until it holds; fail when it does not in time."""
    end = time.monotonic() + within_s
    while True:
        held = holds()
        if held if isinstance(held, bool) else await held:
            return
        assert time.monotonic() < end, "did not happen in time"
        await asyncio.sleep(0.005)


async def test_a_cold_key_is_loaded_once_for_all(valkey_url: str) -> None:
    """100 callers in each of three processes, nothing cached: the source is asked once."""
    async with caches(valkey_url, 3) as made:
        source = Source(slow_s=0.05)
        values = await asyncio.gather(*(one.get_or_set("k", source) for one in made for _ in range(100)))
        assert (source.calls, set(values)) == (1, {1})
        assert sum(one.stats()["lease_waits"] for one in made) == 2


def test_threads_ask_the_source_once(threaded: SyncCache) -> None:
    """The same for threads."""
    source, values = Source(slow_s=0.05), []
    threads = [
        threading.Thread(target=lambda: values.append(threaded.get_or_set("k", source.plain))) for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (source.calls, set(values)) == (1, {1})


@BOTH
async def test_an_invalidation_reaches_the_other_processes(valkey_url: str, backplane: str) -> None:
    """And its own process at once; the copy of another goes within moments, not at its ttl."""
    async with caches(valkey_url, 2, backplane=backplane) as (one, other):
        source = Source()
        assert [await each.get_or_set("k", source) for each in (one, other, other)] == [1, 1, 1]
        assert other.stats()["local_hits"] == 1
        assert await one.invalidate("k")
        assert await one.get_or_set("k", source) == 2

        async def new() -> bool:
            return await other.get_or_set("k", source) == 2

        await until(new)
        assert source.calls == 2


@BOTH
async def test_a_slow_load_cannot_bring_back_what_was_invalidated(valkey_url: str, backplane: str) -> None:
    """A load that began before goes to its caller, and is kept neither here nor there; who asks after it loads anew."""
    async with caches(valkey_url, 2, backplane=backplane) as (one, other):
        gate, old = asyncio.Event(), "before the commit"

        async def slow() -> str:
            await gate.wait()
            return old

        async def quick() -> str:
            return "after the commit"

        waiting = asyncio.create_task(one.get_or_set("k", slow))
        await until(lambda: one.stats()["loads"] == 1)
        assert await other.invalidate("k")
        await until(lambda: not one._core.flights)  # the message has come
        assert await one.get_or_set("k", quick) == "after the commit"
        gate.set()
        assert await waiting == old
        assert await one.get("k") == await other.get("k") == "after the commit"
        assert one.stats()["stores_refused"] == 1


@BOTH
async def test_a_value_written_through_wins_over_a_load_on_its_way(valkey_url: str, backplane: str) -> None:
    """set() is newer than every load that has begun, in all processes."""
    async with caches(valkey_url, 2, backplane=backplane) as (one, other):
        gate = asyncio.Event()

        async def slow() -> int:
            await gate.wait()
            return 1

        waiting = asyncio.create_task(one.get_or_set("k", slow))
        await until(lambda: one.stats()["loads"] == 1)
        written: list[int] = []

        async def write(value: int) -> None:
            written.append(value)

        assert await other.write_through("k", 2, write)
        gate.set()
        await waiting
        assert written == [2]
        assert await one.get("k") == await other.get("k") == 2


async def test_a_failed_write_leaves_nothing_cached(valkey_url: str) -> None:
    """Whether the source has the new value is not known: neither value may be served."""
    async with caches(valkey_url) as (one,):

        async def write(_value: int) -> None:
            raise ConnectionError("lost")

        await one.set("k", 1)
        with pytest.raises(ConnectionError):
            await one.write_through("k", 2, write)
        assert await one.get("k") is None


@BOTH
async def test_a_tag_s_entries_go_with_one_write(valkey_url: str, backplane: str) -> None:
    """All entries of a tag, in both levels of both processes; entries of other tags stay."""
    async with caches(valkey_url, 2, backplane=backplane) as (one, other):
        source, team, rest = Source(), PLAIN.but(tags=("team:1",)), PLAIN.but(tags=("team:2",))
        for number in range(20):
            await one.get_or_set(f"k{number}", source, team)
            await other.get_or_set(f"k{number}", source, team)
        await one.get_or_set("other", source, rest)
        assert source.calls == 21
        assert await one.invalidate_tags("team:1")
        assert await one.get_or_set("other", source, rest) == 21
        assert await one.get("k0", policy=team) is None
        await until(lambda: other._core.barriers.get("team:1", 0) > 0)
        for number in range(20):
            assert await other.get_or_set(f"k{number}", source, team) > 21
        assert source.calls == 41


async def test_without_a_local_level_the_next_read_sees_it_before_any_message(valkey_url: str) -> None:
    """A process that is deaf to messages, and does not know it: by key, by tag and by clear() what is forgotten is."""
    async with caches(valkey_url, 2) as (one, deaf):
        deaf._core.hear = lambda data: None  # type: ignore[method-assign]
        source, tagged = Source(), REMOTE.but(tags=("team:1",))
        assert await deaf.get_or_set("k", source, tagged) == 1
        for number, forget in enumerate((one.invalidate("k"), one.invalidate_tags("team:1"), one.clear())):
            assert await forget
            assert await deaf.get_or_set("k", source, tagged) == number + 2
            assert await deaf.get_or_set("k", source, tagged) == number + 2


async def test_the_server_s_own_hit_rate_is_the_cache_s(valkey_url: str) -> None:
    """Ten keys read twenty times each: Valkey counts ten misses and 190 hits, and nothing for leases and barriers."""
    async with caches(valkey_url) as (cache,):
        with redis.Redis.from_url(valkey_url) as server:

            def counted() -> tuple[int, int]:
                told: Any = server.info("stats")
                return told["keyspace_hits"], told["keyspace_misses"]

            source = Source()
            await cache.get_or_set("first", source, REMOTE)  # the connections and the clock are there
            before = counted()
            for number in range(200):
                await cache.get_or_set(f"counted:{number % 10}", source, REMOTE)
            after = counted()
    assert source.calls == 11
    assert (after[0] - before[0], after[1] - before[1]) == (190, 10)


async def test_clear_forgets_a_whole_cache_and_no_other(valkey_url: str) -> None:
    """One barrier, in the namespace alone."""
    async with caches(valkey_url) as (one,), Cache(valkey_url, namespace="neighbour") as neighbour:
        await one.set("k", 1)
        await neighbour.set("k", 2)
        await one.clear()
        assert (await one.get("k"), await neighbour.get("k")) == (None, 2)
        assert await one.set("k", 3)
        assert await one.get("k", policy=REMOTE) == 3


async def test_a_new_version_does_not_see_the_old_one(valkey_url: str) -> None:
    """Entries of another form are not read: the version is in the key."""
    async with Cache(valkey_url, version=1) as old, Cache(valkey_url, version=2) as new:
        await old.set("k", 1)
        assert await new.get("k") is None


@pytest.mark.parametrize("local", [True, False])
async def test_stale_is_served_while_one_refreshes(valkey_url: str, local: bool) -> None:
    """Past its ttl, within stale_s: nobody waits, one load, and then the new value; without a local level as well."""
    policy = PLAIN.but(ttl_s=0.5, stale_s=5, local=local)
    async with caches(valkey_url, 2) as made:
        source = Source()
        for one in made:
            await one.get_or_set("k", source, policy)
        await asyncio.sleep(0.6)
        gate = asyncio.Event()

        async def gated() -> int:
            await gate.wait()
            return await source()

        values = [await one.get_or_set("k", gated, policy) for one in made for _ in range(10)]
        assert set(values) == {1}  # who waited would wait for ever
        gate.set()
        await until(lambda: source.calls == 2 and not any(one._tasks for one in made))
        assert 2 in [await one.get_or_set("k", source, policy) for one in made]


async def test_a_refresh_comes_before_expiry_when_loading_is_slow(valkey_url: str) -> None:
    """XFetch with the stored time of the load: a process that never loaded draws from it too."""
    policy = PLAIN.but(ttl_s=5, early_beta=500.0)
    async with caches(valkey_url, 2) as (one, other):
        source = Source(slow_s=0.02)
        await one.get_or_set("k", source, policy)
        other._core.chance = lambda: 0.9
        assert await other.get_or_set("k", source, policy) == 1
        await until(lambda: source.calls == 2)
        assert other.stats()["early_refreshes"] == 1


async def test_a_failing_source_is_covered_and_left_in_peace(valkey_url: str) -> None:
    """Within fail_safe_s the old value is served, and the source is asked once a throttle, not once a call."""
    policy = PLAIN.but(ttl_s=0.05, fail_safe_s=60, throttle_s=60)
    async with caches(valkey_url) as (one,):
        source = Source()
        await one.get_or_set("k", source, policy)
        await asyncio.sleep(0.06)
        source.fails = True
        assert {await one.get_or_set("k", source, policy) for _ in range(20)} == {1}
        assert (source.calls, one.stats()["fail_safe_served"]) == (2, 1)


async def test_without_anything_stale_the_source_s_error_comes_through(valkey_url: str) -> None:
    """Its own error, to all who wait; and the next call asks again: the lease was given back."""
    async with caches(valkey_url) as (one,):
        source = Source(slow_s=0.01)
        source.fails = True
        errors = await asyncio.gather(*(one.get_or_set("k", source) for _ in range(5)), return_exceptions=True)
        assert {type(each) for each in errors} == {ConnectionError}
        source.fails = False
        assert await one.get_or_set("k", source) == 2


async def test_a_slow_source_is_not_waited_for(valkey_url: str) -> None:
    """Soft: the stale value after soft_timeout_s, and the load goes on. Hard: SourceTimeout."""
    policy = PLAIN.but(ttl_s=0.05, fail_safe_s=60, soft_timeout_s=0.05, hard_timeout_s=0.5)
    async with caches(valkey_url) as (one,):
        source = Source()
        await one.get_or_set("k", source, policy)
        await asyncio.sleep(0.06)
        gate = asyncio.Event()
        assert await one.get_or_set("k", gate.wait, policy) == 1
        gate.set()
        await until(lambda: one.stats()["stores"] == 2)
        source.slow_s = 5
        began = time.monotonic()
        with pytest.raises(SourceTimeout):
            await one.get_or_set("cold", source, policy)
        assert time.monotonic() - began < 3


def test_a_thread_s_caller_goes_on_without_it(threaded: SyncCache) -> None:
    """A source that hangs holds its caller for hard_timeout_s, and the next caller begins anew."""
    released = threading.Event()
    policy = PLAIN.but(hard_timeout_s=0.1)
    with pytest.raises(SourceTimeout):
        threaded.get_or_set("k", lambda: released.wait(5), policy)
    released.set()
    assert threaded.get_or_set("k2", lambda: 7, policy) == 7


async def test_cancelled_callers_take_nothing_with_them(valkey_url: str) -> None:
    """The first caller is cancelled at every stage: those who wait still get the value, from one load."""
    async with caches(valkey_url) as (one,):
        for number, after_s in enumerate((0, 0.0005, 0.002, 0.02)):
            source = Source(slow_s=0.04)
            first = asyncio.create_task(one.get_or_set(f"k{number}", source))
            await asyncio.sleep(0)
            others = [asyncio.create_task(one.get_or_set(f"k{number}", source)) for _ in range(5)]
            await asyncio.sleep(after_s)
            first.cancel()
            with suppress(asyncio.CancelledError):
                await first
            assert await asyncio.gather(*others) == [1] * 5
        assert not one._core.flights
        assert not one._core.leases


async def test_absence_is_cached_for_its_own_time(valkey_url: str) -> None:
    """None is a value, with absent_ttl_s; with 0 it is not kept."""
    async with caches(valkey_url) as (one,):
        asked: list[int] = []

        async def nothing() -> None:
            asked.append(1)

        for _ in range(3):
            await one.get_or_set("k", nothing, PLAIN.but(absent_ttl_s=30))
        assert len(asked) == 1
        for _ in range(3):
            await one.get_or_set("never", nothing, PLAIN.but(absent_ttl_s=0))
        assert len(asked) == 4
        with redis.Redis.from_url(valkey_url) as client:
            assert 0 < client.pttl("t:v1:k:k") <= 30_000


async def test_a_sliding_entry_lives_while_it_is_read(valkey_url: str) -> None:
    """Up to its whole life, in both levels; then it is loaded."""
    policy = PLAIN.but(ttl_s=0.3, sliding=True, max_age_s=0.8)
    async with caches(valkey_url) as (one,):
        source, began = Source(), time.monotonic()
        while time.monotonic() - began < 0.6:
            assert await one.get_or_set("k", source, policy) == 1
            await asyncio.sleep(0.01)
        with redis.Redis.from_url(valkey_url) as client:
            assert client.pttl("t:v1:k:k") > 0
        while time.monotonic() - began < 1.0:
            await one.get_or_set("k", source, policy)
            await asyncio.sleep(0.01)
        assert source.calls == 2


async def test_a_decorated_function_returns_its_type(valkey_url: str) -> None:
    """From the remote level too: what is read is a User, by the return annotation; tags are filled from arguments."""
    async with caches(valkey_url, 2) as (one, other):
        calls: list[int] = []

        def users(cache: Cache) -> Any:
            @cache.cached("user:{user_id}", tags=("team:{user_id}",))
            async def user(user_id: int) -> User:
                calls.append(user_id)
                return User("Ada", user_id)

            return user

        mine, theirs = users(one), users(other)
        assert await mine(5) == await theirs(user_id=5) == User("Ada", 5)
        assert calls == [5]
        await one.invalidate_tags("team:5")
        assert await mine(5) == User("Ada", 5)
        await mine.invalidate(5)
        await mine(5)
        assert calls == [5, 5, 5]


async def test_what_cannot_be_written_is_an_error_not_a_silent_miss(valkey_url: str) -> None:
    """A service that believes it caches and does not is slow for no visible reason."""
    async with caches(valkey_url) as (one,):

        async def source() -> object:
            return object()

        with pytest.raises(NotCacheable, match="object cannot be cached"):
            await one.get_or_set("k", source)


async def test_a_small_local_level_keeps_to_its_limits(valkey_url: str) -> None:
    """Entries and bytes; what it lets go is still in the remote level."""
    async with caches(valkey_url, 1, max_entries=50, max_bytes=20_000) as (one,):
        source = Source()
        for number in range(300):
            await one.get_or_set(f"k{number}", source)
        assert one.stats()["local_entries"] <= 50
        for number in range(20):
            await one.set(f"large{number}", "x" * 3000, PLAIN.but(compress_over_bytes=None))
        assert one.stats()["local_bytes"] <= 20_000
        assert await one.get_or_set("k0", source) == 1
        assert source.calls == 300


async def test_without_a_remote_level_everything_else_holds() -> None:
    """One process alone: one load, invalidation, tags, clear."""
    async with caches(None) as (one,):
        source, tagged = Source(slow_s=0.01), PLAIN.but(tags=("a",))
        assert set(await asyncio.gather(*(one.get_or_set("k", source, tagged) for _ in range(50)))) == {1}
        await one.invalidate_tags("b")
        assert await one.get_or_set("k", source, tagged) == 1
        await one.invalidate_tags("a")
        assert await one.get_or_set("k", source, tagged) == 2
        await one.clear()
        assert await one.get_or_set("k", source, tagged) == 3
        await one.invalidate("k")
        assert await one.get("k", "none") == "none"
        await one.set("k", 9)
        assert await one.get("k") == 9


async def test_a_closed_cache_says_so(valkey_url: str) -> None:
    """It doesn't hang, and doesn't ask the source as if nothing were."""
    one = Cache(valkey_url, namespace="t")
    await one.aclose()
    with pytest.raises(CacheClosed):
        await one.get_or_set("k", Source())
