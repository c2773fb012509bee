"""
The hot path written out: what nearly every request does, in one function instead of six.

Bytes came on a clear-text socket, they are an answer whose head is known, whole and good, to a single request: count
it, and let the engine go on; in a closed model, send the next. Whatever is not so goes the long way, which alone says
what is right: `PlainTransport`, `Connection.data_received`, `Engine.answered`, `ClosedEngine.freed`. Held to it by
`tests/unit/test_load_shortcut.py`.
"""

from __future__ import annotations

import select
from time import monotonic_ns
from typing import TYPE_CHECKING

from headway.load.recorder import FULL, HIT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from headway.load.connection import Connection
    from headway.load.engine import Engine
    from headway.load.recorder import Recorder
    from headway.load.starts import Shot

_IN = select.EPOLLIN


def server(
    engine: Engine, recorder: Recorder, routes: Sequence[Shot], good: Sequence[frozenset[int]], buffer: bytearray
) -> Callable[[Connection, int], None]:
    """
    What serves a connection when its socket is ready, with the events that have come about.

    Args:
        engine: whose answers these are.
        recorder: where good answers are counted.
        routes: what single requests are.
        good: by route, the statuses of good answers.
        buffer: what one read brings; the next overwrites it.
    """
    heads, freed, begins = engine.heads, engine.freed, buffer.startswith
    pack, size_of_hit = HIT.pack_into, HIT.size
    shots, singles = [(each.render, each.head_only) for each in routes], len(routes)

    def serve(connection: Connection, events: int) -> None:
        if events != _IN:
            connection.line.ready(events)
            return
        try:
            size = connection.read(buffer)
        except OSError as error:
            connection.line.unread(error)
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
            now_ns = monotonic_ns()
            held = recorder.held
            pack(
                recorder.hits, held, route, now_ns - intended_ns, now_ns - connection.sent_ns, heads.last_status, size
            )  # fmt: skip
            recorder.held = held = held + size_of_hit
            if held >= FULL:
                recorder.fold()
            drawn = engine.drawn
            if now_ns >= engine.plain_until_ns or not drawn or drawn[-1] >= singles:
                connection.busy = False
                connection.free_ns = now_ns
                freed(connection, now_ns)
                return
            route = connection.route = drawn.pop()
            render, connection.head_only = shots[route]
            request = render()
            connection.intended_ns = connection.sent_ns = now_ns
            try:
                sent = connection.put(request)
            except OSError:
                sent = 0  # the long way meets the same, and knows what to do
            if sent != len(request):
                connection.line.write(request[sent:])
            recorder.at_once += 1
        else:
            connection.line.got(size)

    return serve
