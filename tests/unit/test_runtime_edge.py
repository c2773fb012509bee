"""Headers, entity tags, and what purging sends, to a server that notes it and stands in for the edges of others."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.runtime.edge import (
    Cloudflare,
    CloudFront,
    Fastly,
    Policy,
    PurgeFailed,
    Varnish,
    etag,
    nginx,
    not_modified,
    vary,
)


def test_a_policy_says_what_rfc_9111_and_5861_have() -> None:
    """Shared and private answers, with keys for each edge that knows them."""
    shared = Policy(browser_s=0, edge_s=60, stale_while_revalidate_s=30, stale_if_error_s=600, vary=("accept",))
    assert shared.headers(etag='"a"', keys=["user-7", "users", "user-7"]) == {
        "cache-control": "public, max-age=0, s-maxage=60, stale-while-revalidate=30, stale-if-error=600",
        "vary": "accept",
        "etag": '"a"',
        "surrogate-key": "user-7 users",
        "cache-tag": "user-7,users",
    }
    assert Policy(shared=False).headers(keys=["user-7"]) == {"cache-control": "private, no-cache"}
    assert Policy(shared=False, browser_s=5).cache_control == "private, max-age=5"


@pytest.mark.parametrize(
    "wrong",
    [
        {"browser_s": -1}, {"shared": False, "edge_s": 60}, {"vary": ("Cookie",)}, {"vary": ("authorization",)},
        {"vary": ("a b",)}, {"shared": False, "stale_if_error_s": 1},
    ],
)  # fmt: skip
def test_a_policy_that_would_show_one_user_anothers_page_is_refused(wrong: dict[str, Any]) -> None:
    """Or that contradicts itself."""
    with pytest.raises(ValueError, match=r"."):
        Policy(**wrong)


@pytest.mark.parametrize("key", ["a b", "a,b", "", "a\r\nset-cookie: x", "é"])
def test_a_key_cannot_break_out_of_its_header(key: str) -> None:
    """Spaces, commas and line ends are refused."""
    with pytest.raises(ValueError, match="surrogate key"):
        Policy().headers(keys=[key])


@given(st.binary(), st.binary())
def test_tags_tell_bodies_apart(one: bytes, other: bytes) -> None:
    """Equal bodies have equal tags, others have others, and a tag matches itself, weak or not, also in a list."""
    assert (etag(one) == etag(other)) == (one == other)
    listed = f'"x", {etag(other, weak=True)} ,{etag(one)}'
    assert not_modified(listed, etag(one))
    assert not_modified(etag(one, weak=True), etag(one))
    assert not_modified(etag(one), etag(other)) == (one == other)


@given(st.text(max_size=60))
def test_a_header_that_is_no_list_of_tags_matches_nothing(header: str) -> None:
    """The whole answer is always right; hostile headers neither raise nor match."""
    assert not_modified(header, etag(b"body")) == (header.strip() == "*")


def test_vary_grows_without_doubles() -> None:
    """Whatever the capitals; a star stays alone."""
    assert vary("Accept-Encoding", "accept-encoding", "Accept") == "Accept-Encoding, Accept"
    assert vary(None, "accept") == "accept"
    assert vary("accept", "*") == "*"


@dataclass
class Edge:
    """Stands for an edge's interface: notes what it is sent, answers as it is told."""

    url: str = ""
    status: int = 200
    answer: bytes = b'{"success": true}'
    got: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def edge() -> Iterator[Edge]:
    """One on a port of its own."""
    made = Edge()

    class Handler(BaseHTTPRequestHandler):
        def note(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            made.got.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            self.send_response(made.status)
            self.send_header("content-length", str(len(made.answer)))
            self.end_headers()
            self.wfile.write(made.answer)

        do_POST = do_PURGE = note

        def log_message(self, *_: object) -> None:
            return None

    server = HTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


def test_fastly_is_sent_keys_in_its_header_and_as_many_as_it_takes(edge: Edge) -> None:
    """300 keys are two calls; soft by default."""
    Fastly(service_id="S", token="T", api=edge.url).purge(f"k{number}" for number in range(300))
    assert [(method, path) for method, path, _, _ in edge.got] == [("POST", "/service/S/purge")] * 2
    first, second = (headers for _, _, headers, _ in edge.got)
    assert (first["fastly-key"], first["fastly-soft-purge"]) == ("T", "1")
    assert len(first["surrogate-key"].split()) + len(second["surrogate-key"].split()) == 300


def test_cloudflare_is_sent_tags_and_must_say_that_it_did(edge: Edge) -> None:
    """A 200 that says success: false is a failure."""
    zone = Cloudflare(zone_id="Z", token="T", api=edge.url)
    zone.purge(["user-7"])
    ((method, path, headers, body),) = edge.got
    assert (method, path, headers["authorization"]) == ("POST", "/zones/Z/purge_cache", "Bearer T")
    assert json.loads(body) == {"tags": ["user-7"]}
    edge.answer = b'{"success": false}'
    with pytest.raises(PurgeFailed):
        zone.purge(["user-7"])


def test_varnish_is_sent_purge_with_its_header(edge: Edge) -> None:
    """And no request at all for no key."""
    varnish = Varnish(url=edge.url)
    varnish.purge([])
    assert edge.got == []
    varnish.purge(["a", "b"])
    assert (edge.got[0][0], edge.got[0][2]["xkey-purge"]) == ("PURGE", "a b")


def test_an_edge_that_refuses_or_is_away_is_an_error(edge: Edge) -> None:
    """What is old there stays: the caller must know."""
    edge.status = 403
    with pytest.raises(PurgeFailed, match="403"):
        Varnish(url=edge.url).purge(["a"])
    with pytest.raises(PurgeFailed, match="cannot be reached"):
        Varnish(url="http://127.0.0.1:9").purge(["a"])


def test_cloudfront_is_given_paths_through_a_client_of_the_services_own() -> None:
    """Keys are refused: it knows none."""
    asked: list[dict[str, Any]] = []

    class Client:
        def create_invalidation(self, **arguments: Any) -> None:
            asked.append(arguments)

    distribution = CloudFront(distribution_id="D", client=Client())
    distribution.purge(["/users/7", "/users*"])
    assert asked[0]["InvalidationBatch"]["Paths"] == {"Quantity": 2, "Items": ["/users/7", "/users*"]}
    with pytest.raises(ValueError, match="no surrogate keys"):
        distribution.purge(["user-7"])


@pytest.mark.parametrize("prefix", ["users", "/a;}", "/a b", "/a\n"])
def test_a_prefix_cannot_break_out_of_the_configuration(prefix: str) -> None:
    """Nor can a secret."""
    with pytest.raises(ValueError, match="prefix"):
        nginx({prefix: Policy()}, upstream="http://127.0.0.1:1")
    with pytest.raises(ValueError, match="secret"):
        nginx({"/": Policy()}, upstream="http://127.0.0.1:1", secret='"; return 200; #     ')
