"""Debounce and rate limits on a real Valkey, across processes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from headway.runtime.cache import CacheDown
from headway.runtime.debounce import Answer, Debounce, Edge, SyncDebounce, debouncer
from headway.runtime.debounce.limiter import Limiter, SyncLimiter

pytestmark = pytest.mark.anyio
NOWHERE = "redis://127.0.0.1:1"


@pytest.fixture
def anyio_backend() -> str:
    """Coroutine tests run under asyncio."""
    return "asyncio"


class Worked:
    """Collects what a worker fires."""

    def __init__(self) -> None:
        self.fired: list[tuple[str, object]] = []
        self.at: list[float] = []

    def __call__(self, key: str, payload: object) -> None:
        self.fired.append((key, payload))
        self.at.append(time.monotonic())


def worked(debounce: SyncDebounce, handler: object, enough: Callable[[], bool], *, then_s: float = 0.15) -> None:
    """Let a worker run until it has done enough, and then for a little: it must not do more."""
    stop, end = threading.Event(), time.monotonic() + 10
    thread = threading.Thread(target=debounce.work, args=(handler,), kwargs={"until": stop})
    thread.start()
    while not enough() and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(then_s)
    stop.set()
    thread.join(2)


async def test_a_call_is_skipped_when_it_fired_less_than_the_window_ago(valkey_url: str) -> None:
    """Leading: the first fires, others are skipped, and after the window one fires again; keys are apart."""
    debounce, short = (Debounce(valkey_url, name, window_s=s) for name, s in (("reindex", 30), ("short", 0.05)))
    assert [await debounce.fires("a") for _ in range(5)] == [True] + [False] * 4
    assert await debounce.fires("b")
    assert await short.fires("a")
    await asyncio.sleep(0.06)
    assert await short.fires("a")
    await debounce.aclose()
    await short.aclose()


def test_of_four_processes_one_fires(valkey_url: str) -> None:
    """200 calls in 4 processes at one moment: one fires."""
    body = (
        "import os, sys\n"
        "from headway.runtime.debounce import SyncDebounce\n"
        "os.fork(), os.fork()\n"
        "debounce = SyncDebounce(sys.argv[1], 'reindex', window_s=30, timeout_s=5)\n"
        "os.write(1, b'%d\\n' % sum(debounce.fires('a') for _ in range(50)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", body, valkey_url], capture_output=True, text=True, check=True, timeout=30
    )
    assert sorted(done.stdout.split()) == ["0", "0", "0", "1"]


def test_the_last_call_of_a_burst_is_fired_once_it_is_quiet(valkey_url: str) -> None:
    """Trailing: one act, with the last payload, a window after the last call."""
    debounce, handler = SyncDebounce(valkey_url, "save", window_s=0.1, edge=Edge.TRAILING), Worked()
    for number in range(5):
        assert debounce.call("doc", {"number": number}) is Answer.LATER
        time.sleep(0.02)
    last = time.monotonic() - 0.02
    worked(debounce, handler, lambda: bool(handler.fired))
    assert handler.fired == [("doc", {"number": 4})]
    assert handler.at[0] - last > 0.09
    debounce.close()


def test_a_busy_key_is_fired_within_the_longest_wait(valkey_url: str) -> None:
    """Calls that never pause don't put a trailing call off for ever."""
    debounce = SyncDebounce(valkey_url, "save", window_s=0.1, longest_s=0.15, edge=Edge.TRAILING)
    handler, stop = Worked(), threading.Event()
    thread = threading.Thread(target=debounce.work, args=(handler,), kwargs={"until": stop})
    thread.start()
    calls = 0
    while not handler.fired and calls < 200:
        calls += 1
        debounce.call("doc", calls)
        time.sleep(0.02)
    stop.set()
    thread.join(2)
    assert handler.fired
    assert calls > 4
    debounce.close()


