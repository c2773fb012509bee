"""The cache while its Valkey is killed, paused, full, evicting, demoted; a process dies or forks; a clock jumps."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from headway.runtime.cache import CacheDown, Policy, SyncCache, listener
from own_valkey import OwnValkey

PLAIN = Policy(ttl_s=60, jitter_ratio=0, early_beta=0)
REMOTE = PLAIN.but(local=False)
TIMEOUT_S = 0.25


@pytest.fixture(scope="module")
def room(service_room: Path) -> Path:
    """A folder that the server's account may enter."""
    folder = service_room / "faults"
    folder.mkdir(mode=0o711)
    return folder


@pytest.fixture(scope="module")
def one_server(room: Path) -> Iterator[OwnValkey]:
    """One Valkey for the module's tests."""
    server = OwnValkey(room)
    yield server
    server.stop()


@pytest.fixture
def server(one_server: OwnValkey) -> OwnValkey:
    """It, empty, with its usual settings."""
    one_server.command("FLUSHALL")
    one_server.configure(maxmemory="128mb", maxmemory_policy="allkeys-lru")
    return one_server


@pytest.fixture
def backplane(request: pytest.FixtureRequest) -> str:
    """How the cache hears of invalidations."""
    return getattr(request, "param", "pubsub")


BOTH = pytest.mark.parametrize("backplane", ["pubsub", "tracking"], indirect=True)


@pytest.fixture
def cache(server: OwnValkey, monkeypatch: pytest.MonkeyPatch, backplane: str) -> Iterator[SyncCache]:
    """A cache that listens; its heartbeat is quick, so that silence is noticed within a test's time."""
    monkeypatch.setattr(listener, "HEARTBEAT_S", 0.1)
    monkeypatch.setattr(listener, "SILENT_S", 0.35)
    with SyncCache(server.url, namespace="t", policy=PLAIN, timeout_s=TIMEOUT_S, backplane=backplane) as made:
        assert made.listening()
        yield made


def until(holds: Callable[[], object], within_s: float = 8.0) -> None:
    """Wait until it holds; fail when it does not in time."""
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.01)


def cut_channels(server: OwnValkey) -> None:
    """Close every connection that hears of invalidations, by either way."""
    channels = [each["id"] for each in server.command("CLIENT LIST") if set(each["flags"]) & set("Pt")]
    assert channels
    for one in channels:
        server.command("CLIENT", "KILL", "ID", one)


def script(body: str, *arguments: str) -> list[str]:
    """A command line that runs some Python."""
    return [sys.executable, "-c", textwrap.dedent(body), *arguments]


@BOTH
def test_a_killed_server_costs_no_answer_and_comes_back(server: OwnValkey, cache: SyncCache) -> None:
    """Every call answers; no local copy is served past a missed invalidation; after the restart all is as before."""
    assert cache.get_or_set("k", lambda: 1) == 1
    server.kill()
    until(lambda: not cache.stats()["listening"])
    assert cache.get_or_set("k", lambda: 2) == 1
    began = time.monotonic()
    assert [cache.get_or_set(f"new{number}", lambda: 5) for number in range(50)] == [5] * 50
    assert time.monotonic() - began < 1
    assert not cache.invalidate("k")
    assert cache.get_or_set("k", lambda: 3) == 3
    server.start()
    until(lambda: cache.stats()["listening"] and not cache.stats()["untold"])
    assert cache.get_or_set("k", lambda: 4, REMOTE) == 4
    assert cache.stats()["circuit_open"] == 0
    assert cache.get("k", policy=REMOTE) == 4


@BOTH
def test_a_paused_server_holds_nobody_longer_than_the_timeout(server: OwnValkey, cache: SyncCache) -> None:
    """Connections stand and nothing answers: each call ends in time, the circuit opens, it recovers by itself."""
    cache.get_or_set("k", lambda: 1)
    flushes = cache.stats()["flushes"]
    server.pause()
    try:
        slowest_s = 0.0
        for number in range(20):
            began = time.monotonic()
            assert cache.get_or_set(f"cold{number}", lambda: 5) == 5
            slowest_s = max(slowest_s, time.monotonic() - began)
        assert slowest_s < 3 * TIMEOUT_S
        assert cache.stats()["remote_skipped"] > 10
        until(lambda: not cache.stats()["listening"])
    finally:
        server.resume()
    until(lambda: cache.stats()["listening"])
    assert cache.stats()["flushes"] == flushes + 1
    assert cache.get_or_set("again", lambda: 6) == 6
    assert cache.get("again", policy=REMOTE) == 6


