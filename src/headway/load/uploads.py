"""Bodies of HTTP/2 requests: as much as the server's windows let through, the rest when it widens them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headway.load import frames
from headway.load.frames import Broken

if TYPE_CHECKING:
    from collections.abc import Callable

    from headway.load.lanes import Lane


class Uploads:
    """
    What one connection has still to send.

    Args:
        write: puts frames on the wire.
    """

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._window = frames.FIRST_WINDOW
        self._first_window = frames.FIRST_WINDOW
        self._waiting: list[Lane] = []

    def begin(self, lane: Lane, body: bytes) -> None:
        """Send a body after its headers."""
        lane.unsent, lane.window = body, self._first_window
        self._send(lane)

    def forget(self, lane: Lane) -> None:
        """What is left of its body is not sent."""
        lane.unsent = b""
        if lane in self._waiting:
            self._waiting.remove(lane)

    def widen(self, lane: Lane | None, more: int) -> None:
        """
        The window of a stream, or of the connection (None), has grown.

        Raises:
            Broken: the connection's is larger than any window can be.
        """
        if lane is not None:
            lane.window += more
        else:
            self._window += more
            if self._window > frames.LARGEST_WINDOW:
                raise Broken(frames.FLOW_CONTROL_ERROR, "a window of more than 2^31-1 bytes")
        self._go_on()

    def resize(self, first_window: int) -> None:
        """
        Streams begin with another window from now on, and those that are there are changed by as much.

        Raises:
            Broken: no window can be so large.
        """
        if first_window > frames.LARGEST_WINDOW:
            raise Broken(frames.FLOW_CONTROL_ERROR, "a window of more than 2^31-1 bytes")
        for lane in self._waiting:
            lane.window += first_window - self._first_window
        self._first_window = first_window
        self._go_on()

    def _go_on(self) -> None:
        for lane in self._waiting[:]:
            self._send(lane)

    def _send(self, lane: Lane) -> None:
        while lane.unsent:
            size = min(len(lane.unsent), lane.window, self._window, frames.LARGEST_FRAME)
            if size <= 0:
                if lane not in self._waiting:
                    self._waiting.append(lane)
                return
            piece, lane.unsent = lane.unsent[:size], lane.unsent[size:]
            lane.window -= size
            self._window -= size
            self._write(frames.frame(frames.DATA, 0 if lane.unsent else frames.END_STREAM, lane.stream, piece))
        if lane in self._waiting:
            self._waiting.remove(lane)
