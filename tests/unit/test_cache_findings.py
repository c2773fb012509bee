"""What is said of a cache's evictions, slow commands, large and hot keys, and the decoys of which nothing is said."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway import diagnose
from headway.diagnose import route_keys
from headway.diagnose.hit_rates import curves, shards
from headway.diagnose.hit_rates.stream import made
from headway.diagnose.route_keys import RouteKeys
from headway.evidence import cache_commands, cache_monitor, cache_words
from headway.evidence.cache_words import Templates
from headway.model import CacheCommand, CacheKeys, CacheKeyUse, CacheSlow, CacheUse, Confidence, Finding
from made import judged

if TYPE_CHECKING:
    from headway.model import Evidence

USE = CacheUse(
    phase="scenario", hits=9_000, misses=1_000, evicted=0, expired=0, commands=11_000, used_memory_bytes=1 << 20,
    maxmemory_bytes=1 << 20, restarted=False, policy="allkeys-lru", lasted_s=20.0, cpu_ratio=0.1,
    keys_by_database={"db0": 500},
)  # fmt: skip
COMMAND = CacheCommand(
    phase="scenario", name="keys", calls=100, total_ns=2e9, mean_ns=2e7, rejected=0, failed=0
)  # fmt: skip
SLOW = CacheSlow(phase="scenario", command="GET", key="page:{}", count=40, total_ns=6e8, maximum_ns=3e7)
BIG = CacheKeys(
    key="feed:{}", type="list", keys=3, bytes=5 << 20, largest_bytes=4 << 20, largest_used=True, without_ttl=3, used=3,
    frequency_maximum=None, looked_at=500, in_database=500,
)  # fmt: skip
HOT = CacheKeyUse(
    phase="scenario", key="config:{}", reads=900, hits=890, misses=10, unknown=0, writes=10, hottest=900,
    commands=2_000, watched_s=2.0, lookups_counted=1_900, misses_counted=500,
)  # fmt: skip


def run(use: CacheUse = USE, **parts: Any) -> Evidence:
    """A run with this cache beside a healthy load."""
    return judged.made_evidence(judged.made_hits([[5.0] * 50] * 20), caches=(use,), **parts)


def said(evidence: Evidence) -> dict[str, Finding]:
    """Findings of the cache's rules."""
    rules = {"cache", "cache-evictions", "slow-cache-command", "big-cache-key", "hot-cache-key"}
    return {each.rule: each for each in diagnose.find(evidence) if each.rule in rules}


def test_a_cache_that_is_too_small_is_said_once() -> None:
    """Misses that came with evictions: one finding, not also that most look-ups missed; without keys no promise."""
    found = said(run(replace(USE, hits=3_000, misses=7_000, evicted=6_500), cache_key_uses=(HOT,)))
    assert found.keys() == {"cache-evictions"}
    small = found["cache-evictions"]
    assert "70% of 10,000 look-ups missed while 6,500 keys" in small.line
    assert (small.share_ratio, small.confidence) == (0.65, Confidence.POSSIBLE)
    assert any("not known" in each for each in small.reasons_against)
    assert "config:{} 99% of 900" in small.details[0]
    assert "1.1% missed where the server counted 26.3%" in small.details[0]


@pytest.mark.parametrize(
    ("use", "rules"),
    [
        (USE, set()),
        (replace(USE, evicted=900, hits=9_900, misses=100), set()),  # it hits all the same
        (replace(USE, evicted=50), set()),  # few were thrown out, for many misses
        (replace(USE, hits=2_000, misses=8_000, expired=7_000), {"cache"}),  # expiry, not room
        (replace(USE, hits=2_000, misses=8_000, evicted=8_000, restarted=True), set()),
        (replace(USE, hits=0, misses=0), {"cache"}),
    ],
)
def test_evictions_are_not_said_of_what_has_another_cause(use: CacheUse, rules: set[str]) -> None:
    """A good hit rate, few evictions, expiry, a restart, no look-ups: nothing of size."""
    assert said(run(use)).keys() == rules


