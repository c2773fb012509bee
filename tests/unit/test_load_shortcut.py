"""The shortcut of the hot path comes to what the long way comes to, whatever comes on the wire."""

from __future__ import annotations

import asyncio
import select
import socket
from time import monotonic_ns
from typing import Any, cast
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headway.load import starts
from headway.load.closed import ClosedEngine
from headway.load.engine import Engine
from headway.load.open import OpenEngine
from headway.load.pacer import Pacer
from headway.load.plain import READ_BYTES, PlainTransport, Poller
from headway.load.recorder import HIT, Recorder
from headway.load.worker import Assignment
from headway.model import LoadModel, Phase, Route
from made.answers import conversations

ROUTES = (
    Route(name="plain", method="GET", path="/", weight=4),
    Route(name="head", method="HEAD", path="/h", weight=1),
    Route(name="missing", method="GET", path="/m", weight=2, expect_status=(404,)),
)
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
MISSING = b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno"


class Wires:
    """Stands where the poller, the dialer and the sockets stand: what is read is given, what is sent is kept."""

    def __init__(self, *, takes: int) -> None:
        self.buffer = bytearray(READ_BYTES)
        self.lingered_ns = 0
        self.after = self.due = self.idle = None
        self.takes = takes  # bytes of each write
        self.serve: Any = None  # of the open connection
        self.comes = b""
        self.sent: list[bytes] = []

    def watch(self, fd: int, _events: int, ready: Any) -> None:
        """Only the connection's socket is of interest."""
        if fd == self.fileno():
            self.serve = ready

    def forget(self, fd: int) -> None:
        """Closed."""
        if fd == self.fileno():
            self.serve = None

    async def dial(self, engine: Engine, wanted_ns: int) -> None:
        """One more connection."""
        PlainTransport(cast(Any, self), cast(Any, self), engine.new_connection(wanted_ns))

    def fileno(self) -> int:
        """None that there is."""
        return 1 << 20

    def close(self) -> None:
        """Nothing is open."""

    def recv_into(self, buffer: bytearray) -> int:
        """What comes."""
        if not self.comes:
            raise BlockingIOError
        size = len(self.comes)
        buffer[:size] = self.comes
        self.comes = b""
        return size

    def send(self, data: bytes) -> int:
        """As much as one write takes."""
        if not self.takes:
            raise BlockingIOError
        self.sent.append(data[: self.takes])
        return min(self.takes, len(data))


def parts(wires: Wires, recorder: Recorder, model: LoadModel) -> tuple[Phase, dict[str, Any]]:
    """A phase over ROUTES, and what an engine for it is made of."""
    phase = Phase(name="load", model=model, users=1, rate_per_s=1e5, duration_s=10, warmup_s=0, seed=3)
    mine = Assignment(
        phase=phase, routes=ROUTES, parameters=(), values={}, address="x", host="x:1", worker=0, workers=1
    )  # fmt: skip
    return phase, {
        "dialer": wires, "poller": wires, "starts": starts.of(mine), "recorder": recorder, "timeout_ns": 10**12
    }  # fmt: skip


