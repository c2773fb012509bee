"""What a cache tells while it works (spans, times of the remote level), and writes that are decided in one place."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import redis
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from headway.runtime.cache import Cache, CacheDown, CacheNotAsked, Policy, SyncCache

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.runtime.cache.entry import Entry

NOBODY = "redis://127.0.0.1:9"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """A service that has set up OpenTelemetry; what its cache tells."""
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield kept
    provider.shutdown()


def tree(spans: InMemorySpanExporter) -> set[tuple[str, str | None]]:
    """(name, name of its parent) of each span."""
    done = spans.get_finished_spans()
    names = {here.span_id: each.name for each in done if (here := each.get_span_context())}
    return {(each.name, names.get(each.parent.span_id) if each.parent else None) for each in done}


LOADED = {
    ("cache get_or_set", None),
    ("cache remote GET", "cache get_or_set"),
    ("cache load", "cache get_or_set"),
    ("cache remote acquire", "cache load"),
    ("cache source", "cache load"),
    ("the source's own", "cache source"),
    ("cache remote store", "cache load"),
}


def without_first_questions(found: set[tuple[str, str | None]]) -> set[tuple[str, str | None]]:
    """Without the clock and the barriers, which are asked for once or until the listener hears."""
    return {
        (name.replace("remote read", "remote GET"), parent) for name, parent in found if name != "cache remote TIME"
    }


def test_a_load_s_spans_stand_under_their_call(valkey_url: str, spans: InMemorySpanExporter) -> None:
    """With asyncio: the source's own spans are children of the source's; a local hit makes none."""

    async def story() -> None:
        async def source() -> int:
            with trace.get_tracer("t").start_as_current_span("the source's own"):
                return 1

        async with Cache.from_url(valkey_url, namespace="told") as cache:
            assert await asyncio.to_thread(cache.listening)  # hearing for the first time drops local copies
            assert await cache.get_or_set("user:ada@example.com", source) == 1
            found = spans.get_finished_spans()
            assert without_first_questions(tree(spans)) == LOADED
            assert all(
                (each.attributes or {})["headway.cache.keys"] == "user" for each in found if "own" not in each.name
            )
            assert not any("ada" in str(each.attributes) for each in found)
            assert await cache.get_or_set("user:ada@example.com", source) == 1
            assert spans.get_finished_spans() == found

    asyncio.run(story())


def test_a_refresh_in_a_thread_of_its_own_stays_in_the_trace(valkey_url: str, spans: InMemorySpanExporter) -> None:
    """Behind the scenes, with threads: its load is the child of the call that served the stale value."""
    done = threading.Event()

    def again() -> int:
        done.set()
        return 2

    with SyncCache.from_url(valkey_url, namespace="told") as cache:
        policy = Policy(ttl_s=0.01, jitter_ratio=0, stale_s=60)
        cache.get_or_set("k:1", lambda: 1, policy)
        spans.clear()
        while not done.is_set():
            cache.get_or_set("k:1", again, policy)
        while not any(each.name == "cache load" for each in spans.get_finished_spans()):
            done.wait(0.001)
    assert ("cache load", "cache get_or_set") in tree(spans)
    assert ("cache source", "cache load") in tree(spans)


def test_a_source_s_error_is_in_its_span(spans: InMemorySpanExporter) -> None:
    """And in that of the call it failed; it is the service's error still."""

    def fails() -> int:
        raise ZeroDivisionError

    with SyncCache(None) as cache, pytest.raises(ZeroDivisionError):
        cache.get_or_set("k:1", fails)
    failed: dict[str, ReadableSpan] = {each.name: each for each in spans.get_finished_spans()}
    assert not failed["cache source"].status.is_ok
    assert not failed["cache get_or_set"].status.is_ok


def test_no_span_is_made_before_a_provider_is_set_up(valkey_url: str) -> None:
    """The steps are driven as they are."""
    from headway.runtime.cache.watched import watched

    def steps() -> Iterator[Any]:
        yield None

    with SyncCache.from_url(valkey_url) as cache:
        plain: Any = steps()
        assert watched(cache._core, "get", "k", plain) is plain


