"""
Headway's cache beside cashews, aiocache, dogpile.cache, theine and plain redis-py, all in one run on one Valkey.

    .venv/bin/python benchmarks/runtime/cache.py [--quick] [PART ...]

Parts: hits (L1, L2, miss), cold (500 callers in 4 processes on a cold key), tell (invalidation until another process
serves the new value), outage (the source fails; Valkey is killed in the middle of a run), storm (entries that were
stored together expire together). Ratios are to the peer named; each time of `hits` is the median of turns in which the
peers alternate.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import redis
from cache_peers import Aiocache, BareGet, Cashews, Dogpile, Headway, Peer, Theine, UnboundedGet

from headway.runtime.cache import Cache

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
from own_valkey import OwnValkey, running

VALUE = {"id": 5, "name": "Ada", "tags": ["a", "b"]}
STAMPEDERS: dict[str, type[Peer]] = {each.name: each for each in (Headway, Cashews, Aiocache, Dogpile)}


async def load() -> Any:
    """A source that costs nothing: what is left is the cache's own time."""
    return VALUE


async def timed(peer: Peer, calls: int, *, fresh: bool = False) -> float:
    """us a call, of so many calls one after another; `fresh`: each of a key never seen."""
    hit = f"{peer.name}-hit"
    if not fresh:
        await peer.get(hit, load)
        await peer.get(hit, load)
    base = time.perf_counter_ns()
    keys = [f"{peer.name}-{base}-{number}" for number in range(calls)] if fresh else [hit] * calls
    began = time.perf_counter_ns()
    for key in keys:
        await peer.get(key, load)
    return (time.perf_counter_ns() - began) / calls / 1000


async def compared(peers: list[Peer], calls: int, turns: int, *, fresh: bool = False) -> dict[str, float]:
    """Name to the median over the turns, us."""
    seen: dict[str, list[float]] = {peer.name: [] for peer in peers}
    for _ in range(turns):
        for peer in peers:
            seen[peer.name].append(await timed(peer, calls, fresh=fresh))
    for peer in peers:
        await peer.close()
    return {name: statistics.median(values) for name, values in seen.items()}


def shown(title: str, figures: dict[str, float], unit: str, against: str) -> None:
    """A table with ratios to one peer."""
    print(f"\n{title}")
    for name, value in figures.items():
        print(f"  {name:<22}{value:>12.2f} {unit:<4}{value / figures[against]:>9.2f} x {against}")


async def hits(url: str, quick: bool) -> None:
    """L1 hit, L2 hit, miss."""
    turns = 3 if quick else 7
    mine = Headway(url, local=True)
    await asyncio.to_thread(mine.cache.listening)
    others: tuple[type[Peer], ...] = (Theine, Cashews, Aiocache, Dogpile)
    local = [mine, *(kind(url, local=True) for kind in others)]
    one = await compared(local, 2_000 if quick else 20_000, turns)
    kinds: tuple[type[Peer], ...] = (BareGet, UnboundedGet, Headway, Cashews, Aiocache, Dogpile)
    two = await compared([kind(url, local=False) for kind in kinds], 300 if quick else 2_000, turns)
    shown("a hit in this process", one, "us", "headway")
    shown("a hit in Valkey", two, "us", "redis-py GET")
    print(f"  L1 hit against cashews on Valkey: {two['cashews'] / one['headway']:.0f} x faster")
    missed = await compared([kind(url, local=False) for kind in kinds], 100 if quick else 500, turns, fresh=True)
    shown("a miss (with its store), source free", missed, "us", "redis-py GET")


