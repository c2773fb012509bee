"""The examples of docs/runtime-*.md, run as they stand, and the middlewares that carry a token between requests."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings as django_settings
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families

from headway.runtime.contrib import wsgi
from headway.runtime.database import Database
from replicated import Replicated, until

EXAMPLES = Path(__file__).parents[2] / "examples/runtime"
DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def servers(service_room: Path) -> Iterator[Replicated]:
    """A primary and a replica half a second late."""
    room = service_room / "examples"
    room.mkdir(mode=0o711)
    made = Replicated.make(room)
    try:
        made.add_replica(500)
        yield made
    finally:
        made.stop()


def example(name: str) -> Any:
    """The example's module, freshly run."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


async def ask(
    app: Callable[..., Any], method: str, path: str, body: bytes = b"", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """One request through ASGI: status, headers, body."""
    scope: MutableMapping[str, Any] = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "https",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip
    got: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        got.append(message)

    await app(scope, receive, send)
    answered = {name.decode(): value.decode() for name, value in got[0]["headers"]}
    return got[0]["status"], answered, b"".join(each.get("body", b"") for each in got[1:])


def _has_notes(url: str) -> bool:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT to_regclass('notes') IS NOT NULL").fetchone() == (True,)


@pytest.mark.parametrize("name", ["database", "instrument", "http"])
def test_the_page_shows_the_example_that_is_run(name: str) -> None:
    """The code in the page is the file's, to the letter."""
    file = {"database": "database.py", "instrument": "measured.py", "http": "cached.py"}[name]
    assert (EXAMPLES / file).read_text().strip() in (DOCS / f"runtime-{name}.md").read_text()


def test_the_database_example_sees_its_writes_over_requests(
    servers: Replicated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that brings its cookie (or header) back reads what it wrote, though the replica is late."""
    monkeypatch.setenv("PRIMARY_URL", servers.primary.url)
    monkeypatch.setenv("REPLICA_URLS", servers.replicas[0].url)
    monkeypatch.setenv("TOKEN_SECRET", "secret")
    module = example("database")

    async def story() -> None:
        async with module.lifespan(module.app):
            await asyncio.to_thread(until, lambda: module.database.standings()[1].unfit is None)
            await asyncio.to_thread(until, lambda: _has_notes(servers.replicas[0].url))
            stale = 0
            for number in range(8):
                _, headers, _ = await ask(module.app, "PUT", "/notes/1", b"note %d" % number)
                cookie = headers["set-cookie"]
                assert "HttpOnly" in cookie
                assert "Secure" in cookie
                seen = b'{"text":"note %d"}' % number
                assert (await ask(module.app, "GET", "/notes/1", cookie=f"a=b; {cookie.partition(';')[0]}"))[2] == seen
                token = headers["x-headway-seen"]
                assert (await ask(module.app, "GET", "/notes/1", x_headway_seen=token))[2] == seen
                stranger = await ask(module.app, "GET", "/notes/1", cookie="headway_seen=1.ffff.00000000")
                assert "set-cookie" not in stranger[1]
                stale += stranger[2] != seen
            assert stale >= 4

    asyncio.run(story())


def test_the_measured_example_has_buckets_at_its_promises() -> None:
    """80 ms and 300 ms are edges."""
    module = example("measured")

    async def story() -> bytes:
        await ask(module.app, "GET", "/users/7")
        return (await ask(module.app, "GET", "/metrics"))[2]

    edges = {
        sample.labels["le"]
        for family in text_string_to_metric_families(asyncio.run(story()).decode())
        for sample in family.samples
        if sample.name == "http_request_duration_seconds_bucket"
    }
    assert {"0.08", "0.3"} <= edges


def test_the_cached_example_is_not_sent_twice() -> None:
    """With its tag it is 304 without a body; when it has changed it is whole again."""
    module = example("cached")

    async def story() -> None:
        status, headers, body = await ask(module.app, "GET", "/items")
        assert (status, body) == (200, b"tea\nmilk")
        assert (
            headers["cache-control"] == "public, max-age=0, s-maxage=60, stale-while-revalidate=30, stale-if-error=600"
        )
        assert (await ask(module.app, "GET", "/items", if_none_match=headers["etag"]))[::2] == (304, b"")
        module.ITEMS.append("bread")
        assert (await ask(module.app, "GET", "/items", if_none_match=headers["etag"]))[0] == 200

    asyncio.run(story())


def test_flask_and_django_see_their_writes_over_requests(servers: Replicated) -> None:
    """The WSGI middleware, around both."""
    with Database(servers.primary.url, replicas=[servers.replicas[0].url]) as database:
        with database.write() as connection:
            connection.execute("CREATE TABLE counts (id int PRIMARY KEY, value int)")
            connection.execute("INSERT INTO counts VALUES (1, 0), (2, 0)")
        until(lambda: database.standings()[1].unfit is None)

        def raise_it(number: int) -> str:
            with database.write() as connection:
                connection.execute("UPDATE counts SET value = value + 1 WHERE id = %s", (number,))
            return "done"

        def show(number: int) -> str:
            return str(database.fetch("SELECT value FROM counts WHERE id = %s", (number,))[0][0])

        flask = Flask("t")
        flask.add_url_rule("/raise", view_func=lambda: raise_it(1), endpoint="raise")
        flask.add_url_rule("/show", view_func=lambda: show(1), endpoint="show")
        for number, app in ((1, flask.wsgi_app), (2, _django(lambda: raise_it(2), lambda: show(2)))):
            carried = wsgi.ReadYourWrites(app, database)
            for value in range(1, 5):
                token = _wsgi(carried, "/raise")[1]["x-headway-seen"]
                assert _wsgi(carried, "/show", HTTP_COOKIE=f"headway_seen={token}")[0] == str(value).encode(), number
                assert _wsgi(carried, "/show", HTTP_X_HEADWAY_SEEN=token)[0] == str(value).encode()


def _django(raise_it: Callable[[], str], show: Callable[[], str]) -> Callable[..., Any]:
    """A Django application of two views."""
    if not django_settings.configured:  # as tests/integration/test_n_plus_one_orms.py does: either may be first
        databases = {"default": {"ENGINE": "django.db.backends.postgresql"}}
        django_settings.configure(DATABASES=databases, INSTALLED_APPS=[], USE_TZ=True)
    import django
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpResponse
    from django.urls import path

    urls: Any = type(sys)("django_urls_of_the_runtime_test")
    urls.urlpatterns = [
        path("raise", lambda _: HttpResponse(raise_it())),
        path("show", lambda _: HttpResponse(show())),
    ]
    sys.modules[urls.__name__] = urls
    django_settings.ROOT_URLCONF, django_settings.ALLOWED_HOSTS = urls.__name__, ["*"]
    django.setup()
    application: Callable[..., Any] = get_wsgi_application()
    return application


def _wsgi(app: Callable[..., Any], path: str, **extra: str) -> tuple[bytes, dict[str, str]]:
    """One GET through WSGI: body and headers."""
    from wsgiref.util import setup_testing_defaults

    environ: dict[str, Any] = {"PATH_INFO": path, **extra}
    setup_testing_defaults(environ)
    got: dict[str, str] = {}
    body = app(environ, lambda _status, headers, *_rest: got.update(headers))
    try:
        return b"".join(body), got
    finally:
        if hasattr(body, "close"):
            body.close()
