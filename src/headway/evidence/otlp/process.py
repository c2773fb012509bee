"""
The receiver's own process: it shares no lock with who makes the load, and gives way to it.

Orders come on its standard input, a line of JSON each: {"salt": hex, "show": false} first, then {"store": file};
{"end": true} or the end of the input last. What it counted goes to its standard output once a second and at the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from headway.conventions import SPANS_FILE
from headway.errors import HeadwayError
from headway.evidence.otlp.http import SWEEP_S, Connection, Shared
from headway.evidence.otlp.intake import Intake
from headway.evidence.otlp.rows import Manner
from headway.evidence.otlp.spool import to_parquet

if TYPE_CHECKING:
    from collections.abc import Callable

TELL_EVERY_S = 1.0
NICENESS = 5
"""Whoever makes the load, and whoever answers it, goes first."""


async def serve(listening: socket.socket, intake: Intake, orders: Callable[[asyncio.Event], None]) -> None:
    """Receive until an order ends it."""
    loop = asyncio.get_running_loop()
    shared, over = Shared(intake=intake), asyncio.Event()
    server = await loop.create_server(lambda: Connection(shared), sock=listening)
    threading.Thread(target=orders, args=(over,), name="headway-orders", daemon=True).start()
    _tell({"ready": True})
    swept_s = loop.time()
    while not over.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), TELL_EVERY_S)
        if loop.time() - swept_s > SWEEP_S:
            swept_s = loop.time()
            shared.sweep(swept_s)
        _tell(intake.told())
    server.close()


def _tell(content: object) -> None:
    with contextlib.suppress(OSError):  # who started us is gone; its end of the other pipe says so
        sys.stdout.write(json.dumps(content) + "\n")
        sys.stdout.flush()


def main(descriptor: int) -> None:
    """Serve the listening socket of this number."""
    import uvloop

    for number in (signal.SIGINT, signal.SIGTERM):  # they are for who started us; spans still come while it drains
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    first = json.loads(sys.stdin.readline() or "{}")
    if not first:
        return
    intake = Intake(Manner(salt=bytes.fromhex(first["salt"]), show=bool(first["show"])))
    with contextlib.closing(uvloop.new_event_loop()) as loop:
        asyncio.set_event_loop(loop)

        spool: list[Path] = []
        ended = threading.Event()

        def orders(over: asyncio.Event) -> None:
            for line in sys.stdin:
                order = json.loads(line)
                if "store" in order:
                    spool.append(Path(order["store"]))
                    intake.store(spool[-1])
                if "end" in order:
                    ended.set()
                    break
            loop.call_soon_threadsafe(over.set)

        with socket.socket(fileno=descriptor) as listening:
            loop.run_until_complete(serve(listening, intake, orders))
    intake.close()
    _tell(intake.told() | {"ended": True})
    if spool and not ended.is_set():  # who started us was killed: its run is kept as far as it went
        with contextlib.suppress(HeadwayError):
            to_parquet(spool[-1], spool[-1].with_name(SPANS_FILE))
            spool[-1].unlink(missing_ok=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