@BOTH
def test_what_was_invalidated_while_a_process_could_not_hear_is_not_served(server: OwnValkey, cache: SyncCache) -> None:
    """Its channel is cut; another process invalidates; once the channel is back the copy is gone."""
    with SyncCache(server.url, namespace="t", policy=PLAIN) as other:
        assert cache.get_or_set("k", lambda: 1) == 1
        cut_channels(server)
        other.invalidate("k")
        until(lambda: cache.stats()["flushes"] == 2 and cache.stats()["listening"])
        assert cache.get_or_set("k", lambda: 2) == 2


@BOTH
def test_a_channel_that_its_own_client_mends_has_lost_messages_too(server: OwnValkey, cache: SyncCache) -> None:
    """Killed five times in a row: not one invalidation that fell between is missed."""
    with SyncCache(server.url, namespace="t", policy=PLAIN) as other:
        for number in range(5):
            until(lambda: cache.stats()["listening"])
            assert cache.get_or_set("k", lambda number=number: number) == number  # type: ignore[misc]
            cut_channels(server)
            other.invalidate("k")
            until(lambda number=number: cache.get("k") is None)  # type: ignore[misc]


@pytest.mark.parametrize("backplane", ["tracking"], indirect=True)
def test_tracking_hears_that_all_was_flushed(server: OwnValkey, cache: SyncCache) -> None:
    """FLUSHALL by somebody else: local copies go, which no message of ours would have said."""
    assert cache.get_or_set("k", lambda: 1) == 1
    server.command("FLUSHALL")
    until(lambda: cache.get_or_set("k", lambda: 2) == 2)


def test_strict_says_that_the_server_is_down(server: OwnValkey) -> None:
    """Only when asked for."""
    with SyncCache("redis://127.0.0.1:1", strict=True) as strict, pytest.raises(CacheDown, match="does not answer"):
        strict.get_or_set("k", lambda: 1)
    with SyncCache("redis://127.0.0.1:1") as lenient:
        assert lenient.get_or_set("k", lambda: 1) == 1
        assert not lenient.set("k", 2)
        assert lenient.get("k") == 2


def test_a_full_server_stores_nothing_and_still_forgets(server: OwnValkey, cache: SyncCache) -> None:
    """Out of memory with noeviction: loads are answered, the refusal is counted, and invalidation works."""
    cache.set("k", 1)
    server.configure(maxmemory_policy="noeviction", maxmemory=1)
    assert cache.get("k", policy=REMOTE) == 1
    assert cache.get_or_set("new", lambda: 2, REMOTE) == 2
    assert cache.stats()["remote_refused"] == 1
    assert cache.stats()["circuit_open"] == 0
    assert cache.get("new", policy=REMOTE) is None
    assert cache.invalidate("k")
    assert cache.get("k", policy=REMOTE) is None
    assert cache.invalidate_tags("any")


def test_an_evicting_server_loses_entries_and_no_truth(server: OwnValkey, cache: SyncCache) -> None:
    """With room for a fraction of the entries every answer is still the newest."""
    server.configure(maxmemory=int(server.command("INFO", "memory")["used_memory"]) + 300_000)
    newest = dict.fromkeys(range(100), 0)
    policy = REMOTE.but(compress_over_bytes=None)
    for turn in range(1, 250):
        number = turn * 7 % 100
        if turn % 5 == 0:
            newest[number] = turn
            assert cache.invalidate(f"k{number}")
        found = cache.get_or_set(f"k{number}", lambda number=number: [newest[number], "x" * 8_000], policy)  # type: ignore[misc]
        assert found[0] == newest[number]
    assert server.command("INFO", "stats")["evicted_keys"] > 0


@BOTH
def test_a_failover_is_lived_through(server: OwnValkey, cache: SyncCache, room: Path) -> None:
    """The primary becomes a replica: reads go on, an invalidation waits, and is told when there is a primary again."""
    cache.set("k", 1)
    server.command("REPLICAOF", "127.0.0.1", "1")
    try:
        server.configure(replica_serve_stale_data="yes")
        assert cache.get("k", policy=REMOTE) == 1
        assert not cache.invalidate("k")
        assert cache.get_or_set("k", lambda: 2) == 2
        assert cache.stats()["untold"] == 1
    finally:
        server.command("REPLICAOF", "NO", "ONE")
    until(lambda: not cache.stats()["untold"])
    assert cache.get_or_set("k", lambda: 3, REMOTE) == 3


