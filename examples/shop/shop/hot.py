"""
The routes that are asked most, in front of FastAPI: found by the path's shape, their statements gathered (`many.py`).

Only what is plainly right is answered here. Whatever is not (a number out of range, a body that cannot be read, an
order that cannot be served, a reader who must see what he wrote) goes on to FastAPI as it came, which knows what to
say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

import psycopg
from pydantic import BaseModel, ValidationError

from headway.runtime.database import carry
from shop.answers import JSON, cannot_hold, current, private, refuses
from shop.keys import product_key, user_key
from shop.many import Many
from shop.shapes import NewOrder, Rename

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
    from typing import TypeVar

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from shop.database import Pooled
    from shop.many import Written
    from shop.service import Service

    Body = TypeVar("Body", bound=BaseModel)
    Header = tuple[bytes, bytes]
    Route = Callable[["Hot", str, Scope, Receive, Send], Awaitable["Receive | None"]]

_LIMIT = re.compile(rb"limit=(100|[1-9][0-9]?)")
_EMAIL = re.compile(r"[^@\s\0]+@[^@\s\0]+")
_LONGEST_EMAIL = 254
_SEEN_HEADER, _SEEN_COOKIE = carry.HEADER.encode(), carry.COOKIE.encode()
_JSON = (b"content-type", JSON.encode())


@dataclass(frozen=True, kw_only=True)
class _Template:
    """What `scope["route"]` has of FastAPI's: the name under which requests are counted."""

    path: str


class Hot:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, service: Service, database: Pooled) -> None:
        self._app, self._service, self._database = app, service, database
        self._many = Many(service, database)
        self._current = _headers(current(service.settings))
        self._private = _headers(private(service.settings))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        route, which, template = _find(scope)
        if route is None or _has_written(scope["headers"]):
            await self._app(scope, receive, send)
            return
        scope["route"] = template
        try:
            again = await route(self, which, scope, receive, send)
        except psycopg.OperationalError:
            await refuses()(scope, receive, send)
        except psycopg.DataError:
            await cannot_hold()(scope, receive, send)
        else:
            if again is not None:
                await self._app(scope, again, send)

    async def _user(self, which: str, _: Scope, receive: Receive, send: Send) -> Receive | None:
        id = int(which)
        body = await self._service.cache.remember(user_key(id), lambda: self._many.user.ask(id))
        return await _told(body, self._current, receive, send)

    async def _product(self, which: str, _: Scope, receive: Receive, send: Send) -> Receive | None:
        id = int(which)
        body = await self._service.cache.remember(product_key(id), lambda: self._many.product.ask(id))
        return await _told(body, self._current, receive, send)

    async def _address(self, _: str, scope: Scope, receive: Receive, send: Send) -> Receive | None:
        name, _sign, value = scope["query_string"].partition(b"=")
        try:
            email = unquote_to_bytes(value.replace(b"+", b" ")).decode()
        except UnicodeDecodeError:
            return receive
        if name != b"email" or b"&" in value or len(email) > _LONGEST_EMAIL or not _EMAIL.fullmatch(email):
            return receive
        return await _told(await self._many.address.ask(email), self._private, receive, send)

    async def _orders(self, which: str, scope: Scope, receive: Receive, send: Send) -> Receive | None:
        limit = _LIMIT.fullmatch(scope["query_string"])
        if limit is None:
            return receive
        return await _told(await self._many.orders.ask((int(which), int(limit[1]))), self._private, receive, send)

    async def _place(self, _: str, scope: Scope, receive: Receive, send: Send) -> Receive | None:
        order, again = await _read(NewOrder, scope, receive)
        if order is None:
            return again
        return await self._wrote(await self._many.place.ask(order), 201, scope, again, send)

    async def _rename(self, which: str, scope: Scope, receive: Receive, send: Send) -> Receive | None:
        change, again = await _read(Rename, scope, receive)
        if change is None:
            return again
        return await self._wrote(await self._many.rename.ask((int(which), change.name)), 200, scope, again, send)

    async def _wrote(
        self, written: Written | None, status: int, scope: Scope, again: Receive, send: Send
    ) -> Receive | None:
        """As `ReadYourWrites` does it: the client is given what makes him read his own write."""
        if written is None:
            return again
        headers: tuple[Header, ...] = ()
        if written.token is not None:
            secure = scope.get("scheme") == "https"
            cookie = carry.set_cookie(carry.COOKIE, written.token, self._database.servers.settings, secure=secure)
            headers = (b"set-cookie", cookie.encode()), (carry.HEADER.encode(), written.token.encode())
        await _answer(written.body, headers, send, status=status)
        return None


def _find(scope: Scope) -> tuple[Route | None, str, _Template | None]:
    """The route, the id in its path, and its name; no route for what goes on."""
    if scope["type"] != "http":
        return None, "", None
    shape = _SHAPE.fullmatch(scope["path"])
    if shape is None:
        return None, "", None
    first, id, last = shape.groups("")
    route, template = _ROUTES.get((scope["method"], first, "{id}" if id else "", last), (None, None))
    return route, id, template


_SHAPE = re.compile(r"/(users|products|orders)(?:/([1-9][0-9]{0,17}))?(?:/(by-email|orders))?")
_ROUTES: dict[tuple[str, str, str, str], tuple[Route, _Template]] = {
    ("GET", "users", "", "by-email"): (Hot._address, _Template(path="/users/by-email")),
    ("GET", "users", "{id}", ""): (Hot._user, _Template(path="/users/{id}")),
    ("GET", "products", "{id}", ""): (Hot._product, _Template(path="/products/{id}")),
    ("GET", "users", "{id}", "orders"): (Hot._orders, _Template(path="/users/{id}/orders")),
    ("PUT", "users", "{id}", ""): (Hot._rename, _Template(path="/users/{id}")),
    ("POST", "orders", "", ""): (Hot._place, _Template(path="/orders")),
}


def _has_written(headers: Iterable[Header]) -> bool:
    """Whether the client brings back what `ReadYourWrites` gave it."""
    return any(name == _SEEN_HEADER or (name == b"cookie" and _SEEN_COOKIE in value) for name, value in headers)


async def _read(shape: type[Body], scope: Scope, receive: Receive) -> tuple[Body | None, Receive]:
    """The body, and what gives it once more; None when it is not what it should be."""
    types = [value for name, value in scope["headers"] if name == b"content-type"]
    if types != [JSON.encode()]:
        return None, receive
    messages: list[Message] = [await receive()]
    while messages[-1].get("more_body", False):
        messages.append(await receive())
    left = iter(messages)

    async def again() -> MutableMapping[str, Any]:
        return next(left, None) or await receive()

    try:
        return shape.model_validate_json(b"".join(each.get("body", b"") for each in messages)), again
    except ValidationError:
        return None, again


async def _told(body: bytes | None, headers: tuple[Header, ...], receive: Receive, send: Send) -> Receive | None:
    """What was found; nothing found goes on, to be refused."""
    if body is None:
        return receive
    await _answer(body, headers, send)
    return None


async def _answer(body: bytes, headers: tuple[Header, ...], send: Send, *, status: int = 200) -> None:
    whole = [_JSON, (b"content-length", b"%d" % len(body)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": whole})
    await send({"type": "http.response.body", "body": body})


def _headers(named: Mapping[str, str] | None) -> tuple[Header, ...]:
    return tuple((name.lower().encode(), value.encode()) for name, value in (named or {}).items())
