"""The cache while the network between it and its Valkey is cut: packets are lost, and nobody says so."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from delayed_link import FAR, DelayedLink
from valkey_fleet import Node

SERVICE = """
import json, sys, time
from concurrent.futures import ThreadPoolExecutor
from headway.runtime.cache import Policy, SyncCache, listener
listener.HEARTBEAT_S, listener.SILENT_S = 0.1, 0.35
kept, remote = Policy(ttl_s=60, jitter_ratio=0), Policy(ttl_s=60, jitter_ratio=0, local=False)

def until(holds):
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)

def begin(backplane):
    cache = SyncCache(sys.argv[1], namespace=backplane, timeout_s=0.25, backplane=backplane)
    assert cache.listening(10)
    cache.get_or_set("k", lambda: "old", kept)
    return cache

def during(cache):
    slowest_s = 0.0
    for number in range(20):
        began = time.monotonic()
        assert cache.get_or_set(f"new{number}", lambda: 5, kept) == 5
        slowest_s = max(slowest_s, time.monotonic() - began)
    told = cache.invalidate("k")
    until(lambda: not cache.stats()["listening"])
    return {"slowest_s": slowest_s, "told": told}

def after(cache):
    until(lambda: cache.stats()["listening"] and not cache.stats()["untold"])
    with cache:
        return {"value": cache.get_or_set("k", lambda: "new", remote), "flushes": cache.stats()["flushes"]}

with ThreadPoolExecutor(2) as crew:
    caches = list(crew.map(begin, ("pubsub", "tracking")))
    print("ready", flush=True)
    for act in (during, after):
        sys.stdin.readline()
        print(json.dumps(list(crew.map(act, caches))), flush=True)
"""


@pytest.fixture
def link() -> Iterator[DelayedLink]:
    """A millisecond each way. A machine that allows no namespaces fails here, with what it said: nothing is skipped."""
    made = DelayedLink(there_s=0.001, back_s=0.001)
    try:
        yield made
    finally:
        made.close()


def test_a_cut_network_holds_nobody_and_what_was_forgotten_is_told_after_it(
    link: DelayedLink, service_room: Path
) -> None:
    """
    By either way of hearing: each call ends within its bound, silence is noticed, and the old value is gone once the
    line is back.
    """
    room = service_room / "cut"
    room.mkdir(mode=0o711)
    server = Node(room, "far", within=link.far, host=FAR)
    service = subprocess.Popen(
        [*link.near, sys.executable, "-c", SERVICE, server.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert service.stdin is not None
        assert service.stdout is not None
        assert service.stdout.readline() == "ready\n"
        link.cut.set()
        service.stdin.write("cut\n")
        service.stdin.flush()
        during = json.loads(service.stdout.readline())
        link.cut.clear()
        after = json.loads(service.communicate("mended\n", timeout=20)[0])
    finally:
        service.kill()
        service.communicate()
        server.kill()
    assert max(each["slowest_s"] for each in during) < 1
    assert not any(each["told"] for each in during)
    assert after == [{"value": "new", "flushes": 2}] * 2
