"""
A small HTTP server with one behaviour, run as a process of its own: `python target.py BEHAVIOUR` prints its port.

good: 200 with a short body. not-http: answers like an SMTP server. endless: a body that never ends.
silent: takes the request and never answers.
"""

from __future__ import annotations

import asyncio
import sys

GOOD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
GREETING = b"220 mail.example ESMTP ready\r\n"
ENDLESS_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\n\r\n"


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one connection until its peer leaves."""
    behaviour = sys.argv[1]
    try:
        while await reader.readuntil(b"\r\n\r\n"):
            if behaviour == "good":
                writer.write(GOOD)
            elif behaviour == "not-http":
                writer.write(GREETING)
            elif behaviour == "endless":
                writer.write(ENDLESS_HEAD)
                while True:
                    writer.write(b"x" * 65536)
                    await writer.drain()
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def serve() -> None:
    """Listen on a free port of the loopback and say which."""
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve())
