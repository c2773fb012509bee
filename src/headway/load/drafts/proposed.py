"""Criteria proposed from an access log: keep what it shows."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from headway.load.drafts import figures
from headway.load.drafts.draft import several
from headway.load.drafts.observed import quantile_us
from headway.promises.proposals import Proposal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headway.load.drafts.arrivals import Pace
    from headway.load.drafts.observed import Observed, Seen
    from headway.model import Route

LEAST_TIMES = 100
"""Fewer requests than this say too little about a P95."""
ROUTE_SHARE = 0.05
ROUTES = 3
_ERRORS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)


def proposals(kept: Sequence[Seen], routes: Sequence[Route], seen: Observed, sent: Pace) -> tuple[Proposal, ...]:
    """What the log's own figures suggest; the first criterion speaks of the whole API."""
    at = figures.rate_words(sent.busiest_minute_per_s)
    load = f"{at} is the log's busiest minute." if sent.seconds >= 60 else f"{at} is the log's mean rate."
    whole: Counter[int] = Counter()
    for each in kept:
        whole.update(each.took_us)
    found = [_latency("API response time", whole, at, load)]
    total = sum(each.count for each in kept)
    for each, route in list(zip(kept, routes, strict=True))[:ROUTES]:
        if each.count >= ROUTE_SHARE * total and each.took_us.total() >= LEAST_TIMES:
            found.append(_latency(route.name, each.took_us, at, load))
    found.append(
        Proposal(
            text=f"Handle {sent.peak_per_s:,} requests/sec",
            why="The log's busiest second, of the requests that the scenario can send.",
            priority="P2",
        )
    )
    found.append(_errors(kept, total, at, load))
    return tuple(each for each in found if each.understood)


def _latency(what: str, took: Counter[int], at: str, load: str) -> Proposal:
    if took.total() < LEAST_TIMES:
        few = "The log has no request times (nginx: $request_time)" if not took else "The log has few request times"
        return Proposal(text=f"{what} P95 < {figures.BEGIN_MS} ms at {at}", why=f"{few}. {figures.BEGIN} {load}")
    measured = quantile_us(took, 0.95) or 0
    return Proposal(
        text=f"{what} P95 < {figures.limit_ms(measured):g} ms at {at}",
        why=(
            f"The log's P95 is {figures.ms_words(measured)} ({took.total():,} requests, nginx's request_time: without "
            f"the way to the client); proposed with a fifth of room, rounded up, at least {figures.SMALLEST_MS} ms. "
            f"{load}"
        ),
    )


def error_limit(kept: Sequence[Seen]) -> float:
    """The error rate to propose: what the log has, rounded up, at least 0.1%."""
    total = sum(each.count for each in kept)
    return next((each for each in _ERRORS if _failed(kept) / total < each), _ERRORS[-1])


def _failed(kept: Sequence[Seen]) -> int:
    return sum(count for each in kept for status, count in each.statuses.items() if status >= 500)


def _errors(kept: Sequence[Seen], total: int, at: str, load: str) -> Proposal:
    limit = error_limit(kept)
    how = "rounded up, at least 0.1%" if _failed(kept) / total < limit else "more than anybody would promise"
    return Proposal(
        text=f"Error rate < {limit * 100:g}% at {at}",
        why=f"{_failed(kept):,} of the log's {total:,} requests were answered 5xx; {how}. {load}",
    )


def baselines(kept: Sequence[Seen], routes: Sequence[Route]) -> tuple[str, ...]:
    """What the log measured, a line for all and one for each of the first routes; none when it has no times."""
    whole: Counter[int] = Counter()
    for each in kept:
        whole.update(each.took_us)
    if not whole:
        return ()
    lines = [
        ("API response", whole),
        *((route.name, each.took_us) for each, route in zip(kept[:5], routes, strict=False)),
    ]
    found = []
    for name, took in lines:
        if took:
            middle, high = (figures.ms_words(quantile_us(took, share) or 0) for share in (0.5, 0.95))
            found.append(
                f"{name}: {high} (P95), {middle} (P50) of {several(took.total(), 'request')}, by the log's request_time"
            )
    return tuple(found)
