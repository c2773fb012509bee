"""headway compare: two runs, a run and the pinned one, two services in turns, or the way runs have gone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headway.cli import options
from headway.cli.options import Format
from headway.conventions import BASELINE_FILE, STATE_FOLDER

EXAMPLES = options.examples(
    "headway compare latest~1 latest --same-runner",
    "headway compare --interleave scenario.toml --a http://127.0.0.1:8000 --b http://127.0.0.1:8001",
    'headway compare --interleave scenario.toml --a-rev main --b-rev HEAD --start "uvicorn app:app --port {port}"',
    "headway compare --pin latest",
    "headway compare latest --baseline",
    "headway compare --trend",
)


AArgument = Annotated[
    str | None, typer.Argument(help="A run: id, folder, latest, latest~1; several rounds with commas between.")
]
BArgument = Annotated[str | None, typer.Argument(help="The run to compare with A.")]
SameRunnerOption = Annotated[
    bool, typer.Option("--same-runner", help="Refuse runs not known to have been made on one machine.")
]
MattersOption = Annotated[
    float, typer.Option("--matters", min=0, metavar="PERCENT", help="The smallest difference that matters.")
]
MattersMsOption = Annotated[
    float, typer.Option("--matters-ms", min=0, metavar="MS", help="A latency must differ by as much too.")
]
MattersErrorsOption = Annotated[
    float, typer.Option("--matters-errors", min=0, metavar="POINTS", help="The same of error rates, in points.")
]
QuantileOption = Annotated[
    list[float] | None,
    typer.Option("--quantile", min=1, max=99.999, help="A percentile to compare, in place of the usual ones."),
]
PinOption = Annotated[str | None, typer.Option("--pin", metavar="RUN", help="Pin this run as the baseline.")]
BaselineOption = Annotated[bool, typer.Option("--baseline", help="Compare A with the pinned run.")]
BaselineFileOption = Annotated[Path | None, typer.Option("--baseline-file", help="Default: .headway/baseline.json.")]
TrendOption = Annotated[
    bool, typer.Option("--trend", help="The way runs of the same traffic and load as A (latest) have gone.")
]
InterleaveOption = Annotated[
    Path | None, typer.Option("--interleave", metavar="SCENARIO", help="Load two services in turns, then compare.")
]
AUrlOption = Annotated[str | None, typer.Option("--a", metavar="URL", help="The first service.")]
BUrlOption = Annotated[str | None, typer.Option("--b", metavar="URL", help="The second one.")]
ARevOption = Annotated[str | None, typer.Option("--a-rev", metavar="REV", help="The first one's git revision.")]
BRevOption = Annotated[str | None, typer.Option("--b-rev", metavar="REV", help="The second one's.")]
StartOption = Annotated[
    str | None, typer.Option("--start", metavar="COMMAND", help="Serves a revision on {port}, from its folder.")
]
PrepareOption = Annotated[
    str | None, typer.Option("--prepare", metavar="COMMAND", help="Run before, to its end, in its folder.")
]
PatienceOption = Annotated[float, typer.Option("--patience", min=1, help="Seconds until a revision has to answer.")]
RoundsOption = Annotated[int, typer.Option("--rounds", min=1, help="Runs of A and of B each.")]
HtmlOption = Annotated[Path | None, typer.Option("--html", help="Write the comparison there as a page as well.")]


@options.flattened
def compare(
    *,
    asked: options.Asked,
    a: AArgument = None,
    b: BArgument = None,
    same_runner: SameRunnerOption = False,
    matters: MattersOption = 5.0,
    matters_ms: MattersMsOption = 1.0,
    matters_errors: MattersErrorsOption = 0.1,
    quantile: QuantileOption = None,
    pin: PinOption = None,
    baseline: BaselineOption = False,
    baseline_file: BaselineFileOption = None,
    trend: TrendOption = False,
    interleave: InterleaveOption = None,
    a_url: AUrlOption = None,
    b_url: BUrlOption = None,
    a_rev: ARevOption = None,
    b_rev: BRevOption = None,
    start: StartOption = None,
    prepare: PrepareOption = None,
    patience: PatienceOption = 60.0,
    rounds: RoundsOption = 6,
    html: HtmlOption = None,
    format: options.FormatOption = Format.TEXT,
    output: options.OutputOption = None,
) -> None:
    """Compare run B with run A: what differs, by how much for certain, and whether that matters.

    Exit codes: 0 B is no worse, 3 B is worse, 4 can't be told, 5 the runs can't be compared.
    """
    from headway.cli.compared import Compared, check_asked

    check_asked(
        {"--pin": pin, "--baseline": baseline, "--trend": trend, "--interleave": interleave},
        sides={"--a": a_url, "--b": b_url, "--a-rev": a_rev, "--b-rev": b_rev},
        start=start,
        runs=(a, b),
    )
    to = Compared(
        asked=asked, same_runner=same_runner, ratio=matters / 100, latency_ns=matters_ms * 1e6,
        errors_ratio=matters_errors / 100, quantiles=tuple(each / 100 for each in quantile or ()), html=html,
        as_json=format is Format.JSON, output=output,
    )  # fmt: skip
    file = baseline_file or asked.root / STATE_FOLDER / BASELINE_FILE
    if pin is not None:
        code = to.pin(file, pin)
    elif interleave is not None and start is not None:
        code = to.revisions(interleave, (str(a_rev), str(b_rev)), rounds, start, prepare, patience)
    elif interleave is not None:
        code = to.turns(interleave, (str(a_url), str(b_url)), rounds)
    elif trend:
        code = to.trend(a)
    elif baseline:
        code = to.pinned(file, a)
    else:
        code = to.runs(str(a), str(b))
    raise typer.Exit(int(code))
