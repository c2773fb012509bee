"""A small asyncio service with faults planted in it, and one route that has none. Run as a program by the tests."""

from __future__ import annotations

import asyncio
import ctypes
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ROWS = [{"id": number, "name": "n" * 40, "price": number / 7} for number in range(6_000)]


async def sleeps() -> bytes:
    """Waits on the loop's own thread."""
    time.sleep(0.06)  # noqa: ASYNC251 the fault that is planted
    return b"ok"


async def asks() -> bytes:
    """A synchronous driver in an asynchronous handler."""
    CONNECTION.execute("SELECT pg_sleep(0.06)")
    return b"ok"


async def writes_json() -> bytes:
    """A large answer, made on the loop."""
    return json.dumps({"rows": ROWS * PAGES}).encode()


async def computes() -> bytes:
    """A hot loop."""
    return str(spin(300_000)).encode()


def spin(times: int) -> int:
    """Where the time goes."""
    total = 0
    for number in range(times):
        total += number * number
    return total


async def waits_well() -> bytes:
    """Waits as it should: nothing to find here."""
    await asyncio.sleep(0.06)
    return b"ok"


ROUTES: dict[str, Callable[[], Awaitable[bytes]]] = {
    "/sleeps": sleeps,
    "/asks": asks,
    "/json": writes_json,
    "/computes": computes,
    "/waits-well": waits_well,
}


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection, kept alive; each request's begin and end go to the log, as a server span's would."""
    try:
        while True:
            path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
            began_ns = time.time_ns()
            body = await ROUTES[path]()
            LOG.write(f"{path} {began_ns} {time.time_ns()}\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        LOG.flush()
        writer.close()


async def main(port: int) -> None:
    """Serve until killed."""
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    await server.serve_forever()


def may_be_read() -> None:
    """Let anybody who could else be refused for not being its parent read this process: kernel.yama.ptrace_scope 1."""
    ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)  # PR_SET_PTRACER, PR_SET_PTRACER_ANY


if __name__ == "__main__":
    may_be_read()
    _, port, database_url, log, loop, pages = sys.argv
    PAGES = int(pages)
    LOG = Path(log).open("w", buffering=1, encoding="ascii")  # noqa: SIM115 open as long as the program
    CONNECTION = psycopg.connect(database_url, autocommit=True)
    if loop == "uvloop":
        import uvloop

        uvloop.run(main(int(port)))
    else:
        asyncio.run(main(int(port)))
