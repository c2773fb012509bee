"""headway validate: the gate."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from headway.cli import options
from headway.cli.options import Format

EXAMPLES = options.examples(
    "headway validate 0050 --performance --lab",
    "headway validate 0050 --performance --against http://127.0.0.1:8000 --scenario scenario.toml",
    "headway validate 0050 --performance --run latest --format json",
)


@options.flattened
def validate(
    *,
    asked: options.Asked,
    increment: Annotated[str, typer.Argument(help="Increment: 0050, its whole id, a folder, or a file.")],
    performance: Annotated[
        bool, typer.Option("--performance", help="Judge the performance promises (the only kind, and the default).")
    ] = True,
    run: Annotated[
        str | None, typer.Option("--run", help="Judge a finished run again (its id, folder, or 'latest'): no load.")
    ] = None,
    scenario: Annotated[Path | None, typer.Option("--scenario", help="The traffic; default: the increment's.")] = None,
    junit: Annotated[Path | None, typer.Option("--junit", help="Write JUnit XML there as well.")] = None,
    markdown: Annotated[Path | None, typer.Option("--markdown", help="Write a pull-request comment there.")] = None,
    format: options.FormatOption = Format.TEXT,
    output: options.OutputOption = None,
) -> None:
    """Load the service as increment INCREMENT needs, and say whether each of its promises holds.

    Exit codes: 0 kept, 1 Headway failed, 2 usage, 3 broken, 4 inconclusive, 5 the run itself is invalid.
    """
    from headway import line
    from headway.report import as_json, terminal
    from headway.report import junit as junit_report
    from headway.report import markdown as markdown_report

    promise = line.find_promise(increment, asked.promise_roots())
    if run is not None:
        judged = line.judge_again(promise, asked.root, None if run == "latest" else run)
    else:
        sources = asked.sources()
        traffic = line.find_scenario(scenario, promise, sources.target_url)
        judged = line.validate(
            promise,
            traffic,
            sources,
            root=asked.root,
            means=asked.means(),
            duration_s=asked.duration,
        )
    told = judged.verdict, judged.findings
    if format is Format.JSON:
        options.deliver(as_json.render(*told, judged.evidence), output)
    else:
        options.deliver(terminal.verdict_text(*told, stream=sys.stdout if output is None else None), output)
    if junit is not None:
        options.deliver(junit_report.render(*told, judged.evidence), junit)
    if markdown is not None:
        options.deliver(markdown_report.render(*told, judged.evidence), markdown)
    typer.echo(f"report: {judged.report}", err=True)
    raise typer.Exit(int(judged.verdict.exit_code))