def test_both_edges_fire_first_and_last(valkey_url: str) -> None:
    """A burst: its first call at once, its last when quiet. A single call: once."""
    debounce, handler = SyncDebounce(valkey_url, "save", window_s=1, edge=Edge.BOTH), Worked()
    assert [debounce.call("doc", number) for number in range(3)] == [Answer.FIRE, Answer.LATER, Answer.LATER]
    assert debounce.call("single", 9) is Answer.FIRE
    worked(debounce, handler, lambda: bool(handler.fired))
    assert handler.fired == [("doc", 2)]
    debounce.close()


def test_a_call_while_its_act_runs_is_not_lost(valkey_url: str) -> None:
    """It came after the act had read its payload: the act runs once more."""
    debounce, seen = SyncDebounce(valkey_url, "save", window_s=0.05, edge=Edge.TRAILING), []

    def handler(key: str, payload: object) -> None:
        seen.append(payload)
        if len(seen) == 1:
            debounce.call(key, "second")

    debounce.call("doc", "first")
    worked(debounce, handler, lambda: len(seen) == 2)
    assert seen == ["first", "second"]
    debounce.close()


def test_what_a_dead_worker_had_taken_is_fired_by_another(valkey_url: str) -> None:
    """SIGKILL in the middle of the handler: after the lease another worker fires it."""
    body = (
        "import os, sys, threading\n"
        "from headway.runtime.debounce import *\n"
        "debounce = SyncDebounce(sys.argv[1], 'save', window_s=0.01, lease_s=0.3, edge=Edge.TRAILING)\n"
        "debounce.call('doc', 5)\n"
        "debounce.work(lambda key, payload: os.kill(os.getpid(), 9), until=threading.Event())\n"
    )
    assert subprocess.run([sys.executable, "-c", body, valkey_url], check=False, timeout=20).returncode == -9
    debounce, handler = SyncDebounce(valkey_url, "save", window_s=0.01, lease_s=0.3, edge=Edge.TRAILING), Worked()
    worked(debounce, handler, lambda: bool(handler.fired))
    assert handler.fired == [("doc", 5)]
    debounce.close()


def test_a_handler_that_fails_is_tried_again_and_then_dropped(valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not lost at the first failure, and not for ever in the way."""
    monkeypatch.setattr(debouncer, "MOST_TRIES", 2)
    debounce, tries = SyncDebounce(valkey_url, "save", window_s=0.01, lease_s=0.05, edge=Edge.TRAILING), []

    def handler(_key: str, _payload: object) -> None:
        tries.append(1)
        raise ConnectionError

    debounce.call("doc")
    worked(debounce, handler, lambda: len(tries) == 2)
    assert len(tries) == 2
    debounce.close()


async def test_without_a_server_a_leading_call_is_decided_as_chosen() -> None:
    """Fire or skip, as the caller has said; a trailing call that cannot be recorded is an error, not a silent loss."""
    assert await Debounce(NOWHERE, "a", window_s=2).fires("k")
    assert not await Debounce(NOWHERE, "a", window_s=2, down_fires=False).fires("k")
    with pytest.raises(CacheDown):
        await Debounce(NOWHERE, "a", window_s=2, edge=Edge.TRAILING).call("k")


async def test_a_rate_is_kept_across_clients(valkey_url: str) -> None:
    """Five a minute are five, whoever asks; another user has their own."""
    first, second = Limiter(valkey_url, "5/minute"), SyncLimiter(valkey_url, "5/minute")
    assert [await first.allows("login", "ada") for _ in range(3)] == [True] * 3
    assert [second.allows("login", "ada") for _ in range(4)] == [True, True, False, False]
    assert second.allows("login", "bob")
    await first.aclose()
    second.close()


async def test_without_a_server_a_limit_is_decided_as_chosen() -> None:
    """And does not hang."""
    began = time.monotonic()
    assert await Limiter(NOWHERE, "5/minute").allows("k")
    assert not SyncLimiter(NOWHERE, "5/minute", down_allows=False).allows("k")
    assert time.monotonic() - began < 2
