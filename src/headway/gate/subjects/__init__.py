"""One file a subject. A judge takes a Case and gives an Answer; adding one is a file and a line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headway.gate.subjects import (
    alerts,
    errors,
    hit_rate,
    indexed,
    latency,
    monitoring,
    statements,
    throughput,
)
from headway.model import Side, Subject

if TYPE_CHECKING:
    from collections.abc import Callable

    from headway.gate.case import Answer, Case

JUDGES: dict[tuple[Subject, Side], Callable[[Case], Answer]] = {
    (Subject.LATENCY, Side.CLIENT): latency.judge,
    (Subject.LATENCY, Side.DATABASE): statements.judge,
    (Subject.THROUGHPUT, Side.CLIENT): throughput.judge,
    (Subject.HIT_RATE, Side.CACHE): hit_rate.judge_cache,
    (Subject.HIT_RATE, Side.EDGE): hit_rate.judge_edge,
    (Subject.ERROR_RATE, Side.CLIENT): errors.judge_errors,
    (Subject.AVAILABILITY, Side.CLIENT): errors.judge_availability,
    (Subject.INDEXED, Side.DATABASE): indexed.judge,
    (Subject.MONITORING, Side.CLIENT): monitoring.judge,
    (Subject.ALERTS, Side.CLIENT): alerts.judge,
}
