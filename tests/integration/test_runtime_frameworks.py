"""The cache's glue for FastAPI, Flask, Django and SQLAlchemy, with the frameworks themselves and real servers."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from flask import Flask
from sqlalchemy import create_engine, exc, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from starlette.applications import Starlette

from headway.runtime.cache import Cache, CacheDown, Policy, SyncCache
from headway.runtime.contrib.django_cache import HeadwayCache
from headway.runtime.contrib.flask import FlaskCache
from headway.runtime.contrib.sqlalchemy_cache import invalidate_after_commit
from headway.runtime.contrib.starlette import given, opened

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples/runtime"
NOBODY = "redis://127.0.0.1:9"
HERE_ONLY = {"TIMEOUT": 300, "OPTIONS": {}}


def run(code: str, **environment: str) -> str:
    """What a Python program prints that ends well."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "PYTHONPATH": str(EXAMPLES), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["fastapi_cached", "flask_cached", "sqlalchemy_cached"])
def test_the_page_shows_the_example_that_is_run(name: str) -> None:
    """To the letter."""
    assert (EXAMPLES / f"{name}.py").read_text().strip() in (ROOT / "docs/runtime-frameworks.md").read_text()


# FastAPI and Starlette


ASGI = """
import asyncio, fastapi_cached
async def ask(method, path, state):
    got = []
    async def send(message): got.append(message)
    async def receive(): return {"type": "http.request", "body": b"", "more_body": False}
    await fastapi_cached.app({"type": "http", "method": method, "path": path, "raw_path": path.encode(), "headers": [],
        "query_string": b"", "scheme": "http", "http_version": "1.1", "state": dict(state)}, receive, send)
    print(got[0]["status"], got[1]["body"].decode())
async def main():
    for _ in range(2):  # started twice: a cache of its own each time
        async with fastapi_cached.app.router.lifespan_context(fastapi_cached.app) as state:
            await ask("GET", "/users/5", state)
            fastapi_cached.NAMES[5] = "unseen"
            await ask("GET", "/users/5", state)
            await ask("PUT", "/users/5/Grace", state)
            await ask("GET", "/users/5", state)
asyncio.run(main())
"""


def test_the_fastapi_example_serves_from_its_cache_and_forgets(valkey_url: str) -> None:
    """A change that nobody told of is not seen; one that was told is, and in the next life of the application."""
    first = ['200 {"name":"Ada"}'] * 2 + ['200 {"name":"Grace"}'] * 2
    assert run(ASGI, CACHE_URL=valkey_url).splitlines() == first + ['200 {"name":"Grace"}'] * 4


class Recorded:
    """Something to open, that says when; `fails` makes its opening raise."""

    def __init__(self, name: str, told: list[str], *, fails: bool = False) -> None:
        self._name, self._told, self._fails = name, told, fails

    def __enter__(self) -> str:
        if self._fails:
            raise ConnectionError(self._name)
        self._told.append(f"{self._name} opened, loop {threading.current_thread() is threading.main_thread()}")
        return self._name

    def __exit__(self, *_: object) -> None:
        self._told.append(f"{self._name} closed")


def test_what_opened_is_closed_when_the_next_does_not_open() -> None:
    """In the other order; what blocks is opened beside the loop, not in it."""
    told: list[str] = []

    async def story(**resources: Any) -> dict[str, Any]:
        async with opened(**resources)(Starlette()) as state:
            return dict(state)

    with pytest.raises(ConnectionError):
        asyncio.run(story(one=Recorded("one", told), two=Recorded("two", told, fails=True)))
    assert told == ["one opened, loop False", "one closed"]
    assert asyncio.run(story(cache=lambda: SyncCache(None), two=Recorded("two", told))).keys() == {"cache", "two"}
    with pytest.raises(TypeError, match="nothing to open"):
        asyncio.run(story(cache=5))
    with pytest.raises(LookupError, match="lifespan=opened"):
        given("cache")(type("Connection", (), {"state": object()})())


# Flask

FLASK = """
import os, flask_cached
app = flask_cached.create_app()
with app.app_context(): flask_cached.name_of(5)  # asked before the fork, as --preload may
if os.fork() == 0:
    client = app.test_client()
    def ask(method, path): return client.open(path, method=method, buffered=True)  # closed, as servers do
    steps = ("GET", "/users/5"), ("PUT", "/users/5/Grace"), ("GET", "/users/5")
    print(*(ask(*each).json for each in steps), flush=True)
    shown = ask("GET", "/metrics").text
    print([line for line in shown.splitlines() if line.startswith(("headway_cache_loads_total",
        'http_request_duration_seconds_count{method="GET"', "headway_cache_misses_total"))], flush=True)
    os._exit(0)
assert os.wait()[1] == 0
"""