async def stampede(name: str, url: str, callers: int) -> None:
    """One of the processes of `cold`: waits for the others, then all its callers ask at once."""
    peer, shared = STAMPEDERS[name](url, local=False), redis.asyncio.Redis.from_url(url)
    get = peer.get_in_thread if isinstance(peer, Dogpile) else peer.get

    async def slow() -> int:
        with redis.Redis.from_url(url) as counter:
            counter.incr("loads")
        await asyncio.sleep(0.2)
        return 1

    await shared.incr("ready")
    while int(await shared.get("ready") or 0) % 4:  # noqa: ASYNC110 - the others are processes
        await asyncio.sleep(0.002)
    began, failed, slowest_s = time.perf_counter(), 0, 0.0
    for each in asyncio.as_completed([asyncio.ensure_future(get("cold", slow)) for _ in range(callers)]):
        try:
            await each
        except Exception:  # noqa: BLE001 - a failed call is a figure
            failed += 1
        slowest_s = time.perf_counter() - began
    print(json.dumps({"failed": failed, "slowest_s": slowest_s}))
    await peer.close()
    await shared.aclose()


def cold(url: str, quick: bool) -> None:
    """500 callers in 4 processes on a cold key whose source takes 200 ms."""
    print("\n500 callers in 4 processes, a cold key, source 200 ms (least: 1 load, 200 ms)")
    for name in STAMPEDERS:
        for _ in range(1 if quick else 3):
            with redis.Redis.from_url(url) as client:
                client.flushall()
                command = [sys.executable, __file__, "--stampede", name, "--url", url]
                started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
                told = [json.loads(each.communicate(timeout=60)[0].strip().splitlines()[-1]) for each in started]
                loads = int(client.get("loads") or 0)
            failed, slowest = sum(each["failed"] for each in told), max(each["slowest_s"] for each in told)
            print(f"  {name:<22}{loads:>5} loads {failed:>5} errors   slowest {1000 * slowest:>6.0f} ms")


async def echo(url: str) -> None:
    """The other process of `tell`: says on a list when it serves a new value."""
    async with Cache(url, namespace="tell") as cache:
        await asyncio.to_thread(cache.listening)
        with redis.Redis.from_url(url) as shared:
            seen = None
            while (value := await cache.get_or_set("k", lambda: asyncio.to_thread(shared.get, "truth"))) != b"end":
                if value != seen:
                    seen = value
                    shared.rpush("seen", value or b"", f"{time.monotonic_ns()}")
                await asyncio.sleep(0)


async def tell(url: str, quick: bool) -> None:
    """From an invalidation's begin in one process to the first new value served in another."""
    command = [sys.executable, __file__, "--echo", "--url", url]
    other = await asyncio.create_subprocess_exec(*command)
    took_ms = []
    async with Cache(url, namespace="tell") as cache:
        with redis.Redis.from_url(url) as shared:
            for number in range(50 if quick else 300):
                shared.set("truth", f"{number}")
                began = time.monotonic_ns()
                await cache.invalidate("k")
                while (said := shared.blpop(["seen"], timeout=20)) and said[1] != f"{number}".encode():
                    shared.blpop(["seen"], timeout=20)
                at = shared.blpop(["seen"], timeout=20)
                took_ms.append((int(at[1]) - began) / 1e6)
            shared.set("truth", "end")
            await cache.invalidate("k")
    await asyncio.wait_for(other.wait(), 20)
    took_ms = took_ms[5:]
    quantiles = statistics.quantiles(took_ms, n=100)
    print(f"\ninvalidation to the new value in another process, its load and the report included, {len(took_ms)} times")
    print(
        f"  headway                P50 {quantiles[49]:.2f} ms   P99 {quantiles[98]:.2f} ms   most {max(took_ms):.2f} ms"
    )


