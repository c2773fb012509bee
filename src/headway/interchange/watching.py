"""Who watches a run from outside while it runs: a scraper, an OTLP receiver, both, or nobody."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from headway.model import Progress, Scenario


@dataclass(frozen=True, kw_only=True)
class Watchers:
    """Where to send a run's metrics (OTLP over HTTP), and the port to show them on (0: a free one); None: nowhere."""

    otlp_url: str | None = None
    metrics_port: int | None = None


@contextmanager
def watched(scenario: Scenario, watchers: Watchers, say: Callable[[str], None]) -> Iterator[Callable[[Progress], None]]:
    """
    Gives what is to be called with each second's progress.

    Args:
        scenario: names the routes.
        watchers: who watches.
        say: gets the page's address, and trouble with the receiver, a sentence each.

    Raises:
        BadInput: the URL or the port means nothing, or the port is taken.
    """
    otlp_url, metrics_port = watchers.otlp_url, watchers.metrics_port
    if otlp_url is None and metrics_port is None:
        yield lambda _progress: None
        return
    from headway.interchange.openmetrics import Page
    from headway.interchange.otlp import Sender
    from headway.interchange.totals import Totals

    totals = Totals(scenario)
    page = None if metrics_port is None else Page(totals, metrics_port)
    try:
        sender = None if otlp_url is None else Sender(totals, otlp_url, say)
        if page is not None:
            say(f"metrics at {page.url} while the run lasts")

        def second(progress: Progress) -> None:
            totals.second(progress)
            if sender is not None:
                sender.second()

        try:
            yield second
        finally:
            if sender is not None:
                sender.close()
    finally:
        if page is not None:
            page.close()