async def told(answers: list[list[bytes]], model: LoadModel, takes: int) -> tuple[Any, ...]:
    """All that an engine counts, and sends, when these pieces come."""
    wires, recorder = Wires(takes=takes), Recorder(len(ROUTES))
    phase, shared = parts(wires, recorder, model)
    engine: ClosedEngine | OpenEngine
    if model is LoadModel.CLOSED:
        engine = ClosedEngine(users=1, began_ns=0, **shared)
    else:
        pacers = [Pacer(phase, worker=0, workers=1, end_ns=10**10) for _ in range(2)]
        engine = OpenEngine(front=pacers[0], back=pacers[1], began_ns=monotonic_ns() - 2_000_000, most=1, **shared)
    engine.measure_from_ns, engine.measure_to_ns = 0, 1 << 62
    engine.begin()
    engine.wake()
    for pieces in answers:
        async with asyncio.timeout(5):
            while wires.serve is None:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0)
        for piece in filter(None, pieces):
            if wires.serve is not None:
                wires.comes = piece
                wires.serve(select.EPOLLIN)
    held = np.frombuffer(recorder.hits, dtype=np.int64, count=recorder.held // 8).reshape(-1, HIT.size // 8)
    late = recorder.sent if model is LoadModel.OPEN else recorder.at_once + recorder.sent
    found = held[:, [0, 3, 4]].tolist(), dict(recorder.failures), recorder.received_bytes, late, [*wires.sent]
    engine.abandon()  # which is no part of it: how much was due by then is a matter of time
    return found


def both(answers: list[list[bytes]], model: LoadModel, takes: int) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """By the shortcut, and the long way."""
    short = asyncio.run(told(answers, model, takes))
    with patch.object(Engine, "served", lambda _engine, connection: connection.line.ready):
        return short, asyncio.run(told(answers, model, takes))


@settings(max_examples=150, deadline=None)
@given(conversations(), st.sampled_from([LoadModel.CLOSED, LoadModel.OPEN]), st.sampled_from([1 << 20, 30, 0]))
@example(
    [([OK], False)] * 6 + [([MISSING], False)] * 6 + [([OK], False), ([MISSING], False)], LoadModel.CLOSED, 1 << 20
)
def test_the_shortcut_counts_and_sends_as_the_long_way(
    answers: list[tuple[list[bytes], bool]], model: LoadModel, takes: int
) -> None:
    """Good, unwanted, cut, doubled and broken answers, to GET and HEAD, with sockets that take all, a part, nothing."""
    short, long = both([pieces for pieces, _ in answers], model, takes)
    assert short == long


@pytest.mark.parametrize("model", [LoadModel.CLOSED, LoadModel.OPEN])
def test_ordinary_answers_take_the_shortcut(model: LoadModel) -> None:
    """The test above means something: of twenty good answers that are alike, most pass the long way by."""
    walked: list[int] = []
    whole_way = Engine.answered

    def answered(engine: Engine, connection: Any, status: int, received: int) -> None:
        walked.append(status)
        whole_way(engine, connection, status, received)

    with patch.object(Engine, "answered", answered):
        held, failures, *_ = asyncio.run(told([[OK]] * 20, model, 1 << 20))
    assert len(held) + sum(failures.values()) == 20
    assert len(walked) < 15


def test_more_than_one_read_brings_and_the_end_behind_it_are_read() -> None:
    """An answer longer than a read whose end has come with it is read to its end, and so is the end."""

    async def tried() -> tuple[int, bool]:
        poller, came = Poller(asyncio.get_running_loop()), asyncio.Event()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)

        class Reader(asyncio.Protocol):
            got = 0

            def data_received(self, data: bytes) -> None:
                self.got += len(data)

            def connection_lost(self, exc: Exception | None) -> None:
                came.set()

        reader = Reader()
        theirs.send(b"x" * (2 * READ_BYTES + 5))
        theirs.close()
        PlainTransport(poller, ours, reader)
        async with asyncio.timeout(5):
            await came.wait()
        poller.close()
        return reader.got, came.is_set()

    assert asyncio.run(tried()) == (2 * READ_BYTES + 5, True)


def test_what_a_socket_does_not_take_at_once_goes_out_in_order() -> None:
    """Some megabytes written at once, and more behind them, arrive whole; answers meanwhile are read."""

    async def tried() -> tuple[bytes, bytes]:
        loop = asyncio.get_running_loop()
        poller = Poller(loop)
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        heard = bytearray()

        class Reader(asyncio.Protocol):
            def data_received(self, data: bytes) -> None:
                heard.extend(data)

        wrote = bytes(range(256)) * 16_384
        transport = PlainTransport(poller, ours, Reader())
        transport.write(wrote)
        transport.write(b"end")
        theirs.send(b"meanwhile")
        got = bytearray()
        async with asyncio.timeout(5):
            while not got.endswith(b"end"):
                got += await loop.sock_recv(theirs, 1 << 20)
        transport.abort()
        theirs.close()
        await asyncio.sleep(0)
        poller.close()
        assert bytes(got[:-3]) == wrote
        return bytes(got[-3:]), bytes(heard)

    assert asyncio.run(tried()) == (b"end", b"meanwhile")


@pytest.mark.parametrize(("each", "together"), [(97, None), (None, 0)])
def test_no_iterations_are_done_before_there_are_users(each: int | None, together: int | None) -> None:
    """A worker may look before its users have begun: it must not end as if all of them had made their iterations."""

    async def looked() -> tuple[bool, bool]:
        _, shared = parts(Wires(takes=1), Recorder(len(ROUTES)), LoadModel.CLOSED)
        engine = ClosedEngine(users=3, began_ns=0, each=each, together=together, **shared)
        engine.measure_from_ns, engine.measure_to_ns = 0, 1 << 62
        before = engine.exhausted
        engine.begin()
        after = engine.exhausted
        engine.abandon()
        return before, after

    assert asyncio.run(looked()) == (False, together == 0)
