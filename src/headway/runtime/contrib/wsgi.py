"""
Read-your-writes over requests, for any WSGI application: Flask, Django.

    app.wsgi_app = ReadYourWrites(app.wsgi_app, database=database)

As `contrib.asgi`. The session ends when the application returns: a body that is made afterwards, while it is sent, has
none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headway.runtime.database import carry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from headway.runtime.database import Database

    Start = Callable[..., Any]
    App = Callable[[dict[str, Any], Start], Iterable[bytes]]


class ReadYourWrites:
    """WSGI middleware."""

    def __init__(self, app: App, database: Database, *, cookie: str = carry.COOKIE, header: str = carry.HEADER) -> None:
        self._app, self._database, self._cookie, self._header = app, database, cookie, header
        self._key = "HTTP_" + header.upper().replace("-", "_")

    def __call__(self, environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        """One request."""
        carried = environ.get(self._key) or carry.cookie_in(environ.get("HTTP_COOKIE", ""), self._cookie)
        with self._database.session(carried) as session:

            def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
                token = self._database.token(session)
                if token is not None:
                    secure = environ.get("wsgi.url_scheme") == "https"
                    cookie = carry.set_cookie(self._cookie, token, self._database.settings, secure=secure)
                    headers = [*headers, ("Set-Cookie", cookie), (self._header, token)]
                return start_response(status, headers, *rest)

            return self._app(environ, start)
