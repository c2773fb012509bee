"""An HTTP/2 server with one behaviour, made with h2: another implementation than the one under test."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

if TYPE_CHECKING:
    from collections.abc import Iterator

Peer = h2.connection.H2Connection
Act = Callable[[Peer, int], bytes | None]
"""Answers the request on a stream; what it returns goes out after that as it is, b"" closes the connection."""


class Served:
    """A running server: its URL, its connections, the headers and body sizes it was sent."""

    def __init__(self, act: Act, settings: dict[int, int]) -> None:
        self.url = ""
        self.connections = 0
        self.asked: list[list[tuple[bytes, bytes]]] = []
        self.bodies: Counter[tuple[int, int]] = Counter()  # by connection and stream
        self.complaints: list[str] = []
        self._act = act
        self._settings = settings
        self._loop = asyncio.new_event_loop()
        self._listening, self._over = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve()), daemon=True)
        self._thread.start()
        if not self._listening.wait(10):
            raise RuntimeError("the target did not start")

    def end(self) -> None:
        """Gone."""
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)
        self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0, backlog=512)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._listening.set()
        await self._over.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        peer = Peer(h2.config.H2Configuration(client_side=False, header_encoding=None))
        initial = {h2.settings.SettingCodes(name): value for name, value in self._settings.items()}
        peer.local_settings = h2.settings.Settings(client=False, initial_values=initial)
        peer.initiate_connection()
        try:
            writer.write(peer.data_to_send())
            while data := await reader.read(65_536):
                for event in peer.receive_data(data):
                    self._hear(peer, event, writer)
                writer.write(peer.data_to_send())
                await writer.drain()
        except h2.exceptions.ProtocolError as error:
            self.complaints.append(str(error))
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    def _hear(self, peer: Peer, event: h2.events.Event, writer: asyncio.StreamWriter) -> None:
        if isinstance(event, h2.events.RequestReceived):
            self.asked.append(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            self.bodies[id(peer), event.stream_id] += len(event.data)
            peer.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            more = self._act(peer, event.stream_id)
            if more is not None:
                writer.write(peer.data_to_send() + more)
                if not more:
                    writer.close()


def answers(peer: Peer, stream: int) -> None:
    """200 and two bytes."""
    peer.send_headers(stream, [(":status", "200"), ("content-length", "2"), ("x-number", str(stream))])
    peer.send_data(stream, b"ok", end_stream=True)


@contextmanager
def served(act: Act = answers, settings: dict[int, int] | None = None) -> Iterator[Served]:
    """A server that is gone when the block ends; its settings by number."""
    running = Served(act, settings or {})
    try:
        yield running
    finally:
        running.end()
