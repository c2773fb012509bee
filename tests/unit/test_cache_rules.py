"""What is said of caches, headers and compression, and what is kept quiet."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from headway.diagnose import cache_choice, route_keys
from headway.diagnose.hit_rates.stream import KeyStream, made
from headway.diagnose.route_keys import RouteKeys
from headway.diagnose.rules import compression, http_cache_headers
from headway.errors import BadInput
from headway.model import Answer, Route
from headway.prove import fronting

if TYPE_CHECKING:
    from numpy.typing import NDArray

ANSWER = Answer(
    route="GET /x", target="/x", status=200, headers={"content-type": "application/json"},
    encoded_headers={"content-type": "application/json"}, body_bytes=5_000, encoded_bytes=5_000, gzip_bytes=900,
    gzip_ns=100_000, whole=True, same_again=True, revalidated=None, credentials=False,
)  # fmt: skip


def keys(
    reads: NDArray[np.int64], *, per_s: float = 100.0, writes: NDArray[np.int64] | None = None, collection: float = 0.0
) -> RouteKeys:
    """A route's reads, evenly in time, and writes of keys, evenly over the same time."""
    read_at = (np.arange(len(reads)) / per_s * 1e9).astype(np.int64)
    written = np.zeros(0, dtype=np.int64) if writes is None else writes
    write_at = np.linspace(0, float(read_at[-1]), len(written)).astype(np.int64)
    stream: KeyStream = made(
        np.concatenate([reads, written]), np.concatenate([read_at, write_at]),
        write=np.concatenate([np.zeros(len(reads), dtype=np.bool_), np.ones(len(written), dtype=np.bool_)]),
    )  # fmt: skip
    return RouteKeys(
        route="GET /x", stream=stream, possible=stream, collection_per_s=collection, writers=("PUT /x",),
        known_by="a test",
    )  # fmt: skip


def zipf(n: int, size: int) -> NDArray[np.int64]:
    odds = np.arange(1, size + 1) ** -1.1
    return np.random.default_rng(5).choice(size, size=n, p=odds / odds.sum()).astype(np.int64)


def headed(**headers: str) -> Answer:
    """An answer with these headers; `_` for `-`."""
    return replace(
        ANSWER, headers={**ANSWER.headers, **{name.replace("_", "-"): each for name, each in headers.items()}}
    )


def test_the_ttl_is_the_shortest_with_most_of_the_hits() -> None:
    """Reads that come again within a second or two: a longer TTL is not chosen, as it only makes answers older."""
    choice = cache_choice.chosen(keys(zipf(6_000, 20)))
    assert choice is not None
    assert choice.ttl_s <= 5
    assert choice.hit > 0.9
    assert (choice.stale, choice.forget_on_write) == (0.0, False)
    assert abs(choice.che_hit - choice.hit) < 0.05


def test_what_changes_all_the_time_is_not_kept_by_ttl_alone() -> None:
    """With a write for every fifth read, the advice is to drop the key on a write, and the hit rate says so."""
    reads = zipf(5_000, 20)
    still, changing = cache_choice.chosen(keys(reads)), cache_choice.chosen(keys(reads, writes=reads[::5].copy()))
    assert still is not None and changing is not None
    assert changing.forget_on_write and changing.stale == 0
    assert changing.hit < still.hit - 0.1


def test_large_key_sets_get_the_size_at_the_knee() -> None:
    """Where all keys would take gigabytes, the size is where the curve ends to rise, below all keys."""
    choice = cache_choice.chosen(keys(zipf(20_000, 8_000), per_s=2_000), value_bytes=1 << 20)
    assert choice is not None
    assert choice.entries < choice.distinct


def test_writes_to_a_collection_bound_the_stale_reads() -> None:
    """A list that each of two writes a second may change: the upper bound is far above what is sure, which is 0."""
    choice = cache_choice.chosen(keys(zipf(3_000, 10), collection=2.0))
    assert choice is not None
    assert (choice.stale, choice.stale_possible > 0.3) == (0.0, True)


