"""Options that several commands share, spelled once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from headway.cli.wire import WireOptions
from headway.conventions import LAB_FOLDER, STATE_FOLDER
from headway.errors import BadInput
from headway.model import Sources, TraceIntake

if TYPE_CHECKING:
    from headway.line import Means


class Format(StrEnum):
    TEXT = "text"
    JSON = "json"


FormatOption = Annotated[Format, typer.Option("--format", help="How to print the result.")]
OutputOption = Annotated[Path | None, typer.Option("-o", "--output", help="Write the result there, not to stdout.")]
RunArgument = Annotated[str | None, typer.Argument(help="The run: id, folder, latest, latest~1.")]
RootOption = Annotated[Path, typer.Option("--root", help="Folder that holds .specweave and .headway.", file_okay=False)]
StateOption = Annotated[Path, typer.Option("--state", help="The lab's state folder.", file_okay=False)]
WorkersOption = Annotated[int | None, typer.Option("--workers", min=1, help="Generator processes; default: chosen.")]
OnOption = Annotated[
    str | None,
    typer.Option("--on", metavar="dask://HOST:PORT", help="Make the load on a Dask cluster: its scheduler's address."),
]
TolerateOption = Annotated[
    int, typer.Option("--tolerate", min=0, help="Lost generator processes that don't end the run; they are said.")
]
CalibrateOption = Annotated[
    bool,
    typer.Option(
        "--calibration/--no-calibration",
        envvar="HEADWAY_CALIBRATION",
        help="Measure first what this machine's generator can reach, where that isn't known: 3 s at most, once.",
    ),
]
DurationOption = Annotated[
    float | None, typer.Option("--duration", min=1, help="Seconds of each phase, warm-up excluded.")
]
AgainstOption = Annotated[str | None, typer.Option("--against", metavar="URL", help="The service to load.")]
LabOption = Annotated[bool, typer.Option("--lab", help="Load the running lab and read all its sources.")]
DatabaseOption = Annotated[
    str | None,
    typer.Option("--database-url", envvar="HEADWAY_DATABASE_URL", help="PostgreSQL to read statistics from."),
]
CacheOption = Annotated[
    str | None, typer.Option("--cache-url", envvar="HEADWAY_CACHE_URL", help="Redis or Valkey to read INFO from.")
]
CacheMonitorOption = Annotated[
    bool,
    typer.Option(
        "--cache-monitor",
        help="Infer hits and misses by key from bursts of MONITOR, which slow the cache meanwhile.",
    ),
]
EdgeLogOption = Annotated[Path | None, typer.Option("--edge-log", help="nginx access log in JSON, with cache status.")]
DatabaseLogOption = Annotated[
    Path | None,
    typer.Option("--database-log", help="PostgreSQL's log, or its folder: plans by auto_explain."),
]
PgBouncerOption = Annotated[
    str | None,
    typer.Option("--pgbouncer-url", envvar="HEADWAY_PGBOUNCER_URL", help="PgBouncer's admin console, to read pools."),
]
ShowValuesOption = Annotated[
    bool,
    typer.Option("--show-values", help="Keep values in logged plans, statements, paths; else they are removed."),
]
MetricsOption = Annotated[str | None, typer.Option("--metrics-url", help="Where the service shows Prometheus metrics.")]
PrometheusOption = Annotated[str | None, typer.Option("--prometheus-url", help="A Prometheus server's address.")]
RulesOption = Annotated[list[Path] | None, typer.Option("--rules", help="A Prometheus rule file; may be repeated.")]
OtlpOption = Annotated[
    str | None,
    typer.Option("--otlp", metavar="URL", help="Send the run's metrics there while it lasts: OTLP over HTTP."),
]
MetricsPortOption = Annotated[
    int | None,
    typer.Option(
        "--metrics-port", min=0, max=65535, help="Show them to Prometheus there, on 127.0.0.1; 0: a free port."
    ),
]
WatchOption = Annotated[
    list[str] | None, typer.Option("--watch", metavar="NAME=PID", help="A process to watch; may be repeated.")
]

AnswersOption = Annotated[
    bool,
    typer.Option(
        "--answers/--no-answers", help="When the load is over, ask each GET route a few times for its headers."
    ),
]
ProfileOption = Annotated[
    bool, typer.Option("--profile", help="Sample the stacks of the watched Python processes while it is measured.")
]


TracesOption = Annotated[
    bool, typer.Option("--traces", help="Receive OpenTelemetry traces while it runs; see 'headway traces'.")
]
TracesAtOption = Annotated[
    str | None, typer.Option("--traces-at", metavar="[HOST:]PORT", help="Receive them there; default 127.0.0.1:4318.")
]


def examples(*commands: str) -> str:
    """The end of a command's help: one example a line, kept as lines."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)


DEFAULT_STATE = Path(STATE_FOLDER) / LAB_FOLDER
HERE = Path()


