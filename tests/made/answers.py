"""Answers as servers may frame them, well and badly: for properties of what reads them."""

from __future__ import annotations

from hypothesis import strategies as st

names = st.sampled_from(
    [b"Content-Length: %d", b"content-length:%d", b"Content-Length: %d ", b"CONTENT-LENGTH:\t%d",
     b"Content-Length: +%d", b"Content-Length: %d, %d", b"content-length : %d",
     b"X-Content-Length: %d", b"Content-Length: 0%d"]
)  # fmt: skip
others = st.sampled_from(
    [b"Transfer-Encoding: chunked", b"transfer-encoding: gzip, chunked", b"Connection: close",
     b"Connection: keep-alive", b"Upgrade: h2c", b"X: \x80", b"Server: nginx", b"Date: Mon",
     b" folded: 3", b"Connection: upgrade", b"X: a:b"]
)  # fmt: skip
statuses = st.sampled_from(
    [b"HTTP/1.1 200 OK", b"HTTP/1.1 404 Not Found", b"HTTP/1.1 204 No Content", b"HTTP/1.1 304 Not Modified",
     b"HTTP/1.1 103 Hints", b"HTTP/1.0 200 OK", b"HTTP/1.1 200", b"HTTP/1.1 101 Switching", b"HTTP/1.1  200 OK"]
)  # fmt: skip


@st.composite
def heads_of(draw: st.DrawFn) -> bytes:
    lines = [draw(statuses)]
    length = draw(st.integers(0, 9))
    for name in draw(st.lists(names, max_size=2)):
        lines.append(name.replace(b"%d", b"%d" % length))
    lines += draw(st.lists(others, max_size=2))
    return b"\r\n".join([lines[0], *draw(st.permutations(lines[1:]))]) + b"\r\n\r\n"


@st.composite
def cut(draw: st.DrawFn, whole_text: bytes) -> list[bytes]:
    places = sorted(draw(st.lists(st.integers(0, len(whole_text)), max_size=2)))
    return [whole_text[a:b] for a, b in zip([0, *places], [*places, len(whole_text)], strict=True)]


bodies = st.sampled_from([b"", b"ok", b"123456789", b"2\r\nok\r\n0\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"\r\n\r\n"])


@st.composite
def conversations(draw: st.DrawFn) -> list[tuple[list[bytes], bool]]:
    """A few answers with at most two different heads, so that the later ones meet a head that is known."""
    known = draw(st.lists(heads_of(), min_size=1, max_size=2))
    answers = []
    for _ in range(draw(st.integers(2, 5))):
        text = draw(st.sampled_from(known)) + draw(bodies)
        if draw(st.integers(0, 4)) == 0:
            text = b"HTTP/1.1 103 Hints\r\nlink: a\r\n\r\n" + text
        if draw(st.integers(0, 4)) == 0:
            text += draw(st.sampled_from([b"x", b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n"]))
        pieces = [text] if draw(st.booleans()) else draw(cut(text))
        answers.append((pieces, draw(st.integers(0, 5)) == 0))
    return answers
