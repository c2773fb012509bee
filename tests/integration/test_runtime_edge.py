"""A real nginx, configured from the policies, before a service that answers with their headers."""

from __future__ import annotations

import threading
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headway.runtime import edge
from headway.runtime.edge import NginxRefresh, Policy, etag, not_modified
from replicated import until

if TYPE_CHECKING:
    from conftest import StartNginx

SECRET = "a-secret-of-the-service"
POLICIES = {
    "/lists": Policy(edge_s=60, stale_while_revalidate_s=60, stale_if_error_s=60),
    "/brief": Policy(edge_s=1, stale_if_error_s=60),
    "/me": Policy(shared=False),
}


@dataclass
class Service:
    """Answers with a text that counts up, under the policy of its path."""

    url: str = ""
    version: int = 1
    fails: bool = False
    asked: Counter[str] = field(default_factory=Counter)


@pytest.fixture
def service() -> Iterator[Service]:
    """One on a port of its own."""
    made = Service()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked[self.path] += 1
            body = f"version {made.version}".encode()
            policy = next(each for prefix, each in POLICIES.items() if self.path.startswith(prefix))
            tag = etag(body)
            fresh = not_modified(self.headers.get("if-none-match"), tag)
            self.send_response(500 if made.fails else 304 if fresh else 200)
            for name, value in policy.headers(etag=tag, keys=["lists"]).items():
                self.send_header(name, value)
            self.send_header("content-length", "0" if fresh else str(len(body)))
            self.end_headers()
            if not fresh:
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


def get(url: str, **headers: str) -> tuple[str, str | None]:
    """Body and X-Cache."""
    request = urllib.request.Request(url, headers={name.replace("_", "-"): value for name, value in headers.items()})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return answer.read().decode(), answer.headers["x-cache"]


def test_the_edge_keeps_what_the_policy_lets_it_and_is_refreshed(
    service: Service, nginx: StartNginx, service_folder: Callable[[str], Path]
) -> None:
    """
    A shared list is fetched once and given from the edge; a changed one is given anew after a refresh, which needs the
    secret; a private answer and one asked for with a login are never kept; a list outlives its service's failure.
    """
    server = edge.nginx(POLICIES, upstream=service.url, secret=SECRET)
    folder = service_folder("kept")
    url = nginx(server, http=f"proxy_cache_path {folder} keys_zone=edge:1m;")
    assert [get(f"{url}/lists/1") for _ in range(3)] == [
        ("version 1", "MISS"), ("version 1", "HIT"), ("version 1", "HIT"),
    ]  # fmt: skip
    service.version = 2
    assert get(f"{url}/lists/1", x_headway_refresh="wrong")[0] == "version 1"
    NginxRefresh(url=url, secret=SECRET).purge(["/lists/1"])
    assert get(f"{url}/lists/1") == ("version 2", "HIT")
    assert service.asked["/lists/1"] == 2
    get(f"{url}/lists/2", authorization="Bearer a")
    get(f"{url}/lists/2", authorization="Bearer b")
    assert service.asked["/lists/2"] == 2
    get(f"{url}/me")
    get(f"{url}/me")
    assert service.asked["/me"] == 2
    assert get(f"{url}/brief") == ("version 2", "MISS")
    service.fails = True
    until(lambda: get(f"{url}/brief") == ("version 2", "STALE"))  # past its second
