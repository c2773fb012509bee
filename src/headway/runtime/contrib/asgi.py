"""
Read-your-writes over requests, for any ASGI application: FastAPI, Starlette, Django.

    app.add_middleware(ReadYourWrites, database=database)

A request's session begins with the token the client brings (cookie, or the header for clients without cookies) and,
when it wrote, ends with a new one on the answer. What is written after the answer has begun (background tasks,
streams) cannot be told to the client any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headway.runtime.database import carry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from headway.runtime.database import AsyncDatabase, Database

    Message = MutableMapping[str, Any]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[MutableMapping[str, Any], Callable[[], Awaitable[Message]], Send], Awaitable[None]]


class ReadYourWrites:
    """ASGI middleware."""

    def __init__(
        self,
        app: App,
        database: AsyncDatabase | Database,
        *,
        cookie: str = carry.COOKIE,
        header: str = carry.HEADER,
    ) -> None:
        self._app, self._database, self._cookie, self._header = app, database, cookie, header.lower().encode()

    async def __call__(
        self, scope: MutableMapping[str, Any], receive: Callable[[], Awaitable[Message]], send: Send
    ) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with self._database.session(self._carried(scope["headers"])) as session:

            async def hand_on(message: Message) -> None:
                if message["type"] == "http.response.start":
                    token = self._database.token(session)
                    if token is not None:
                        secure = scope.get("scheme") == "https"
                        cookie = carry.set_cookie(self._cookie, token, self._database.settings, secure=secure)
                        ours = [(b"set-cookie", cookie.encode()), (self._header, token.encode())]
                        message = {**message, "headers": [*message.get("headers", ()), *ours]}
                await send(message)

            await self._app(scope, receive, hand_on)

    def _carried(self, headers: list[tuple[bytes, bytes]]) -> str | None:
        carried = None
        for name, value in headers:
            if name == self._header:
                return value.decode("latin-1")
            if name == b"cookie" and carried is None:
                carried = carry.cookie_in(value.decode("latin-1"), self._cookie)
        return carried
