"""Templates: what is put into a request cannot change what the request is."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.load.template import renderer
from headway.model import Route

Draws = dict[str, Callable[[], list[str]]]
hostile = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(
    ["1\r\n\r\nGET /admin HTTP/1.1\r\n", "../../etc/passwd", "a b&c=d#e?f", '"},{"x":"', "x\r\nx-admin: 1", "", "{id}"]
)


def always(**values: str) -> Draws:
    return {name: lambda value=value: [value] for name, value in values.items()}  # type: ignore[misc]


def rendered(route: Route, draws: Draws) -> tuple[str, list[str], bytes]:
    """The request line, the header lines and the body of one request."""
    head, _, body = renderer(route, "shop:80", draws)().partition(b"\r\n\r\n")
    line, *headers = head.decode().split("\r\n")
    return line, headers, body


@given(hostile)
def test_a_value_cannot_split_the_request_from_the_path(value: str) -> None:
    """In the path a value is percent-encoded: it stays one segment and comes out as it went in."""
    route = Route(name="r", method="GET", path="/users/{id}?q={id}")
    for each in (route, Route(name="r", method="GET", path="/users/{id}")):
        line, headers, body = rendered(each, always(id=value))
        method, target, version = line.split(" ")
        assert (method, version, body, len(headers)) == ("GET", "HTTP/1.1", b"", 3)
        assert unquote(urlsplit(target).path.removeprefix("/users/")) == value
        assert urlsplit(target).path.count("/") == 2


@given(hostile)
def test_a_value_cannot_split_the_request_from_a_header(value: str) -> None:
    """In a header no value can end the line, whether it stands there alone or beside one in the path."""
    for path in ("/", "/{id}"):
        route = Route(name="r", method="GET", path=path, headers=(("x-user", "u={id}"),))
        request = renderer(route, "shop:80", always(id=value))()
        assert request.count(b"\r\n") == 6
        assert request.count(b"\r") == request.count(b"\n") == 6
        assert request.endswith(b"\r\n\r\n")


@given(hostile)
def test_a_value_in_a_json_body_stays_a_string(value: str) -> None:
    """In a JSON body a value is escaped; the length said is the body's in bytes."""
    route = Route(name="r", method="POST", path="/orders", body='{"note": "{note}", "n": 1}')
    _, headers, body = rendered(route, always(note=value))
    assert json.loads(body) == {"note": value, "n": 1}
    assert f"content-length: {len(body)}" in headers
    assert "content-type: application/json" in headers


@given(hostile)
def test_a_value_in_a_form_stays_in_its_field(value: str) -> None:
    """In a form's body a value is percent-encoded."""
    route = Route(name="r", method="POST", path="/login", body="user={u}&go=1",
                  headers=(("Content-Type", "application/x-www-form-urlencoded"),))  # fmt: skip
    _, headers, body = rendered(route, always(u=value))
    assert parse_qs(body.decode(), keep_blank_values=True) == {"user": [value], "go": ["1"]}
    assert not any(each.startswith("content-type: application/json") for each in headers)


def test_one_request_draws_a_parameter_once() -> None:
    """A parameter used in path, header and body of a request has one value there, and another in the next."""
    numbers = iter(range(1000))
    route = Route(name="r", method="PUT", path="/users/{id}", headers=(("x-id", "{id}"),), body='{"id": {id}}')
    render = renderer(route, "shop:80", {"id": lambda: [str(next(numbers)), str(next(numbers))]})
    seen = []
    for _ in range(4):
        head, _, body = render().partition(b"\r\n\r\n")
        value = json.loads(body)["id"]
        assert f"PUT /users/{value} HTTP/1.1" in head.decode()
        assert f"x-id: {value}\r\n" in head.decode() + "\r\n"
        seen.append(value)
    assert sorted(seen) == [0, 1, 2, 3]


def test_braces_that_name_no_parameter_stay() -> None:
    """Braces of JSON, and names nothing declares, go out as they were written."""
    route = Route(name="r", method="POST", path="/x/{id}", body='{"a": {"b": {}}, "c": "{other}", "d": {id}}')
    _, _, body = rendered(route, always(id="7"))
    assert body == b'{"a": {"b": {}}, "c": "{other}", "d": 7}'


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_request_that_could_have_a_body_says_when_it_has_none(method: str) -> None:
    """Servers may refuse a POST without a length: it says 0. A GET says nothing."""
    assert "content-length: 0" in rendered(Route(name="r", method=method, path="/x"), {})[1]
    assert "content-length: 0" in rendered(Route(name="r", method=method, path="/x/{i}"), always(i="1"))[1]
    assert not any("content-length" in each for each in rendered(Route(name="r", method="GET", path="/x"), {})[1])


def test_a_route_s_own_headers_replace_the_usual_ones() -> None:
    """Host, user agent and content type are the scenario's when it names them, in any case, and never twice."""
    route = Route(
        name="r", method="POST", path="/", headers=(("Host", "shop"), ("CONTENT-TYPE", "text/plain")), body="x"
    )
    headers = [each.lower() for each in rendered(route, {})[1]]
    assert [each for each in headers if each.startswith(("host:", "content-type:"))] == [
        "host: shop", "content-type: text/plain",
    ]  # fmt: skip
