"""
The HTTP/2 part of `scripts/fuzz.py`: a session and its lanes meet frames that are right, nearly right, or noise.

Each request that an engine sends on a lane must end exactly once, whatever comes.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import TYPE_CHECKING, Any, cast

from headway.load import frames
from headway.load.http2 import Session
from headway.load.lanes import Http2Dialer, Lane
from headway.model import FailureKind, Wire

if TYPE_CHECKING:
    pass

REQUEST = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
UPLOAD = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n" + b"x" * 100_000
WIRE = Wire(http2=True, max_body_bytes=4096, max_head_bytes=1024, streams=8)
BLOCKS = (
    b"\x88", b"\x89", b"\x8d", b"\x8e", b"\x08\x03103", b"\x08\x03101", b"\x88\x5c\x012", b"\x88\x5c\x015",
    b"\x88\x40\x01x\x01y", b"\x88\xbe", b"\x20\x88", b"\x3f\xe1\x1f\x88", b"\x88\x88", b"\x08\x02ab", b"", b"\x82",
    b"\x88\x5a\x04gzip", b"\xff\xff\xff\xff\xff\xff", b"\x88\x00\x01x\x7f\x80\x08" + b"y" * 1151,
    b"\x88\x00\x81\xff\x00",
)  # fmt: skip
"""Header blocks: statuses by index and in full, lengths, table inserts and what refers to them, sizes, damage."""
GOOD = (b"\x88\x5c\x012", b"\x88\x40\x01x\x01y", b"\x88\x5a\x03\x62\x72\x20", b"\x8d")
EARLY = frames.headers(1, b"\x08\x03103", ends=False)
KINDS = (0, 1, 1, 1, 2, 3, 3, 4, 5, 6, 7, 8, 9, 10, 200)


class Fault(Exception):
    """A promise that was not kept."""


class Office:
    """Stands where the engine stands: each lane's requests, and how they ended."""

    def __init__(self, dice: random.Random) -> None:
        self.ends: Counter[str] = Counter()
        self.begun = 0
        self.lanes: list[Lane] = []
        self._dice = dice

    def connected(self, lane: Lane) -> None:
        """A lane more."""
        self.lanes.append(lane)
        self.send(lane)

    def send(self, lane: Lane) -> None:
        """One request."""
        self.begun += 1
        lane.visit = cast(Any, object()) if self._dice.random() < 0.3 else None
        lane.head_only = self._dice.random() < 0.1
        lane.send(0, UPLOAD if self._dice.random() < 0.2 else REQUEST, 0, 0)

    def answered(self, lane: Lane, status: int, received: int) -> None:
        """Its good end."""
        self._end(lane, "good")
        if not 200 <= status <= 999 or received <= 0:
            raise Fault(f"status {status} in {received} bytes")
        if lane.visit is not None:
            try:
                lane.answer()
            except ValueError:
                self.ends["undecoded"] += 1
        if lane.spent or self._dice.random() < 0.1:
            self.lanes.remove(lane)
            lane.close()
        elif self._dice.random() < 0.7:
            self.send(lane)

    def failed(self, lane: Lane, kind: FailureKind, message: str) -> None:
        """Its bad end."""
        del kind, message
        self._end(lane, "failed")
        self.lanes.remove(lane)

    def lost(self, lane: Lane) -> None:
        """Idle, and gone."""
        if lane.busy:
            raise Fault("a lane was lost with a request in flight")
        self.lanes.remove(lane)

    def _end(self, lane: Lane, how: str) -> None:
        if lane.busy:
            raise Fault(f"{how} and still busy")
        self.ends[how] += 1


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

    def is_closing(self) -> bool:
        """Whether it was hung up."""
        return not self.open