def test_each_answer_of_the_remote_level_is_timed_and_what_was_not_asked_is_not() -> None:
    """Three failures open the circuit; what follows takes no time of the remote level's, and is told apart."""
    told: list[bool] = []
    with SyncCache(NOBODY, strict=True) as cache:
        cache._core.answered = lambda answered, seconds: told.append(answered and seconds > 0)
        for _ in range(3):
            with pytest.raises(CacheDown):
                cache.get("k")
        with pytest.raises(CacheNotAsked):
            cache.get("k")
    assert told == [False] * 3


def test_of_many_who_add_one_does(valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight threads in two caches, twenty keys: each key is added once, and all read what that one wrote."""
    with SyncCache(valkey_url, namespace="swap") as one, SyncCache(valkey_url, namespace="swap") as other:
        with ThreadPoolExecutor(8) as pool:
            for key in range(20):
                added = list(pool.map(lambda n, k=str(key): ((one, other)[n % 2].add(k, n), n), range(8)))
                (winner,) = [number for did, number in added if did]
                assert one.get(str(key)) == other.get(str(key)) == winner
        assert one.invalidate("0")
        assert other.add("0", "again")
        monkeypatch.setattr(other._core, "hear", lambda _message: None)  # what is on its way still
        assert one.clear()
        assert other.add("1", "again")


def test_what_is_invalidated_between_looking_and_writing_is_not_carried_on(valkey_url: str) -> None:
    """A tag invalidated elsewhere while the new value is made of the old one: it is made anew, of nothing."""
    tagged = Policy(tags=("team",))
    with SyncCache(valkey_url, namespace="swap") as one, SyncCache(valkey_url, namespace="swap") as other:
        one.set("n", 1, tagged)
        seen: list[object] = []

        def change(entry: Entry | None) -> tuple[object, float]:
            seen.append(entry and entry.value)
            if len(seen) == 1:
                assert other.invalidate_tags("team")
            return "made", 60.0

        assert one.swap("n", change, tagged)
        assert seen == [1, None]
        assert other.get("n") == "made"


def test_no_change_is_lost_and_other_processes_hear_of_it(valkey_url: str) -> None:
    """160 increments from eight threads in two caches: 160; copies elsewhere are dropped."""
    with SyncCache(valkey_url, namespace="swap") as one, SyncCache(valkey_url, namespace="swap") as other:
        assert one.listening()
        assert other.listening()
        one.set("n", 0)
        assert other.get("n") == 0
        with ThreadPoolExecutor(8) as pool:
            for done in pool.map(
                lambda n: (one, other)[n % 2].swap("n", lambda entry: (entry.value + 1, 60.0) if entry else None),
                range(160),
            ):
                assert done
        assert one.get("n", policy=Policy(local=False)) == 160
        ended = threading.Event()
        while other.get("n") != 160:
            ended.wait(0.001)


def test_a_swap_here_alone_loses_nothing_either() -> None:
    """Without a remote level: threads of one process, and an absent key is left alone."""
    with SyncCache(None) as cache:
        assert cache.add("n", 0)
        assert not cache.add("n", 5)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: cache.swap("n", lambda e: (e.value + 1, 60.0) if e else None), range(160)))
        assert cache.get("n") == 160
        assert not cache.swap("absent", lambda entry: None if entry is None else (1, 1.0))


def test_what_cannot_be_decided_is_not() -> None:
    """With the remote level away `add` raises, though the cache is not strict: two processes would both be told yes."""
    with SyncCache(NOBODY) as cache, pytest.raises(CacheDown):
        cache.add("k", 1)


def test_a_value_that_fits_no_more_is_replaced(valkey_url: str) -> None:
    """Bytes under the key that are no entry, and an entry of another codec, are as nothing to `add`."""
    with SyncCache(valkey_url, namespace="swap") as cache, redis.Redis.from_url(valkey_url) as client:
        client.set("swap:v1:k:odd", b"not an entry")
        assert cache.add("odd", 1)
        assert cache.get("odd", policy=Policy(local=False)) == 1


def test_asyncio_has_the_same(valkey_url: str) -> None:
    """`add` and `swap` of Cache."""

    async def story() -> None:
        async with Cache.from_url(valkey_url, namespace="swap") as cache:
            assert await cache.add("k", 1)
            assert not await cache.add("k", 2)
            assert await cache.swap("k", lambda entry: (entry.value + 1, 60.0) if entry else None)
            assert await cache.get("k") == 2

    asyncio.run(story())