async def outage(server: OwnValkey, quick: bool) -> None:
    """Calls at a steady rate while the source fails, then while Valkey is killed and comes back."""
    print("\nsource down after the ttl (fail-safe), then Valkey killed for the middle third of a run")
    for kind in (Headway, Cashews, Aiocache):
        extra: dict[str, Any] = {"fail_safe_s": 60, "early_beta": 0, "jitter_ratio": 0} if kind is Headway else {}
        peer, fails = kind(server.url, local=False, ttl_s=1, **extra), False

        async def source() -> Any:
            if fails:  # noqa: B023 - of this turn
                raise ConnectionError
            return VALUE

        server.command("FLUSHALL")
        await peer.get("k", source)
        await asyncio.sleep(1.1)
        fails = True
        source_errors = sum([await error_of(peer.get("k", source)) for _ in range(50)])
        fails = False
        lasts_s = 1.5 if quick else 6.0
        took: list[float] = []
        errors, began = 0, time.perf_counter()
        down = up = False
        while (at := time.perf_counter() - began) < lasts_s:
            if not down and at > lasts_s / 3:
                server.kill()
                down = True
            if not up and at > 2 * lasts_s / 3:
                server.start()
                up = True
            one = time.perf_counter()
            errors += await error_of(peer.get(f"k{len(took) % 50}", source))
            took.append(1000 * (time.perf_counter() - one))
            await asyncio.sleep(0.002)
        print(
            f"  {peer.name:<22}source down: {source_errors:>3} errors of 50   Valkey down: {errors:>4} errors of "
            f"{len(took)}, P99 {statistics.quantiles(took, n=100)[98]:.1f} ms, slowest {max(took):.0f} ms"
        )
        await error_of(peer.close())


async def error_of(call: Any) -> int:
    """1 when the call raises, or hangs for 5 s."""
    try:
        async with asyncio.timeout(5):
            await call
    except Exception:  # noqa: BLE001 - a failed call is a figure
        return 1
    return 0


async def storm(url: str, quick: bool) -> None:
    """100 keys stored at one moment with a ttl of 2 s, read all the time by 50 callers; the source takes 50 ms."""
    print("\nexpiry storm: 100 keys stored together, ttl 2 s, source 50 ms with room for 5 at once")
    for kind in (Headway, Cashews, Aiocache):
        peer = kind(url, local=False, ttl_s=2, **({"stale_s": 2} if kind is Headway else {}))
        room, loads, failed = asyncio.Semaphore(5), 0, 0
        took: list[float] = []

        async def source() -> Any:
            nonlocal loads
            loads += 1
            async with room:  # noqa: B023 - of this turn
                await asyncio.sleep(0.05)
            return VALUE

        with redis.Redis.from_url(url) as client:
            client.flushall()
        await asyncio.gather(*(error_of(peer.get(f"k{number}", source)) for number in range(100)))
        loads, until = 0, time.perf_counter() + (2.5 if quick else 7)

        async def caller(first: int) -> None:
            nonlocal failed
            number = first
            while time.perf_counter() < until:  # noqa: B023 - of this turn
                number = (number + 7) % 100
                began = time.perf_counter()
                failed += await error_of(peer.get(f"k{number}", source))  # noqa: B023 - of this turn
                took.append(1000 * (time.perf_counter() - began))  # noqa: B023 - of this turn
                await asyncio.sleep(0.02)

        await asyncio.gather(*(caller(2 * number) for number in range(50)))
        quantiles = statistics.quantiles(took, n=1000)
        print(
            f"  {peer.name:<22}P50 {quantiles[499]:>6.1f} ms   P99 {quantiles[989]:>7.1f} ms   "
            f"P99.9 {quantiles[998]:>7.1f} ms   {loads} loads, {len(took)} calls, {failed} errors"
        )
        await peer.close()


def main() -> None:
    """Run the parts that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("part", nargs="*")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--stampede", choices=STAMPEDERS)
    parser.add_argument("--echo", action="store_true")
    parser.add_argument("--url", default="")
    asked = parser.parse_args()
    logging.disable(logging.ERROR)  # what a peer says of each failure; failures are counted
    if asked.stampede:
        asyncio.run(stampede(asked.stampede, asked.url, 125))
        return
    if asked.echo:
        asyncio.run(echo(asked.url))
        return
    parts = asked.part or ["hits", "cold", "tell", "outage", "storm"]
    with running() as server:
        for part in parts:
            server.command("FLUSHALL")
            if part == "cold":
                cold(server.url, asked.quick)
            elif part == "outage":
                asyncio.run(outage(server, asked.quick))
            else:
                asyncio.run({"hits": hits, "tell": tell, "storm": storm}[part](server.url, asked.quick))


if __name__ == "__main__":
    main()
