"""The lean client keeps redis-py's promises: stale connections, half-read replies, and those who watch."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis
import redis.asyncio

from headway.runtime.cache import CacheDown
from headway.runtime.cache.remote import AsyncRemote, Health, async_client


def remote(url: str, timeout_s: float = 2.0) -> AsyncRemote:
    """One that asks."""
    return AsyncRemote(Health(), async_client(url, timeout_s), timeout_s)


def test_connections_that_the_server_closed_are_opened_anew(valkey_url: str) -> None:
    """Twenty idle ones, all killed: not one of the next twenty calls fails."""

    async def story() -> None:
        one = remote(valkey_url)
        for _ in range(2):
            assert await asyncio.gather(*(one.ask("GET", "k") for _ in range(20))) == [None] * 20
            with redis.Redis.from_url(valkey_url) as client:
                client.client_kill_filter(_type="normal", skipme=True)
        assert one._core.counts.remote_failures == 0
        await one.client.aclose()

    asyncio.run(story())


def test_a_reply_that_came_too_late_is_nobody_s(valkey_url: str) -> None:
    """Callers that gave up leave no reply behind for the next one, and errors of the server cost no connection."""

    async def story() -> None:
        one = remote(valkey_url, 0.05)
        with redis.Redis.from_url(valkey_url) as client:
            client.mset({f"k{number}": number for number in range(20)})
            client.lpush("list", "x")
            client.execute_command("CLIENT", "PAUSE", 200)
        late = await asyncio.gather(*(one.ask("MGET", "k0") for _ in range(3)), return_exceptions=True)
        assert [type(each) for each in late] == [CacheDown] * 3
        await asyncio.sleep(0.2)
        one._core.breaker.succeeded()
        for number in range(20):
            assert await one.ask("GET", f"k{number}") == b"%d" % number
        with pytest.raises(CacheDown, match="WRONGTYPE"):
            await one.ask("GET", "list")
        assert await one.ask("GET", "k7") == b"7"
        assert len(one.client._idle) == 1
        await one.client.aclose()

    asyncio.run(story())


def test_who_wraps_the_client_sees_every_command(valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As OpenTelemetry's instrumentation does, also after the cache was made."""
    seen: list[Any] = []
    usual: Any = redis.asyncio.Redis.execute_command

    async def traced(self: Any, *words: Any, **options: Any) -> Any:
        seen.append(words[0])
        return await usual(self, *words, **options)

    traced.__wrapped__ = usual  # type: ignore[attr-defined]

    async def story() -> None:
        one = remote(valkey_url)
        await one.ask("GET", "k")
        monkeypatch.setattr(redis.asyncio.Redis, "execute_command", traced)
        await one.ask("GET", "k")
        await one.client.aclose()

    asyncio.run(story())
    assert seen == ["GET"]
