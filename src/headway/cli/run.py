"""headway run: drive the traffic, collect the evidence, judge nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from headway.cli import options
from headway.cli.options import Format

EXAMPLES = options.examples(
    "headway run scenario.toml --lab",
    "headway run scenario.toml --against http://127.0.0.1:8000 --duration 30",
)


@options.flattened
def run(
    *,
    asked: options.Asked,
    scenario: Annotated[Path, typer.Argument(help="The scenario: a TOML, YAML or Python file.")],
    format: options.FormatOption = Format.TEXT,
    output: options.OutputOption = None,
) -> None:
    """Load a service with SCENARIO's own phase and keep what the run leaves behind."""
    from headway import line
    from headway.evidence import reading
    from headway.load import scenario as scenarios
    from headway.report import summary

    traffic = scenarios.read(scenario)
    phase = traffic.default_phase
    if asked.duration is not None:
        phase = replace(phase, duration_s=asked.duration)
    folder = line.load(
        asked.root,
        scenario=traffic,
        phases=(phase,),
        sources=asked.sources(),
        means=asked.means(),
    )
    evidence = reading.read(folder)
    render = summary.as_json if format is Format.JSON else summary.as_text
    options.deliver(render(evidence), output)
    typer.echo(f"evidence: {folder}", err=True)
