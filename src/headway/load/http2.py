"""
One HTTP/2 connection: frames in and out, and the streams on it. The hot path of HTTP/2.

Whatever breaks the rules of the connection fails every request on it; what breaks those of a stream, that request
alone. Source: RFC 9113.
"""

from __future__ import annotations

import asyncio
from time import monotonic_ns
from typing import TYPE_CHECKING, cast

from headway.load import frames
from headway.load.answer_blocks import Blocks
from headway.load.frame_protocol import FrameProtocol
from headway.load.frames import Broken
from headway.load.uploads import Uploads
from headway.model import FailureKind

if TYPE_CHECKING:
    from headway.load.lanes import Http2Dialer, Lane

WINDOW = 1 << 30
"""What a stream, and the connection, may send before it must wait for us: more than any answer that is taken whole."""
_BODILESS = frozenset({204, 304})


class Session(FrameProtocol):
    """
    One connection. `settled` is done when the server's settings have come, or has what went wrong.

    Args:
        dialer: whose connection it is; takes requests that the server leaves undone.
        streams: requests at once, at most, if the server allows as many.
        most_body_bytes, most_head_bytes: of an answer.
        timed: whether the first byte of an answer has its moment.
    """

    def __init__(
        self, dialer: Http2Dialer, streams: int, most_body_bytes: int, most_head_bytes: int, *, timed: bool
    ) -> None:
        super().__init__(most_head_bytes)
        self._dialer = dialer
        self._most_body_bytes = most_body_bytes
        self._timed = timed
        self._wanted = streams
        self.limit = streams
        self.settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lanes: set[Lane] = set()
        self.going = False  # no further request goes out on it
        self._streams: dict[int, Lane] = {}
        self._next = 1
        self._begun = False  # a header block has gone out
        self._blocks = Blocks(most_head_bytes)
        self._owed = 0  # bytes taken since the connection's window was last widened
        self._uploads = Uploads(self._write)

    # -- lanes and the dialer call these -------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether a request is in flight."""
        return bool(self._streams)

    @property
    def over(self) -> bool:
        """Whether nobody waits for what comes."""
        return self.going and not self.lanes

    @property
    def room(self) -> int:
        """Lanes that can be added."""
        return 0 if self.going else self.limit - len(self.lanes)

    def request(self, lane: Lane, block: bytes, body: bytes) -> None:
        """Put one request on the wire."""
        stream = lane.stream = self._next
        self._next += 2
        if self._next >= frames.LARGEST_WINDOW:
            self.going = True  # the numbers are used up
        self._streams[stream] = lane
        if not self._begun:
            self._begun = True
            block = frames.RequestBlocks.first + block
        self._write(frames.headers(stream, block, ends=not body))
        if body:
            self._uploads.begin(lane, body)

    def cancel(self, lane: Lane) -> None:
        """Nobody waits for this answer any more, nor trusts the connection with another request."""
        if self._streams.pop(lane.stream, None) is not None:
            self._write(frames.frame(frames.RST_STREAM, 0, lane.stream, frames.word(frames.CANCEL)))
        self.leave(lane)

    def leave(self, lane: Lane) -> None:
        """The lane is no more; the last one closes the connection when it is of no further use."""
        self.lanes.discard(lane)
        self._uploads.forget(lane)
        if not self.lanes and (self.going or not self._dialer.keeps(self)):
            self.close()

    def retire(self) -> None:
        """No further request goes out on it; idle lanes are told."""
        self.going = True
        for lane in [each for each in self.lanes if not each.busy]:
            self.lanes.discard(lane)
            lane.lost()
        if not self.lanes:
            self.close()

    def close(self) -> None:
        """Close at once, with a word."""
        if self._transport is not None and not self._transport.is_closing():
            self._out = None
            self._write(frames.frame(frames.GOAWAY, 0, 0, frames.word(0) + frames.word(frames.NO_ERROR)))
            self._transport.abort()
        self._dialer.forget(self)
        self.going = True

    def fail(self, kind: FailureKind, message: str = "") -> None:
        """Every request in flight gets no good answer; the connection is over."""
        self.going = True
        self._dialer.forget(self)
        if self._transport is not None:
            self._transport.abort()
        self._unsettle(Broken(frames.PROTOCOL_ERROR, message, kind))
        streams, self._streams = list(self._streams.values()), {}
        self.retire()
        for lane in streams:
            self.lanes.discard(lane)
            lane.ended(kind, message)

    # -- asyncio calls these --------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say how we speak."""
        self._transport = cast(asyncio.Transport, transport)
        self._write(
            frames.PREFACE
            + frames.settings({
                frames.ENABLE_PUSH: 0, frames.INITIAL_WINDOW_SIZE: WINDOW,
                frames.MAX_HEADERS: min(self._most_head_bytes, frames.LARGEST_WINDOW),
            })
            + frames.frame(frames.WINDOW_UPDATE, 0, 0, frames.word(WINDOW - frames.FIRST_WINDOW))
        )  # fmt: skip

    def connection_lost(self, exc: Exception | None) -> None:
        """What is in flight failed."""
        del exc
        self._unsettle(ConnectionResetError("closed by the server before its settings came"))
        self.fail(FailureKind.RESET, "closed by the server before the answer was whole")

    # -- inside ---------------------------------------------------------------------------------------------

    def _unsettle(self, error: Exception) -> None:
        if not self.settled.done():
            self.settled.set_exception(error)
            self.settled.exception()  # the dialer may have given up before

    def _recognise(self, data: bytes) -> None:
        if self.settled.done():
            return
        if data.startswith(b"HTTP/1"):
            raise Broken(frames.PROTOCOL_ERROR, f"the server speaks HTTP/1 alone: it began with {data[:40]!r}")
        if len(data) >= 9 and data[3:9] != bytes([frames.SETTINGS, 0, 0, 0, 0, 0]):
            raise Broken(frames.PROTOCOL_ERROR, f"the server does not speak HTTP/2: it began with {data[:40]!r}")

    def _whole_block(self, stream: int, flags: int, block: bytes) -> None:
        lane = self._streams.get(stream)
        if lane is None and (not stream % 2 or stream >= self._next):
            raise Broken(frames.PROTOCOL_ERROR, f"headers on stream {stream}, which nobody opened")
        looked_into = lane is not None and (lane.visit is not None or lane.status)
        known = None if looked_into else self._blocks.recall(block)
        if known is None:
            headers, known = self._blocks.read(block)
            if lane is None:
                return  # given up, but the table had to hear of it
            if lane.status:  # trailers
                if not flags & frames.END_STREAM:
                    self._refuse(lane, "headers in the middle of a body")
                    return
                lane.received += len(block) + 9
                self._finish(lane)
                return
            if known is None:
                self._refuse(lane, "an answer without a status")
                return
            if lane.visit is not None:
                lane.headers = tuple(each for each in headers if not each[0].startswith(b":"))
        elif lane is None:
            return
        lane.received += len(block) + 9
        if self._timed and not lane.first_byte_ns:
            lane.first_byte_ns = monotonic_ns()
        status, length = known
        if status < 200:
            if status == 101 or flags & frames.END_STREAM:
                self._refuse(lane, f"status {status}, which HTTP/2 has not or cannot end with")
            return
        lane.status, lane.length = status, length
        if flags & frames.END_STREAM:
            self._finish(lane)

    def _data(self, stream: int, flags: int, data: bytes, start: int, end: int) -> None:
        size = end - start
        self._owed += size
        if self._owed >= WINDOW >> 1:
            self._write(frames.frame(frames.WINDOW_UPDATE, 0, 0, frames.word(self._owed)))
            self._owed = 0
        lane = self._streams.get(stream)
        if lane is None:
            if not stream % 2 or stream >= self._next:
                raise Broken(frames.PROTOCOL_ERROR, f"data on stream {stream}, which nobody opened")
            return  # of an answer that was given up
        if not lane.status:
            self._refuse(lane, "a body before its headers")
            return
        lane.received += size + 9
        if flags & frames.PADDED:
            payload = frames.unpadded(flags, data[start:end], 0)
            size = len(payload)
            if lane.visit is not None:
                lane.body.append(payload)
        elif lane.visit is not None:
            lane.body.append(data[start:end])
        lane.size += size
        if flags & frames.END_STREAM:
            self._finish(lane)
        elif lane.size > self._most_body_bytes:
            self._reset(lane, frames.CANCEL, FailureKind.TOO_LARGE, f"more than {self._most_body_bytes:,} bytes")
        elif lane.size - lane.widened >= WINDOW >> 1:
            self._write(frames.frame(frames.WINDOW_UPDATE, 0, stream, frames.word(lane.size - lane.widened)))
            lane.widened = lane.size

    def _finish(self, lane: Lane) -> None:
        """The answer is whole, if it is as long as it said."""
        if lane.length not in {None, lane.size} and not lane.head_only and lane.status not in _BODILESS:
            self._refuse(lane, f"content-length says {lane.length:,} bytes, and {lane.size:,} came")
            return
        del self._streams[lane.stream]
        if lane.unsent:  # it was answered before it was heard out
            self._write(frames.frame(frames.RST_STREAM, 0, lane.stream, frames.word(frames.CANCEL)))
            self._uploads.forget(lane)
        lane.finished(spent=self.going or len(self.lanes) > self.limit)

    def _refuse(self, lane: Lane, message: str) -> None:
        self._reset(lane, frames.PROTOCOL_ERROR, FailureKind.PROTOCOL, message)

    def _reset(self, lane: Lane, code: int, kind: FailureKind, message: str) -> None:
        self._write(frames.frame(frames.RST_STREAM, 0, lane.stream, frames.word(code)))
        self._drop(lane, kind, message)

    def _drop(self, lane: Lane, kind: FailureKind, message: str) -> None:
        """This request alone failed."""
        self._streams.pop(lane.stream, None)
        self.leave(lane)
        lane.ended(kind, message)

    def _rare(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == frames.SETTINGS:
            self._settings(flags, stream, payload)
        elif kind == frames.WINDOW_UPDATE:
            self._widen(stream, payload)
        elif kind == frames.PING:
            if len(payload) != 8 or stream:
                raise Broken(frames.FRAME_SIZE_ERROR, "a damaged ping")
            if not flags & frames.ACK:
                self._write(frames.frame(frames.PING, frames.ACK, 0, payload))
        elif kind == frames.RST_STREAM:
            self._was_reset(stream, payload)
        elif kind == frames.GOAWAY:
            self._go_away(stream, payload)
        elif kind == frames.PUSH_PROMISE:
            raise Broken(frames.PROTOCOL_ERROR, "a push, which was ruled out")

    def _settings(self, flags: int, stream: int, payload: bytes) -> None:
        if stream or len(payload) % 6 or (flags & frames.ACK and payload):
            raise Broken(frames.FRAME_SIZE_ERROR, "damaged settings")
        if flags & frames.ACK:
            return
        for name, value in frames.read_settings(payload):
            if name == frames.MAX_CONCURRENT_STREAMS:
                self.limit = min(self._wanted, value)
            elif name == frames.INITIAL_WINDOW_SIZE:
                self._uploads.resize(value)
        self._write(frames.frame(frames.SETTINGS, frames.ACK, 0))
        if not self.settled.done():
            self.settled.set_result(None)

    def _widen(self, stream: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise Broken(frames.FRAME_SIZE_ERROR, "a damaged window update")
        more = frames.read_word(payload) & frames.LARGEST_WINDOW
        if not more and not stream:
            raise Broken(frames.PROTOCOL_ERROR, "a window widened by nothing")
        lane = self._streams.get(stream)
        if lane is not None or not stream:
            self._uploads.widen(lane, more)

    def _was_reset(self, stream: int, payload: bytes) -> None:
        if len(payload) != 4 or not stream:
            raise Broken(frames.FRAME_SIZE_ERROR, "a damaged reset")
        lane = self._streams.get(stream)
        if lane is not None:
            name = frames.error_name(frames.read_word(payload))
            self._drop(lane, FailureKind.RESET, f"the server reset the stream: {name}")
        elif not stream % 2 or stream >= self._next:
            raise Broken(frames.PROTOCOL_ERROR, f"a reset of stream {stream}, which nobody opened")

    def _go_away(self, stream: int, payload: bytes) -> None:
        """What the server has not begun is asked again elsewhere, when it leaves in peace; the rest is awaited."""
        if len(payload) < 8 or stream:
            raise Broken(frames.FRAME_SIZE_ERROR, "a damaged goodbye")
        last, code = frames.read_word(payload) & frames.LARGEST_WINDOW, frames.read_word(payload, 4)
        undone = [self._streams.pop(each) for each in sorted(self._streams) if each > last]
        self.retire()
        for lane in undone:
            self.lanes.discard(lane)
            self._uploads.forget(lane)
            if code == frames.NO_ERROR and lane.retries < self._dialer.most_retries:
                self._dialer.again(lane)
            else:
                lane.ended(FailureKind.RESET, f"the server went away: {frames.error_name(code)}")
        if not self.lanes:
            self.close()
