"""A real Valkey's commands, slow log, keys and MONITOR: what is counted, what is inferred, what is refused and lost."""

from __future__ import annotations

import os
import random
import secrets
import signal
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import redis

from headway.evidence import cache_keys, cache_session, columns
from headway.evidence.cache import Cache
from headway.evidence.cache_commands import CacheCommands
from headway.evidence.cache_keys import CacheKeySample
from headway.evidence.cache_monitor import CacheMonitor
from headway.evidence.cache_session import CacheSession
from headway.evidence.cache_slow import CacheSlowLog
from headway.evidence.collector import Watch
from headway.model import CacheKeyUse, CacheUse, LoadModel, Phase, Presence
from headway.servers import binaries, ports, process, valkey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from headway.evidence.collector import Collector

PHASE = Phase(name="steady", model=LoadModel.OPEN, duration_s=1, warmup_s=0, rate_per_s=1)
KINDS: tuple[Callable[[CacheSession], Collector], ...] = (
    Cache, CacheCommands, CacheSlowLog, CacheKeySample, lambda session: CacheMonitor(session, wanted=True),
)  # fmt: skip


@pytest.fixture
def service(valkey_url: str) -> Iterator[redis.Redis]:
    """The service's own connection; what it sets up is taken back."""
    with redis.Redis.from_url(valkey_url, client_name="shop") as client:
        client.slowlog_reset()
        yield client
        client.config_set("slowlog-log-slower-than", 10_000)
        client.config_set("maxmemory-policy", "allkeys-lru")


@pytest.fixture
def session(valkey_url: str) -> Iterator[CacheSession]:
    made = CacheSession(valkey_url)
    yield made
    made.close()


def test_use_has_what_info_has_for_nothing(service: redis.Redis, session: CacheSession, tmp_path: Path) -> None:
    """Errors by name, keys by database, clients, round trips, processor time; read back from the file as they were."""
    cache = Cache(session)
    cache.check()
    cache.begin(PHASE, time.time())
    service.set("a", "x")
    for _ in range(3):
        with pytest.raises(redis.ResponseError):
            service.lpush("a", "y")
    with redis.Redis.from_url(f"redis://:{service.connection_pool.connection_kwargs['password']}@{_place(service)}/0"):
        cache.sample(time.time())
    cache.end(PHASE, time.time() + 0.5)
    cache.write(tmp_path)
    (found,) = columns.read(tmp_path / "cache.parquet", CacheUse)
    assert (dict(found.errors), dict(found.keys_by_database)) == ({"WRONGTYPE": 3}, {"db0": 1})
    assert (found.pings, found.policy, found.connections_rejected) == (1, "allkeys-lru", 0)
    assert found.ping_p50_ns is not None and 0 < found.ping_p50_ns < 1e9
    assert found.cpu_ratio is not None and 0 <= found.cpu_ratio < 1
    assert found.clients_peak is not None and found.clients_peak >= 1
    assert found.fragmentation_ratio is not None and found.fragmentation_ratio > 0


def _place(client: redis.Redis) -> str:
    kept = client.connection_pool.connection_kwargs
    return f"{kept['host']}:{kept['port']}"


def test_commands_are_the_phase_s_own(service: redis.Redis, session: CacheSession) -> None:
    """Calls before the phase and Headway's own are left out; failures are counted; percentiles are of the phase."""
    commands = CacheCommands(session)
    assert commands.check().presence is Presence.PRESENT
    for number in range(50):
        service.set(f"user:{number}", "x")
    commands.begin(PHASE, 0.0)
    for number in range(40):
        service.get(f"user:{number}")
    for _ in range(2):
        with pytest.raises(redis.ResponseError):
            service.execute_command("INCR", "user:1")  # type: ignore[no-untyped-call]
    commands.end(PHASE, 1.0)
    found = {each.name: each for each in commands.commands}
    assert found.keys() == {"get", "incr"}
    assert (found["get"].calls, found["get"].failed, found["incr"].failed) == (40, 0, 2)
    p50, p99 = found["get"].p50_ns, found["get"].p99_ns
    assert p50 is not None and p99 is not None
    assert 1_000 <= p50 <= p99 < 1e8


def test_the_slow_log_has_new_entries_without_values(service: redis.Redis, session: CacheSession) -> None:
    """What was logged before is not in it; arguments are reduced to templates; the connection's name is kept."""
    service.config_set("slowlog-log-slower-than", 0)
    service.get("user:before")
    slow = CacheSlowLog(session)
    assert "0 ms" in slow.check().detail
    slow.begin(PHASE, 0.0)
    for number in range(20):
        service.set(f"session:secret-{number}", "hunter2")
    slow.sample(1.0)
    service.mget("user:1", "user:2")
    slow.end(PHASE, 2.0)
    found = {(each.command, each.key): each for each in slow.found}
    assert found["SET", "session:secret-{}"].count == 20 or found["SET", "session:{}"].count == 20
    assert found["MGET", "user:{}"].clients == ("shop",)
    assert not {command for command, _ in found} & {"PING", "SLOWLOG", "INFO"}
    assert "hunter2" not in repr(slow.found) and "before" not in repr(slow.found)


