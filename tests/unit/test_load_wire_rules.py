"""What decides how requests travel, before any does: proxies, content encodings, the command line's own choices."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.errors import BadInput
from headway.load import encoding, proxies
from headway.load.target import parse
from headway.load.wire_choice import WireChoice
from headway.model import Wire

PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(("url", "environment"), [
    ("http://shop.example", {"HTTP_PROXY": PROXY}),
    ("http://shop.example", {"http_proxy": PROXY}),
    ("https://shop.example", {"HTTPS_PROXY": PROXY}),
    ("https://shop.example", {"ALL_PROXY": PROXY, "NO_PROXY": "other.example"}),
    ("http://shop.example:81", {"HTTP_PROXY": PROXY, "NO_PROXY": "shop.example:80"}),
    ("http://myshop.example", {"HTTP_PROXY": PROXY, "NO_PROXY": "shop.example"}),
    ("http://10.1.2.3", {"HTTP_PROXY": PROXY, "NO_PROXY": "10.2.0.0/16"}),
])  # fmt: skip
def test_a_proxy_is_refused(url: str, environment: dict[str, str]) -> None:
    """A proxy that would stand between is one error that names the variable and what to do; it is never ignored."""
    with pytest.raises(BadInput, match=r"(?i)(http|https|all)_proxy asks for a proxy") as caught:
        proxies.refuse(parse(url), environment)
    assert "NO_PROXY" in str(caught.value.next_act)


@pytest.mark.parametrize(("url", "environment"), [
    ("http://shop.example", {}),
    ("http://shop.example", {"HTTP_PROXY": ""}),
    ("http://shop.example", {"HTTPS_PROXY": PROXY}),
    ("https://shop.example", {"HTTP_PROXY": PROXY}),
    ("http://127.0.0.1:8000", {"HTTP_PROXY": PROXY}),
    ("http://[::1]:8000", {"HTTP_PROXY": PROXY}),
    ("http://localhost", {"ALL_PROXY": PROXY}),
    ("http://shop.example", {"HTTP_PROXY": PROXY, "NO_PROXY": "a.example, shop.example"}),
    ("http://eu.shop.example", {"HTTP_PROXY": PROXY, "no_proxy": ".shop.example"}),
    ("http://eu.shop.example", {"HTTP_PROXY": PROXY, "NO_PROXY": "shop.example"}),
    ("http://shop.example:81", {"HTTP_PROXY": PROXY, "NO_PROXY": "shop.example:81"}),
    ("http://10.2.2.3", {"HTTP_PROXY": PROXY, "NO_PROXY": "10.2.0.0/16"}),
    ("http://shop.example", {"HTTP_PROXY": PROXY, "NO_PROXY": "*"}),
])  # fmt: skip
def test_what_goes_direct_is_not_refused(url: str, environment: dict[str, str]) -> None:
    """No proxy for this scheme, a loopback target, or NO_PROXY names it: the load goes straight there."""
    proxies.refuse(parse(url), environment)


@given(st.binary(max_size=2000), st.lists(st.sampled_from(["gzip", "deflate", "br", "identity"]), max_size=3))
def test_encodings_come_off_in_the_order_they_went_on(body: bytes, names: list[str]) -> None:
    """Whatever gzip, deflate and Brotli were put on, and in which order, the body is what it was before."""
    put_on = {"gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress, "identity": bytes}
    coded = body
    for name in names:
        coded = put_on[name](coded)
    assert encoding.plain(", ".join(names).encode(), coded, 10_000) == body


@pytest.mark.parametrize("name", ["gzip", "deflate", "br"])
def test_what_is_damaged_cut_off_or_too_large_is_said(name: str) -> None:
    """No half a body, and no more memory than was allowed, whatever a small answer would grow to."""
    put_on = {"gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress}[name]
    with pytest.raises(ValueError, match="more than 1000 bytes"):
        encoding.plain(name.encode(), put_on(bytes(10_000_000)), 1000)
    with pytest.raises(ValueError, match="cut off"):
        encoding.plain(name.encode(), put_on(b"a body that is long enough" * 9)[:-3], 1000)
    with pytest.raises(ValueError, match=name):
        encoding.plain(name.encode(), b"\xff" * 40, 1000)


def test_an_encoding_nobody_knows_is_said() -> None:
    """It is named, and the body isn't taken for text."""
    with pytest.raises(ValueError, match="'zstd' is not known"):
        encoding.plain(b"zstd", b"x", 1000)


@pytest.mark.parametrize(("choice", "said"), [
    (WireChoice(insecure=True, ca_file=Path("ca.pem")), "--insecure stands beside --ca"),
    (WireChoice(connect_to="a:1", unix_socket=Path("s")), "--connect-to stands beside --unix-socket"),
    (WireChoice(host="no name/"), "--host"),
    (WireChoice(connect_to="127.0.0.1"), "ADDRESS:PORT"),
    (WireChoice(connect_to="127.0.0.1:0"), "ADDRESS:PORT"),
    (WireChoice(connect_to="127.0.0.1:65536"), "ADDRESS:PORT"),
])  # fmt: skip
def test_choices_that_mean_nothing_are_refused(choice: WireChoice, said: str) -> None:
    """Flags that contradict each other, or have no form they could have, are one error that names them."""
    with pytest.raises(BadInput, match=said):
        choice.checked()


def test_the_command_line_stands_before_the_scenario() -> None:
    """What was said replaces the scenario's; what it contradicts there gives way; the rest stays."""
    wire = Wire(ca_file=Path("ca.pem"), unix_socket=Path("s"), redirects=3, details=True)
    assert WireChoice().over(wire) == wire
    chosen = WireChoice(insecure=True, connect_to="a:1", redirects=0).checked().over(wire)
    assert chosen == Wire(insecure=True, connect_to="a:1", redirects=0, details=True)
    assert WireChoice(ca_file=Path("b.pem")).over(Wire(insecure=True)) == Wire(ca_file=Path("b.pem"))