def test_the_flask_example_works_after_a_fork(valkey_url: str) -> None:
    """Loaded before it, as gunicorn's --preload does; what the parent counted is not told again by the child."""
    said, shown = run(FLASK, CACHE_URL=valkey_url).splitlines()
    assert said == "{'name': 'Ada'} {'name': 'Grace'} {'name': 'Grace'}"
    assert 'http_request_duration_seconds_count{method="GET",route="/users/<int:user_id>",status="200"} 2.0' in shown
    assert 'headway_cache_misses_total{cache="shop"} 1.0' in shown


def test_each_application_has_its_own_cache() -> None:
    """One extension, two applications; without configuration, twice, or outside of one it says what to do."""
    extension, calls = FlaskCache(), []

    @extension.cached("n:{n}")
    def twice(n: int) -> int:
        calls.append(n)
        return 2 * n

    apps = [Flask("one"), Flask("two")]
    for app in apps:
        with pytest.raises(ValueError, match="HEADWAY_CACHE_URL"):
            extension.init_app(app)
        app.config["HEADWAY_CACHE_URL"] = None
        extension.init_app(app)
        with pytest.raises(ValueError, match="already"):
            extension.init_app(app)
        with app.app_context():
            assert [twice(1), twice(1)] == [2, 2]
            assert extension.cache.stats()["loads"] == 1
    assert calls == [1, 1]
    with apps[0].app_context():
        twice.invalidate(1)
        assert twice(1) == 2
    assert calls == [1, 1, 1]
    with pytest.raises(RuntimeError):
        twice(1)
    with Flask("three").app_context(), pytest.raises(RuntimeError, match="init_app"):
        twice(1)
    with pytest.raises(ValueError, match="template"):
        extension.cached("n:{m}")(lambda n: n)


# Django


@pytest.fixture(params=["here", "valkey"])
def backends(request: pytest.FixtureRequest, valkey_url: str) -> tuple[HeadwayCache, HeadwayCache]:
    """Two backends: of one process, and of two (two namespaces' worth of connections to one server)."""
    if not django_settings.configured:
        django_settings.configure(DATABASES={}, INSTALLED_APPS=[], USE_TZ=True)
    if request.param == "here":
        one = HeadwayCache("", {"OPTIONS": {"namespace": f"t{id(request)}"}})
        return one, one
    made = []
    for number in range(2):
        # Another limit makes another cache: as another process has one.
        made.append(HeadwayCache(valkey_url, {"OPTIONS": {"namespace": "t", "max_entries": 100 + number}}))
        assert made[-1].headway.listening()
    return made[0], made[1]


def test_django_s_cache_does_what_django_says(backends: tuple[HeadwayCache, HeadwayCache]) -> None:
    """None and any object, versions, prefixes, timeouts, many at once; also what another process did."""
    one, other = backends
    one.clear()
    assert one.get("k", "nothing") == "nothing"
    one.set("k", None)
    assert one.get("k", "nothing") is None
    one.set("k", {"a": (1, {2})})
    assert one.get("k") == {"a": (1, {2})}
    assert other.get("k") == {"a": (1, {2})}
    one.get("k")["a"] = "changed"
    assert one.get("k") == {"a": (1, {2})}  # each caller's own
    assert one.get("k", version=2) is None
    assert not one.add("k", 1)
    assert other.add("new", 1)
    assert not one.add("new", 2)
    assert one.incr("new", 4) == 5
    assert one.decr("new") == 4
    with pytest.raises(ValueError, match="not found"):
        one.incr("absent")
    assert one.delete("new")
    assert not one.delete("new")
    assert one.set_many({"a": 1, "b": 2}) == []
    assert one.get_many(["a", "b", "c"]) == {"a": 1, "b": 2}
    one.delete_many(["a", "b"])
    assert one.get_many(["a", "b"]) == {}
    one.set("gone", 1, timeout=0)
    assert not one.has_key("gone")
    one.set("gone", 1, timeout=60)
    assert one.touch("gone", timeout=0)
    assert not one.has_key("gone")
    assert not one.touch("gone", 5)
    one.set("ever", 1, timeout=None)
    assert one.touch("ever", 1000)
    assert one.incr_version("ever") == 2
    assert one.get("ever", version=2) == 1
    one.clear()
    assert one.get("ever", version=2) is None
    assert one.get_or_set("made", lambda: 1) == one.get_or_set("made", lambda: 2) == 1
    assert one.get_or_set("never", lambda: 1, 0) == 1
    assert one.get("never") is None
    assert asyncio.run(one.aget_or_set("made", lambda: 3)) == 1


