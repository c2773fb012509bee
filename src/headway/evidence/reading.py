"""The run's folder -> Evidence."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from headway.conventions import (
    ANSWERS_FILE,
    BLOCKERS_FILE,
    CACHE_COMMANDS_FILE,
    CACHE_FILE,
    CACHE_KEYS_FILE,
    CACHE_MONITOR_FILE,
    CACHE_SLOW_FILE,
    COLUMNS_FILE,
    CONNECTIONS_FILE,
    DATABASE_FILE,
    EDGE_FILE,
    HIT_LOG,
    HOST_FILE,
    INDEXES_FILE,
    LIVE_PLANS_FILE,
    LOGGED_PLANS_FILE,
    MONITORING_FILE,
    PLANS_FILE,
    POOLS_FILE,
    PROCESSES_FILE,
    REPLICAS_FILE,
    STATEMENTS_FILE,
    TABLES_FILE,
    TRACES_FILE,
    WAITS_FILE,
)
from headway.errors import BundleDamaged
from headway.evidence import bundle, columns, runfile
from headway.evidence.collector import failed
from headway.load import hits
from headway.model import (
    Answer,
    Blocking,
    CacheCommand,
    CacheKeys,
    CacheKeyUse,
    CacheSlow,
    CacheUse,
    Column,
    Connections,
    Database,
    EdgeUse,
    Evidence,
    HostSecond,
    Index,
    LivePlan,
    LoggedPlan,
    Monitoring,
    Plan,
    PoolUse,
    Presence,
    ProcessSecond,
    Received,
    ReplicaLag,
    SourceState,
    Statement,
    Table,
    TableScan,
    Wait,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from headway.evidence.runfile import RunFile
    from headway.model import PhaseHits

Row = TypeVar("Row")

FILES = {
    "load": HIT_LOG,
    "statements": STATEMENTS_FILE,
    "database": DATABASE_FILE,
    "waits": WAITS_FILE,
    "replicas": REPLICAS_FILE,
    "pgbouncer": POOLS_FILE,
    "logged plans": LOGGED_PLANS_FILE,
    "tables": TABLES_FILE,
    "indexes": INDEXES_FILE,
    "plans": PLANS_FILE,
    "cache": CACHE_FILE,
    "edge": EDGE_FILE,
    "host": HOST_FILE,
}
"""Source -> the file that is there when the source was."""
MAYBE = {
    "cache commands": CACHE_COMMANDS_FILE,
    "cache slow log": CACHE_SLOW_FILE,
    "cache keys": CACHE_KEYS_FILE,
    "cache monitor": CACHE_MONITOR_FILE,
    "traces": TRACES_FILE,
}
"""The same of sources that a run has only where they were asked for."""


def read(folder: Path) -> Evidence:
    """
    Read one run's folder. A killed run is read as far as it got: its sources say which files are missing.

    Raises:
        BundleDamaged: run.json is missing or of another version, or a file can't be read.
    """
    run = runfile.read(folder)
    routes = tuple(route.name for route in run.scenario.routes)
    sources = _sources(folder, run)
    phases = hits.read(folder, run.phases, routes) if (folder / HIT_LOG).exists() else ()
    if run.imported is not None:  # another tool made the load, and does not say how well it could
        phases = tuple(replace(each, health=replace(each.health, cpu_ratio=None)) for each in phases)
    plans, errors = _plans(folder / PLANS_FILE)
    logged = logged_plans(folder / LOGGED_PLANS_FILE)
    live = live_plans(folder / LIVE_PLANS_FILE)
    return Evidence(
        folder=folder,
        id=run.id,
        started_at=run.started_at,
        finished_at=run.finished_at,
        interrupted=run.interrupted or run.finished_at is None,
        headway_version=run.headway_version,
        versions=run.versions,
        machine=run.machine,
        target_url=run.target_url,
        scenario=run.scenario,
        routes=routes,
        phases=phases,
        sources=sources,
        statements=tuple(
            replace(
                each,
                plan=plans.get(each.id),
                plan_error=errors.get(each.id) or _unplanned(each, plans, sources),
                logged=logged.get(each.id),
                live=live.get(each.id),
            )
            for each in _rows(folder / STATEMENTS_FILE, Statement)
        ),
        tables=_rows(folder / TABLES_FILE, Table),
        indexes=_rows(folder / INDEXES_FILE, Index),
        columns=_rows(folder / COLUMNS_FILE, Column),
        databases=_databases(folder, run),
        caches=_rows(folder / CACHE_FILE, CacheUse),
        cache_commands=_rows(folder / CACHE_COMMANDS_FILE, CacheCommand),
        cache_slow=_rows(folder / CACHE_SLOW_FILE, CacheSlow),
        cache_keys=_rows(folder / CACHE_KEYS_FILE, CacheKeys),
        cache_key_uses=_rows(folder / CACHE_MONITOR_FILE, CacheKeyUse),
        edges=_rows(folder / EDGE_FILE, EdgeUse),
        host=_rows(folder / HOST_FILE, HostSecond),
        processes=_rows(folder / PROCESSES_FILE, ProcessSecond),
        monitoring=_monitoring(folder / MONITORING_FILE, phases),
        answers=_answers(folder / ANSWERS_FILE),
        received=_received(folder / TRACES_FILE),
        imported=run.imported,
        waits=_rows(folder / WAITS_FILE, Wait),
        blockings=_rows(folder / BLOCKERS_FILE, Blocking),
        connections=_rows(folder / CONNECTIONS_FILE, Connections),
        pools=_rows(folder / POOLS_FILE, PoolUse),
        replicas=_rows(folder / REPLICAS_FILE, ReplicaLag),
    )


def _rows(file: Path, kind: type[Row]) -> tuple[Row, ...]:
    return columns.read(file, kind) if file.exists() else ()


def _sources(folder: Path, run: RunFile) -> dict[str, SourceState]:
    states = {state.name: state for state in run.sources}
    for name, file in (FILES | MAYBE).items():
        state = states.get(name)
        # A finished run of an older Headway has no word of sources that came later.
        unheard = name in FILES and run.finished_at is None
        promised = unheard if state is None else state.presence is Presence.PRESENT
        if promised and not (folder / file).exists():
            states[name] = failed(name, f"the run was ended before {file} was written", "run again")
    return states


def _databases(folder: Path, run: RunFile) -> tuple[Database, ...]:
    """With what the other two readers of the database saw: a reset of the statement or table counters."""
    reset = {phase for name in ("statements", "tables") for phase in run.lower_bound_phases.get(name, ())}
    rows = _rows(folder / DATABASE_FILE, Database)
    return tuple(replace(each, statements_reset=each.statements_reset or each.phase in reset) for each in rows)


def _plans(file: Path) -> tuple[dict[str, Plan], dict[str, str]]:
    if not file.exists():
        return {}, {}
    content = bundle.get_json(file)
    try:
        plans = {
            name: Plan(statement_id=name, json=each["json"], scans=tuple(TableScan(**scan) for scan in each["scans"]))
            for name, each in content["plans"].items()
        }
        return plans, dict(content["errors"])
    except (KeyError, TypeError, AttributeError, ValueError) as exc:
        raise BundleDamaged(f"is damaged: {exc}", next_act="run again", file=file) from exc


def logged_plans(file: Path) -> dict[str, LoggedPlan]:
    """What auto_explain logged, by the statements' ids; nothing where no log was read."""
    return _by_statement(
        file,
        lambda name, each: LoggedPlan(
            statement_id=name, seen=each["seen"], slowest_ns=each["slowest_ns"], plan=each["plan"],
            values=tuple(tuple(values) for values in each["values"]), fixed=tuple(each.get("fixed", ())),
        ),
    )  # fmt: skip


