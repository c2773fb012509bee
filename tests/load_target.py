"""HTTP servers with one behaviour each, in a thread of their own: what a service under load may do."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

Answer = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]
"""Gets a request's head and writes what it likes; closing the writer ends the connection."""


class Target:
    """A running server: its URL, the heads of what it was asked, and a way to end it early."""

    def __init__(self, answer: Answer, port: int = 0) -> None:
        self.asked: list[bytes] = []
        self.connections = 0
        self.url = ""
        self._answer = answer
        self._port = port
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._listening = threading.Event()
        self._over = asyncio.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve()), daemon=True)
        self._thread.start()
        if not self._listening.wait(10):
            raise RuntimeError("the target did not start")

    def end(self) -> None:
        """Refuse connections from now on, and reset those that are open."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._over.set)
            self._thread.join(10)
            self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connection, "127.0.0.1", self._port, backlog=512)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._listening.set()
        await self._over.wait()
        server.close()
        for writer in self._writers:
            writer.transport.abort()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self.connections += 1
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                self.asked.append(head)
                await self._answer(head, writer)
                await writer.drain()
        self._writers.discard(writer)
        writer.transport.abort() if self._over.is_set() else writer.close()


@contextmanager
def target(answer: Answer) -> Iterator[Target]:
    """A server that is gone when the block ends."""
    running = Target(answer)
    try:
        yield running
    finally:
        running.end()


def says(text: bytes, *, then: str = "keep", wait_s: float = 0.0) -> Answer:
    """Always the same bytes; `then` keep, close or reset the connection."""

    async def answer(_head: bytes, writer: asyncio.StreamWriter) -> None:
        if wait_s:
            await asyncio.sleep(wait_s)
        writer.write(text)
        if then == "close":
            await writer.drain()
            writer.close()
        elif then == "reset":
            await writer.drain()
            writer.transport.abort()

    return answer


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
