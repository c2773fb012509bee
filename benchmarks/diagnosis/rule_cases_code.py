"""
Labelled runs for the rules about code: profiles made by hand, a minute of 20 looks a second on the wall clock and 30 on
the processor's. As in rule_cases.py; nobody mended a rule by what it said of `HELD_OUT`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

from rule_cases import HITS, NAME, Cases

from headway.evidence.stacks import CPU, WALL, Frame, Profile, Samples
from made.judged import made_evidence

if TYPE_CHECKING:
    from collections.abc import Sequence

CASES, HELD_OUT = Cases(), Cases()
wrong, well = CASES.wrong, CASES.well
RUN = made_evidence(HITS)
LOOKS_PER_S, WATCHED_S = 20, 60
LOOP = ("asyncio/runners.py:118 in run", "asyncio/base_events.py:640 in run_forever",
        "asyncio/base_events.py:1999 in _run_once")  # fmt: skip
POLL = (*LOOP, "selectors.py:452 in select")
CALLBACK = (*LOOP, "asyncio/events.py:84 in _run", "uvicorn/protocols/http.py:410 in run_asgi")
POOL = ("threading.py:1030 in _bootstrap", "concurrent/futures/thread.py:90 in _worker")
QUIET = (*POOL, "threading.py:355 in wait")


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a thread does again and again: `places` outermost first; `runs`: on the processor, else it waits."""

    places: tuple[str, ...]
    every_s: float
    lasts_s: float
    runs: bool = True


def job(*places: str, every_s: float, lasts_s: float, runs: bool = True) -> Job:
    return Job(places=places, every_s=every_s, lasts_s=lasts_s, runs=runs)


def at_wall(jobs: Sequence[Job], watched_s: float) -> list[Job | None]:
    """What each look finds: one job at a time, each shifted by its place among them."""
    found: list[Job | None] = []
    for look in range(round(watched_s * LOOKS_PER_S)):
        at_s = look / LOOKS_PER_S
        turns = (each for number, each in enumerate(jobs) if (at_s + 0.37 * number) % each.every_s < each.lasts_s)
        found.append(next(turns, None))
    return found


@dataclass(frozen=True, kw_only=True)
class Thread:
    """Its jobs, what they stand on, and where it waits for more."""

    jobs: tuple[Job, ...]
    below: tuple[str, ...] = CALLBACK
    idle: tuple[str, ...] = POLL


def on(*jobs: Job) -> Thread:
    """An event loop's thread."""
    return Thread(jobs=jobs)


def in_pool(*jobs: Job) -> Thread:
    """A thread of a pool."""
    return Thread(jobs=jobs, below=POOL, idle=QUIET)


def profile(*threads: Thread, watched_s: float = WATCHED_S) -> Profile:
    """All threads of one process; what is in a folder `shop` is its own."""
    frames: dict[str, int] = {}

    def stack(places: Sequence[str]) -> tuple[int, ...]:
        return tuple(frames.setdefault(each, len(frames)) for each in places)

    samples = []
    for number, thread in enumerate(threads):
        seen = at_wall(thread.jobs, watched_s)
        runs = [(found, len(list(group)) / LOOKS_PER_S) for found, group in groupby(seen)]
        stacks = tuple(stack((*thread.below, *found.places) if found else thread.idle) for found, _ in runs)
        length = tuple(each for _, each in runs)
        at_s = tuple(1000.0 + sum(length[:index]) for index in range(len(length)))
        wall = Samples(process="app", pid=1, thread=f"T{number}", clock=WALL, phase=NAME, at_s=at_s, seconds=length,
                       stacks=stacks)  # fmt: skip
        ran = [(each, which) for (found, each), which in zip(runs, stacks, strict=True) if found and found.runs]
        samples += [wall, replace(wall, clock=CPU, at_s=(), seconds=tuple(each for each, _ in ran),
                                  stacks=tuple(each for _, each in ran))]  # fmt: skip
    return Profile(
        frames=tuple(_frame(each) for each in frames), threads=tuple(samples), rates_per_s={WALL: 20, CPU: 30},
        watched_s={NAME: watched_s},
    )  # fmt: skip


def _frame(place: str) -> Frame:
    where, _, name = place.partition(" in ")
    file, _, line = where.rpartition(":")
    return Frame(name=name, file=file, line=int(line), own=file.startswith("shop/"))


RENDER, PARSE, FEED, LOAD = (
    "shop/pages.py:41 in render", "shop/dates.py:9 in parse", "shop/feed.py:77 in feed", "shop/users.py:20 in load"
)  # fmt: skip
JSON, QUERY, SLEEPER = "json/encoder.py:200 in encode", "psycopg/cursor.py:97 in execute", "shop/retry.py:8 in again"
REST = tuple(f"shop/part_{number}.py:5 in work_{number}" for number in range(9))

HOT = "hot-code"
wrong(HOT, "pages rendered by threads", RUN, RENDER, profile=profile(
    in_pool(job(RENDER, every_s=0.211, lasts_s=0.07), job(PARSE, every_s=0.9, lasts_s=0.05))))  # fmt: skip
wrong(HOT, "short, often, on a loop", RUN, PARSE, profile=profile(
    on(job(PARSE, every_s=0.0117, lasts_s=0.004))))  # fmt: skip