@pytest.mark.parametrize(("off", "explained"), [(0.0, True), (0.2, False)])
def test_more_room_is_promised_only_where_the_requests_explain_the_cache(
    monkeypatch: pytest.MonkeyPatch, off: float, explained: bool
) -> None:
    """A route whose curve has the hit rate that was counted says what more would give; another says nothing of it."""
    reads = np.random.default_rng(4).zipf(1.3, 20_000) % 2_000
    stream = made(reads, np.arange(20_000, dtype=np.int64) * 1_000_000)
    keys = RouteKeys(route="GET /users/{id}", stream=stream, possible=stream, known_by="a test")
    monkeypatch.setattr(route_keys, "of_phase", lambda _evidence, _hits: {"GET /users/{id}": keys})
    at_held, at_all = curves.lru(shards.fixed_rate(stream, 1.0), [200, stream.distinct])
    hits = round((float(at_held) - off) * 20_000)
    use = replace(
        USE, hits=hits, misses=20_000 - hits, evicted=19_000 - hits, keys_by_database={"db0": 200}
    )  # fmt: skip
    found = said(run(use))["cache-evictions"]
    estimate = found.remedies[0].estimate
    if not explained:
        assert estimate is None
        assert "room for all" not in found.line
        return
    assert estimate is not None
    assert estimate.after == pytest.approx(float(at_all))
    assert f"with room for all {stream.distinct:,} keys it would hit {at_all:.0%}" in found.line


