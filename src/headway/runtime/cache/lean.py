"""
redis-py's client for asyncio without what it does around each command (a lock, a look for unread bytes, a retry object,
counters of its own): more than the cache itself costs. Its connections, parser, TLS and pool settings stay in use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import redis
import redis.asyncio
from redis.exceptions import ResponseError

if TYPE_CHECKING:
    from collections.abc import Callable

PLAIN = frozenset({"GET", "MGET", "EVAL", "EVALSHA"})
"""Commands whose replies redis-py hands on as they are; all others go its own way."""


class LeanRedis(redis.asyncio.Redis):
    """
    For one event loop, and for callers that bound time and number of calls themselves, as AsyncRemote does.

    A connection that the server has closed while it was idle fails once: then it is connected anew, and the command is
    sent again. One whose reply has not been read to its end is closed, never used again.
    """

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._idle: list[Any] = []
        self._pool: Any = self.connection_pool  # has no types

    async def execute_command(self, *words: Any, **options: Any) -> Any:
        """The reply to one command."""
        # Who wraps redis-py's method, as OpenTelemetry does, wants to see every command.
        if options or words[0] not in PLAIN or hasattr(redis.asyncio.Redis.execute_command, "__wrapped__"):
            usual: Any = super().execute_command  # has no types
            return await usual(*words, **options)
        connection = self._idle.pop() if self._idle else self._pool.make_connection()
        try:
            reply = await self._ask(connection, words)
        except ResponseError:
            self._idle.append(connection)
            raise
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        self._idle.append(connection)
        return reply

    async def drop_idle(self) -> None:
        """Close connections that nobody uses: the next ones are opened anew."""
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.disconnect(nowait=True)
        await self.connection_pool.disconnect(inuse_connections=False)

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Close all of them."""
        await self.drop_idle()
        await super().aclose(close_connection_pool)

    @staticmethod
    async def _ask(connection: Any, words: tuple[Any, ...]) -> Any:
        sent = packed(words, connection.encoder.encode)
        if connection.is_connected:
            try:
                await connection.send_packed_command(sent, check_health=False)
                return await connection.read_response()
            except redis.ConnectionError:
                await connection.disconnect(nowait=True)
        await connection.connect()
        await connection.send_packed_command(sent, check_health=False)
        return await connection.read_response()


def packed(words: tuple[Any, ...], encode: Callable[[Any], bytes]) -> bytes:
    """A command as it is sent, an array of bulk strings; redis-py's own takes twice as long to write one."""
    parts = [b"*%d" % len(words)]
    for word in words:
        text = encode(word)
        parts += (b"$%d" % len(text), text)
    parts.append(b"")
    return b"\r\n".join(parts)
