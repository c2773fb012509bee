"""A WSGI service measured, its caches among the metrics, over threads, forks and processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any
from wsgiref.util import FileWrapper, setup_testing_defaults

import pytest
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families

from headway.runtime.cache import Policy, SyncCache
from headway.runtime.instrument import InstrumentedWsgi, current, instrument_wsgi

COUNT = "http_request_duration_seconds_count"
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


def ask(app: Callable[..., Any], path: str, **extra: Any) -> tuple[str, bytes]:
    """One GET as a server does it: status and body, closed at the end."""
    environ: dict[str, Any] = {"PATH_INFO": path, **extra}
    setup_testing_defaults(environ)
    got: list[str] = []
    body: Iterable[bytes] = app(environ, lambda status, _headers, *_rest: got.append(status))
    try:
        return got[0] if got else "", b"".join(body)
    finally:
        getattr(body, "close", lambda: None)()


def samples(text: bytes) -> dict[tuple[str, ...], float]:
    """(name, label values in the order of their names...) to value."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def flask_service(**arguments: Any) -> InstrumentedWsgi:
    """Two routes: one answers with its trace, one raises."""
    app = Flask("t")

    @app.get("/users/<int:number>")
    def user(number: int) -> str:
        here = current()
        assert here is not None
        return here.traceparent if number else str(1 // number)

    return instrument_wsgi(app.wsgi_app, limits_ms=(100,), **arguments)


def test_flask_s_requests_are_counted_by_route_and_status_and_followed_in_their_trace() -> None:
    """From many threads, none lost; a path is no label; what raises is a 500; the caller's trace goes on."""
    app = flask_service()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: ask(app, f"/users/{n}"), range(1, 201)))
    assert ask(app, "/users/0")[0].startswith("500")
    assert ask(app, "/nowhere")[0].startswith("404")
    traceparent = ask(app, "/users/1", HTTP_TRACEPARENT=f"00-{TRACE_ID}-b7ad6b7169203331-01")[1].decode()
    assert traceparent.split("-")[1] == TRACE_ID
    assert current() is None
    found = samples(ask(app, "/metrics")[1])
    assert found[COUNT, "GET", "/users/<int:number>", "200"] == 201
    assert found[COUNT, "GET", "/users/<int:number>", "500"] == 1
    assert found[COUNT, "GET", "(no route)", "404"] == 1
    assert found["http_requests_in_progress",] == 0
    assert b"event_loop" not in ask(app, "/metrics")[1]  # there is none
    assert TRACE_ID.encode() in ask(app, "/metrics", HTTP_ACCEPT="application/openmetrics-text; version=1.0.0")[1]


def test_an_application_that_raises_is_a_500_and_the_error_passes_on() -> None:
    """As the client sees it; nothing stays in progress."""

    def broken(_environ: Any, _start: Any) -> Iterable[bytes]:
        raise ZeroDivisionError

    app = instrument_wsgi(broken)
    with pytest.raises(ZeroDivisionError):
        ask(app, "/")
    found = samples(ask(app, "/metrics")[1])
    assert found[COUNT, "GET", "(no route)", "500"] == 1
    assert found["http_requests_in_progress",] == 0


def test_a_request_lasts_until_its_body_is_closed() -> None:
    """Also when the server never asks for it; a file that the server sends itself is left to it."""

    def stream(_environ: Any, start: Any) -> Iterable[bytes]:
        start("200 OK", [])
        yield b"a"

    def file(environ: Any, start: Any) -> Iterable[bytes]:
        start("200 OK", [])
        made: Iterable[bytes] = environ["wsgi.file_wrapper"](BytesIO(b"file"))
        return made

    app = instrument_wsgi(stream)
    environ: dict[str, Any] = {"PATH_INFO": "/"}
    setup_testing_defaults(environ)
    body = app(environ, lambda *_: None)
    assert samples(ask(app, "/metrics")[1])["http_requests_in_progress",] == 1
    body.close()  # type: ignore[attr-defined]  # as PEP 3333 has servers do
    body.close()  # type: ignore[attr-defined]  # twice is once
    found = samples(ask(app, "/metrics")[1])
    assert found["http_requests_in_progress",] == 0
    assert found[COUNT, "GET", "(no route)", "500"] == 1  # never asked for: never begun, as this server left it
    environ["wsgi.file_wrapper"] = FileWrapper
    sent = instrument_wsgi(file)(environ, lambda *_: None)
    assert isinstance(sent, FileWrapper)
    sent.close()


