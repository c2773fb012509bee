"""Whether the service shows metrics, and whether one of them counts the requests that were sent."""

from __future__ import annotations

import re
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

from headway.errors import HeadwayError
from headway.evidence import fetch, redact
from headway.evidence.collector import Collector, absent, failed, present

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from headway.model import Phase, SourceState

ACCEPT = "text/plain;version=0.0.4,*/*;q=0.1"
_REQUESTS = (
    re.compile(r"^http_requests_total$|^http_server_request_duration_seconds_count$"),
    re.compile(r"http.*request.*_(total|count)$"),
    re.compile(r"(^|_)requests?(_[a-z]+)*_(total|count)$"),
)
"""Names of counters of served HTTP requests, the likeliest first: Prometheus' own convention, OpenTelemetry's,
Spring's http_server_requests_seconds_count, and what people call theirs."""
_NOT_OURS = re.compile(r"^promhttp_|^scrape_|client|in_flight|in_progress|active|failed|errors?_")
"""Requests the service makes, and scrapes of the metrics page itself."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """One reading of a metrics page: the sum of each sample name over its labels, and the names of the families."""

    sums: Mapping[str, float]
    families: frozenset[str]


class Metrics(Collector):
    """
    The service's own metrics page, read when a phase begins and when it ends.

    Both readings are parsed when it has ended: a page of some hundred families takes tens of milliseconds, which a
    phase that is being measured shouldn't pay for.
    """

    name = "metrics"

    def __init__(self, url: str | None) -> None:
        super().__init__()
        self.url = url
        self.error: str | None = None
        self.families: frozenset[str] = frozenset()
        self.samples: frozenset[str] = frozenset()
        self.moved: dict[str, float] = defaultdict(float)
        self._before: str | None = None
        self._scrapes = 0

    @property
    def readable(self) -> bool:
        """Whether the page was read at least once."""
        return bool(self.families)

    def check(self) -> SourceState:
        if self.url is None:
            return absent(self.name, "--metrics-url")
        fetch.check_url(self.url, "the metrics URL")
        try:
            page = self._parsed(self._fetched())
        except HeadwayError as exc:
            return failed(self.name, exc.what, exc.next_act)
        return present(self.name, f"{len(page.families)} metric families at {redact.url(self.url)}")

    def begin(self, phase: Phase, at_s: float) -> None:
        self._before = self._fetched()

    def end(self, phase: Phase, at_s: float) -> None:
        begun, self._before = self._before, None
        if begun is None:
            return
        ended = self._fetched()
        before, after = self._parsed(begun), self._parsed(ended)
        self._scrapes += 2
        for name, value in after.sums.items():
            then = before.sums.get(name, 0.0)
            # A counter that fell began again at 0 in between.
            self.moved[name] += value - then if value >= then else value

    def request_metric(self) -> tuple[str, float] | None:
        """
        The counter of HTTP requests that moved, and by how much in all phases together.

        A counter that moved no further than Headway's own reading of the page could move it doesn't count.
        """
        for pattern in _REQUESTS:
            fitting = [
                (by, name)
                for name, by in self.moved.items()
                if pattern.search(name) and not _NOT_OURS.search(name) and by > self._scrapes
            ]
            if fitting:
                by, name = max(fitting)
                return name, by
        return None

    def exposes(self, name: str) -> bool:
        """Whether the page has a metric of this name, or a family it belongs to (`_bucket`, `_count`, `_sum`)."""
        family = re.sub(r"_(bucket|count|sum|total|created)$", "", name)
        return name in self.samples or name in self.families or family in self.families

    def _fetched(self) -> str:
        with self._noted():
            return fetch.get(self.url or "", accept=ACCEPT)

    def _parsed(self, text: str) -> Page:
        with self._noted():
            page = parse(text, redact.url(self.url or ""))
        self.families |= page.families
        self.samples |= page.sums.keys()
        return page

    @contextmanager
    def _noted(self) -> Iterator[None]:
        """What went wrong is kept as well."""
        try:
            yield
        except HeadwayError as exc:
            self.error = exc.what
            raise


def parse(text: str, place: str) -> Page:
    """
    Read the Prometheus text format.

    Raises:
        HeadwayError: it is something else, or empty.
    """
    sums: dict[str, float] = defaultdict(float)
    families: set[str] = set()
    try:
        for family in text_string_to_metric_families(text):
            families.add(family.name)
            for sample in family.samples:
                sums[sample.name] += sample.value
    except (ValueError, KeyError, IndexError, AttributeError, TypeError) as exc:
        what = f"{place} isn't in the Prometheus text format"
        raise HeadwayError(what, next_act="name the page Prometheus scrapes, often /metrics") from exc
    if not families:
        raise HeadwayError(f"{place} shows no metrics", next_act="name the page Prometheus scrapes, often /metrics")
    return Page(sums=sums, families=frozenset(families))
