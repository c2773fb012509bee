"""
The nouns that travel between rooms, left to right. Frozen, keyword-only, standard library only.

Units are in the names. Inside: nanoseconds and ratios 0..1. Percent and milliseconds are for the edge.
Missing is None, never 0. Arrays are numpy, named in annotations only so that this file imports nothing.
"""

from headway.model.evidence import (
    CacheUse,
    Database,
    EdgeUse,
    Evidence,
    HostSecond,
    Machine,
    Monitoring,
    Plan,
    Presence,
    ProcessSecond,
    Sources,
    SourceState,
    Statement,
    Table,
    TableScan,
)
from headway.model.promise import Clause, Comparison, Criterion, Promise, Section, Side, Statistic, Subject
from headway.model.traffic import (
    Arrivals,
    FailureCells,
    FailureKind,
    GeneratorHealth,
    LatencyCells,
    LoadModel,
    Parameter,
    Phase,
    PhaseHits,
    Progress,
    Route,
    Scenario,
)
from headway.model.verdict import ExitCode, Finding, Judgement, State, Verdict

__all__ = [
    "Arrivals",
    "CacheUse",
    "Clause",
    "Comparison",
    "Criterion",
    "Database",
    "EdgeUse",
    "Evidence",
    "ExitCode",
    "FailureCells",
    "FailureKind",
    "Finding",
    "GeneratorHealth",
    "HostSecond",
    "Judgement",
    "LatencyCells",
    "LoadModel",
    "Machine",
    "Monitoring",
    "Parameter",
    "Phase",
    "PhaseHits",
    "Plan",
    "Presence",
    "ProcessSecond",
    "Progress",
    "Promise",
    "Route",
    "Scenario",
    "Section",
    "Side",
    "SourceState",
    "Sources",
    "State",
    "Statement",
    "Statistic",
    "Subject",
    "Table",
    "TableScan",
    "Verdict",
]
