"""The token in a cookie or a header, between requests of one client."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headway.runtime.database.settings import Settings

COOKIE = "headway_seen"
HEADER = "x-headway-seen"
LEAST_AGE_S = 60


def cookie_in(header: str, name: str) -> str | None:
    """The value of the first cookie of that name in a Cookie header."""
    for pair in header.split(";"):
        key, sign, value = pair.strip().partition("=")
        if sign and key == name:
            return value
    return None


def set_cookie(name: str, token: str, settings: Settings, *, secure: bool) -> str:
    """
    A Set-Cookie header. The cookie lives for as long as a replica that is given reads may be behind, twice over: then
    every one of them has what the token asks for.
    """
    age_s = max(LEAST_AGE_S, math.ceil(2 * (settings.max_lag_s + settings.unseen_s)))
    return f"{name}={token}; Max-Age={age_s}; Path=/; HttpOnly; SameSite=Lax" + ("; Secure" if secure else "")
