"""All collectors. A new one is one file and one line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headway.evidence.alerts import Alerts
from headway.evidence.answers import Answers
from headway.evidence.cache import Cache
from headway.evidence.cache_commands import CacheCommands
from headway.evidence.cache_keys import CacheKeySample
from headway.evidence.cache_monitor import CacheMonitor
from headway.evidence.cache_session import CacheSession
from headway.evidence.cache_slow import CacheSlowLog
from headway.evidence.database import DatabaseUse
from headway.evidence.edge import Edge
from headway.evidence.host import Host
from headway.evidence.indexes import Indexes
from headway.evidence.logged import LoggedPlans
from headway.evidence.metrics import Metrics
from headway.evidence.plans import Plans
from headway.evidence.pooler import Pooler
from headway.evidence.profile import Profiler
from headway.evidence.replicas import Replicas
from headway.evidence.session import Session
from headway.evidence.statements import Statements
from headway.evidence.tables import Tables
from headway.evidence.traces import Traces
from headway.evidence.waits import Waits

if TYPE_CHECKING:
    from headway.evidence.collector import Collector
    from headway.model import Scenario, Sources


def collectors(sources: Sources, scenario: Scenario | None = None) -> tuple[Collector, ...]:
    """One of each, in the order they are checked and finished; those of one database share its connection."""
    session = None if sources.database_url is None else Session(sources.database_url)
    # Waits looks while others ask: it has a connection of its own.
    looks = None if sources.database_url is None else Session(sources.database_url)
    return (
        statements := Statements(session),
        Waits(looks),
        DatabaseUse(session, *filter(None, [looks])),
        Replicas(session),
        Tables(session),
        Indexes(session),
        LoggedPlans(sources.database_log, session, show_values=sources.show_values),
        Pooler(sources.pgbouncer_url),
        Plans(session, statements),
        *_of_cache(sources),
        Edge(sources.edge_log),
        Host(sources.processes),
        Profiler(sources.processes, wanted=sources.profile),
        metrics := Metrics(sources.metrics_url),
        Alerts(sources.prometheus_url, sources.rule_files, metrics),
        Traces(sources.traces, show_values=sources.show_values),
        Answers(sources, scenario),
    )


def _of_cache(sources: Sources) -> tuple[Collector, ...]:
    """Those of the cache share its connection; without one there is one to say so."""
    if sources.cache_url is None:
        return (Cache(None),)
    cache = CacheSession(sources.cache_url)
    return (
        Cache(cache),
        CacheCommands(cache),
        CacheSlowLog(cache),
        CacheKeySample(cache),
        CacheMonitor(cache, wanted=sources.cache_monitor),
    )
