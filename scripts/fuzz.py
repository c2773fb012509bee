"""
Throw arbitrary answers, cut anywhere, at what reads them: nothing may crash, hang, or count a request twice or never.

Three targets: `connection`, an HTTP/1.1 connection (each conversation is held twice, with answers' heads remembered and
with all of them parsed: the outcomes must be the same), `http2`, a session with its lanes (fuzz_http2.py), and
`handshake`, the TLS layer meeting a server's bytes.

    python scripts/fuzz.py --seconds 60 --seed 7
    python scripts/fuzz.py --seconds 60 --sockets        an engine and a server in its place (fuzz_sockets.py)

It prints how many conversations there were and how their requests ended, and exits with 1 at the first fault, whose
seed is told: the same seed gives the same conversation. Heads
remembered are those of the run so far: a fault of memory alone needs the run's own --seed.
"""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import random
import sys
from collections import Counter
from time import monotonic
from typing import Any, cast

import fuzz_http2
import fuzz_sockets

from headway.load import tls
from headway.load.connection import Connection, TimedConnection
from headway.load.heads import Heads
from headway.model import FailureKind, Wire

MOST_BODY = 4096
MOST_HEAD = 1024
REQUEST = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
TARGETS = ("handshake", "http2", "connection", "http2", "connection", "connection", "http2", "connection")
HANGS_S = 20
"""So long may one conversation take before its stack is printed; it takes less than a millisecond."""
LINES = (
    b"HTTP/1.1 200 OK", b"HTTP/1.1 404 Not Found", b"HTTP/1.0 200 OK", b"HTTP/1.1 204 No Content", b"HTTP/1.1 101 Up",
    b"HTTP/1.1 103 Hints", b"HTTP/1.1 304 Not Modified", b"HTTP/2 200", b"HTTP/1.1 999 ?", b"ICY 200 OK",
)  # fmt: skip
HEADERS = (
    b"content-length: 2", b"content-length: 0", b"content-length: 5", b"content-length: 99999", b"content-length: -1",
    b"content-length: 18446744073709551616", b"content-length: 2, 2", b"Content-Length : 2", b"connection: close",
    b"transfer-encoding: chunked", b"transfer-encoding: gzip, chunked", b"transfer-encoding: identity", b" folded",
    b"connection: keep-alive", b"connection: upgrade", b"upgrade: h2c", b"content-encoding: gzip", b"x: \x00",
    b"content-encoding: br", b"content-encoding: deflate", b"set-cookie: a=1", b"no colon", b": no name", b"x: \xff",
    b"date: " + b"9" * 300,
)  # fmt: skip
BODIES = (
    b"", b"ok", b"2\r\nok\r\n0\r\n\r\n", b"2\r\nok\r\n0\r\nx: y\r\n\r\n", b"fffffffffffffffff\r\n", b"-1\r\n",
    b"zz\r\n",
    b"2;a=b\r\nok\r\n0\r\n\r\n", b"0\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", b"x" * 5000, b"\r\n",
    b"\x1f\x8b\x08\x00", b"hello",
)  # fmt: skip


class Fault(Exception):
    """A promise that was not kept."""


class Ledger:
    """Stands where the engine stands: writes down how each request ended, and refuses a second end."""

    def __init__(self, heads: Heads) -> None:
        self.heads = heads
        self.said: list[tuple[Any, ...]] = []
        self.ends = 0

    def connected(self, connection: Connection) -> None:
        """Ready."""

    def answered(self, connection: Connection, status: int, received: int) -> None:
        """A request's good end; a visit looks into the answer at once."""
        self._end(connection, ("answered", status, received, connection.spent))
        if connection.visit is not None:
            try:
                answer = connection.answer()
            except ValueError as error:  # damaged encodings: a failed check, said as such
                self.said.append(("undecoded", str(error)))
            else:
                if len(answer.body) > MOST_BODY:
                    raise Fault(f"a body of {len(answer.body)} bytes was handed on")
                self.said.append(("looked", answer.status, answer.headers, answer.body))
        if connection.spent:
            connection.close()

    def failed(self, connection: Connection, kind: FailureKind, message: str) -> None:
        """Its bad end."""
        self._end(connection, ("failed", kind, message))

    def unasked(self, connection: Connection) -> None:
        """Bytes for nobody: no end of a request."""
        self.said.append(("unasked",))
        connection.close()

    def lost(self, connection: Connection) -> None:
        """Closed."""
        if connection.busy:
            raise Fault("a connection was lost with a request still in flight")

    def _end(self, connection: Connection, how: tuple[Any, ...]) -> None:
        self.ends += 1
        self.said.append(how)
        if connection.busy:
            raise Fault(f"{how} and still busy")


