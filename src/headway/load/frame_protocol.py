"""Frames of HTTP/2 out of what a socket gives, header blocks put together; and frames into it."""

from __future__ import annotations

import asyncio
from abc import abstractmethod

from headway.load import frames
from headway.load.frames import Broken
from headway.model import FailureKind


class FrameProtocol(asyncio.Protocol):
    """
    One end of a connection. What a server must not send ends it.

    Args:
        most_head_bytes: of an answer.
    """

    def __init__(self, most_head_bytes: int) -> None:
        self._transport: asyncio.Transport | None = None
        self._most_head_bytes = most_head_bytes
        self._rest = b""
        self._out: list[bytes] | None = None  # while what came is being read
        self._block: tuple[int, int, bytes] | None = None  # stream, flags and what came of a block in several frames

    def data_received(self, data: bytes) -> None:
        """Read the frames that are whole; what they make us say goes out together."""
        self._out = []
        try:
            self._read(self._rest + data if self._rest else data)
        except Broken as broken:
            self._out = None
            self._write(frames.frame(frames.GOAWAY, 0, 0, frames.word(0) + frames.word(broken.code)))
            self.fail(broken.kind, str(broken))
            return
        out, self._out = self._out, None
        if out:
            self._write(b"".join(out))

    def _write(self, data: bytes) -> None:
        if self._out is not None:
            self._out.append(data)
        elif self._transport is not None:
            self._transport.write(data)

    def _read(self, data: bytes) -> None:
        at, end, unpack = 0, len(data), frames.HEAD.unpack_from
        self._recognise(data)
        while end - at >= 9:
            high, low, kind, flags, stream = unpack(data, at)
            length = high << 8 | low
            if length > frames.LARGEST_FRAME:
                raise Broken(frames.FRAME_SIZE_ERROR, f"a frame of {length:,} bytes")
            start, at_next = at + 9, at + 9 + length
            if at_next > end:
                break
            at = at_next
            if self._block is not None and kind != frames.CONTINUATION:
                raise Broken(frames.PROTOCOL_ERROR, "a header block is interrupted")
            if kind == frames.DATA:
                self._data(stream & frames.LARGEST_WINDOW, flags, data, start, at)
            elif kind == frames.HEADERS:
                self._headers(stream & frames.LARGEST_WINDOW, flags, data[start:at])
            elif kind == frames.CONTINUATION:
                self._continue(flags, stream & frames.LARGEST_WINDOW, data[start:at])
            else:
                self._rare(kind, flags, stream & frames.LARGEST_WINDOW, data[start:at])
            if self.over:
                return  # closed by what this frame led to
        self._rest = data[at:]

    def _headers(self, stream: int, flags: int, payload: bytes) -> None:
        if not flags & frames.END_HEADERS or flags & (frames.PADDED | frames.PRIORITISED):
            payload = frames.unpadded(flags, payload, frames.PRIORITISED)
            if not flags & frames.END_HEADERS:
                self._block = (stream, flags, payload)
                return
        self._whole_block(stream, flags, payload)

    def _continue(self, flags: int, stream: int, payload: bytes) -> None:
        if self._block is None or self._block[0] != stream:
            raise Broken(frames.PROTOCOL_ERROR, "a header block continues that did not begin")
        _, first_flags, block = self._block
        block += payload
        if len(block) > 2 * self._most_head_bytes + frames.LARGEST_FRAME:
            raise Broken(
                frames.COMPRESSION_ERROR, f"headers of more than {self._most_head_bytes:,} bytes", FailureKind.TOO_LARGE
            )
        self._block = (stream, first_flags, block)
        if flags & frames.END_HEADERS:
            self._block = None
            self._whole_block(stream, first_flags, block)

    # -- a session's own ------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def over(self) -> bool:
        """Whether what comes is of no interest any more."""

    @abstractmethod
    def _recognise(self, data: bytes) -> None:
        """
        What has not been read yet of a connection.

        Raises:
            Broken: it does not begin as HTTP/2 does.
        """

    @abstractmethod
    def _whole_block(self, stream: int, flags: int, block: bytes) -> None:
        """Headers, with the flags of their first frame."""

    @abstractmethod
    def _data(self, stream: int, flags: int, data: bytes, start: int, end: int) -> None:
        """A piece of a body: data[start:end], padding included."""

    @abstractmethod
    def _rare(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        """Any other frame."""

    @abstractmethod
    def fail(self, kind: FailureKind, message: str = "") -> None:
        """The connection is over."""
