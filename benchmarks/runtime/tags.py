"""
What an entity tag and its comparison cost, beside Django's ConditionalGetMiddleware's.

    .venv/bin/python benchmarks/runtime/tags.py

A body of 10 KB is tagged, its headers are made, and it is compared with the If-None-Match of who has it already.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response, set_response_etag

from headway.runtime.edge import Policy, etag, not_modified

BODY = b"x" * 10_240
POLICY = Policy(edge_s=60)
ROUNDS, TIMES = 41, 500


def ours() -> None:
    """Headway."""
    tag = etag(BODY)
    POLICY.headers(etag=tag, keys=["items"])
    assert not_modified(tag, tag)


def django() -> None:
    """Django: the response object is part of it, as it is there."""
    response = HttpResponse(BODY)
    set_response_etag(response)
    request = HttpRequest()
    request.method = "GET"
    request.META["HTTP_IF_NONE_MATCH"] = response["ETag"]
    answer = get_conditional_response(request, etag=response["ETag"], response=response)
    assert answer.status_code == 304


def timed(act: Callable[[], None]) -> float:
    """Microseconds each."""
    began = time.perf_counter_ns()
    for _ in range(TIMES):
        act()
    return (time.perf_counter_ns() - began) / TIMES / 1e3


def main() -> int:
    """Print both medians and their ratio."""
    settings.configure()
    pairs = [(timed(ours), timed(django)) for _ in range(ROUNDS)]
    one, other = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(ours_us / django_us for ours_us, django_us in pairs)
    print(f"us each: headway {one:.1f}, Django {other:.1f}, ratio {ratio:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
