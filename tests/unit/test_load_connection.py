"""Answers whose head is known pass the parser by: what they come to is what the parser would have said."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from headway.load.connection import Connection, whole
from headway.load.heads import LEARNT_AT_ONCE, MOST, Heads
from made.answers import conversations

Outcome = tuple[Any, ...]


class Unlearning(Heads):
    """Knows nothing, ever: each answer goes through the parser."""

    __slots__ = ()

    def learn(self, answer: bytes, status: int) -> None:
        """Not at all."""


class Ledger:
    """Stands where the engine stands, and writes down what a connection says."""

    def __init__(self, heads: Heads) -> None:
        self.heads = heads
        self.said: list[Outcome] = []

    def connected(self, connection: Connection) -> None:
        """Ready."""

    def answered(self, connection: Connection, status: int, received: int) -> None:
        """An answer."""
        self.said.append(("answered", status, received, not connection.spent))

    def failed(self, _connection: Connection, kind: Any, message: str) -> None:
        """None."""
        self.said.append(("failed", kind, message))

    def unasked(self, connection: Connection) -> None:
        """Bytes for nobody."""
        self.said.append(("unasked",))
        connection.close()

    def lost(self, _connection: Connection) -> None:
        """Closed."""


class Line(asyncio.Transport):
    """Takes requests and swallows them."""

    def __init__(self) -> None:
        super().__init__()
        self.open = True

    def write(self, data: Any) -> None:
        """Gone."""

    def abort(self) -> None:
        """Hung up."""
        self.open = False


def told(heads: Heads, answers: list[tuple[list[bytes], bool]]) -> list[Outcome]:
    """What a connection says of answers that come in pieces, each to a request of its own."""
    ledger = Ledger(heads)
    for pieces, head_only in answers:  # a new connection each time, as after an answer that closes it
        connection = Connection(cast(Any, ledger), 0, 1 << 20, 1 << 16)
        line = Line()
        connection.connection_made(line)
        connection.head_only = head_only
        connection.send(0, b"GET / HTTP/1.1\r\n\r\n", 0, 0)
        for piece in pieces:
            if line.open and piece:
                connection.data_received(piece)
        connection.connection_lost(None)
    return ledger.said


@settings(max_examples=600, deadline=None)
@given(conversations())
def test_a_known_head_means_what_the_parser_says(answers: list[tuple[list[bytes], bool]]) -> None:
    """However answers are framed, cut, doubled or broken: with and without memory the outcomes are the same."""
    assert told(Heads(), answers) == told(Unlearning(), answers)


def test_ordinary_answers_are_remembered() -> None:
    """The test above means something: a plain answer's head is kept, and one cut in two or chunked is not."""
    heads = Heads()
    plain = b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 2\r\n\r\nok"
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    told(heads, [([plain[:30], plain[30:]], False), ([chunked], False), ([plain], True)])
    assert heads.known == {}
    assert told(heads, [([plain], False), ([plain], False)]) == [("answered", 200, len(plain), True)] * 2
    assert list(heads.known.values()) == [(len(plain), 200)]


def test_the_memory_is_bounded() -> None:
    """A service that writes a new number into each head costs a bounded time a second, and bounded memory."""
    heads = Heads()
    for number in range(3 * MOST):
        if number % LEARNT_AT_ONCE == 0:
            heads.renew()
        heads.learn(b"HTTP/1.1 200 OK\r\nid: %d\r\ncontent-length: 0\r\n\r\n" % number, 200)
        assert len(heads.known) <= MOST
    few = Heads()
    for number in range(10 * LEARNT_AT_ONCE):
        few.learn(b"HTTP/1.1 200 OK\r\nid: %d\r\ncontent-length: 0\r\n\r\n" % number, 200)
    assert len(few.known) == LEARNT_AT_ONCE


@given(st.lists(st.sampled_from([b"A: 1", b"Set-Cookie: a=1", b"set-cookie:b=2 "]), max_size=4), st.booleans())
def test_an_answer_is_kept_whole(lines: list[bytes], hint: bool) -> None:
    """Headers in their order with names in lower case, the final answer's alone, and the body without its chunks."""
    interim = b"HTTP/1.1 103 Hints\r\nset-cookie: no=1\r\n\r\n" if hint else b""
    head = b"\r\n".join([b"HTTP/1.1 201 Made", *lines, b"transfer-encoding: chunked"])
    found = whole(interim + head + b"\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\ntrailing", 100)
    assert (found.status, found.body) == (201, b"abcd")
    expected = [tuple(part.strip() for part in line.split(b":")) for line in lines]
    assert [(name, value) for name, value in found.headers[:-1]] == [(n.lower(), v) for n, v in expected]
