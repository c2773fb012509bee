"""
Answers so large that making, sending and reading them takes the time.

For: bytes nobody looks at are the cheapest to save. Against: a download is large because that is what was asked for,
and on one machine bytes cost less than over a real network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headway.conventions import SPANS_FILE
from headway.diagnose import traced
from headway.diagnose.profiled_routes import same_route
from headway.diagnose.windows import answered
from headway.diagnose.words import fingerprint, one_line
from headway.load import histogram
from headway.model import Confidence, Finding, Location, Remedy, RemedyKind, Subject
from headway.promises.spoken import duration_text
from headway.thresholds.rules import PAYLOAD_MIN_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from headway.model import Evidence, PhaseHits

RULE = "payload"


def find(evidence: Evidence) -> Iterator[Finding]:
    """A finding for each route whose answers are large where spans say so; for all together where they don't."""
    for hits in evidence.phases:
        sizes = _by_route(evidence, hits)
        large = {route: mean for route, (mean, _) in sizes.items() if mean >= PAYLOAD_MIN_BYTES}
        for route in large:
            yield _finding(evidence, hits, route, *sizes[route])
        count = answered(hits)
        mean = hits.received_bytes / count if count else 0.0
        if mean >= PAYLOAD_MIN_BYTES and not large:
            only = evidence.routes[0] if len(evidence.routes) == 1 else None
            yield _finding(evidence, hits, only, mean, count)


def _by_route(evidence: Evidence, hits: PhaseHits) -> Mapping[str, tuple[float, int]]:
    file = evidence.folder / SPANS_FILE
    if not file.exists():
        return {}
    with traced.opened(file) as connection:
        rows = connection.execute(
            "SELECT route::VARCHAR, avg(body_bytes), count(*) FROM read_parquet($file) WHERE kind = 2"
            " AND route IS NOT NULL AND body_bytes IS NOT NULL AND start_ns BETWEEN $low AND $high"
            " GROUP BY 1 ORDER BY 1",
            {
                "file": str(file),
                "low": int(hits.started_at_s * 1e9),
                "high": int((hits.started_at_s + hits.seconds) * 1e9),
            },
        ).fetchall()
    return {route: (float(mean), int(count)) for route, mean, count in rows}


def _finding(evidence: Evidence, hits: PhaseHits, route: str | None, mean: float, count: int) -> Finding:
    body_ns = _reading_ns(evidence, hits, route)
    total = max(hits.received_bytes, mean * count, 1.0)
    whose = f"answers of {one_line(route)}" if route else "answers of all routes"
    reads = f"; reading their bodies took {duration_text(body_ns)} on average" if body_ns else ""
    return Finding(
        rule=RULE,
        phase=hits.phase.name,
        line=f"{whose} have {_size(mean)} on average ({count:,} of them){reads}",
        explains=(Subject.LATENCY, Subject.THROUGHPUT),
        share_ratio=min(1.0, mean * count / total),
        share_of="bytes answered",
        weight_ratio=_weight(evidence, hits, route, body_ns),
        fingerprint=fingerprint(RULE, route or ""),
        location=Location(route=route),
        confidence=Confidence.CERTAIN,
        cost_ns=body_ns,
        reasons_for=(
            f"at {mean * 8 / 100e6 * 1e3:,.0f} ms each a link of 100 Mbit/s is full with"
            f" {100e6 / 8 / mean:,.0f} of them a second",
            "who makes the answer pays as well: rows read, objects made, JSON written",
        ),
        reasons_against=(
            "a download that was asked for as a whole is as large as it must be",
            *(() if body_ns else ("what it costs in time isn't known: --details measures the reading of bodies",)),
        ),
        remedies=(
            Remedy(
                kind=RemedyKind.CODE,
                title="send less",
                act="page the list, send only the fields that are used, or give large texts an address of their own",
            ),
        ),
    )


def _reading_ns(evidence: Evidence, hits: PhaseHits, route: str | None) -> float | None:
    cells = hits.details.get("body")
    if cells is None:
        return None
    index = next((i for i, name in enumerate(evidence.routes) if route and same_route(name, route)), None)
    if route and index is None:
        return None
    counts = histogram.fold(cells, index)
    return histogram.mean_ns(counts) if counts.sum() else None


def _weight(evidence: Evidence, hits: PhaseHits, route: str | None, body_ns: float | None) -> float:
    """Its part of the service time where that is known; else little, since what it costs is not."""
    index = next((i for i, name in enumerate(evidence.routes) if route and same_route(name, route)), None)
    counts = histogram.fold(hits.service, index)
    if body_ns is None or not counts.sum():
        return 0.05
    return min(1.0, body_ns / histogram.mean_ns(counts))


def _size(count: float) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 1e6 else f"{count / 1e3:,.0f} kB"