class Line(asyncio.Transport):
    """Swallows what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.open = True

    def write(self, data: Any) -> None:
        """Gone."""

    def abort(self) -> None:
        """Hung up."""
        self.open = False


def text(dice: random.Random) -> bytes:
    """An answer that may be right, nearly right, or noise."""
    if dice.random() < 0.1:
        return dice.randbytes(dice.randrange(80))
    headers = dice.sample(HEADERS, dice.randrange(4))
    if dice.random() < 0.5:
        headers, body = [*headers[:1], b"content-length: 2"], b"ok"
    else:
        body = dice.choice(BODIES)
    end = dice.choice((b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n"))
    found = end.join([dice.choice(LINES) if dice.random() < 0.6 else LINES[0], *headers]) + end + end + body
    if dice.random() < 0.2:
        found = b"HTTP/1.1 103 Hints\r\nlink: a\r\n\r\n" + found
    if dice.random() < 0.1:
        found += text(dice)
    return mutated(dice, found) if dice.random() < 0.3 else found


def mutated(dice: random.Random, whole: bytes) -> bytes:
    """With a few bytes changed, doubled, or left out."""
    found = bytearray(whole)
    for _ in range(dice.randrange(1, 4)):
        at = dice.randrange(len(found) + 1)
        how = dice.randrange(3)
        if how == 0:
            found[at : at + 1] = dice.randbytes(1)
        elif how == 1:
            del found[at : at + dice.randrange(1, 9)]
        else:
            found[at:at] = found[at : at + dice.randrange(1, 40)]
    return bytes(found)


def cut(dice: random.Random, whole: bytes) -> list[bytes]:
    """In pieces, none of them empty."""
    how = dice.random()
    if how < 0.5:
        places: list[int] = []
    elif how < 0.6:
        places = list(range(1, len(whole)))
    else:
        places = sorted(dice.randrange(len(whole) + 1) for _ in range(dice.randrange(1, 5)))
    return [part for a, b in zip([0, *places], [*places, len(whole)], strict=True) if (part := whole[a:b])]


Turn = tuple[list[bytes], bool, bool, bool]
"""Pieces of an answer; whether it is to HEAD; whether it is looked into; whether the server closes after it."""


def conversation(dice: random.Random) -> list[Turn]:
    """A few turns on one connection after another; an answer may come again, so that its head is known."""
    answers = [text(dice) for _ in range(dice.randrange(1, 4))]
    return [
        (cut(dice, dice.choice(answers)), dice.random() < 0.15, dice.random() < 0.4, dice.random() < 0.3)
        for _ in range(dice.randrange(1, 7))
    ]


def held(turns: list[Turn], heads: Heads, kind: type[Connection]) -> list[tuple[Any, ...]]:
    """What an engine is told of a conversation; each request must have ended once before the next."""
    ledger = Ledger(heads)
    connection, line = connected(ledger, kind)
    for number, (pieces, head_only, looks, closes) in enumerate(turns, start=1):
        if not line.open:
            connection.connection_lost(None)
            connection, line = connected(ledger, kind)
        connection.head_only = head_only
        connection.visit = cast(Any, object()) if looks else None
        connection.send(0, REQUEST, 0, 0)
        for piece in pieces:
            if line.open:
                connection.data_received(piece)
        if line.open and (closes or connection.busy):
            line.open = False
            connection.connection_lost(None)
            connection, line = connected(ledger, kind)
        if ledger.ends != number:
            raise Fault(f"{number} requests and {ledger.ends} ends")
    return ledger.said


def connected(ledger: Ledger, kind: type[Connection]) -> tuple[Connection, Line]:
    """A new connection over a line that swallows."""
    connection, line = kind(cast(Any, ledger), 0, MOST_BODY, MOST_HEAD), Line()
    connection.connection_made(line)
    return connection, line


def fuzz_connection(dice: random.Random, remembered: Heads) -> Counter[str]:
    """One conversation, with memory and without."""
    turns = conversation(dice)
    kind = dice.choice((Connection, TimedConnection))
    remembered.renew()
    forgetful = Heads()
    forgetful._left = -(10**9)  # it learns nothing
    told, parsed = held(turns, remembered, kind), held(turns, forgetful, kind)
    if told != parsed:
        raise Fault(f"with memory {told}, parsed {parsed}, of {turns}")
    return Counter("good" if each[0] == "answered" else "failed" for each in told if each[0] in {"answered", "failed"})


class Party:
    """What would speak through TLS, if a handshake were ever done."""

    busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Never."""
        raise Fault("a handshake was done with a server that has no key")

    def data_received(self, data: bytes) -> None:
        """Never."""
        raise Fault("data before a handshake")

    def connection_lost(self, exc: Exception | None) -> None:
        """Never."""
        raise Fault("told of the end of what had not begun")

    def fail(self, kind: FailureKind, message: str = "") -> None:
        """Never."""
        raise Fault("a request in flight before a handshake")


