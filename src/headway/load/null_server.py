"""
The service that does nothing: every request gets the same few bytes at once. What the generator reaches against it is
the generator's own limit, and its latency against it the generator's own floor.

It answers one head with one answer and reads no bodies: it is for Headway's own requests, which are never pipelined.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from typing import TYPE_CHECKING, cast

from headway.load.worker import NICENESS

if TYPE_CHECKING:
    from multiprocessing.connection import Connection as Pipe

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: text/plain\r\n\r\nok"
HEAD_END = b"\r\n\r\n"


class NullProtocol(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready to answer."""
        self._write = cast(asyncio.Transport, transport).write

    def data_received(self, data: bytes) -> None:
        """An answer for each head that has come whole; the usual request is one read."""
        if not self._rest and data.endswith(HEAD_END):
            self._write(ANSWER)
            return
        *heads, self._rest = (self._rest + data).split(HEAD_END)
        if heads:
            self._write(ANSWER * len(heads))


def main(pipe: Pipe, port: int) -> None:
    """
    The process: listens on 127.0.0.1 (port 0: any), says which port, and ends when the pipe does.

    Several share a port, and the kernel shares the connections out among them.
    """
    import uvloop

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(PermissionError):  # as the workers do: it is the generator that is to be measured
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(pipe, port))


async def _serve(pipe: Pipe, port: int) -> None:
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    with socket.create_server(("127.0.0.1", port), reuse_port=True, backlog=1024) as listening:
        await loop.create_server(NullProtocol, sock=listening)
        loop.add_reader(pipe.fileno(), over.set)
        pipe.send(listening.getsockname()[1])
        await over.wait()
