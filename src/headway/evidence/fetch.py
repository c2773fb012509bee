"""One bounded GET: metrics pages and Prometheus' API."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from headway.conventions import USER_AGENT
from headway.errors import HeadwayError, SourceRefused
from headway.evidence import redact
from headway.evidence.collector import in_words

TIMEOUT_S = 5.0
MOST_BYTES = 8 << 20
CHUNK_BYTES = 1 << 16

# No proxy: what is watched is what is loaded, and that is reached directly.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def check_url(url: str, what: str) -> None:
    """
    Whether a URL is one of HTTP.

    Raises:
        SourceRefused: it isn't.
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise SourceRefused(f"{what} is not an HTTP URL: {redact.url(url)}", next_act="write http://host:port/path")


def get(url: str, *, accept: str) -> str:
    """
    The body of one page, at most 8 MiB within 5 seconds.

    Raises:
        HeadwayError: no answer, an error status, too long, too slow.
    """
    place = redact.url(url)
    try:
        request = urllib.request.Request(url, headers={"User-Agent": USER_AGENT, "Accept": accept})  # noqa: S310 checked by check_url
        until = time.monotonic() + TIMEOUT_S
        with _OPENER.open(request, timeout=TIMEOUT_S) as answer:
            body = bytearray()
            # read1 gives what is there: a server that drips bytes must not outlast the deadline.
            while chunk := answer.read1(CHUNK_BYTES):
                body += chunk
                if len(body) > MOST_BYTES:
                    raise HeadwayError(
                        f"{place} answers with more than {MOST_BYTES >> 20} MiB", next_act="check the URL"
                    )
                if time.monotonic() > until:
                    raise HeadwayError(f"{place} takes over {TIMEOUT_S:.0f} s", next_act="check the service")
    except urllib.error.HTTPError as exc:
        exc.close()
        raise HeadwayError(f"{place} answers {exc.code} {exc.reason}", next_act="check the URL") from exc
    except (OSError, http.client.HTTPException, ValueError) as exc:
        reason = exc.reason if isinstance(exc, urllib.error.URLError) else exc
        words = in_words(reason) if isinstance(reason, BaseException) else str(reason)
        raise HeadwayError(f"{place} doesn't answer: {words}", next_act="start it or check the URL") from exc
    return body.decode("utf-8", "replace")
