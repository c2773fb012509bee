"""
A call that waits, or computes for long, on the thread of an event loop: every other request of that loop waits with it.

For: it is seen, on the loop's own thread, and the asynchronous form of the call frees the loop. Against: other threads
may have held Python's lock meanwhile, and processes beside this one serve on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headway.diagnose import blocked, profiled
from headway.diagnose.rules import hot_code
from headway.diagnose.words import fingerprint, one_line
from headway.model import Confidence, Finding, Location, Remedy, RemedyKind, Subject
from headway.promises.spoken import duration_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.diagnose.blocked import Held
    from headway.evidence.stacks import Profile
    from headway.model import Evidence, PhaseHits

RULE = "blocking-call"
GIL_CORES = 0.2
BUSY_MACHINE_RATIO = 0.8
INSTEAD = (
    ("time.sleep", "await asyncio.sleep(...)"),
    ("psycopg/", "psycopg.AsyncConnection, or the pool psycopg_pool.AsyncConnectionPool"),
    ("psycopg2", "psycopg 3's AsyncConnection or asyncpg"),
    ("pymysql/", "aiomysql or asyncmy"),
    ("sqlite3", "aiosqlite, or await asyncio.to_thread(...)"),
    ("redis/", "redis.asyncio"),
    ("requests/", "httpx.AsyncClient or aiohttp"),
    ("urllib3/", "httpx.AsyncClient or aiohttp"),
    ("http/client.py", "httpx.AsyncClient or aiohttp"),
    ("getaddrinfo", "loop.getaddrinfo(...)"),
    ("subprocess.py", "asyncio.create_subprocess_exec(...)"),
    ("socket.py", "asyncio.open_connection(...) or loop.sock_*"),
    ("ssl.py", "asyncio.open_connection(..., ssl=...)"),
)
"""What a place or the library below it shows -> the form that lets the loop go on."""
COMPUTES = "await asyncio.to_thread(...) where it lets go of Python's lock, else a process pool; or make less of it"


def find(evidence: Evidence) -> Iterator[Finding]:
    """A finding for each place that waits on a loop, and each that computes on it for long, by phase."""
    profile = profiled.load(evidence.folder)
    if profile is None:
        return
    for hits in evidence.phases:
        for held in blocked.waits(evidence, profile, hits):
            yield _finding(profile, hits, held, waits=True)
        for held in blocked.holds(evidence, profile, hits):
            yield _finding(profile, hits, held, waits=False)


def _finding(profile: Profile, hits: PhaseHits, held: Held, *, waits: bool) -> Finding:
    code = one_line(held.place.code)
    source = profile.lines.get(f"{held.place.function[0]}:{held.place.line}", "")
    whose = f"a request of {', '.join(map(one_line, held.routes))}" if held.routes else "for each request on average"
    cost = f", {duration_text(held.a_request_ns)} {whose}" if held.a_request_ns else ""
    if held.hold_ns and not held.routes:
        cost += f", about {duration_text(round(held.hold_ns, -6))} at a time"
    does = "waits" if waits else "computes"
    shown = f": {one_line(source)}" if source else ""
    return Finding(
        rule=RULE,
        phase=hits.phase.name,
        line=(
            f"the event loop of {one_line(held.process, 30)} {does} at {code}{shown};"
            f" {held.share_ratio:.0%} of the loop's time it can serve nobody else{cost}"
        ),
        explains=(Subject.LATENCY, Subject.THROUGHPUT),
        share_ratio=held.share_ratio,
        share_of="the event loop's time",
        fingerprint=fingerprint(RULE, does, held.place.function[0], held.place.function[1]),
        details=hot_code.details(profile, held.place),
        location=Location(code=held.place.code, route=held.routes[0] if len(held.routes) == 1 else None),
        confidence=_confidence(held, waits=waits),
        cost_ns=held.a_request_ns,
        reasons_for=(
            f"{held.looks:,} looks found the loop's own thread there: {held.wall_s:.1f} s, {held.cpu_s:.1f} s of them"
            " running",
            "while one callback runs or waits, no other request of that loop is read, answered or timed out",
        ),
        reasons_against=_against(held, waits=waits),
        remedies=(_remedy(held, source, waits=waits),),
    )


def _confidence(held: Held, *, waits: bool) -> Confidence:
    if not waits:
        return Confidence.CERTAIN if held.routes else Confidence.LIKELY
    return Confidence.LIKELY if held.others_cores >= GIL_CORES else Confidence.CERTAIN


def _against(held: Held, *, waits: bool) -> tuple[str, ...]:
    found = []
    if waits and held.others_cores >= GIL_CORES:
        found.append(f"other threads used {held.others_cores:.2f} cores: some of the waiting may be for Python's lock")
    if held.had_core_ratio < BUSY_MACHINE_RATIO:
        found.append(f"it had a core {held.had_core_ratio:.0%} of the time it was ready; its times are scaled by that")
    if held.loops > 1:
        found.append(f"{held.loops} loops serve: the others go on while one waits")
    if not waits:
        found.append(
            "moving it to a thread frees the loop, not the processor: on busy cores more is gained by doing less"
        )
    if not held.routes:
        found.append("which requests call it could not be told: a request that does costs more than this average")
    found.append("a second process goes on serving while this one can't: quick, and the fault stays")
    return tuple(found)


def _remedy(held: Held, source: str, *, waits: bool) -> Remedy:
    shown = " ".join((source, *held.place.below, held.place.code))
    instead = next((cure for sign, cure in INSTEAD if sign in shown), "await asyncio.to_thread(...)")
    return Remedy(
        kind=RemedyKind.CODE,
        title="let the loop go on while it waits" if waits else "compute elsewhere than on the loop",
        act=f"at {one_line(held.place.code)} use {instead if waits else COMPUTES}",
    )
