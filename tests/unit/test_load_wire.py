"""The small parts of how requests travel: targets, choices, proxies, encodings, header blocks."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import replace
from pathlib import Path

import brotli
import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.errors import BadInput
from headway.load import frames, proxies, target
from headway.load.answer import decoded
from headway.load.answer_blocks import Blocks
from headway.load.wire_choice import WireChoice
from headway.model import Wire

MIB = 1 << 20


def encoded(body: bytes, name: bytes, most: int = MIB) -> bytes:
    return decoded(((b"content-type", b"text/html"), (b"content-encoding", name)), body, most)


def raw_deflate(body: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(body) + stream.flush()


PACKS = {
    b"gzip": gzip.compress, b"x-gzip": gzip.compress, b"deflate": zlib.compress, b"br": brotli.compress,
    b"identity": bytes, b"GZip ": gzip.compress, b"deflate ": raw_deflate,
    b"gzip, br": lambda body: brotli.compress(gzip.compress(body)),
}  # fmt: skip


@given(st.binary(max_size=3000), st.sampled_from(list(PACKS)))
def test_an_encoded_body_comes_back(body: bytes, name: bytes) -> None:
    """gzip, deflate with its header and without, Brotli, and one on top of another."""
    packed = PACKS[name](body)
    assert encoded(packed, name) == body
    assert decoded((), body, MIB) == body
    if len(body) > 10:
        with pytest.raises(ValueError, match="more than 10 bytes"):
            encoded(packed, name, 10)


@given(st.binary(max_size=300), st.sampled_from([b"gzip", b"deflate", b"br", b"br, gzip"]))
def test_a_damaged_body_is_said(body: bytes, name: bytes) -> None:
    """Noise in any encoding is a ValueError or a body, never anything else."""
    try:
        assert len(encoded(body, name, 1000)) <= 1000
    except ValueError as error:
        assert str(error)


@pytest.mark.parametrize("name", [b"gzip", b"deflate", b"br"])
def test_a_body_that_is_cut_off_is_no_body(name: bytes) -> None:
    """An encoding that does not come to its end is damaged; so is a bomb; so is what nobody knows."""
    packed = PACKS[name](bytes(range(256)) * 8)
    for size in (1, len(packed) // 2, len(packed) - 1):
        with pytest.raises(ValueError, match=name.decode()):
            encoded(packed[:size], name)
    with pytest.raises(ValueError, match="more than 1048576 bytes"):
        encoded(PACKS[name](bytes(3 * MIB)), name)
    with pytest.raises(ValueError, match="'zstd' is not known"):
        encoded(packed, b"zstd")
    assert encoded(b"", name) == b""  # as an answer to HEAD has it


def test_several_gzip_members_are_one_body() -> None:
    """As the format has it."""
    assert encoded(gzip.compress(b"a") + gzip.compress(b"b"), b"gzip") == b"ab"


@pytest.mark.parametrize(
    ("url", "authority", "place"),
    [
        ("http://shop.test/a", "shop.test", ("shop.test", 80)),
        ("https://shop.test", "shop.test", ("shop.test", 443)),
        ("https://shop.test:80/", "shop.test:80", ("shop.test", 80)),
        ("http://[::1]:8000", "[::1]:8000", ("::1", 8000)),
        ("HTTPS://[2001:db8::1]", "[2001:db8::1]", ("2001:db8::1", 443)),
    ],
)
def test_a_url_is_taken_apart(url: str, authority: str, place: tuple[str, int]) -> None:
    """The scheme's own port is connected to and not named."""
    found = target.parse(url)
    assert (found.authority, found.place(Wire()), found.tls) == (authority, place, url.lower().startswith("https"))
    assert found.header(Wire(host="x:1")) == "x:1"
    assert found.name(Wire(host="x.test:1")) == "x.test"
    assert found.place(Wire(connect_to="[::2]:81")) == ("::2", 81)
    assert found.place(Wire(connect_to="h:82")) == ("h", 82)