def test_a_cache_s_numbers_are_there_and_those_of_its_remote_level(valkey_url: str) -> None:
    """Hits by level, misses, loads, entries, bytes of the most allowed; each answer's time."""
    with SyncCache.from_url(valkey_url, namespace="shown", max_bytes=1 << 20) as cache:
        assert cache.listening()
        app = instrument_wsgi(lambda _environ, start: start("200 OK", []) or [cache.get_or_set("k", lambda: b"v")],
                              caches={"shop": cache})  # fmt: skip
        for _ in range(3):
            assert ask(app, "/")[1] == b"v"
        cache.get_or_set("k", lambda: b"v", Policy(local=False))
        app.metrics.look()
        found = samples(ask(app, "/metrics")[1])
    of = {name: found[f"headway_cache_{name}", "shop"] for name in (
        "local_hits_total", "remote_hits_total", "misses_total", "loads_total", "local_entries", "local_most_bytes",
    )}  # fmt: skip
    assert of == {
        "local_hits_total": 2, "remote_hits_total": 1, "misses_total": 1, "loads_total": 1, "local_entries": 1,
        "local_most_bytes": 1 << 20,
    }  # fmt: skip
    assert found["headway_cache_remote_seconds_count", "yes", "shop"] >= 4
    assert 0 < found["headway_cache_remote_seconds_sum", "yes", "shop"] < 4


FORKING = """
import os, sys, threading
sys.path.insert(0, {tests!r})
from test_runtime_instrument_wsgi import ask
from headway.runtime.cache import SyncCache
from headway.runtime.instrument import instrument_wsgi
cache = SyncCache(None)
def plain(environ, start):
    start("200 OK", [])
    return [str(cache.get_or_set("k", lambda: 1)).encode()]
app = instrument_wsgi(plain, caches={{"c": cache}}, gauges={{"queue_length": lambda: 2.0}})
for _ in range(3): ask(app, "/")  # the parent has served, and its thread ticks
children = []
for _ in range(2):
    pid = os.fork()
    if pid == 0:
        for _ in range(5): ask(app, "/")
        threading.Event().wait(0.4)  # its own thread hands over
        os._exit(0)
    children.append(pid)
for pid in children: assert os.waitpid(pid, 0)[1] == 0
app.metrics.look()
sys.stdout.buffer.write(ask(app, "/metrics")[1])
"""


def test_forked_workers_count_their_own_and_any_answers_for_all(tmp_path: Path) -> None:
    """A parent that has served forks two: 3 + 2 x 5 requests, not one twice; the dead have no queue any more."""
    done = subprocess.run(
        [sys.executable, "-c", FORKING.format(tests=str(Path(__file__).parent))],
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
        capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    found = samples(done.stdout)
    assert found[COUNT, "GET", "(no route)", "200"] == 13
    assert found["headway_cache_loads_total", "c"] == 3  # one a process
    assert found["headway_cache_local_hits_total", "c"] == 10
    assert found["queue_length",] == 2.0


DJANGO = """
import asyncio, logging, sys
sys.path.insert(0, {tests!r})
from test_runtime_instrument_wsgi import ask
from django.conf import settings
settings.configure(ROOT_URLCONF="__main__", ALLOWED_HOSTS=["*"], MIDDLEWARE={middleware})
import django
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path
urlpatterns = [path("users/<int:number>", lambda request, number: HttpResponse("ok"))]
from headway.runtime.instrument import instrument_wsgi
logging.basicConfig(stream=sys.stderr)
app = instrument_wsgi(get_wsgi_application())
ask(app, "/users/1"); ask(app, "/users/2")
sys.stdout.buffer.write(ask(app, "/metrics")[1])
"""


@pytest.mark.parametrize(
    ("middleware", "route"),
    [(["headway.runtime.contrib.django_routes.Routes"], "/users/<int:number>"), ([], "(no route)")],
)
def test_django_s_routes_are_known_by_its_middleware_and_missed_loudly(middleware: list[str], route: str) -> None:
    """Without it the log says once what to do; with it nothing."""
    done = subprocess.run(
        [sys.executable, "-c", DJANGO.format(tests=str(Path(__file__).parent), middleware=middleware)],
        capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    assert samples(done.stdout)[COUNT, "GET", route, "200"] == 2
    assert done.stderr.count(b"django_routes.Routes") == (0 if middleware else 1)


def test_a_gauge_that_raises_ends_no_ticking(caplog: pytest.LogCaptureFixture) -> None:
    """Said once; requests are handed over all the same."""
    broken = threading.Event()

    def gauge() -> float:
        broken.set()
        raise ZeroDivisionError

    app = flask_service(gauges={"broken": gauge})
    ask(app, "/users/1")
    assert broken.wait(5)
    broken.clear()
    assert broken.wait(5)
    assert samples(ask(app, "/metrics")[1])[COUNT, "GET", "/users/<int:number>", "200"] == 1
    assert caplog.text.count("some metrics are not told") == 1
    app.close()
