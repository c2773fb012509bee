"""What a visitor carries along: cookies, and where redirects lead it."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.load import redirect
from headway.load.cookies import Jar
from headway.load.visit import pause_s
from headway.model import Think

ORIGIN = "http://127.0.0.1:8000"
POST = (
    b"POST /a/form?x=1 HTTP/1.1\r\nhost: 127.0.0.1:8000\r\nContent-Type: text/plain\r\nauthorization: Bearer t\r\n"
    b"content-length: 4\r\n\r\nbody"
)


def request(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "host: x", *headers, "", ""]).encode()


@pytest.mark.parametrize(
    ("set_cookies", "asked_at", "path", "sent"),
    [
        ([b"a=1"], b"/", b"/any", b"a=1"),
        ([b"a=1; Path=/shop"], b"/", b"/shop/cart?x=/", b"a=1"),
        ([b"a=1; Path=/shop"], b"/", b"/shopping", b""),
        ([b"a=1; path=/shop/"], b"/", b"/shop", b""),
        ([b"a=1"], b"/shop/cart?next=/x/y", b"/shop/pay", b"a=1"),
        ([b"a=1"], b"/shop/cart", b"/", b""),
        ([b"a=1", b"b=2; HttpOnly; Secure; SameSite=Lax", b"a=3"], b"/", b"/", b"a=3; b=2"),
        ([b"a=1", b"a=; Max-Age=0"], b"/", b"/", b""),
        ([b"a=1", b"a=1; max-age=-1"], b"/", b"/", b""),
        ([b"a=1", b"a=gone; Expires=Thu, 01 Jan 1970 00:00:00 GMT"], b"/", b"/", b""),
        ([b"a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=60"], b"/", b"/", b"a=1"),
        ([b"a=1; Expires=someday"], b"/", b"/", b"a=1"),
        ([b"a=1; Expires=Fri, 01 Jan 2106 00:00:00 GMT"], b"/", b"/", b"a=1"),
        ([b"a=b=c ; Path=relative"], b"/", b"/", b"a=b=c"),
        ([b"nonsense", b"=x", b""], b"/", b"/", b""),
        ([b"a=1; Path=/", b"a=2; Path=/shop"], b"/", b"/shop", b"a=2; a=1"),
    ],
)
def test_a_jar_keeps_what_answers_say(set_cookies: list[bytes], asked_at: bytes, path: bytes, sent: bytes) -> None:
    """Name, value and path as RFC 6265 has them; Max-Age goes before Expires; what is no cookie is passed over."""
    jar = Jar()
    jar.take(set_cookies, asked_at)
    assert jar.header(path) == sent


def test_cookies_stand_in_one_header() -> None:
    """Those of the template come first, and the request stays otherwise as it was; without cookies it is untouched."""
    jar = Jar()
    assert jar.sent_with(request("/", "Cookie: own=1")) == request("/", "Cookie: own=1")
    jar.take([b"a=1"], b"/")
    assert jar.sent_with(request("/")) == request("/", "cookie: a=1")
    assert jar.sent_with(request("/", "Cookie: own=1", "x: y")) == request("/", "cookie: own=1; a=1", "x: y")
    with_body = POST.replace(b"body", b"\r\ncookie: x=")
    assert jar.sent_with(with_body).endswith(b"\r\ncookie: a=1\r\n\r\n\r\ncookie: x=")


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_no_answer_can_break_a_jar(set_cookies: list[bytes]) -> None:
    """Whatever stands in Set-Cookie, nothing is raised; what a header can't hold never comes back into a request."""
    lines = [each.replace(b"\r", b"").replace(b"\n", b"") for each in set_cookies]
    jar = Jar()
    jar.take(lines, b"/")
    assert jar.sent_with(request("/")).count(b"\r\n\r\n") == 1


@pytest.mark.parametrize(
    ("location", "path"),
    [
        (b"/b", b"/b"),
        (b"b?y=2", b"/a/b?y=2"),
        (b"../c", b"/c"),
        (b"http://127.0.0.1:8000/d", b"/d"),
        (b"//127.0.0.1:8000/e", b"/e"),
        (b"http://127.0.0.1:8000", b"/"),
        (b"?z=3", b"/a/form?z=3"),
        (b"/caf\xc3\xa9 au lait?q=\xc3\xa9#part", b"/caf%C3%A9%20au%20lait?q=%C3%A9"),
        (b"/a%2Fb", b"/a%2Fb"),
    ],
)
def test_a_redirect_leads_where_it_says(location: bytes, path: bytes) -> None:
    """Relative to what was asked; percent-encoded where it has to be; without the fragment."""
    asked = redirect.followed(POST, 302, location, ORIGIN)
    assert asked is not None
    assert asked.split(b"\r\n")[0] == b"GET %b HTTP/1.1" % path


@pytest.mark.parametrize(
    "location",
    [b"http://example.org/", b"https://127.0.0.1:8000/", b"http://127.0.0.1/", b"http://127.0.0.1:99999/",
     b"mailto:a@b", b"http://[::1/", b"/\xff"],
)  # fmt: skip
def test_a_redirect_never_leaves_the_target(location: bytes) -> None:
    """Another scheme, host or port is not asked, nor is what means nothing: no load falls on anybody else."""
    assert redirect.followed(POST, 302, location, ORIGIN) is None


@pytest.mark.parametrize("status", sorted(redirect.STATUSES))
def test_method_and_body_survive_where_they_should(status: int) -> None:
    """307 and 308 repeat the request; the others turn it into a GET without the body and the headers about it."""
    asked = redirect.followed(POST, status, b"/b", ORIGIN)
    if status in {307, 308}:
        assert asked == POST.replace(b"/a/form?x=1", b"/b")
    else:
        expected = b"GET /b HTTP/1.1\r\nhost: 127.0.0.1:8000\r\nauthorization: Bearer t\r\n\r\n"
        assert asked == expected
    head = request("/a").replace(b"GET", b"HEAD")
    assert (redirect.followed(head, status, b"/b", ORIGIN) or b"").startswith(b"HEAD /b ")


@given(st.binary(max_size=60).filter(lambda text: b"\r" not in text and b"\n" not in text))
def test_no_location_can_break_a_request(location: bytes) -> None:
    """Whatever a service writes there, what goes out is one request with one line, or none."""
    asked = redirect.followed(request("/a"), 302, location, ORIGIN)
    assert asked is None or (asked.count(b"\r\n\r\n") == 1 and len(asked.split(b"\r\n")[0].split(b" ")) == 3)


def test_pauses_are_drawn_as_asked() -> None:
    """Constant, uniform between two bounds, exponential with its mean."""
    rng = Random(1)
    assert pause_s(Think(low_s=2, high_s=2), rng) == 2
    uniform = [pause_s(Think(low_s=1, high_s=3), rng) for _ in range(4000)]
    assert 1 <= min(uniform) < 1.01
    assert 2.99 < max(uniform) <= 3
    exponential = [pause_s(Think(low_s=2, high_s=2, exponential=True), rng) for _ in range(40_000)]
    assert sum(exponential) / 40_000 == pytest.approx(2, rel=0.03)
    assert sum(each > 2 for each in exponential) / 40_000 == pytest.approx(0.3679, abs=0.01)
