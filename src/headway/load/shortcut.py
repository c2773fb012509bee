"""
The hot path written out: what nearly every request does, in two functions a connection instead of six.

Bytes came on a clear-text socket, they are an answer whose head is known, whole and good, to a single request: count
it, and let the engine go on. Whatever is not so goes the long way, which alone says what is right: `PlainTransport`,
`Connection.data_received`, `Engine.answered`. Held to it by `tests/unit/test_load_shortcut.py`.
"""

from __future__ import annotations

import select
from time import monotonic_ns
from typing import TYPE_CHECKING

from headway.load.recorder import FULL, HIT

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from headway.load.connection import Connection
    from headway.load.engine import Engine
    from headway.load.plain import PlainTransport
    from headway.load.recorder import Recorder

_IN = select.EPOLLIN


def reader(
    engine: Engine, connection: Connection, transport: PlainTransport, sock: socket.socket, buffer: bytearray,
    recorder: Recorder, good: Sequence[frozenset[int]],
) -> Callable[[int], None]:  # fmt: skip
    """
    What serves the connection when its socket is ready, with the events that have come about.

    Args:
        engine, connection, transport: whose answers these are, and who does what is not usual.
        sock, buffer: read from, into.
        recorder: where good answers are counted.
        good: by route, the statuses of good answers.
    """
    recv_into, heads, pack, size_of_hit = sock.recv_into, engine.heads, HIT.pack_into, HIT.size
    begins = buffer.startswith
    freed, ready = engine.freed, transport.ready

    def serve(events: int) -> None:
        if events != _IN:
            ready(events)
            return
        try:
            size = recv_into(buffer)
        except OSError as error:
            transport.unread(error)
            return
        if (
            size == heads.last_bytes
            and begins(heads.last)
            and connection.busy
            and not connection.received
            and connection.visit is None
            and not connection.head_only
            and (intended_ns := connection.intended_ns) >= engine.measure_from_ns
            and heads.last_status in good[route := connection.route]
        ):
            connection.busy = False
            now_ns = connection.free_ns = monotonic_ns()
            held = recorder.held
            pack(
                recorder.hits, held, route, now_ns - intended_ns, now_ns - connection.sent_ns, heads.last_status, size
            )  # fmt: skip
            recorder.held = held = held + size_of_hit
            if held >= FULL:
                recorder.fold()
            freed(connection, now_ns)
        else:
            transport.got(size)

    return serve


def sender(
    connection: Connection, transport: PlainTransport, sock: socket.socket
) -> Callable[[int, bytes, int, int], None]:
    """`Connection.send` and `PlainTransport.write` in one: puts a request on the wire."""
    put, write = sock.send, transport.write

    def send(route: int, request: bytes, intended_ns: int, now_ns: int) -> None:
        connection.busy = True
        connection.route = route
        connection.intended_ns = intended_ns
        connection.sent_ns = now_ns
        if transport.unsent:
            write(request)
            return
        try:
            sent = put(request)
        except OSError:
            write(request)  # it meets the same, and knows what to do
            return
        if sent != len(request):
            transport.rest(request[sent:])

    return send