def test_where_no_room_would_help_misses_are_said_and_no_room_is_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that nobody asks for twice are thrown out: that look-ups miss is said, and nothing of its size."""
    stream = made(np.arange(6_000), np.arange(6_000, dtype=np.int64) * 1_000_000)
    keys = RouteKeys(route="GET /users/{id}", stream=stream, possible=stream, known_by="a test")
    monkeypatch.setattr(route_keys, "of_phase", lambda _evidence, _hits: {"GET /users/{id}": keys})
    found = said(run(replace(USE, hits=0, misses=6_000, evicted=5_500)))
    assert found.keys() == {"cache"}
    assert "may never be asked for again" in found["cache"].reasons_against[0]


def test_a_command_that_holds_the_thread_is_said_with_its_alternative() -> None:
    """KEYS 100 times of 20 ms in 20 s is 10% of the time, with SCAN as what to do."""
    found = said(run(cache_commands=(COMMAND,)))["slow-cache-command"]
    assert "KEYS holds the cache up for 10% of the time: 100 calls of 20.0 ms" in found.line
    assert "SCAN" in found.remedies[0].act
    assert found.confidence is Confidence.CERTAIN


def test_few_slow_calls_among_many_quick_ones_are_found_by_the_slow_log() -> None:
    """GET is quick on average; 40 of one template took 15 ms each, and that template is named."""
    quick = replace(COMMAND, name="get", calls=100_000, mean_ns=9_000.0, total_ns=9e8)
    found = said(run(cache_commands=(quick,), cache_slow=(replace(SLOW, clients=("report-job",)),)))
    assert found["slow-cache-command"].location.key == "page:{}"
    assert "40 of 100,000 calls were slow" in found["slow-cache-command"].line
    assert "report-job" in found["slow-cache-command"].reasons_against[0]


@pytest.mark.parametrize(
    "parts",
    [
        {"cache_commands": (replace(COMMAND, mean_ns=5e3, total_ns=5e9),)},  # busy, each quick: SMEMBERS of small sets
        {"cache_commands": (replace(COMMAND, calls=1, total_ns=2e7),)},  # one visit
        {"cache_slow": (replace(SLOW, count=200_000, total_ns=6e8),)},  # a log that is set to keep every command
        {"cache_slow": (replace(SLOW, count=1, total_ns=1.2e7),)},
        {"cache_commands": (replace(COMMAND, phase="another"),)},
        {"cache_keys": (replace(BIG, largest_used=False),)},  # nobody touched it
        {"cache_keys": (replace(BIG, largest_bytes=200_000),)},
        {"cache_key_uses": (HOT,)},  # hot, of a cache that idles
    ],
)
def test_decoys_are_left_alone(parts: dict[str, Any]) -> None:
    """What looks like trouble and costs nothing is no finding."""
    assert said(run(**parts)) == {}


def test_large_and_hot_keys() -> None:
    """A used 4 MiB list; a key with 45% of the commands of a busy thread. Unknown use lowers the confidence."""
    found = said(run(replace(USE, cpu_ratio=0.8), cache_keys=(BIG,), cache_key_uses=(HOT,)))
    assert found.keys() == {"big-cache-key", "hot-cache-key"}
    assert "a list like feed:{} takes 4.0 MiB of the cache, and was used in the run" in found["big-cache-key"].line
    assert "one key like config:{} takes 45% of the cache's commands" in found["hot-cache-key"].line
    unknown = said(run(cache_keys=(replace(BIG, largest_used=None),)))["big-cache-key"]
    assert unknown.confidence is Confidence.POSSIBLE


def test_templates_keep_shared_words_and_no_names() -> None:
    """Ids, tokens, names and UUIDs are values; a word that many keys share is kept, one of few keys is not."""
    keys = [f"user:{n}:cart".encode() for n in range(50)] + [f"user:{n}:name".encode() for n in range(50)]
    keys += [b"user:alice:cart", b"session:550e8400-e29b-41d4-a716-446655440000", b"leaderboard", b"\xff\x00\x1b[31m"]
    found = Templates(keys)
    assert {found.of(each) for each in keys} == {
        "user:{}:cart", "user:{}:name", "session:{}", "leaderboard", "{}"
    }  # fmt: skip
    many = [f"name{chr(97 + n % 26)}{chr(97 + n // 26)}:x".encode() for n in range(200)]
    assert {Templates(many).of(each) for each in many} <= {"{}:x", "{}:{}"}


@given(st.lists(st.binary(max_size=60), max_size=40))
def test_no_key_can_put_a_character_into_a_template(keys: list[bytes]) -> None:
    """Whatever a key holds, its template is of ASCII letters, digits, separators and braces alone."""
    found = Templates(keys)
    for each in keys:
        assert set(found.of(each)) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:/|.#@_-{}")


@pytest.mark.parametrize(
    ("line", "keys"),
    [
        (b'1339518083.107412 [0 127.0.0.1:60866] "get" "user:1"', (b"user:1",)),
        (b'1.5 [0 [::1]:5] "MGET" "a" "b\\"c"', (b"a", b'b\\"c')),
        (b'1.5 [0 lua] "set" "k" "v\\n] \\"x"', (b"k",)),
        (b'1.5 [0 unix:/a b] "EVALSHA" "abc" "2" "k1" "k2" "value"', (b"k1",)),
        (b'1.5 [0 127.0.0.1:1] "mset" "a" "1" "b" "2"', (b"a", b"b")),
        (b'1.5 [0 127.0.0.1:1] "KEYS" "user:*"', None),
        (b"OK", None),
    ],
)
def test_lines_of_monitor_are_read_to_their_keys(line: bytes, keys: tuple[bytes, ...] | None) -> None:
    """Quotes and brackets inside a value or an address don't end anything; values are not kept."""
    found = cache_monitor.parsed(line)
    assert (None if found is None else found.keys) == keys


def test_percentiles_are_of_what_was_added() -> None:
    """90 quick calls before; then 10 slow ones: the phase's median is slow. A class without calls is left out."""
    assert cache_commands.quantile_us({1: 90}, {1: 90, 1024: 95, 4096: 100}, 0.5) == 1024
    assert cache_commands.quantile_us({1: 90}, {1: 90, 1024: 95, 4096: 100}, 0.99) == 4096
    assert cache_commands.quantile_us({2: 5}, {1: 3, 2: 8}, 0.5) == 1
    assert cache_commands.quantile_us({2: 5}, {2: 5}, 0.5) is None


def test_keys_of_commands() -> None:
    """Where each kind of command has its keys."""
    assert cache_words.keys_of("OBJECT", [b"FREQ", b"k"]) == [b"k"]
    assert cache_words.keys_of("FLUSHALL", [b"ASYNC"]) == []
    assert cache_words.keys_of("EVAL", [b"return 1", b"x"]) == []
    assert cache_words.keys_of("DEL", [b"a", b"b"]) == [b"a", b"b"]
