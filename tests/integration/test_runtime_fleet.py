"""The cache where servers change: a replica that Sentinel promotes, and a cluster. Real processes, really killed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio.sentinel
import redis.sentinel

from headway.runtime.cache import Cache, CacheMisplaced, Policy, SyncCache
from headway.runtime.debounce import Answer, Edge, SyncDebounce
from headway.servers.ports import HOST
from valkey_fleet import PRIMARY_NAME, Cluster, Watched, until

PLAIN = Policy(ttl_s=60, jitter_ratio=0, early_beta=0)
REMOTE = PLAIN.but(local=False)
TIMEOUT_S = 0.25


@pytest.fixture
def watched(service_room: Path) -> Iterator[Watched]:
    """A primary, a replica, a Sentinel."""
    room = service_room / "watched"
    room.mkdir(mode=0o711)
    made = Watched(room)
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def cluster(service_room: Path) -> Iterator[Cluster]:
    """A cluster; the last test kills one of its primaries."""
    room = service_room / "cluster"
    room.mkdir(mode=0o711)
    made = Cluster(room)
    try:
        made.start(owned="{t}")
        yield made
    finally:
        made.stop()


def test_a_promoted_replica_is_followed_and_told_what_it_missed(watched: Watched) -> None:
    """
    An invalidation that the primary acknowledged and the replica never got: after the failover the old value is there
    again, and is not served; every call in between is answered in time.
    """
    address = [(HOST, watched.sentinel.port)]
    times: dict[str, Any] = {"socket_timeout": TIMEOUT_S, "socket_connect_timeout": TIMEOUT_S, "protocol": 2}
    of_threads: Any = redis.sentinel.Sentinel(address, **times)  # type: ignore[no-untyped-call]

    async def story() -> None:
        of_asyncio: Any = redis.asyncio.sentinel.Sentinel(address, **times)  # type: ignore[no-untyped-call]
        clients: dict[str, Any] = {
            "client": lambda: of_asyncio.master_for(PRIMARY_NAME, **times),
            "listener_client": lambda: of_threads.master_for(PRIMARY_NAME, **times),
        }
        async with Cache(namespace="t", policy=PLAIN, **clients) as cache:
            assert await asyncio.to_thread(cache.listening)
            await cache.set("k", "old")
            await cache.get_or_set("kept", lambda: asyncio.sleep(0, "kept"))
            until(lambda: watched.replica.command("EXISTS", "t:v1:k:k", "t:v1:k:kept") == 2)
            watched.replica.command("REPLICAOF", HOST, 1)
            assert await cache.invalidate("k")
            watched.primary.kill()
            assert watched.replica.command("EXISTS", "t:v1:k:k") == 1
            slowest_s, end = 0.0, time.monotonic() + 15
            while time.monotonic() < end and (cache.stats()["flushes"] < 2 or not cache.stats()["listening"]):
                began = time.monotonic()
                assert await cache.get_or_set("k", lambda: asyncio.sleep(0, "new"), REMOTE) == "new"
                slowest_s = max(slowest_s, time.monotonic() - began)
                await asyncio.sleep(0.01)
            assert slowest_s < 3 * TIMEOUT_S
            assert watched.replica.command("ROLE")[0] == b"master"
            assert await cache.get_or_set("k", lambda: asyncio.sleep(0, "new"), REMOTE) == "new"
            assert await cache.get("kept", policy=REMOTE) == "kept"
            assert (cache.stats()["untold"], cache.stats()["circuit_open"]) == (0, 0)
        for sentinel in of_asyncio.sentinels:
            await sentinel.aclose()

    asyncio.run(story())
    for sentinel in of_threads.sentinels:
        sentinel.close()


def test_a_cache_not_told_of_its_cluster_says_so(cluster: Cluster) -> None:
    """One clear error at the first call, not a cache that silently never hits."""
    with SyncCache(cluster.url, namespace="t") as cache, pytest.raises(CacheMisplaced, match="cluster=True"):
        cache.get_or_set("k", lambda: 1)
    with pytest.raises(ValueError, match="backplane='pubsub'"):
        SyncCache(cluster.url, cluster=True, backplane="tracking")


def test_in_a_cluster_everything_holds_that_holds_elsewhere(cluster: Cluster) -> None:
    """One load for all, invalidation by key and by tag, from threads and asyncio at once; all keys in one slot."""

    async def story() -> None:
        tagged = PLAIN.but(tags=("team:1",))
        with SyncCache(cluster.url, namespace="t", policy=PLAIN, cluster=True) as one:
            async with Cache(cluster.url, namespace="t", policy=PLAIN, cluster=True) as other:
                assert one.listening()
                assert await asyncio.to_thread(other.listening)
                calls: list[int] = []

                async def source() -> int:
                    calls.append(1)
                    await asyncio.sleep(0.02)
                    return len(calls)

                assert set(await asyncio.gather(*(other.get_or_set("k", source, tagged) for _ in range(20)))) == {1}
                assert one.get_or_set("k", lambda: -1, tagged) == 1
                for number, by_tag in enumerate((False, True)):
                    assert one.invalidate_tags("team:1") if by_tag else one.invalidate("k")
                    end = time.monotonic() + 3
                    while await other.get_or_set("k", source, tagged) < number + 2:
                        assert time.monotonic() < end, "the invalidation was not heard"
                        await asyncio.sleep(0.005)
                assert len(calls) == 3

    asyncio.run(story())
    names = cluster.owner.command("KEYS", "*")
    assert len(names) >= 3
    assert {cluster.owner.command("CLUSTER", "KEYSLOT", name) for name in names} == {
        cluster.owner.command("CLUSTER", "KEYSLOT", "{t}")
    }


def test_debounce_decides_in_a_cluster_too(cluster: Cluster) -> None:
    """Its scripts find their keys on one server; without being told of the cluster it says so."""
    last = SyncDebounce(cluster.url, "t", window_s=30, edge=Edge.BOTH, cluster=True)
    assert [last.call("doc", number) for number in range(3)] == [Answer.FIRE, Answer.LATER, Answer.LATER]
    last.close()
    with pytest.raises(CacheMisplaced, match="cluster=True"):
        SyncDebounce(cluster.url, "t", window_s=30).fires("doc")


def test_in_a_cluster_a_killed_primary_is_followed_to_its_replica(cluster: Cluster) -> None:
    """The one that has our slot: calls are answered meanwhile, and afterwards invalidations reach the others again."""
    with (
        SyncCache(cluster.url, namespace="t", policy=PLAIN, timeout_s=TIMEOUT_S, cluster=True) as one,
        SyncCache(cluster.url, namespace="t", policy=PLAIN, timeout_s=TIMEOUT_S, cluster=True) as other,
    ):
        assert one.listening()
        assert other.listening()
        assert one.get_or_set("before", lambda: 1) == 1
        until(lambda: cluster.replica.command("DBSIZE") == cluster.owner.command("DBSIZE"))
        cluster.owner.kill()
        answers = []

        def back() -> bool:
            answers.append(one.get_or_set("during", lambda: 5))
            return all(each.stats()["listening"] and each.stats()["flushes"] > 1 for each in (one, other))

        until(back)
        assert set(answers) == {5}
        assert cluster.replica.command("ROLE")[0] == b"master"
        assert one.get("before", policy=REMOTE) == 1
        assert other.get_or_set("before", lambda: 2) == 1
        assert one.invalidate("before")
        until(lambda: other.get_or_set("before", lambda: 2) == 2)
