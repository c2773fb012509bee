"""
What the glue of the cache costs: a hit in this process under tracing, through Flask's and Django's glue, and a commit.

    .venv/bin/python benchmarks/runtime/glue.py

Everything is in one process without a server, in turns whose order is drawn anew each round; medians over the rounds.
The peers: SyncCache itself, and Django's own LocMemCache, which pickles as well.
"""

from __future__ import annotations

import gc
import random
import statistics
import sys
import time
from collections.abc import Callable, Mapping

from django.conf import settings
from flask import Flask
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from headway.runtime.cache import SyncCache
from headway.runtime.contrib.flask import FlaskCache
from headway.runtime.contrib.sqlalchemy_cache import invalidate_after_commit

VALUE = {"id": 5, "name": "Ada", "tags": ["a", "b"]}
LIMIT_US = 2.0
ROUNDS, CALLS = 21, 2000


def timed(act: Callable[[], object], calls: int) -> float:
    """us a call."""
    began = time.perf_counter_ns()
    for _ in range(calls):
        act()
    return (time.perf_counter_ns() - began) / calls / 1e3


def compared(acts: Mapping[str, Callable[[], object]], calls: int) -> dict[str, float]:
    """Name to the median over the rounds, us a call."""
    seen: dict[str, list[float]] = {name: [] for name in acts}
    names = list(acts)
    for _ in range(ROUNDS):
        random.shuffle(names)
        gc.collect()
        for name in names:
            seen[name].append(timed(acts[name], calls))
    return {name: statistics.median(found) for name, found in seen.items()}


def shown(title: str, found: dict[str, float], against: str) -> None:
    """A table with the ratio to one of them."""
    print(f"{title}, us")
    for name, value in found.items():
        print(f"  {name:<38}{value:>9.2f}{value / found[against]:>8.2f} x")


def hits(cache: SyncCache) -> dict[str, float]:
    """Hits in this process by each way."""
    from django.core.cache.backends.locmem import LocMemCache

    from headway.runtime.contrib.django_cache import HeadwayCache

    app, extension = Flask("bench"), FlaskCache()
    app.config["HEADWAY_CACHE_URL"] = None
    extension.init_app(app)
    through_flask = extension.cached("k:{number}")(lambda number: VALUE)
    django, own = HeadwayCache("", {"OPTIONS": {}}), LocMemCache("bench", {})
    django.set("k", VALUE)
    own.set("k", VALUE)
    with app.app_context():
        return compared(
            {
                "SyncCache.get_or_set": lambda: cache.get_or_set("k:5", lambda: VALUE),
                "FlaskCache, decorated": lambda: through_flask(5),
                "Django: HeadwayCache.get": lambda: django.get("k"),
                "Django: LocMemCache.get": lambda: own.get("k"),
            },
            CALLS,
        )


def commits(cache: SyncCache) -> dict[str, float]:
    """A transaction with and without an invalidation after it."""
    engine = create_engine("sqlite://")

    def commit(*, tells: bool) -> None:
        with Session(engine) as session:
            session.execute(text("SELECT 1"))
            if tells:
                invalidate_after_commit(session, cache, "absent")
            session.commit()

    return compared({"commit": lambda: commit(tells=False), "with an invalidation": lambda: commit(tells=True)}, 200)


def main() -> int:
    """Print the tables; 1 when a hit costs more than it may, before or after a tracer provider is set up."""
    settings.configure()
    cache = SyncCache(None)
    act = {"a hit": lambda: cache.get_or_set("k:5", lambda: VALUE)}
    before = compared(act, CALLS)["a hit"]
    glue, sql = hits(cache), commits(cache)
    missed = {"a load": lambda: (cache.invalidate("k:6"), cache.get_or_set("k:6", lambda: VALUE))}
    load_before = compared(missed, 200)["a load"]
    trace.set_tracer_provider(TracerProvider())
    after, load_after = compared(act, CALLS)["a hit"], compared(missed, 200)["a load"]
    shown(
        "A hit in this process", {"no tracer provider": before, "a tracer provider set up": after}, "no tracer provider"
    )
    shown(
        "Invalidate and load, without a server",
        {"no tracer provider": load_before, "with four spans": load_after},
        "no tracer provider",
    )
    shown("A hit through the glue", glue, "SyncCache.get_or_set")
    shown("A transaction of SQLAlchemy (SQLite in memory)", sql, "commit")
    return 0 if max(before, after) <= LIMIT_US else 1


if __name__ == "__main__":
    sys.exit(main())
