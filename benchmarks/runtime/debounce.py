"""
What a debounced call and a rate limit cost beside the bare command, and what 4 processes make of 4,000 calls.

    .venv/bin/python benchmarks/runtime/debounce.py [--quick] [PART ...]

Parts: cost (a decision beside redis-py's SET NX PX; Limiter beside `limits` alone; interleaved, medians of turns),
count (4 processes call and work at once, and one of them is killed in its handler: leading calls that fired, trailing
calls that were lost). Ratios are to the peer named.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import limits.aio
import redis
import redis.asyncio

from headway.runtime.debounce import Answer, Debounce, Edge, SyncDebounce
from headway.runtime.debounce.limiter import Limiter

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
from own_valkey import running

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PROCESSES, WINDOW_S, LEASE_S = 4, 0.02, 1.0
RATE = "1000000000/minute"
"""High enough to allow every call: what is measured is the asking."""


async def cost(url: str, *, quick: bool) -> None:
    """us a call, each of a key of its own (fires) or of one key (skipped)."""
    bare = redis.asyncio.Redis.from_url(url)
    leading, trailing = (Debounce(url, edge.value, window_s=60, edge=edge) for edge in (Edge.LEADING, Edge.TRAILING))
    limiter, rate = Limiter(url, RATE), limits.parse(RATE)
    storage = limits.aio.storage.RedisStorage(url.replace("redis", "async+redis", 1), implementation="redispy")
    alone = limits.aio.strategies.SlidingWindowCounterRateLimiter(storage)
    calls: dict[str, Callable[[str], Awaitable[Any]]] = {
        "SET NX PX, set": lambda key: bare.set(f"bare:{key}", "1", nx=True, px=60_000),
        "leading call, fires": leading.call,
        "SET NX PX, not set": lambda _key: bare.set("bare:one", "1", nx=True, px=60_000),
        "leading call, skipped": lambda _key: leading.call("one"),
        "trailing call": lambda _key: trailing.call("one", {"id": 5}),
        "limits alone": lambda _key: alone.hit(rate, "login", "ada"),
        "Limiter": lambda _key: limiter.allows("login", "bob"),
    }
    seen: dict[str, list[float]] = {name: [] for name in calls}
    number = 300 if quick else 1_500
    for turn in range(3 if quick else 7):
        for name, call in calls.items():
            keys = [f"{turn}-{each}" for each in range(number)]
            began = time.perf_counter_ns()
            for key in keys:
                await call(key)
            seen[name].append((time.perf_counter_ns() - began) / number / 1000)
    against = dict.fromkeys(("leading call, fires",), "SET NX PX, set")
    against |= dict.fromkeys(("leading call, skipped", "trailing call"), "SET NX PX, not set")
    against |= {"Limiter": "limits alone"}
    print("one call after another, us")
    for name, values in seen.items():
        peer = against.get(name)
        ratio = f"{statistics.median(values) / statistics.median(seen[peer]):>7.2f} x {peer}" if peer else ""
        print(f"  {name:<24}{statistics.median(values):>9.1f}{ratio}")
    for each in (leading, trailing, limiter):
        await each.aclose()
    await bare.aclose()


def take_part(url: str, number: int, keys: int) -> None:
    """One process of `count`: calls every key 20 times, both ways, and works all the time."""
    shared = redis.Redis.from_url(url)
    first = SyncDebounce(url, "first", window_s=60, timeout_s=5)
    last = SyncDebounce(url, "last", window_s=WINDOW_S, lease_s=LEASE_S, edge=Edge.TRAILING, timeout_s=5)

    def fire(key: str, payload: str) -> None:
        if payload == "kill" and shared.set("killed", number, nx=True):
            os.kill(os.getpid(), signal.SIGKILL)
        shared.rpush(f"fired:{key}", payload)

    workers = [threading.Thread(target=last.work, args=(fire,), kwargs={"until": threading.Event()}, daemon=True)]
    workers[0].start()
    shared.incr("ready")
    while int(shared.get("ready") or 0) < PROCESSES:
        time.sleep(0.001)
    for call in range(20):
        for key in range(keys):
            if first.call(f"k{key}") is Answer.FIRE:
                shared.incr(f"leading:k{key}")
            last.call(f"k{key}", f"{number}-{call}")
    shared.incr("called")
    workers[0].join()


def count(url: str, *, quick: bool) -> None:
    """Each key's last call is made when all others have been: its last act's payload says whether it was lost."""
    keys = 10 if quick else 50
    command = [sys.executable, __file__, "--url", url, "--keys", str(keys), "--number"]
    started = [subprocess.Popen([*command, str(number)]) for number in range(PROCESSES)]
    client = redis.Redis.from_url(url)
    last = SyncDebounce(url, "last", window_s=WINDOW_S, lease_s=LEASE_S, edge=Edge.TRAILING)
    try:
        while int(client.get("called") or 0) < PROCESSES:
            time.sleep(0.01)
        last.call("victim", "kill")
        for key in range(keys):
            last.call(f"k{key}", "last")
        names = [f"k{key}" for key in range(keys)]
        end = time.monotonic() + 20
        while time.monotonic() < end and not all(client.lindex(f"fired:{key}", -1) == b"last" for key in names):
            time.sleep(0.02)
        while time.monotonic() < end and not client.llen("fired:victim"):
            time.sleep(0.02)
        fired = {key: client.lrange(f"fired:{key}", 0, -1) for key in names}
        leading = [int(client.get(f"leading:{key}") or 0) for key in names]
        told = {
            "calls of each edge": PROCESSES * 20 * keys,
            "keys": keys,
            "keys with exactly one leading act": sum(each == 1 for each in leading),
            "trailing acts": sum(map(len, fired.values())),
            "last calls lost": sum(each[-1:] != [b"last"] for each in fired.values()),
            "last calls fired more than once": sum(each.count(b"last") > 1 for each in fired.values()),
            "act of the killed worker fired by another": client.llen("fired:victim"),
        }
    finally:
        for each in started:
            each.kill()
            each.wait()
    print(f"\n{PROCESSES} processes, one of them killed in its handler\n" + json.dumps(told, indent=2))


def main() -> None:
    """Run the parts that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("part", nargs="*")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--url", default="")
    parser.add_argument("--number", type=int)
    parser.add_argument("--keys", type=int)
    asked = parser.parse_args()
    logging.disable(logging.ERROR)
    if asked.number is not None:
        take_part(asked.url, asked.number, asked.keys)
        return
    with running() as server:
        for part in asked.part or ["cost", "count"]:
            server.command("FLUSHALL")
            if part == "cost":
                asyncio.run(cost(server.url, quick=asked.quick))
            else:
                count(server.url, quick=asked.quick)


if __name__ == "__main__":
    main()
