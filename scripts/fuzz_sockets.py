"""
The part of `scripts/fuzz.py` with real sockets: an engine, its dialer and poller, and a server that says anything.

Every request that was planned is good or failed, once, and the engine comes to rest in time.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from time import monotonic_ns
from typing import TYPE_CHECKING

from headway.load import dial, frames
from headway.load.closed import ClosedEngine
from headway.load.plain import Poller
from headway.load.recorder import Recorder
from headway.load.starts import Shot, Starts
from headway.model import Wire

if TYPE_CHECKING:
    from collections.abc import Callable

REQUEST = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
USERS = 6
TIMEOUT_S = 0.05
PATIENCE_S = 5.0


class Unended(Exception):
    """A request that was neither good nor failed, or both."""


async def fuzz_sockets(seed: int, say: Callable[[random.Random], list[bytes]], *, http2: bool) -> Counter[str]:
    """
    A quarter of a second of load by users who wait for their answers.

    Args:
        seed: of what the server says.
        say: gives an answer in pieces.
        http2: whether that is frames.

    Raises:
        Unended: what was planned did not all end, or not in time.
    """
    dice, loop = random.Random(seed), asyncio.get_running_loop()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if http2:
                writer.write(frames.settings({}))
            while await reader.read(65_536):
                for piece in say(dice):
                    if not writer.is_closing():
                        writer.write(piece)
                        await asyncio.sleep(0)
                if writer.is_closing() or dice.random() < 0.2:
                    break
        except ConnectionError:
            pass
        finally:
            writer.transport.abort() if dice.random() < 0.5 else writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    poller, recorder = Poller(loop), Recorder(1)
    wire = Wire(http2=http2, max_body_bytes=4096, max_head_bytes=1024)
    engine = ClosedEngine(
        users=USERS, began_ns=monotonic_ns(), timeout_ns=int(TIMEOUT_S * 1e9), poller=poller, recorder=recorder,
        dialer=dial.dialer(wire, server.sockets[0].getsockname(), TIMEOUT_S, poller), wire=wire,
        starts=Starts(shots=[Shot(render=lambda: REQUEST, good=frozenset(), head_only=False)], draw=lambda: [0] * 64),
    )  # fmt: skip
    engine.measure_from_ns, engine.measure_to_ns = 0, monotonic_ns() + 250_000_000
    engine.begin()
    await asyncio.sleep(0.25)
    engine.stop_sending(forget_backlog=False)
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not engine.quiet:  # noqa: ASYNC110 - as the worker does
                await asyncio.sleep(0.01)
    except TimeoutError as error:
        raise Unended(f"requests were still in flight {PATIENCE_S:g} s after the end") from error
    finally:
        engine.abandon()
        poller.close()
        server.close()
    second = recorder.flush(0, monotonic_ns(), connections=0, backlog=0)
    failed = sum(count for _, _, count in second.failures)
    if second.planned != second.good + failed:
        raise Unended(f"{second.planned} planned, {second.good} good and {failed} failed")
    return Counter({"good": second.good, "failed": failed})