def test_a_timeout_is_what_was_said_and_counting_keeps_it(valkey_url: str) -> None:
    """As the server has it, in ms: not shortened by jitter, longer after `touch`, the same after `incr`."""
    import redis

    cache = HeadwayCache(valkey_url, {"TIMEOUT": 50, "OPTIONS": {"namespace": "ttl"}})
    with redis.Redis.from_url(valkey_url) as client:

        def left_s() -> float:
            return float(client.pttl("ttl:v1:k::1:k")) / 1000

        cache.set("k", 1)
        assert 45 < left_s() <= 50
        cache.touch("k", 500)
        assert 490 < left_s() <= 500.01
        cache.incr("k")
        assert 490 < left_s() <= 500.01


def test_a_stampede_on_django_s_get_or_set_asks_once(backends: tuple[HeadwayCache, HeadwayCache]) -> None:
    """Sixteen threads, two processes' worth of caches, one cold key: one call of the function."""
    calls: list[int] = []
    gate = threading.Barrier(16)

    def ask(number: int) -> Any:

        def slow() -> int:
            threading.Event().wait(0.1)
            calls.append(number)
            return 7

        gate.wait()
        return backends[number % 2].get_or_set("cold", slow)

    backends[0].delete("cold")
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(ask, range(16))) == [7] * 16
    assert len(calls) == 1


def test_django_s_cache_goes_on_without_its_server_but_decides_nothing() -> None:
    """`get`, `set`, `get_or_set` work here; `add` and `incr` raise, since two processes would both be told yes."""
    cache = HeadwayCache(NOBODY, {"OPTIONS": {"namespace": "down"}})
    cache.set("k", 1)
    assert cache.get("k") == 1
    assert cache.set_many({"a": 1}) == ["a"]
    assert cache.get_or_set("x", lambda: 3) == 3
    for decide in (cache.add, cache.incr, cache.touch):
        with pytest.raises(CacheDown):
            decide("k", 1)


def test_what_django_s_settings_ask_for_and_cannot_get_is_refused() -> None:
    """An option nobody honours, two servers; and one that is honoured through the settings themselves."""
    with pytest.raises(ImproperlyConfigured, match="CULL_FREQUENCY"):
        HeadwayCache("", {"OPTIONS": {"CULL_FREQUENCY": 3}})
    with pytest.raises(ImproperlyConfigured, match="one address"):
        HeadwayCache(["redis://a", "redis://b"], {})
    said = run(
        "from django.conf import settings\n"
        "settings.configure(CACHES={'default': {'BACKEND': 'headway.runtime.contrib.django_cache.HeadwayCache',"
        " 'LOCATION': '', 'KEY_PREFIX': 'p', 'OPTIONS': {'serializer': 'json', 'stale_s': 5}}})\n"
        "import threading\nfrom django.core.cache import cache, caches\n"
        "cache.set('k', (1, 2))\n"
        "t = threading.Thread(target=lambda: print(caches['default'].get('k'))); t.start(); t.join()\n".replace(
            "'json'",
            "__import__('types').SimpleNamespace(dumps=lambda v: __import__('json').dumps(v).encode(),"
            " loads=__import__('json').loads)",
        )
    )
    assert said == "[1, 2]\n"  # JSON's; and the other thread's backend shares the cache


# SQLAlchemy


@pytest.fixture
def engine(postgres_url: str) -> Iterator[Any]:
    """A table of one row on PostgreSQL."""
    made = create_engine(postgres_url.replace("postgresql://", "postgresql+psycopg://"))
    with made.begin() as connection:
        connection.execute(text("CREATE TABLE t (id int PRIMARY KEY, n int UNIQUE DEFERRABLE INITIALLY DEFERRED)"))
        connection.execute(text("INSERT INTO t VALUES (1, 0), (2, 9)"))
    yield made
    made.dispose()