def test_a_holder_that_dies_holds_nobody_for_long(server: OwnValkey, cache: SyncCache) -> None:
    """SIGKILL while it loads: the lease (here of 1 s) ends by itself, and another loads."""
    holder = subprocess.Popen(
        script(
            """
            import sys, time
            from headway.runtime.cache import SyncCache, listener, loading
            loading.LEASE_S = listener.LEASE_S = 1
            def source():
                print("loading", flush=True)
                time.sleep(60)
            SyncCache(sys.argv[1], namespace="t").get_or_set("k", source)
            """,
            server.url,
        ),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    with holder.stdout:
        assert holder.stdout.readline() == "loading\n"
        time.sleep(0.3)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    began = time.monotonic()
    assert cache.get_or_set("k", lambda: "another's") == "another's"
    assert 0.1 < time.monotonic() - began < 1.5


def test_a_lease_lasts_as_long_as_its_load(
    server: OwnValkey, cache: SyncCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is renewed while the source works, so that a load longer than the lease is still the only one."""
    monkeypatch.setattr("headway.runtime.cache.loading.LEASE_S", 0.6)
    with SyncCache(server.url, namespace="t", policy=PLAIN) as other:
        assert other.listening()

        def slow() -> str:
            time.sleep(1.2)
            return "first"

        first = threading.Thread(target=cache.get_or_set, args=("k", slow))
        first.start()
        until(lambda: cache.stats()["loads"] == 1)
        assert other.get_or_set("k", lambda: "second") == "first"
        first.join()


def test_four_processes_load_a_cold_key_once(server: OwnValkey) -> None:
    """25 threads in each of 4 processes, at one moment: the source is asked once."""
    body = """
        import os, sys, threading, time, redis
        from headway.runtime.cache import SyncCache
        os.fork(), os.fork()  # four processes from here on
        cache, shared = SyncCache(sys.argv[1], namespace="t", timeout_s=5), redis.Redis.from_url(sys.argv[1])
        def source():
            time.sleep(0.1)
            return shared.incr("loads")
        cache.listening()
        shared.incr("ready")
        while int(shared.get("ready")) < 4:
            time.sleep(0.001)
        values = []
        threads = [threading.Thread(target=lambda: values.append(cache.get_or_set("k", source))) for _ in range(25)]
        [each.start() for each in threads], [each.join() for each in threads]
        os.write(1, b" ".join(b"%d" % value for value in values) + b"\\n")
        """
    done = subprocess.run(script(body, server.url), capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.split() == ["1"] * 100
    assert server.command("GET", "loads") == b"1"


def test_a_forked_child_has_a_cache_of_its_own(server: OwnValkey) -> None:
    """It answers, and hears what the parent invalidates; the parent goes on."""
    done = subprocess.run(
        script(
            """
            import os, sys, time, warnings
            warnings.simplefilter("ignore", DeprecationWarning)  # that a process with threads forks is the point
            from headway.runtime.cache import SyncCache
            cache = SyncCache(sys.argv[1], namespace="t")
            assert cache.listening() and cache.get_or_set("k", lambda: 1) == 1
            read, write = os.pipe()
            child = os.fork()
            if child == 0:
                assert cache.get_or_set("k", lambda: 5) == 1 and cache.listening()
                cache.get_or_set("k", lambda: 5)
                os.write(write, b"1")
                until = time.monotonic() + 5
                while cache.get_or_set("k", lambda: 2) != 2 and time.monotonic() < until:
                    time.sleep(0.01)
                os._exit(0 if cache.get_or_set("k", lambda: 9) == 2 else 1)
            os.read(read, 1)
            assert cache.invalidate("k")
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), cache.get_or_set("k", lambda: 9))
            """,
            server.url,
        ),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (done.stdout, done.returncode) == ("0 2\n", 0), done.stderr


@pytest.mark.parametrize("jump_s", [-86_400.0, 86_400.0])
def test_a_clock_that_jumps_changes_nothing(cache: SyncCache, monkeypatch: pytest.MonkeyPatch, jump_s: float) -> None:
    """A day back or forth on this machine: what is fresh stays so, and expires at its time, in both levels."""
    now = time.time
    for policy in (PLAIN.but(ttl_s=0.3), REMOTE.but(ttl_s=0.3)):
        key = f"k{policy.local}"
        assert cache.get_or_set(key, lambda: 1, policy) == 1
        with monkeypatch.context() as patched:
            patched.setattr(time, "time", lambda: now() + jump_s)
            assert cache.get_or_set(key, lambda: 2, policy) == 1
            time.sleep(0.31)
            assert cache.get_or_set(key, lambda: 2, policy) == 2


def test_a_foreign_value_under_a_key_is_a_miss_that_mends_itself(server: OwnValkey, cache: SyncCache) -> None:
    """Bytes of another program under our key are not served, raise nothing, and are overwritten."""
    with redis.Redis.from_url(server.url) as client:
        client.set("t:v1:k:k", b"not an entry of ours, and long enough to be one")
        assert cache.get_or_set("k", lambda: 1, REMOTE) == 1
        assert cache.get("k", policy=REMOTE) == 1
        client.delete("t:v1:k:list")
        client.rpush("t:v1:k:list", "x")
        assert cache.get_or_set("list", lambda: 2, REMOTE) == 2