def live_plans(file: Path) -> dict[str, LivePlan]:
    """What statements' texts had while they ran, by their ids; nothing in a run from before that was read."""
    return _by_statement(
        file,
        lambda name, each: LivePlan(
            statement_id=name, seen=each["seen"], plan=each["plan"], fixed=tuple(each["fixed"])
        ),
    )  # fmt: skip


def _by_statement(file: Path, made: Callable[[str, Any], Row]) -> dict[str, Row]:
    """
    What a file has of each statement, by the statements' ids; nothing where there is no file.

    Raises:
        BundleDamaged: it is not what was written.
    """
    if not file.exists():
        return {}
    content = bundle.get_json(file)
    try:
        return {name: made(name, each) for name, each in content.items()}
    except (KeyError, TypeError, AttributeError) as exc:
        raise BundleDamaged(f"is damaged: {exc}", next_act="run again", file=file) from exc


def _unplanned(statement: Statement, plans: Mapping[str, Plan], sources: Mapping[str, SourceState]) -> str | None:
    if statement.is_utility or statement.id in plans:
        return None
    return f"plans were not collected: {sources['plans'].detail}"


def _answers(file: Path) -> tuple[Answer, ...]:
    if not file.exists():
        return ()
    try:
        return tuple(runfile.typed(Answer, row) for row in bundle.get_json(file))
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise BundleDamaged(f"is damaged: {exc}", next_act="run again", file=file) from exc


def _received(file: Path) -> Received | None:
    if not file.exists():
        return None
    try:
        return runfile.typed(Received, bundle.get_json(file))
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise BundleDamaged(f"is damaged: {exc}", next_act="run again", file=file) from exc


def _monitoring(file: Path, phases: tuple[PhaseHits, ...]) -> Monitoring | None:
    if not file.exists():
        return None
    content: dict[str, Any] = bundle.get_json(file)
    try:
        found = runfile.typed(Monitoring, content)
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise BundleDamaged(f"is damaged: {exc}", next_act="run again", file=file) from exc
    return replace(found, requests_sent=sum(int(each.sent.sum()) for each in phases) if phases else None)