def fuzz_handshake(dice: random.Random, client: tls.Client) -> Counter[str]:
    """A server's bytes, in records that look like TLS or don't: the handshake ends as failed, and once."""
    layer = client.layer(Party())
    line = Line()
    layer.connection_made(line)
    body = dice.randbytes(dice.randrange(60))
    record = bytes([dice.choice((20, 21, 22, 23, 24)), 3, dice.choice((1, 3, 4))]) + len(body).to_bytes(2, "big") + body
    for piece in cut(dice, mutated(dice, record) if dice.random() < 0.5 else record):
        if line.open:
            layer.data_received(piece)
    layer.connection_lost(None)
    error = layer.established.exception() if layer.established.done() else None
    if error is None:
        raise Fault("a handshake without an end")
    return Counter({"failed": 1})


async def fuzz(seconds: float, seed: int) -> dict[str, Counter[str]]:
    """
    Until the time is over.

    Args:
        seconds: how long.
        seed: of the first conversation; each one after it has the next number.

    Returns:
        How many conversations, and how many requests ended as good and as failed, by target.

    Raises:
        Fault: a promise was not kept; the seed of the conversation is told.
    """
    until, remembered, client = monotonic() + seconds, Heads(), tls.Client(Wire(), "a.test")
    counts: dict[str, Counter[str]] = {name: Counter() for name in TARGETS}
    while monotonic() < until:
        dice = random.Random(seed)
        name = TARGETS[seed % len(TARGETS)]
        faulthandler.dump_traceback_later(HANGS_S, exit=True)
        try:
            if name == "http2":
                ends = await fuzz_http2.fuzz_session(dice)
            else:
                ends = fuzz_handshake(dice, client) if name == "handshake" else fuzz_connection(dice, remembered)
        except Exception as error:
            raise Fault(f"{name}, seed {seed}: {type(error).__name__}: {error}") from error
        finally:
            faulthandler.cancel_dump_traceback_later()
        counts[name] += ends + Counter({"conversations": 1})
        seed += 1
    return counts


async def fuzz_real(seconds: float, seed: int) -> dict[str, Counter[str]]:
    """
    The same over real sockets, with an engine.

    Raises:
        Fault: a request did not end once; what comes when is the kernel's to say, so a seed may not show it again.
    """
    until = monotonic() + seconds
    counts: dict[str, Counter[str]] = {"http/1.1 sockets": Counter(), "http/2 sockets": Counter()}
    said = {
        "http/1.1 sockets": lambda dice: cut(dice, text(dice)),
        "http/2 sockets": lambda dice: fuzz_http2.cut(dice, fuzz_http2.some_frames(dice)),
    }
    while monotonic() < until:
        for name, say in said.items():
            seed += 1
            try:
                ends = await fuzz_sockets.fuzz_sockets(seed, say, http2="2" in name)
            except fuzz_sockets.Unended as error:
                raise Fault(f"{name}, seed {seed}: {error}") from error
            counts[name] += ends + Counter({"conversations": 1})
    return counts


def main() -> int:
    """Print the counts; 1 at the first fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sockets", action="store_true")
    options = parser.parse_args()
    try:
        counts = asyncio.run((fuzz_real if options.sockets else fuzz)(options.seconds, options.seed))
    except Fault as fault:
        print(f"fuzz: {fault}", file=sys.stderr)
        return 1
    for name, found in counts.items():
        print(f"fuzz: {name}: " + ", ".join(f"{number:,} {what}" for what, number in sorted(found.items())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
