"""Monitoring: the service shows metrics, and its count of requests moved while it was loaded."""

from __future__ import annotations

from headway.gate.case import Answer, Case, inconclusive
from headway.model import State

SOURCE = "the service's metrics, read before and after"


def judge(case: Case) -> Answer:
    """Kept only when a request counter moved: metrics that stand still monitor nothing."""
    seen = case.evidence.monitoring
    if seen is None or seen.metrics_url is None:
        return inconclusive("no metrics were named; name them with --metrics-url or --prometheus-url")
    if seen.metrics_error is not None:
        return Answer(state=State.BROKEN, reason=f"{seen.metrics_url}: {seen.metrics_error}", source=SOURCE)
    if seen.request_metric is None or not seen.request_metric_moved_by:
        return Answer(
            state=State.BROKEN, source=SOURCE,
            reason=f"{seen.metric_families} metric families, and none that counts requests moved during the run",
        )  # fmt: skip
    sent = f" while {seen.requests_sent:,} requests were sent" if seen.requests_sent is not None else ""
    return Answer(
        state=State.KEPT, source=SOURCE, samples=seen.metric_families,
        reason=f"{seen.request_metric} moved by {seen.request_metric_moved_by:,.0f}{sent}",
    )  # fmt: skip
