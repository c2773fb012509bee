"""The route a clause names, among the scenario's."""

from __future__ import annotations

import re

_PLACEHOLDER = re.compile(r"\{[^/{}]*\}")
_METHOD = re.compile(r"^[A-Z]+ ")


def index_of(named: str, routes: tuple[str, ...]) -> int | None:
    """
    Index of the route that `named` means; None when there is none, or more than one.

    Placeholders may be named differently; a query string may be left out; a path alone means any method.
    """
    for shape in (_exact, _shape, _path):
        wanted = shape(named)
        found = [index for index, route in enumerate(routes) if shape(route) == wanted]
        if len(found) == 1:
            return found[0]
        if found:
            return None
    return None


def _exact(route: str) -> str:
    return route


def _shape(route: str) -> str:
    return _PLACEHOLDER.sub("{}", route.partition("?")[0].rstrip("/"))


def _path(route: str) -> str:
    return _METHOD.sub("", _shape(route))