def watched(pairs: list[str] | None) -> tuple[tuple[str, int], ...]:
    """`["app=12"]` -> `(("app", 12),)`."""
    found = []
    for pair in pairs or ():
        name, _, pid = pair.rpartition("=")
        if not name or not pid.isdecimal():
            raise BadInput(f"--watch {pair!r} is not NAME=PID", next_act="say, for example, --watch app=4242")
        found.append((name, int(pid)))
    return tuple(found)


@dataclass(frozen=True, kw_only=True)
class Asked(WireOptions):
    """What a person asked to be loaded and looked at; `flattened` makes an option of each field."""

    against: AgainstOption = None
    lab: LabOption = False
    database_url: DatabaseOption = None
    cache_url: CacheOption = None
    cache_monitor: CacheMonitorOption = False
    edge_log: EdgeLogOption = None
    database_log: DatabaseLogOption = None
    pgbouncer_url: PgBouncerOption = None
    show_values: ShowValuesOption = False
    metrics_url: MetricsOption = None
    prometheus_url: PrometheusOption = None
    rules: RulesOption = None
    watch: WatchOption = None
    answers: AnswersOption = True
    profile: ProfileOption = False
    traces: TracesOption = False
    traces_at: TracesAtOption = None
    otlp: OtlpOption = None
    metrics_port: MetricsPortOption = None
    workers: WorkersOption = None
    on: OnOption = None
    tolerate: TolerateOption = 0
    calibrate: CalibrateOption = True
    duration: DurationOption = None
    root: RootOption = HERE
    state: StateOption = DEFAULT_STATE

    def sources(self) -> Sources:
        """
        The target and its sources: the lab's own with `--lab`, what is named besides laid over them.

        Raises:
            BadInput: neither a target nor the lab, or both.
        """
        if (self.against is None) == (not self.lab):
            raise BadInput(
                "exactly one of --against URL and --lab says what to load",
                next_act="name your service with --against, or start the lab ('headway lab up') and say --lab",
            )
        from headway.lab import Lab
        from headway.lab import sources as lab_sources

        base = lab_sources(Lab(self.state).status()) if self.lab else Sources(target_url=str(self.against))
        return Sources(
            target_url=base.target_url,
            database_url=self.database_url or base.database_url,
            cache_url=self.cache_url or base.cache_url,
            cache_monitor=self.cache_monitor,
            edge_log=self.edge_log or base.edge_log,
            database_log=self.database_log or base.database_log,
            pgbouncer_url=self.pgbouncer_url or base.pgbouncer_url,
            metrics_url=self.metrics_url or base.metrics_url,
            prometheus_url=self.prometheus_url or base.prometheus_url,
            rule_files=(*base.rule_files, *(self.rules or ())),
            processes=(*base.processes, *watched(self.watch)),
            answers=self.answers,
            profile=self.profile,
            traces=self._traces(),
            show_values=self.show_values,
        )

    def _traces(self) -> TraceIntake | None:
        from headway.evidence.otlp import settings

        if self.traces_at is not None:
            return settings.place(self.traces_at)
        return TraceIntake() if self.traces else None

    def means(self) -> Means:
        """What makes the load, and who sees its metrics while it lasts."""
        from headway.interchange.watching import Watchers
        from headway.line import Means

        return Means(
            workers=self.workers,
            on=self.on,
            tolerate=self.tolerate,
            calibrate=self.calibrate,
            watchers=Watchers(otlp_url=self.otlp, metrics_port=self.metrics_port),
            wire=self.wire_choice(),
        )

    def promise_roots(self) -> tuple[Path, ...]:
        """Where to look for increments: the root, and with `--lab` the reference shop's own."""
        if not self.lab:
            return (self.root,)
        from headway.lab import shop_folder

        return (self.root, shop_folder())


def flattened(command: Callable[..., None]) -> Callable[..., None]:
    """Show each field of the command's `asked: Asked` as an option of its own, so that commands share them."""
    hints = get_type_hints(Asked, include_extras=True)
    shared = [
        inspect.Parameter(each.name, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=hints[each.name])
        for each in sorted(fields(Asked), key=lambda each: each in fields(WireOptions))  # those stand last
    ]
    own = [
        each.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for each in inspect.signature(command, eval_str=True).parameters.values()
        if each.name != "asked"
    ]

    def call(**given: Any) -> None:
        command(asked=Asked(**{each.name: given.pop(each.name) for each in shared}), **given)

    call.__doc__ = command.__doc__
    call.__annotations__ = {each.name: each.annotation for each in (*own, *shared)}
    call.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]  # what inspect reads first
    return call


def deliver(text: str, output: Path | None) -> None:
    """Data to stdout, or to the file named."""
    if output is None:
        typer.echo(text)
        return
    try:
        output.write_text(text if text.endswith("\n") else text + "\n", encoding="utf-8")
    except OSError as error:
        raise BadInput(
            f"cannot write {output}: {error.strerror}", next_act="name a file in a folder you can write to"
        ) from error
