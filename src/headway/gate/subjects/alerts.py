"""Alerts: rules exist, and speak of metrics the service has."""

from __future__ import annotations

from headway.gate.case import Answer, Case, inconclusive
from headway.model import State

LOADED = "the Prometheus server's loaded rules"
FILES = "rule files; not seen loaded by a Prometheus server"


def judge(case: Case) -> Answer:
    """Kept with at least one alert whose metrics the service shows."""
    seen = case.evidence.monitoring
    if seen is None or (not seen.alerts and seen.alerts_error is None):
        return inconclusive("no alert rules were named; name them with --rules or --prometheus-url")
    source = LOADED if seen.alerts_loaded else FILES
    if seen.alerts_error is not None:
        return Answer(state=State.BROKEN, reason=seen.alerts_error, source=source)
    if seen.metrics_url is None or seen.metrics_error is not None:
        return inconclusive(
            f"{len(seen.alerts)} alerts, and the service's metrics could not be read to hold them against",
            source=source,
        )
    if seen.unknown_metrics:
        return Answer(
            state=State.BROKEN, source=source, samples=len(seen.alerts),
            reason=f"alerts ask for metrics the service does not show: {', '.join(seen.unknown_metrics)}",
        )  # fmt: skip
    names = ", ".join(seen.alerts[:5])
    return Answer(
        state=State.KEPT, source=source, samples=len(seen.alerts), reason=f"{len(seen.alerts)} alerts: {names}"
    )
