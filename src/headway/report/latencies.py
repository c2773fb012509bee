"""Latencies of a phase in full: P50 to P99.99 with their 95% intervals, response and service time side by side."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headway.gate.seconds import answers
from headway.load import histogram, intervals
from headway.report.words import FAILED, NOTHING, ns_text

if TYPE_CHECKING:
    from headway.gate.seconds import Answers
    from headway.model import PhaseHits

QUANTILES = (0.50, 0.90, 0.95, 0.99, 0.999, 0.9999)
FAR_RATIO = 1.1
"""Response over service time from which the one sentence says that requests waited."""


@dataclass(frozen=True, kw_only=True)
class Latency:
    """
    One quantile of a route, or of all. ns; inf: it falls among the failed requests, or the samples leave it open.

    `response` counts from the intended send time and has failed requests above every good one; `service` counts from
    the actual send time, good answers only. None: there was nothing to measure.
    """

    quantile: float
    response: float | None
    low: float | None
    high: float | None
    service: float | None


def latencies(hits: PhaseHits, route: int | None = None) -> tuple[Latency, ...]:
    """Every quantile of QUANTILES, of one route or (None) of all."""
    found = answers(hits, hits.response, route)
    service = histogram.fold(hits.service, route)
    if not found.totals.sum():
        return tuple(_bare(q, service) for q in QUANTILES)
    return tuple(_latency(q, found, service) for q in QUANTILES)


def _bare(q: float, service: histogram.IntArray) -> Latency:
    value = histogram.quantile_ns(service, q) if service.any() else None
    return Latency(quantile=q, response=None, low=None, high=None, service=value)


def _latency(q: float, found: Answers, service: histogram.IntArray) -> Latency:
    measured = histogram.quantile_ns(found.counts, q, found.failures)
    interval = intervals.quantile(found.counts, q, found.failures, found.slower_than(measured), found.totals)
    return Latency(
        quantile=q,
        response=measured,
        low=None if interval is None else interval.low,
        high=None if interval is None else interval.high,
        service=histogram.quantile_ns(service, q) if service.any() else None,
    )


def name(quantile: float) -> str:
    """0.9999 -> "p99.99"."""
    return f"p{quantile * 100:.10g}"


def table(hits: PhaseHits) -> list[str]:
    """The lines of the phase's table, all routes together."""
    lines = [f"  {'':<8}{'response time':>14}  {'95% interval':<24}{'service time':>14}"]
    for each in latencies(hits):
        between = NOTHING if each.low is None or each.high is None else f"{ns_text(each.low)} to {_high(each)}"
        lines.append(
            f"  {name(each.quantile):<8}{ns_text(each.response):>14}  {between:<24}{ns_text(each.service):>14}"
        )
    return [*lines, *textwrap.wrap(meaning(hits), 80, initial_indent="  ", subsequent_indent="  ")]


def _high(each: Latency) -> str:
    if each.high is None or math.isfinite(each.high):
        return ns_text(each.high)
    return FAILED if each.response == math.inf else "no bound"


def meaning(hits: PhaseHits) -> str:
    """The one sentence on what the difference between the two times says of this phase."""
    both = next((each for each in latencies(hits) if each.quantile == 0.99), None)
    if both is None or both.response is None or not both.service:
        return "Response time counts from when a request was to be sent, service time from when it was."
    said = "Response time counts from when a request was to be sent, service time from when it was: "
    if math.isinf(both.response):
        return said + "at p99 requests failed, which service times leave out."
    if both.response < both.service * FAR_RATIO:
        return said + "they agree at p99, so requests did not wait to be sent."
    waited = ns_text(both.response - both.service)
    return said + f"at p99 requests waited {waited}, which a tool that starts its clock late would hide."