def test_values_are_read_back_from_requests() -> None:
    """What a template was filled with is found in the request's bytes, in its target and its body."""
    route = Route(name="POST /o", method="POST", path="/o/{shop}", body='{"user_id": {user_id}, "n": {n}}')
    request = b'POST /o/7 HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{"user_id": 12, "n": 3}'
    assert route_keys.sent(route, request) == {"shop": "7", "user_id": "12", "n": "3"}
    assert route_keys.sent(route, b"POST /other HTTP/1.1\r\n\r\n") == {}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (headed(cache_control="public, max-age=60", set_cookie="sid"), "cookie"),
        (replace(headed(cache_control="public, max-age=60"), credentials=True), "credentials"),
        (headed(cache_control="max-age=60", vary="*"), "Vary: *"),
        (headed(cache_control="max-age=60", vary="User-Agent"), "user-agent"),
        (replace(headed(etag='"1"'), revalidated=False), "304"),
        (replace(ANSWER, encoded_headers={"content-encoding": "gzip"}), "Accept-Encoding"),
    ],
)
def test_headers_that_do_harm_are_said(answer: Answer, said: str) -> None:
    """Each mistake of the field has its own line."""
    assert any(said in each for each in http_cache_headers.mistakes(answer))


@pytest.mark.parametrize(
    "answer",
    [
        ANSWER,
        headed(cache_control="private, max-age=60", set_cookie="sid"),
        headed(cache_control="public, max-age=60", vary="Accept-Encoding"),
        replace(headed(etag='"1"'), revalidated=True),
        replace(ANSWER, encoded_headers={"content-encoding": "gzip", "vary": "Accept-Encoding"}),
    ],
)
def test_headers_that_do_no_harm_are_not(answer: Answer) -> None:
    """Private answers may set cookies; Vary: Accept-Encoding is right."""
    assert http_cache_headers.mistakes(answer) == ()


@pytest.mark.parametrize(
    ("answer", "path"),
    [
        (replace(ANSWER, credentials=True), "/x"),
        (headed(set_cookie="sid"), "/x"),
        (ANSWER, "/users/{id}/orders"),
        (ANSWER, "/users/by-email?email={email}"),
        (ANSWER, "/me"),
        (ANSWER, "/api/cart"),
    ],
)
def test_what_is_one_person_s_own_is_never_advised_as_public(answer: Answer, path: str) -> None:
    """Credentials, a cookie, or a path that speaks of a person: private, whatever the hit rate."""
    choice = cache_choice.chosen(keys(zipf(3_000, 10)))
    said = http_cache_headers.policy(answer, path, choice)
    assert "private" in said.header
    assert not said.public


def test_policies_of_what_is_everyone_s() -> None:
    """A static file a day; what the load never changed for its TTL at the edge; what changes must be asked for."""
    static = http_cache_headers.policy(headed(content_type="text/css"), "/static/{file}", None)
    assert static.header == "public, max-age=86400"
    still = http_cache_headers.policy(ANSWER, "/products", cache_choice.chosen(keys(zipf(3_000, 10))))
    assert still.public and "s-maxage" in still.header
    changing = http_cache_headers.policy(
        ANSWER, "/products", cache_choice.chosen(keys(zipf(3_000, 10), collection=5.0))
    )
    assert (changing.header, changing.public) == ("no-cache", False)


@pytest.mark.parametrize(
    "answer",
    [
        replace(ANSWER, encoded_headers={"content-encoding": "br"}),
        replace(ANSWER, body_bytes=1_000),
        headed(content_type="image/png"),
        replace(ANSWER, gzip_bytes=4_900),
        replace(ANSWER, status=404),
        replace(ANSWER, whole=False),
    ],
)
def test_what_compression_would_not_help_is_left_alone(answer: Answer) -> None:
    """Compressed already, one packet, an image, no smaller with gzip, an error, not read whole: each has its reason."""
    assert compression.wanting(answer)
    assert compression.wanting(ANSWER) is None


@pytest.mark.parametrize("path", ['/a"; }', "/a b", "/a;b", "/a$b", "/a\\b", "/a\nb", "/ä"])
def test_no_path_can_end_what_nginx_is_told(path: str) -> None:
    """A path of a scenario that is not one's own cannot put directives into the configuration."""
    with pytest.raises(BadInput, match="nginx"):
        fronting.path_expression(Route(name="GET x", method="GET", path=path))


def test_a_path_matches_its_own_requests_alone() -> None:
    """The expression has any value where the template has a name, and nothing else is let through."""
    import re

    found = re.compile(fronting.path_expression(Route(name="x", method="GET", path="/p.x?c={c}&limit=20")))
    assert found.fullmatch("/p.x?c=toys&limit=20")
    assert not found.fullmatch("/p.x?c=toys&limit=200")
    assert not found.fullmatch("/pyx?c=toys&limit=20")
    assert not found.fullmatch("/p.x?c=a/b&limit=20")
