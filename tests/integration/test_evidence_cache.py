"""Evidence from a real Valkey: exact counts, resets, restarts, refusals."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import redis

from headway.errors import SourceRefused
from headway.evidence.cache import Cache
from headway.evidence.cache_session import CacheSession
from headway.model import LoadModel, Phase, Presence

PHASE = Phase(name="steady", model=LoadModel.OPEN, duration_s=1, warmup_s=0, rate_per_s=1)


@pytest.fixture
def service(valkey_url: str) -> Iterator[redis.Redis]:
    """The service's own connection."""
    with redis.Redis.from_url(valkey_url) as client:
        client.set("a", "x", ex=100)
        yield client


@pytest.fixture
def cache(valkey_url: str) -> Iterator[Cache]:
    watched = Cache(CacheSession(valkey_url))
    assert watched.check().presence is Presence.PRESENT
    yield watched
    watched.close()


def test_cache_counts_are_exact(service: redis.Redis, cache: Cache) -> None:
    """30 hits, 12 misses, 43 commands: those before the phase and Headway's own are not in it."""
    service.get("a")
    cache.begin(PHASE, 100.0)
    for _ in range(30):
        service.get("a")
    cache.sample(101.2)
    for _ in range(12):
        service.get("b")
    service.set("c", "x", px=1)
    cache.sample(102.2)
    cache.end(PHASE, 102.9)
    (found,) = cache.uses
    assert (found.hits, found.misses, found.commands) == (30, 12, 43)
    assert found.per_second == ((1, 30, 0), (2, 0, 12))
    assert found.used_memory_bytes > 0
    assert found.maxmemory_bytes == 128 << 20
    assert not found.restarted


def test_the_version_is_valkeys_own(cache: Cache) -> None:
    """Valkey calls itself Redis 7.2.4 for compatibility; what is kept is valkey_version."""
    assert cache.versions.keys() == {"valkey"}
    assert not cache.versions["valkey"].startswith("7.2")


def test_a_reset_in_the_phase_is_seen(service: redis.Redis, cache: Cache) -> None:
    """After CONFIG RESETSTAT nothing is negative, and the phase is marked."""
    for _ in range(20):
        service.get("a")
    cache.begin(PHASE, 0.0)
    service.config_resetstat()
    service.get("a")
    cache.end(PHASE, 1.0)
    (found,) = cache.uses
    assert found.restarted
    assert (found.hits, found.misses) == (1, 0)
    assert cache.lower_bound_phases == {"steady"}


def test_a_wrong_password_is_refused_without_showing_it(valkey_url: str) -> None:
    """One error before any load, with host and port, without the password."""
    wrong = valkey_url.replace(str(urlsplit(valkey_url).password), "wrong-word")
    with pytest.raises(SourceRefused, match=r"127\.0\.0\.1") as caught:
        Cache(CacheSession(wrong)).check()
    assert "wrong-word" not in str(caught.value)


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "http://127.0.0.1/", "redis://127.0.0.1:notaport/0"])
def test_a_url_nobody_answers_at_is_refused(url: str) -> None:
    """Closed port, wrong scheme, no port: one error."""
    with pytest.raises(SourceRefused):
        Cache(CacheSession(url)).check()


def test_a_user_without_info_is_told_the_acl(service: redis.Redis, valkey_url: str) -> None:
    """NOPERM is a failed source with the exact cure; the run can go on."""
    service.acl_setuser("narrow", enabled=True, passwords=["+word"], keys=["*"], commands=["+get", "+client|setname"])
    state = Cache(CacheSession(valkey_url.replace(f"//:{urlsplit(valkey_url).password}", "//narrow:word"))).check()
    service.acl_deluser("narrow")
    assert state.presence is Presence.FAILED
    assert "+info" in state.next_act