class Alone(Http2Dialer):
    """Has no network: what a server leaves undone waits, and fails in the end."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), 1.0, cast(Any, None), None, WIRE)
        self.stranded: list[Lane] = []

    def again(self, lane: Lane) -> None:
        """Later."""
        lane.leave()
        self.stranded.append(lane)

    def forget_lane(self, lane: Lane) -> None:
        """Never mind."""
        self.stranded.remove(lane)


def some_frames(dice: random.Random) -> bytes:
    """A few frames; stream numbers are such as are open, or could be."""
    mostly_right = 0.9 if dice.random() < 0.5 else 0.4
    return b"".join(_frame(dice, mostly_right) for _ in range(dice.randrange(1, 9)))


def _frame(dice: random.Random, right: float) -> bytes:
    kind, stream = dice.choice(KINDS), dice.choice((1, 1, 1, 3, 3, 5, 7, 9, 11, 0, 2, 99))
    if dice.random() < right:  # an answer as it should be, or a frame that may come at any time
        stream = dice.choice((1, 3, 5, 7, 9, 11))
        whole = frames.headers(stream, dice.choice(GOOD), ends=False) + frames.frame(0, 1, stream, b"ok")
        return dice.choice((whole, whole, whole, frames.frame(6, 0, 0, b"12345678"), frames.settings({}), EARLY))
    flags = dice.choice((0, 1, 4, 5, 5, 4, 8, 12, 13, 0x20, 0x25, 0x2D, 255))
    if kind == frames.HEADERS:
        payload = dice.choice(BLOCKS)
    elif kind == frames.SETTINGS:
        pairs = [
            (dice.randrange(8), dice.choice((0, 1, 100, 70_000, 2**31, 2**32 - 1))) for _ in range(dice.randrange(3))
        ]
        return (
            frames.settings(dict(pairs)) if dice.random() < 0.8 else frames.frame(4, flags, stream, dice.randbytes(5))
        )
    elif kind == frames.GOAWAY:
        payload = frames.word(dice.choice((0, 1, 3, 2**31 - 1))) + frames.word(dice.choice((0, 0, 2, 11, 99)))
        stream = 0 if dice.random() < 0.9 else stream
    elif kind in {frames.WINDOW_UPDATE, frames.RST_STREAM}:
        payload = frames.word(dice.choice((0, 1, 7, 50_000, 2**31 - 1)))
    else:
        payload = dice.randbytes(dice.choice((0, 1, 2, 8, 8, 300, 5000)))
    return frames.frame(kind, flags, stream, payload)


def mutated(dice: random.Random, whole: bytes) -> bytes:
    """With a byte changed, a piece left out, or a piece doubled."""
    found, at = bytearray(whole), dice.randrange(len(whole) + 1)
    how = dice.randrange(3)
    if how == 0:
        found[at : at + 1] = dice.randbytes(1)
    elif how == 1:
        del found[at : at + dice.randrange(1, 12)]
    else:
        found[at:at] = found[at : at + dice.randrange(1, 40)]
    return bytes(found)


def cut(dice: random.Random, whole: bytes) -> list[bytes]:
    """In pieces, none of them empty."""
    places = sorted(dice.randrange(len(whole) + 1) for _ in range(dice.choice((0, 0, 1, 4))))
    return [part for a, b in zip([0, *places], [*places, len(whole)], strict=True) if (part := whole[a:b])]


async def fuzz_session(dice: random.Random) -> Counter[str]:
    """
    One connection with a few lanes.

    Raises:
        Fault: a request ended twice or never.
    """
    dialer, office, line = Alone(), Office(dice), Line()
    session = Session(dialer, 8, WIRE.max_body_bytes, WIRE.max_head_bytes, timed=dice.random() < 0.3)
    session.connection_made(line)
    dialer._sessions.append(session)
    if dice.random() < 0.95:
        session.data_received(frames.settings({frames.MAX_CONCURRENT_STREAMS: dice.choice((1, 8, 100))}))
    for _ in range(dice.randrange(1, 6)):
        if line.open and session.room > 0:
            lane = Lane(cast("Any", office), dialer, 0)
            lane.join(session)
            lane.ready()
    for _ in range(dice.randrange(1, 6)):
        text = some_frames(dice)
        for piece in cut(dice, mutated(dice, text) if dice.random() < 0.4 else text):
            if line.open:
                session.data_received(piece)
        for lane in [each for each in office.lanes if each.busy and dice.random() < 0.05]:
            lane.fail(FailureKind.TIMEOUT, "")
    line.open = False
    session.connection_lost(None)
    for lane in dialer.stranded:
        lane.ended(FailureKind.RESET, "")
    ended = office.ends["good"] + office.ends["failed"]
    if ended != office.begun or any(each.busy for each in office.lanes):
        raise Fault(f"{office.begun} requests and {ended} ends")
    return office.ends
