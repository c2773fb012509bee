"""
What watching a cache costs it: commands a second of a busy service with and without, in turns.

    .venv/bin/python benchmarks/diagnosis/cache_cost.py [--quick]

Two processes ask a Valkey as fast as it answers (GET, and SET on a miss, one command a round trip, 200-byte values).
"watched" is what every run with --cache-url does: INFO, PING and SLOWLOG's newest entry once a second, INFO
commandstats and LATENCY HISTOGRAM at both ends of the phase. "MONITOR" is --cache-monitor besides. The order changes
each round. Throughput on a machine where other things run is mostly noise, so the server's own processor time for a
command is compared as well.
"""

from __future__ import annotations

import argparse
import multiprocessing
import multiprocessing.pool
import statistics
import time
from typing import TYPE_CHECKING

import psutil
import redis
from scipy import stats

from headway.evidence.cache import Cache
from headway.evidence.cache_commands import CacheCommands
from headway.evidence.cache_monitor import CacheMonitor
from headway.evidence.cache_session import CacheSession
from headway.evidence.cache_slow import CacheSlowLog
from headway.evidence.collector import Watch
from headway.model import LoadModel, Phase
from headway.prove.borrowed import own_valkey

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

PHASE = Phase(name="on", model=LoadModel.CLOSED, duration_s=1, warmup_s=0, users=2)
DRIVERS = 2
KEYS = 5_000
SERVICE = frozenset({"get", "set", "hello", "client|setinfo", "config|get"})


def drive(url: str, seconds: float, seed: int, pipe: Connection) -> None:
    """Ask and store; the count of commands is sent back."""
    import random

    chance = random.Random(seed)
    with redis.Redis.from_url(url) as client:
        until, count = time.monotonic() + seconds, 0
        while time.monotonic() < until:
            for _ in range(50):
                key = f"user:{chance.randrange(KEYS)}"
                count += 1
                if client.get(key) is None:
                    client.set(key, "x" * 200, ex=2)
                    count += 1
    pipe.send(count)


def rate(url: str, seconds: float) -> float:
    """Commands a second of all drivers together."""
    pipes = []
    for seed in range(DRIVERS):
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.Process(target=drive, args=(url, seconds, seed, theirs))
        process.start()
        pipes.append((ours, process))
    total = sum(ours.recv() for ours, _ in pipes)
    for _, process in pipes:
        process.join()
    return float(total) / seconds


def watched(url: str, seconds: float, *, monitor: bool) -> float:
    """The same with the collectors on. The keys, looked at when the load is over, cost it nothing."""
    session = CacheSession(url)
    kinds = (Cache(session), CacheCommands(session), CacheSlowLog(session), CacheMonitor(session, wanted=monitor))
    watches = [Watch(each, each.check()) for each in kinds]
    for each in watches:
        each.post(lambda each=each: each.collector.begin(PHASE, time.time()))  # type: ignore[misc]
    pool = multiprocessing.pool.ThreadPool(1)
    load = pool.apply_async(rate, (url, seconds))
    while not load.ready():
        for each in watches:
            each.sample(time.time())
        load.wait(1.0)
    for each in watches:
        each.post(lambda each=each: each.collector.end(PHASE, time.time()))  # type: ignore[misc]
        each.finish()
        each.wait()
    pool.close()
    session.close()
    return float(load.get())


def measured(url: str, name: str, seconds: float) -> tuple[float, float, float]:
    """Commands a second, the server's processor time for each in us, and the us a second that Headway's own took."""
    with redis.Redis.from_url(url) as client:
        before, own_before = _cpu_s(client), _own_us(client)
        found = rate(url, seconds) if name == "plain" else watched(url, seconds, monitor=name == "MONITOR")
        spent = (_cpu_s(client) - before) * 1e6 / (found * seconds)
        return found, spent, (_own_us(client) - own_before) / seconds


def _cpu_s(client: redis.Redis) -> float:
    told = dict(client.info("cpu"))
    return float(told["used_cpu_sys"]) + float(told["used_cpu_user"])


def _own_us(client: redis.Redis) -> float:
    """Execution of what only Headway sends here, by the server's own count; this benchmark's two INFO are in it."""
    told = dict(client.info("commandstats"))
    return float(sum(each["usec"] for name, each in told.items() if name.removeprefix("cmdstat_") not in SERVICE))


def interval(differences: list[float]) -> str:
    """The mean and its 95% interval by Student's t for few pairs."""
    mean = statistics.fmean(differences)
    half = float(stats.t.ppf(0.975, len(differences) - 1)) * statistics.stdev(differences) / len(differences) ** 0.5
    return f"{mean:.1%} (95%: {mean - half:.1%} to {mean + half:.1%})"


def main() -> None:
    """Rounds of all three, the order turning."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true", help="fewer, shorter rounds: under two minutes")
    rounds, seconds = (6, 5.5) if options.parse_args().quick else (12, 15.0)
    costs: dict[str, tuple[list[float], list[float]]] = {"watched": ([], []), "MONITOR": ([], [])}
    own_us: list[float] = []
    with own_valkey() as url:
        rate(url, 1.0)
        for number in range(rounds):
            order = ["plain", "watched", "MONITOR"]
            seen = {name: measured(url, name, seconds) for name in order[number % 3 :] + order[: number % 3]}
            plain, plain_us, _ = seen["plain"]
            own_us.append(seen["watched"][2])
            for name, (slower, dearer) in costs.items():
                slower.append(1 - seen[name][0] / plain)
                dearer.append(seen[name][1] / plain_us - 1)
            said = (f"{name} {each:,.0f} commands/s, {us:.2f} us each" for name, (each, us, _) in seen.items())
            print(f"round {number + 1}: {'; '.join(said)}", flush=True)
    for name, (slower, dearer) in costs.items():
        print(
            f"{name}: {interval(slower)} fewer commands a second, {interval(dearer)} more of the server's time for one"
        )
    print(f"the questions themselves took {statistics.fmean(own_us):,.0f} us of each second, by INFO commandstats")
    print(f"{psutil.cpu_count()} cores, load {psutil.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
