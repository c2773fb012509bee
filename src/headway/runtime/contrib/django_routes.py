"""
Tells `headway.runtime.instrument` which of Django's routes a request has taken, under WSGI and ASGI.

    MIDDLEWARE = ["headway.runtime.contrib.django_routes.Routes", ...]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction

from headway.runtime.instrument.middleware import ROUTE

if TYPE_CHECKING:
    from collections.abc import Callable


class Routes:
    """Django middleware, for both kinds of views. A route is as the URL configuration has it: `/users/<int:id>`."""

    sync_capable = async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self._get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any:
        """One request."""
        if iscoroutinefunction(self):
            return self._later(request)
        response = self._get_response(request)
        _leave(request)
        return response

    async def _later(self, request: Any) -> Any:
        response = await self._get_response(request)
        _leave(request)
        return response


def _leave(request: Any) -> None:
    match = request.resolver_match
    if match is not None:
        place = getattr(request, "scope", None)
        (request.META if place is None else place)[ROUTE] = f"/{match.route}"
