"""
Tell an edge to drop what has changed, by surrogate key where the edge knows such a thing.

| edge       | by key                      | otherwise                                   |
|------------|-----------------------------|---------------------------------------------|
| Fastly     | yes                         | -                                           |
| Cloudflare | yes (Cache-Tag)             | -                                           |
| Varnish    | yes, with the vmod xkey     | -                                           |
| CloudFront | no: its invalidations name paths | by path, through a boto3 client of yours |
| nginx      | no: the free one cannot purge | one URL at a time is fetched anew          |

Each call is one HTTP request (nginx: one a URL) with a time limit; it raises when the edge does not say yes. Purge
after the commit: before it the edge would fetch the old answer again.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from headway.runtime.edge.policy import checked

if TYPE_CHECKING:
    from collections.abc import Iterable

TIMEOUT_S = 5.0
CLOUDFLARE_MOST_TAGS = 30
"""In one call. Source: Cloudflare, "Purge cache by cache-tags", limits of one request."""
FASTLY_MOST_KEYS = 256
"""In one call. Source: Fastly, "Purge multiple surrogate key tags"."""


class PurgeFailed(Exception):
    """The edge did not take it: what is old there stays until its time is over."""


@dataclass(frozen=True, kw_only=True)
class Fastly:
    """A Fastly service. `soft` marks as stale instead of dropping, so that stale-while-revalidate still serves."""

    service_id: str
    token: str
    soft: bool = True
    api: str = "https://api.fastly.com"

    def purge(self, keys: Iterable[str]) -> None:
        """Drop every answer that has one of the keys. Raises PurgeFailed."""
        for some in _parts(checked(keys), FASTLY_MOST_KEYS):
            headers = {"fastly-key": self.token, "surrogate-key": " ".join(some)}
            if self.soft:
                headers["fastly-soft-purge"] = "1"
            _send("POST", f"{self.api}/service/{self.service_id}/purge", headers)


@dataclass(frozen=True, kw_only=True)
class Cloudflare:
    """A zone of Cloudflare."""

    zone_id: str
    token: str
    api: str = "https://api.cloudflare.com/client/v4"

    def purge(self, keys: Iterable[str]) -> None:
        """Drop every answer that has one of the keys as Cache-Tag. Raises PurgeFailed."""
        headers = {"authorization": f"Bearer {self.token}", "content-type": "application/json"}
        for some in _parts(checked(keys), CLOUDFLARE_MOST_TAGS):
            answer = _send("POST", f"{self.api}/zones/{self.zone_id}/purge_cache", headers, {"tags": list(some)})
            try:
                done = json.loads(answer).get("success") is True
            except (ValueError, AttributeError):
                done = False
            if not done:
                raise PurgeFailed(f"Cloudflare answered {answer[:200]!r}")


@dataclass(frozen=True, kw_only=True)
class Varnish:
    """A Varnish with the vmod xkey, whose VCL takes `PURGE` with the header `xkey-purge` from this address."""

    url: str

    def purge(self, keys: Iterable[str]) -> None:
        """Drop every answer that has one of the keys. Raises PurgeFailed."""
        wanted = checked(keys)
        if wanted:
            _send("PURGE", self.url, {"xkey-purge": " ".join(wanted)})


class Invalidates(Protocol):
    """boto3's CloudFront client, as far as it is used."""

    def create_invalidation(self, **arguments: Any) -> Any:
        """See boto3."""


@dataclass(frozen=True, kw_only=True)
class CloudFront:
    """A distribution of CloudFront; `client` is boto3.client("cloudfront"), which signs and has the credentials."""

    distribution_id: str
    client: Invalidates

    def purge(self, paths: Iterable[str]) -> None:
        """Drop paths; `*` at the end stands for anything. Each path beyond the free ones is paid for."""
        items = list(dict.fromkeys(paths))
        if any(not path.startswith("/") for path in items):
            raise ValueError("CloudFront drops paths that begin with /; it knows no surrogate keys")
        if items:
            batch = {"Paths": {"Quantity": len(items), "Items": items}, "CallerReference": f"{time.time_ns()}"}
            self.client.create_invalidation(DistributionId=self.distribution_id, InvalidationBatch=batch)


@dataclass(frozen=True, kw_only=True)
class NginxRefresh:
    """An nginx configured by `nginx(...)` with the same secret: a URL is fetched anew and its old answer replaced."""

    url: str
    secret: str

    def purge(self, paths: Iterable[str]) -> None:
        """Fetch each path anew; variants by Vary only as this request asks for them. Raises PurgeFailed."""
        for path in dict.fromkeys(paths):
            _send("GET", f"{self.url.rstrip('/')}{path}", {"x-headway-refresh": self.secret})


def _parts(keys: tuple[str, ...], most: int) -> list[tuple[str, ...]]:
    return [keys[at : at + most] for at in range(0, len(keys), most)]


def _send(method: str, url: str, headers: dict[str, str], body: dict[str, object] | None = None) -> bytes:
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url!r} is no address of an edge")
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers=headers, method=method)  # noqa: S310 - checked above
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            text: bytes = answer.read()
            return text
    except urllib.error.HTTPError as exc:
        raise PurgeFailed(f"{url} answered {exc.code}") from exc
    except OSError as exc:
        raise PurgeFailed(f"{url} cannot be reached: {exc}") from exc