def test_a_reader_between_invalidation_and_commit_cannot_bring_the_old_value_back(engine: Any) -> None:
    """Savepoints released do not tell yet; rolled back they never do; the commit tells all that is left, once."""
    change = text("UPDATE t SET n = n + 1 WHERE id = 1")
    with SyncCache(None) as cache, Session(engine) as session:
        told: Callable[[], int] = lambda: cache.stats()["invalidations"]  # noqa: E731
        session.execute(change)
        with session.begin_nested():
            session.execute(change)
            invalidate_after_commit(session, cache, "inner")
            with session.begin_nested():
                invalidate_after_commit(session, cache, "innermost", tags=("t",))
        assert told() == 0
        with session.begin_nested() as savepoint:
            invalidate_after_commit(session, cache, "never")
            savepoint.rollback()
        with pytest.raises(ZeroDivisionError), session.begin_nested():
            invalidate_after_commit(session, cache, "never either")
            raise ZeroDivisionError
        cache.set("inner", "old")
        cache.set("never", "kept")
        assert told() == 0
        session.commit()
        assert told() == 3
        assert cache.get("inner") is None
        assert cache.get("never") == "kept"
        invalidate_after_commit(session, cache, "never")  # before anything has begun
        session.execute(change)
        session.rollback()
        session.execute(change)
        session.commit()
        session.execute(change)
        invalidate_after_commit(session, cache, "never")
        session.close()
        session.execute(change)
        session.commit()
        assert told() == 3
        invalidate_after_commit(session, cache, "never")
        session.commit()
        assert told() == 4


def test_the_row_is_visible_when_the_cache_is_told(engine: Any) -> None:
    """Whoever loads because of the invalidation finds the new row, also from another connection."""
    seen: list[Any] = []

    class Told(SyncCache):
        def invalidate(self, *keys: str) -> bool:
            with engine.connect() as other:
                seen.append(other.execute(text("SELECT n FROM t WHERE id = 1")).scalar_one())
            return super().invalidate(*keys)

    with Told(None) as cache, Session(engine) as session:
        session.execute(text("UPDATE t SET n = 5 WHERE id = 1"))
        invalidate_after_commit(session, cache, "k")
        session.commit()
    assert seen == [5]


def test_a_commit_that_fails_is_taken_for_one_that_may_have_happened(engine: Any) -> None:
    """A constraint that is looked at by COMMIT: the error is the service's, and the cache forgets, at a load's cost."""
    with SyncCache(None) as cache, Session(engine) as session:
        session.execute(text("UPDATE t SET n = 9 WHERE id = 1"))
        invalidate_after_commit(session, cache, "k")
        with pytest.raises(exc.IntegrityError):
            session.commit()
        session.rollback()
        assert cache.stats()["invalidations"] == 1


def test_an_error_of_the_cache_does_not_make_the_commit_look_failed(
    engine: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A strict cache without its server: logged; the row is there."""
    with SyncCache(NOBODY, strict=True) as cache, Session(engine) as session:
        session.execute(text("UPDATE t SET n = 6 WHERE id = 1"))
        invalidate_after_commit(session, cache, "k")
        session.commit()
        assert session.execute(text("SELECT n FROM t WHERE id = 1")).scalar_one() == 6
    assert "could not be invalidated" in caplog.text


def test_an_async_session_awaits_the_cache(postgres_url: str, valkey_url: str) -> None:
    """`await session.commit()` returns when the cache has been told; a Session of threads cannot have such a cache."""

    async def story() -> None:
        engine = create_async_engine(postgres_url.replace("postgresql://", "postgresql+psycopg://"))
        async with Cache.from_url(valkey_url, namespace="orm") as cache, AsyncSession(engine) as session:
            await cache.set("k", 1)
            await session.execute(text("SELECT 1"))
            invalidate_after_commit(session, cache, "k", tags=("t",))
            await session.rollback()
            assert await cache.get("k", policy=Policy(local=False)) == 1
            await session.execute(text("SELECT 1"))
            invalidate_after_commit(session, cache, "k", tags=("t",))
            await session.commit()
            assert await cache.get("k", policy=Policy(local=False)) is None
            with pytest.raises(TypeError, match="SyncCache"):
                invalidate_after_commit(Session(), cache, "k")
        await engine.dispose()

    asyncio.run(story())


def test_the_sqlalchemy_example_prints_what_the_page_says(tmp_path: Path) -> None:
    """A rollback costs no load, a commit one."""
    code = (EXAMPLES / "sqlalchemy_cached.py").read_text()
    said = run(code, DATABASE_URL=f"sqlite:///{tmp_path}/t.db")
    assert said == "Ada\nAda 1\nGrace 2\n"
    assert f"```text\n{said}```" in (ROOT / "docs/runtime-frameworks.md").read_text()
