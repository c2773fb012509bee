"""
What one kind of answer says to caches: one policy gives the headers, and configures the lab's edge (`nginx`).

Source: RFC 9111 (HTTP caching), RFC 5861 (stale-while-revalidate, stale-if-error), RFC 9213 is not used: nginx reads
Cache-Control.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_KEY = re.compile(r"[!-+\--~]{1,1024}")  # visible ASCII without the comma and the space, which separate keys
_FIELD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True, kw_only=True)
class Policy:
    """
    How long an answer may be used, by whom.

    Args:
        shared: whether caches between may keep it. False is one person's own: `private`.
        browser_s: how long a browser may use it without asking; 0 asks each time.
        edge_s: how long an edge may; None as the browser. Needs `shared`.
        stale_while_revalidate_s: how long after that the old one may be given while a new one is fetched.
        stale_if_error_s: how long after that the old one may be given when the service fails.
        vary: request headers on which the answer depends.

    Raises:
        ValueError: a time below 0, edge times for an answer that is not shared, Vary on Cookie or Authorization for a
            shared one (each user his own copy: no cache), a name that is no header's.
    """

    shared: bool = True
    browser_s: int = 0
    edge_s: int | None = None
    stale_while_revalidate_s: int = 0
    stale_if_error_s: int = 0
    vary: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        times = (self.browser_s, self.edge_s or 0, self.stale_while_revalidate_s, self.stale_if_error_s)
        if min(times) < 0:
            raise ValueError("a time below 0; 0 means: ask each time")
        if not self.shared and (self.edge_s or self.stale_while_revalidate_s or self.stale_if_error_s):
            raise ValueError("edge_s and stale times are for answers that are shared; a private one no edge may keep")
        for name in self.vary:
            if not _FIELD.fullmatch(name):
                raise ValueError(f"{name!r} is no header's name")
            if self.shared and name.lower() in {"cookie", "authorization"}:
                raise ValueError(f"shared, and different for each {name}: that is private (shared=False)")

    @property
    def cache_control(self) -> str:
        """The Cache-Control header."""
        if not self.shared:
            return f"private, max-age={self.browser_s}" if self.browser_s else "private, no-cache"
        parts = ["public", f"max-age={self.browser_s}"]
        if self.edge_s is not None:
            parts.append(f"s-maxage={self.edge_s}")
        if self.stale_while_revalidate_s:
            parts.append(f"stale-while-revalidate={self.stale_while_revalidate_s}")
        if self.stale_if_error_s:
            parts.append(f"stale-if-error={self.stale_if_error_s}")
        return ", ".join(parts)

    def headers(self, *, etag: str | None = None, keys: Iterable[str] = ()) -> dict[str, str]:
        """
        The headers of one answer.

        Args:
            etag: of its body, from `etag()`.
            keys: what it was made of (`user-7`): an edge that knows surrogate keys can drop by them.

        Raises:
            ValueError: a key with a space or comma, or none of visible ASCII.
        """
        found = {"cache-control": self.cache_control}
        if self.vary:
            found["vary"] = ", ".join(self.vary)
        if etag is not None:
            found["etag"] = etag
        wanted = checked(keys)
        if wanted and self.shared:
            found["surrogate-key"] = " ".join(wanted)  # Fastly, Varnish's xkey
            found["cache-tag"] = ",".join(wanted)  # Cloudflare
        return found


NO_STORE = {"cache-control": "private, no-store"}
"""Headers of what nobody may keep: a page with a secret in it."""


def vary(existing: str | None, *names: str) -> str:
    """A Vary header with `names` added, each once whatever its capitals; `*` stays alone."""
    there = [name.strip() for name in (existing or "").split(",") if name.strip()]
    if "*" in there or "*" in names:
        return "*"
    known = {name.lower() for name in there}
    for name in names:
        if name.lower() not in known:
            there.append(name)
            known.add(name.lower())
    return ", ".join(there)


def checked(keys: Iterable[str]) -> tuple[str, ...]:
    """Surrogate keys as every edge can carry them."""
    found = tuple(dict.fromkeys(keys))
    for key in found:
        if not _KEY.fullmatch(key):
            raise ValueError(f"{key!r} cannot be a surrogate key: visible ASCII without spaces and commas")
    return found
