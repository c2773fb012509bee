"""An imported run in words: what came over, by what clock, and what the gate can do with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from headway.load import histogram

if TYPE_CHECKING:
    from headway.model import Evidence, Imported, PhaseHits

QUANTILES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999))


def as_json(evidence: Evidence) -> dict[str, Any]:
    """The same for a program; times in ms, not corrected."""
    origin = _origin(evidence)
    return {
        "run": evidence.id,
        "tool": origin.tool,
        "file": origin.file,
        "timing": origin.timing,
        "corrected": False,
        "accepted": origin.accepted,
        "samples": origin.samples,
        "routes": rows(evidence),
        "notes": list(origin.notes),
    }


def as_text(evidence: Evidence) -> str:
    """A table for a person, then what it is worth."""
    origin = _origin(evidence)
    names = [name for name, _ in QUANTILES]
    out = [f"run {evidence.id}, imported from {origin.tool}: {origin.file}"]
    out.append(f"{'route':<32} {'requests':>9} {'failed':>7} " + " ".join(f"{name:>8}" for name in names) + "  ms")
    for row in rows(evidence):
        times = " ".join(f"{'-' if row[name] is None else f'{row[name]:.2f}':>8}" for name in names)
        out.append(f"{row['route'][:32]:<32} {row['requests']:>9,} {row['failed']:>7,} {times}")
    out.append(f"times: {origin.timing}; not corrected for coordinated omission")
    if not origin.samples:
        out.append(
            "the file shows no single requests: its percentiles have no interval, and the gate decides nothing on them"
        )
    elif origin.accepted:
        out.append("accepted: uncorrected times may keep a promise, and each verdict says so")
    else:
        out.append("uncorrected times can break a promise; to let them keep one, import with --accept-uncorrected")
    return "\n".join((*out, *origin.notes))


def rows(evidence: Evidence) -> list[dict[str, Any]]:
    """Each route, all together last; times are of good answers where requests were shown, else as the tool told."""
    origin = _origin(evidence)
    if not origin.samples:
        ordered = sorted(origin.told, key=lambda each: each.route is None)
        return [
            {"route": each.route or "all requests", "requests": each.requests, "failed": each.failed}
            | {name: _ms(each.statistics_ns.get(name)) for name, _ in QUANTILES}
            for each in ordered
        ]
    (hits,) = evidence.phases
    return [_row(hits, index, name) for index, name in enumerate(evidence.routes)] + [_row(hits, None, "all requests")]


def _row(hits: PhaseHits, route: int | None, name: str) -> dict[str, Any]:
    counts = histogram.fold(hits.service, route)
    chosen = slice(None) if route is None else hits.failures.route == route
    failed = int(np.sum(hits.failures.count[chosen]))
    found: dict[str, Any] = {"route": name, "requests": int(counts.sum()) + failed, "failed": failed}
    for label, q in QUANTILES:
        found[label] = _ms(histogram.quantile_ns(counts, q)) if counts.any() else None
    return found


def _ms(ns: float | None) -> float | None:
    return None if ns is None else ns / 1e6


def _origin(evidence: Evidence) -> Imported:
    if evidence.imported is None:
        raise ValueError("not an imported run")
    return evidence.imported
