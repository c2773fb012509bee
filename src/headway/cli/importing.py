"""headway import: another tool's results as a run of ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from headway.cli import options
from headway.cli.options import HERE, Format

EXAMPLES = options.examples(
    "headway import k6 points.json",
    "headway import vegeta results.bin --route 'GET /users/{id}'",
    "headway import locust shop_stats.csv",
    "headway import hdr latencies.hlog --unit us",
)

app = typer.Typer(
    help="Make a run of another tool's results, to be judged, compared and reported.",
    no_args_is_help=True,
    epilog=EXAMPLES,
    rich_markup_mode=None,
)

FileArgument = Annotated[Path, typer.Argument(help="The file that the tool wrote.")]
NameOption = Annotated[str | None, typer.Option("--scenario-name", help="What the run is called; default: the file.")]
TargetOption = Annotated[str, typer.Option("--target", metavar="URL", help="The service that was loaded, for reports.")]
AcceptOption = Annotated[
    bool,
    typer.Option(
        "--accept-uncorrected", help="Let times that are not corrected for coordinated omission keep promises."
    ),
]
GroupOption = Annotated[
    list[str] | None, typer.Option("--route", metavar="'GET /users/{id}'", help="Group URLs that fit; may be repeated.")
]
WarmupOption = Annotated[float, typer.Option("--warmup", min=0, help="Leave out what was sent in the first seconds.")]


@app.command(epilog=options.examples("headway import k6 points.json --warmup 5", "headway import k6 summary.json"))
def k6(
    file: FileArgument,
    scenario_name: NameOption = None,
    target: TargetOption = "",
    route: GroupOption = None,
    warmup: WarmupOption = 0.0,
    accept_uncorrected: AcceptOption = False,
    root: options.RootOption = HERE,
    format: options.FormatOption = Format.TEXT,
    output: options.OutputOption = None,
) -> None:
    """Import what 'k6 run --out json=FILE' wrote, or a summary; a summary's percentiles decide nothing."""
    from headway.interchange import k6_results

    _keep(
        k6_results.read(file, route or ()), scenario_name, target,
        warmup=warmup, accepted=accept_uncorrected, root=root, format=format, output=output,
    )  # fmt: skip


@app.command(epilog=options.examples("headway import vegeta results.bin", "headway import vegeta results.csv"))
def vegeta(
    file: FileArgument,
    scenario_name: NameOption = None,
    target: TargetOption = "",
    route: GroupOption = None,
    warmup: WarmupOption = 0.0,
    accept_uncorrected: AcceptOption = False,
    root: options.RootOption = HERE,
    format: options.FormatOption = Format.TEXT,
    output: options.OutputOption = None,
) -> None:
    """Import what 'vegeta attack' wrote, or 'vegeta encode' as JSON or CSV, or a JSON report."""
    from headway.interchange import vegeta_results

    _keep(
        vegeta_results.read(file, route or ()), scenario_name, target,
        warmup=warmup, accepted=accept_uncorrected, root=root, format=format, output=output,
    )  # fmt: skip


@app.command(epilog=options.examples("headway import locust shop_stats.csv"))
def locust(
    file: FileArgument,
    scenario_name: NameOption = None,
    target: TargetOption = "",
    route: GroupOption = None,
    root: options.RootOption = HERE,
    format: options.FormatOption = Format.TEXT,
    output: options.OutputOption = None,
) -> None:
    """Import the files of 'locust --csv PREFIX': any of them, or PREFIX; its percentiles decide nothing."""
    from headway.interchange import locust_results

    _keep(
        locust_results.read(file, route or ()), scenario_name, target,
        warmup=0.0, accepted=False, root=root, format=format, output=output,
    )  # fmt: skip


@app.command(epilog=options.examples("headway import hdr latencies.hlog --unit us"))
def hdr(
    file: FileArgument,
    unit: Annotated[str, typer.Option("--unit", help="Of the log's values: ns, us, ms or s.")] = "ns",
    scenario_name: NameOption = None,
    target: TargetOption = "",
    accept_uncorrected: AcceptOption = False,
    root: options.RootOption = HERE,
    format: options.FormatOption = Format.TEXT,
    output: options.OutputOption = None,
) -> None:
    """Import an HdrHistogram interval log: each tag is a route."""
    from headway.errors import BadInput
    from headway.interchange import hdr_log

    if unit not in hdr_log.UNITS:
        raise BadInput(f"--unit {unit!r} is unknown", next_act=f"say one of {', '.join(hdr_log.UNITS)}")
    _keep(
        hdr_log.read(file, unit=unit), scenario_name, target,
        warmup=0.0, accepted=accept_uncorrected, root=root, format=format, output=output,
    )  # fmt: skip


def _keep(
    foreign: Any,
    name: str | None,
    target: str,
    *,
    warmup: float,
    accepted: bool,
    root: Path,
    format: Format,
    output: Path | None,
) -> None:
    from headway.evidence import reading
    from headway.interchange import bundle, told

    folder = bundle.write(
        root, foreign, name=name or foreign.file.stem, target_url=target, accepted=accepted, warmup_s=warmup
    )
    evidence = reading.read(folder)
    text = json.dumps(told.as_json(evidence), indent=2) if format is Format.JSON else told.as_text(evidence)
    options.deliver(text, output)
    typer.echo(f"evidence: {folder}", err=True)