def test_overwritten_entries_are_said(service: redis.Redis, session: CacheSession) -> None:
    """Two hundred entries in a log of 128: the rest is said to be lost, and the phase is a lower bound."""
    service.config_set("slowlog-log-slower-than", 0)
    slow = CacheSlowLog(session)
    slow.check()
    slow.begin(PHASE, 0.0)
    pipe = service.pipeline(transaction=False)
    for number in range(200):
        pipe.get(f"user:{number}")
    pipe.execute()
    slow.end(PHASE, 1.0)
    assert "overwritten" in slow.remark
    assert slow.lower_bound_phases == {"steady"}


def test_keys_are_weighed_by_template_and_the_bound_is_said(
    service: redis.Redis, session: CacheSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large list is found, its use told from its idle time, and a part of the keys is said to be a part."""
    pipe = service.pipeline(transaction=False)
    for number in range(600):
        pipe.set(f"user:{number}:cart", "x" * 50, ex=1000)
    pipe.rpush("feed:home", *["y" * 1000] * 2000)
    pipe.execute()
    keys = CacheKeySample(session)
    keys.check()
    keys.begin(PHASE, time.time() - 5)
    keys.finish()
    found = {each.key: each for each in keys.found}
    assert found.keys() == {"user:{}:cart", "feed:{}"}
    assert (found["user:{}:cart"].keys, found["user:{}:cart"].without_ttl) == (600, 0)
    big = found["feed:{}"]
    assert (big.type, big.largest_bytes > 1_900_000, big.largest_used, big.without_ttl) == ("list", True, True, 1)
    monkeypatch.setattr(cache_keys, "MOST_KEYS", 100)
    keys.finish()
    assert 100 <= keys.found[0].looked_at < keys.found[0].in_database == 601


def test_under_lfu_frequency_is_kept_and_use_is_not_known(service: redis.Redis, session: CacheSession) -> None:
    """OBJECT IDLETIME has no answer under LFU: None, not 0."""
    service.config_set("maxmemory-policy", "allkeys-lfu")
    service.set("user:1", "x")
    for _ in range(200):
        service.get("user:1")
    keys = CacheKeySample(session)
    keys.begin(PHASE, time.time())
    keys.finish()
    (found,) = keys.found
    assert (found.used, found.largest_used) == (None, None)
    assert found.frequency_maximum is not None and found.frequency_maximum > 5


class _Service(threading.Thread):
    """A service with a cache beside it: `user:N` seldom misses, `product:N` often, as it is told to; it keeps count."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url, self._random = url, random.Random(3)
        self.over = threading.Event()
        self.reads: dict[str, list[bool]] = {"user": [], "product": []}

    def during(self, watch: Callable[[float], None], at_s: float) -> dict[str, list[bool]]:
        """The reads while somebody watches."""
        before = {kind: len(reads) for kind, reads in self.reads.items()}
        watch(at_s)
        return {kind: reads[before[kind] :] for kind, reads in self.reads.items()}

    def run(self) -> None:
        with redis.Redis.from_url(self._url) as one, redis.Redis.from_url(self._url) as other:
            one.mset({f"user:{number}": "x" for number in range(40)})
            one.mset({f"product:{number}": "x" for number in range(400)})
            while not self.over.is_set():
                kind = self._random.choice(("user", "product"))
                key = f"{kind}:{self._random.randrange(40 if kind == 'user' else 400)}"
                if self._random.random() < (0.02 if kind == "user" else 0.5):
                    one.delete(key)
                hit = self._random.choice((one, other)).get(key) is not None  # a pool: the store may come from another
                self.reads[kind].append(hit)
                if not hit:
                    time.sleep(0.001)
                    other.set(key, "x" * 300)


def test_inferred_hits_are_near_the_truth(valkey_url: str, session: CacheSession) -> None:
    """Hit rates by template are within 0.02 of what the service itself saw, and the server's count agrees."""
    load = _Service(valkey_url)
    load.start()
    try:
        time.sleep(0.1)
        monitor = CacheMonitor(session, wanted=True)
        assert monitor.check().presence is Presence.PRESENT
        commands = CacheCommands(session)
        commands.begin(PHASE, 0.0)
        monitor.begin(PHASE, 0.0)
        watched = [load.during(monitor.sample, at_s) for at_s in (0.0, 1.0, 6.0)]  # at 1.0 not yet due again
        monitor.end(PHASE, 7.0)
        commands.end(PHASE, 7.0)
    finally:
        load.over.set()
        load.join()
    found: dict[str, CacheKeyUse] = {each.key: each for each in monitor.found}
    assert found.keys() == {"user:{}", "product:{}"}
    for kind in load.reads:
        seen = [hit for each in watched for hit in each[kind]]
        use = found[f"{kind}:{{}}"]
        assert use.hits + use.misses > 100
        assert use.hits / (use.hits + use.misses) == pytest.approx(sum(seen) / len(seen), abs=0.02)
    one = found["user:{}"]
    misses = sum(each.misses for each in found.values()) / sum(each.hits + each.misses for each in found.values())
    assert misses == pytest.approx(one.misses_counted / one.lookups_counted, abs=0.05)
    assert one.watched_s < 1.1
    assert {each.name for each in commands.commands} == {"get", "set", "del"}  # nothing of the bursts' connections


def test_monitor_is_not_sent_unless_asked_for(service: redis.Redis, session: CacheSession) -> None:
    """Without --cache-monitor the state says what is not known, and the server never saw the command."""
    service.config_resetstat()
    state = CacheMonitor(session, wanted=False).check()
    assert (state.presence, "--cache-monitor" in state.next_act) == (Presence.ABSENT, True)
    told: dict[str, Any] = service.info("commandstats")
    assert "cmdstat_monitor" not in told


def test_each_missing_right_is_said_with_its_cure(service: redis.Redis, valkey_url: str) -> None:
    """A user that may do nothing but INFO: each other part fails with the ACL that mends it; INFO is read."""
    service.acl_setuser("narrow", enabled=True, passwords=["+word"], commands=["+info"])
    narrow = CacheSession(valkey_url.replace(f"//:{urlsplit(valkey_url).password}", "//narrow:word"))
    try:
        states = [kind(narrow).check() for kind in KINDS]
        cache, commands = Cache(narrow), CacheCommands(narrow)
        cache.check()
        cache.begin(PHASE, 0.0)
        cache.sample(1.0)
        cache.end(PHASE, 1.5)
        commands.check()
    finally:
        narrow.close()
        service.acl_deluser("narrow")
    failed = {each.name: each.next_act for each in states if each.presence is Presence.FAILED}
    assert failed.keys() == {"cache slow log", "cache keys", "cache monitor"}
    for name, wanted in {
        "cache slow log": "+slowlog|get",
        "cache keys": "+dbsize",
        "cache monitor": "+monitor",
    }.items():
        assert wanted in failed[name]
    assert "+latency|histogram" in commands.remark
    assert "+ping" in cache.remark
    assert cache.uses[0].ping_p50_ns is None
    assert dict(cache.uses[0].errors) == {}  # Headway's own refusals are none of the service's errors


def test_a_server_without_histograms_is_said(service: redis.Redis, valkey_url: str) -> None:
    """Redis before 7 does not know LATENCY HISTOGRAM: commands are counted, percentiles are None, and it is said."""

    class Old(CacheSession):
        def ask(self, *words: str | int) -> Any:
            return super().ask(*(("LATENCY", "OF-REDIS-6") if words[0] == "LATENCY" else words))

    commands = CacheCommands(Old(valkey_url))
    commands.check()
    commands.begin(PHASE, 0.0)
    service.get("a")
    commands.end(PHASE, 1.0)
    (found,) = commands.commands
    assert (found.calls, found.p99_ns) == (1, None)
    assert "without percentiles" in commands.remark


def test_a_server_that_stands_still_or_dies_loses_the_source_alone(
    service_room: Path, service_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in a phase: the state says so. Killed and started anew: the phase is marked as restarted."""
    monkeypatch.setattr(cache_session, "TIMEOUT_S", 0.3)
    account, program = process.unprivileged(), binaries.valkey().path
    account = account if process.permits(account, "x", program) else None
    folder, port, password = service_folder("valkey"), ports.choose(), secrets.token_hex(16)
    log = service_room / "paused.log"

    def started() -> process.Identity:
        return valkey.start(program, folder, port=port, password=password, log=log, account=account)

    identity = started()
    try:
        one, other = (CacheSession(valkey.url(port, password)) for _ in range(2))
        cache = Cache(one)
        watch = Watch(cache, cache.check())
        paused = Cache(other)
        lost = Watch(paused, paused.check())
        for each in (watch, lost):
            each.post(lambda each=each: each.collector.begin(PHASE, 0.0))  # type: ignore[misc]
        deadline = time.monotonic() + 5
        while not (cache._before and paused._before) and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(identity.pid, signal.SIGSTOP)
        lost.post(lambda: paused.sample(1.0))
        lost.finish()
        lost.wait(5.0)
        os.kill(identity.pid, signal.SIGCONT)
        assert lost.state.presence is Presence.FAILED
        assert "lost during the run" in lost.state.detail
        valkey.stop(identity)
        identity = started()
        watch.post(lambda: cache.end(PHASE, 2.0))
        watch.finish()
        watch.wait(5.0)
        assert watch.state.presence is Presence.PRESENT, watch.state.detail
        assert cache.uses[0].restarted
    finally:
        valkey.stop(identity)