@pytest.mark.parametrize(
    ("url", "environment", "refused"),
    [
        ("http://shop.test", {"HTTP_PROXY": "http://p:1"}, True),
        ("http://shop.test", {"http_proxy": "http://p:1"}, True),
        ("http://shop.test", {"ALL_PROXY": "socks5://p:1"}, True),
        ("https://shop.test", {"HTTPS_PROXY": "p:1"}, True),
        ("https://shop.test", {"HTTP_PROXY": "p:1"}, False),
        ("http://shop.test", {"HTTPS_PROXY": "p:1"}, False),
        ("http://shop.test", {"HTTP_PROXY": ""}, False),
        ("http://127.0.0.1:1", {"HTTP_PROXY": "p:1"}, False),
        ("http://[::1]:1", {"HTTP_PROXY": "p:1"}, False),
        ("http://localhost:1", {"HTTP_PROXY": "p:1"}, False),
        ("http://shop.test", {"HTTP_PROXY": "p:1", "NO_PROXY": "*"}, False),
        ("http://shop.test", {"HTTP_PROXY": "p:1", "no_proxy": "a, shop.test"}, False),
        ("http://a.shop.test", {"HTTP_PROXY": "p:1", "no_proxy": ".shop.test"}, False),
        ("http://a.shop.test", {"HTTP_PROXY": "p:1", "no_proxy": "*.shop.test"}, False),
        ("http://a.shop.test", {"HTTP_PROXY": "p:1", "no_proxy": "shop.test:80"}, False),
        ("http://a.shop.test", {"HTTP_PROXY": "p:1", "no_proxy": "shop.test:81"}, True),
        ("http://myshop.test", {"HTTP_PROXY": "p:1", "no_proxy": "shop.test"}, True),
        ("http://10.1.2.3", {"HTTP_PROXY": "p:1", "no_proxy": "10.0.0.0/8"}, False),
        ("http://11.1.2.3", {"HTTP_PROXY": "p:1", "no_proxy": "10.0.0.0/8,1.2.3"}, True),
        ("http://[2001:db8::1]", {"HTTP_PROXY": "p:1", "no_proxy": "2001:db8::/32"}, False),
        ("http://[2001:db8::1]:81", {"HTTP_PROXY": "p:1", "no_proxy": "[2001:db8::1]:81"}, False),
    ],
)
def test_a_proxy_is_refused_where_it_would_be_used(url: str, environment: dict[str, str], refused: bool) -> None:
    """As curl and Go read the variables: what would have gone through a proxy there is refused here, and no more."""
    if refused:
        with pytest.raises(BadInput, match=r"asks for a proxy.*NO_PROXY"):
            proxies.refuse(target.parse(url), environment)
    else:
        proxies.refuse(target.parse(url), environment)


def test_a_choice_stands_before_the_scenario() -> None:
    """What was said wins, what it contradicts gives way, the rest stays."""
    wire = Wire(ca_file=Path("ca.pem"), connect_to="a:1", redirects=3)
    assert WireChoice().over(wire) == wire
    assert WireChoice(insecure=True).over(wire) == replace(wire, insecure=True, ca_file=None)
    assert WireChoice(ca_file=Path("b")).over(replace(wire, ca_file=None, insecure=True)) == Wire(
        ca_file=Path("b"), connect_to="a:1", redirects=3
    )
    assert WireChoice(unix_socket=Path("s"), redirects=0).over(wire) == replace(
        wire, unix_socket=Path("s"), connect_to=None, redirects=0
    )


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (WireChoice(insecure=True, ca_file=Path("x")), "--insecure stands beside --ca"),
        (WireChoice(connect_to="a:1", unix_socket=Path("x")), "--connect-to stands beside --unix-socket"),
        (WireChoice(host="a b"), "--host 'a b'"),
        (WireChoice(host="a\r\nb: c"), "--host"),
        (WireChoice(connect_to="a"), "not ADDRESS:PORT"),
        (WireChoice(connect_to="a:0"), "not ADDRESS:PORT"),
        (WireChoice(connect_to="a:70000"), "not ADDRESS:PORT"),
        (WireChoice(connect_to="::1:80"), "not ADDRESS:PORT"),
    ],
)
def test_a_choice_that_means_nothing_is_refused(choice: WireChoice, said: str) -> None:
    """One clear error."""
    with pytest.raises(BadInput, match=said):
        choice.checked()


tokens = st.text("abcdefghijklmnopqrstuvwxyz-0123456789", min_size=1, max_size=12).map(str.encode)
values = st.text("abcXYZ019 /;=,\"'\x7f~", max_size=200).map(lambda text: text.strip().encode())


