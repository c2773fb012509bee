"""
The verdict for a program. Base units, named in the keys' neighbours: ns, requests per second, ratios 0..1.

JSON has no infinity: an open upper bound is `"high": null, "high_open": true`, a percentile that falls among failed
requests is `"measured": null, "measured_open": true`.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from headway.model import Subject
from headway.report.figures import QUANTILES, Figures, failures, figures
from headway.report.rows import rows, verdict_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headway.model import Clause, Evidence, Finding, Judgement, PhaseHits, Verdict
    from headway.report.rows import Row

SCHEMA = "headway.verdict/1"
_UNITS = {
    Subject.LATENCY: "ns",
    Subject.THROUGHPUT: "1/s",
    Subject.HIT_RATE: "ratio",
    Subject.ERROR_RATE: "ratio",
    Subject.AVAILABILITY: "ratio",
}


def render(verdict: Verdict, findings: Sequence[Finding], evidence: Evidence) -> str:
    """One JSON object; keys are only ever added within one schema version."""
    return json.dumps(
        {
            "schema": SCHEMA,
            "promise": {"id": verdict.promise_id, "title": verdict.promise_title},
            "run": verdict.run_id,
            "state": verdict.state.value,
            "exit_code": int(verdict.exit_code),
            "line": verdict_line(verdict),
            "judgements": [
                _judgement(judgement, row)
                for judgement, row in zip(verdict.judgements, rows(verdict.judgements), strict=True)
            ],
            "invalid_phases": dict(verdict.invalid_phases),
            "notes": list(verdict.notes),
            "findings": [_finding(each) for each in findings],
            "evidence": _evidence(evidence),
        },
        indent=2,
        allow_nan=False,
    )


def _judgement(judgement: Judgement, row: Row) -> dict[str, object]:
    return {
        "criterion": judgement.criterion,
        "text": judgement.text,
        "priority": judgement.priority,
        "file": None if judgement.file is None else str(judgement.file),
        "line": judgement.line,
        "clause": _clause(judgement.clause),
        "state": judgement.state.value,
        "reason": judgement.reason,
        **_open("measured", judgement.measured),
        **_open("low", judgement.low),
        **_open("high", judgement.high),
        "samples": judgement.samples,
        "source": judgement.source,
        "phase": judgement.phase,
        "load": judgement.load,
        "explanation": judgement.explanation,
        "requests_to_settle": judgement.requests_to_settle,
        "said": {"limit": row.limit, "measured": row.measured, "interval": row.interval},
    }


def _clause(clause: Clause | None) -> dict[str, object] | None:
    if clause is None:
        return None
    return {
        "subject": clause.subject.value,
        "side": clause.side.value,
        "statistic": None if clause.statistic is None else str(clause.statistic),
        "comparison": None if clause.comparison is None else clause.comparison.value,
        "limit": clause.limit,
        "unit": _UNITS.get(clause.subject),
        "route": clause.route,
        "at_rate_per_s": clause.at_rate_per_s,
        # With windows, what was measured is the share of them that held, and "measured", "low", "high" are ratios.
        "windows_ratio": clause.windows_ratio,
        "window_s": clause.window_s,
        "assumed": list(clause.assumed),
    }


def _finding(finding: Finding) -> dict[str, object]:
    return {
        "rule": finding.rule,
        "phase": finding.phase,
        "line": finding.line,
        "explains": [each.value for each in finding.explains],
        "share_ratio": _finite(finding.share_ratio),
        "share_of": finding.share_of,
        "fingerprint": finding.fingerprint,
        "details": list(finding.details),
    }


def _evidence(evidence: Evidence) -> dict[str, object]:
    return {
        "folder": str(evidence.folder),
        "target": evidence.target_url,
        "started_at": evidence.started_at,
        "finished_at": evidence.finished_at,
        "interrupted": evidence.interrupted,
        "headway_version": evidence.headway_version,
        "versions": dict(evidence.versions),
        "sources": {
            name: {"presence": state.presence.value, "detail": state.detail, "next_act": state.next_act}
            for name, state in evidence.sources.items()
        },
        "phases": [_phase(hits, evidence.routes) for hits in evidence.phases],
    }


def _phase(hits: PhaseHits, routes: Sequence[str]) -> dict[str, object]:
    return {
        "name": hits.phase.name,
        "model": hits.phase.model.value,
        "arrivals": hits.phase.arrivals.value,
        "rate_per_s": hits.phase.rate_per_s,
        "users": hits.phase.users,
        "seconds": hits.seconds,
        "finished": hits.finished,
        "planned": int(hits.planned.sum()),
        "sent": int(hits.sent.sum()),
        "good": int(hits.good.sum()),
        "failures": {each.kind.value: each.count for each in failures(hits)},
        "routes": [_route(each) for each in figures(hits, routes)],
    }


def _route(each: Figures) -> dict[str, object]:
    quantiles = zip(QUANTILES, each.response_ns, strict=True)
    return {
        "route": each.route,
        "good": each.good,
        "failed": each.failed,
        "response_ns": {f"p{q * 100:g}": _finite(value) for q, value in quantiles},
        "response_max_ns": _finite(each.maximum_ns),
        "service_p95_ns": _finite(each.service_p95_ns),
    }


def _open(name: str, value: float | None) -> dict[str, object]:
    return {name: _finite(value), f"{name}_open": value is not None and math.isinf(value)}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