wrong(HOT, "in a library that it calls", RUN, FEED, profile=profile(
    in_pool(job(FEED, JSON, every_s=0.0373, lasts_s=0.012))))  # fmt: skip
wrong(HOT, "two", RUN, RENDER, PARSE, profile=profile(
    in_pool(job(RENDER, every_s=0.17, lasts_s=0.05), job(PARSE, every_s=0.19, lasts_s=0.05))))  # fmt: skip
well(HOT, "most of a process that idles", RUN, profile=profile(in_pool(job(RENDER, every_s=7.3, lasts_s=0.2))))
well(HOT, "it waits for its database", RUN, profile=profile(
    in_pool(job(LOAD, QUERY, every_s=0.211, lasts_s=0.15, runs=False))))  # fmt: skip
well(HOT, "a bit everywhere", RUN, profile=profile(
    *(in_pool(job(each, every_s=0.61, lasts_s=0.11)) for each in REST)))  # fmt: skip
well(HOT, "the framework's own", RUN, profile=profile(on(job("h11/_events.py:9 in parse", every_s=0.0117,
                                                            lasts_s=0.005))))  # fmt: skip
well(HOT, "half a second of looks", RUN, profile=profile(
    in_pool(job(RENDER, every_s=0.211, lasts_s=0.1)), watched_s=0.5))  # fmt: skip
HELD_OUT.wrong(HOT, "each answer compressed", RUN, RENDER, profile=profile(
    in_pool(job(RENDER, "gzip.py:50 in compress", every_s=0.0173, lasts_s=0.004),
            job("wsgi.py:9 in serve", every_s=0.31, lasts_s=0.06))))  # fmt: skip
HELD_OUT.wrong(HOT, "one beside many threads", RUN, FEED, profile=profile(
    in_pool(job(FEED, every_s=0.31, lasts_s=0.2)),
    *(in_pool(job(each, every_s=0.61, lasts_s=0.06)) for each in REST)))  # fmt: skip
HELD_OUT.well(HOT, "a tenth", RUN, profile=profile(
    in_pool(job(RENDER, every_s=0.611, lasts_s=0.06),
            job("wsgi.py:9 in serve", every_s=0.0131, lasts_s=0.009))))  # fmt: skip
HELD_OUT.well(HOT, "it sleeps", RUN, profile=profile(
    in_pool(job(SLEEPER, every_s=1.1, lasts_s=0.5, runs=False))))  # fmt: skip
HELD_OUT.well(HOT, "nobody took a profile", RUN)

BLOCKING = "blocking-call"
wrong(BLOCKING, "sleeps on the loop", RUN, SLEEPER, profile=profile(
    on(job(SLEEPER, every_s=1.13, lasts_s=0.08, runs=False))))  # fmt: skip
wrong(BLOCKING, "asks the database and does not await", RUN, LOAD, profile=profile(
    on(job(LOAD, QUERY, every_s=0.0331, lasts_s=0.004, runs=False))))  # fmt: skip
wrong(BLOCKING, "computes for long", RUN, RENDER, profile=profile(on(job(RENDER, every_s=1.13, lasts_s=0.16))))
wrong(BLOCKING, "waits at one place, computes at another", RUN, SLEEPER, FEED, profile=profile(
    on(job(SLEEPER, every_s=1.13, lasts_s=0.1, runs=False), job(FEED, JSON, every_s=1.7, lasts_s=0.21))))  # fmt: skip
well(BLOCKING, "awaits all", RUN, profile=profile(on(job(LOAD, every_s=0.3137, lasts_s=0.001))))
well(BLOCKING, "waits in a thread beside the loop", RUN, profile=profile(
    on(), in_pool(job(LOAD, QUERY, every_s=0.211, lasts_s=0.15, runs=False))))  # fmt: skip
well(BLOCKING, "short work, often", RUN, profile=profile(on(job(PARSE, every_s=0.0117, lasts_s=0.002))))
well(BLOCKING, "a server of threads", RUN, profile=profile(
    *(in_pool(job(SLEEPER, every_s=1.13, lasts_s=0.4, runs=False)) for _ in range(4))))  # fmt: skip
well(BLOCKING, "once, when it starts", RUN, profile=profile(on(job(LOAD, QUERY, every_s=61, lasts_s=0.3, runs=False))))
HELD_OUT.wrong(BLOCKING, "a lookup of a name", RUN, LOAD, profile=profile(
    on(job(LOAD, "socket.py:974 in getaddrinfo", every_s=2.3, lasts_s=0.12, runs=False))))  # fmt: skip
HELD_OUT.wrong(BLOCKING, "a password hashed for a quarter of a second", RUN, LOAD, profile=profile(
    on(job(LOAD, "bcrypt/__init__.py:9 in hashpw", every_s=2.3, lasts_s=0.25))))  # fmt: skip
HELD_OUT.well(BLOCKING, "a hundredth", RUN, profile=profile(
    on(job(LOAD, QUERY, every_s=0.531, lasts_s=0.004, runs=False))))  # fmt: skip
HELD_OUT.well(BLOCKING, "computes for long in a thread", RUN, profile=profile(
    on(job(PARSE, every_s=0.3137, lasts_s=0.001)), in_pool(job(RENDER, every_s=1.13, lasts_s=0.2))))  # fmt: skip
HELD_OUT.well(BLOCKING, "nobody took a profile", RUN)
