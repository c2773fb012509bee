"""All collectors. A new one is one file and one line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headway.evidence.alerts import Alerts
from headway.evidence.answers import Answers
from headway.evidence.cache import Cache
from headway.evidence.database import DatabaseUse
from headway.evidence.edge import Edge
from headway.evidence.host import Host
from headway.evidence.indexes import Indexes
from headway.evidence.metrics import Metrics
from headway.evidence.plans import Plans
from headway.evidence.profile import Profiler
from headway.evidence.session import Session
from headway.evidence.statements import Statements
from headway.evidence.tables import Tables
from headway.evidence.traces import Traces

if TYPE_CHECKING:
    from headway.evidence.collector import Collector
    from headway.model import Scenario, Sources


def collectors(sources: Sources, scenario: Scenario | None = None) -> tuple[Collector, ...]:
    """One of each, in the order they are checked and finished; those of one database share its connection."""
    session = None if sources.database_url is None else Session(sources.database_url)
    return (
        statements := Statements(session),
        DatabaseUse(session),
        Tables(session),
        Indexes(session),
        Plans(session, statements),
        Cache(sources.cache_url),
        Edge(sources.edge_log),
        Host(sources.processes),
        Profiler(sources.processes, wanted=sources.profile),
        metrics := Metrics(sources.metrics_url),
        Alerts(sources.prometheus_url, sources.rule_files, metrics),
        Traces(sources.traces, show_values=sources.show_values),
        Answers(sources, scenario),
    )