@given(
    st.sampled_from([b"GET", b"POST", b"DELETE"]),
    st.lists(st.tuples(tokens, values), max_size=5),
    st.binary(max_size=9),
)
def test_a_request_means_the_same_as_a_header_block(
    method: bytes, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    """hpack reads from the block what the HTTP/1.1 text said: pseudo headers first, hop-by-hop ones left out."""
    ours = frames.RequestBlocks("https")
    lines = [b"%b: %b" % each for each in headers] + [b"Connection: close", b"Host: shop.test"]
    for path in (b"/", b"/a?b=c", b"/" + b"x" * 400, b"/a?b=c"):
        block, rest = ours.of(b"%b %b HTTP/1.1\r\n%b\r\n\r\n%b" % (method, path, b"\r\n".join(lines), body))
        found = [tuple(each) for each in hpack.Decoder().decode(ours.first + block, raw=True)]
        gone = {b"connection", b"host", b"upgrade", b"te"}
        assert found == [
            (b":method", method), (b":scheme", b"https"), (b":path", path), (b":authority", b"shop.test"),
            *[each for each in headers if each[0] not in gone],
        ]  # fmt: skip
        assert rest == body


answers = st.lists(
    st.tuples(st.sampled_from([b"200", b"404"]), st.lists(st.tuples(tokens, values), max_size=3), st.booleans()),
    min_size=1, max_size=12,
)  # fmt: skip


@given(answers, st.lists(st.integers(0, 11), min_size=1, max_size=40))
def test_remembered_header_blocks_mean_what_they_say(
    made: list[tuple[bytes, list[tuple[bytes, bytes]], bool]], order: list[int]
) -> None:
    """A server whose compression has a memory: the blocks that we remember mean what a decoder without memory reads."""
    encoder, plain, ours = hpack.Encoder(), hpack.Decoder(), Blocks(1 << 16)
    for number in order:
        status, headers, resize = made[number % len(made)]
        if resize and number % 5 == 0:
            encoder.header_table_size = 64 + 8 * number
        block = encoder.encode([(b":status", status), *headers], huffman=number % 2 == 0)
        expected = [tuple(each) for each in plain.decode(block, raw=True)]
        known = ours.recall(block)
        if known is None:
            found, known = ours.read(block)
            assert list(found) == expected
        assert known is not None
        assert known[0] == int(status) == int(expected[0][1])
        assert ours._table.dynamic_entries == plain.header_table.dynamic_entries


fields = st.lists(st.tuples(tokens, values), min_size=1, max_size=3)


@given(st.lists(fields, min_size=1, max_size=3), st.lists(st.tuples(st.integers(0, 2), st.integers(1, 60)), max_size=6))
def test_what_is_said_again_does_to_the_table_what_it_did(
    heads: list[list[tuple[bytes, bytes]]], runs: list[tuple[int, int]]
) -> None:
    """As nginx does it: headers put into the table each time and never referred to. The table stays the decoder's."""
    plain, ours = hpack.Decoder(), Blocks(1 << 16)
    blocks = [
        b"\x88" + b"".join(b"\x40%c%b\x7f%c%b" % (len(name), name, 0, value.ljust(127)) for name, value in head)
        for head in [[(name, value[:127]) for name, value in head] for head in heads]
    ]
    for number, times in runs:
        block = blocks[number % len(blocks)]
        for _ in range(times):
            plain.decode(block, raw=True)
            if ours.recall(block) is None:
                assert ours.read(block)[1] == (200, None)
            assert ours._table.dynamic_entries == plain.header_table.dynamic_entries


def test_ordinary_header_blocks_are_remembered() -> None:
    """The test above means something: a block that leaves the table alone is known; one that changes it is not."""
    ours, encoder = Blocks(1 << 16), hpack.Encoder()
    first = encoder.encode([(b":status", b"200"), (b"server", b"x")])
    again = encoder.encode([(b":status", b"200"), (b"server", b"x")])
    assert ours.read(first)[1] == ours.read(again)[1] == (200, None)
    assert ours.remembered == 2
    assert ours.recall(again) == (200, None)
    ours.read(encoder.encode([(b":status", b"200"), (b"date", b"now")]))
    assert ours.recall(again) is None  # it refers to what stands elsewhere now
    assert ours.recall(first) == (200, None)
