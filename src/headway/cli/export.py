"""headway export: a scenario for another tool."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from headway.cli import options
from headway.cli.options import HERE

EXAMPLES = options.examples(
    "headway export k6 scenario.toml -o script.js",
    "headway export k6 scenario.toml --promise 0050 --against http://127.0.0.1:8000 -o script.js",
)

app = typer.Typer(
    help="Write a scenario for another tool.", no_args_is_help=True, epilog=EXAMPLES, rich_markup_mode=None
)


@app.callback()
def top() -> None:
    """Write a scenario for another tool."""


@app.command(epilog=EXAMPLES)
def k6(
    scenario: Annotated[Path, typer.Argument(help="The scenario's file.")],
    promise: Annotated[
        str | None, typer.Option("--promise", help="Increment whose client-side criteria become thresholds.")
    ] = None,
    against: options.AgainstOption = None,
    database_url: options.DatabaseOption = None,
    duration: options.DurationOption = None,
    root: options.RootOption = HERE,
    output: options.OutputOption = None,
) -> None:
    """Write SCENARIO as a k6 script: executors, weights, parameters, checks, journeys, and thresholds.

    What k6 cannot do is said in the script's head and on stderr. Long lists of values go into a file beside it.
    """
    from headway import line
    from headway.interchange import k6_script
    from headway.load import scenario as scenarios

    wanted = None if promise is None else line.find_promise(promise, (root,))
    data_file = None if output is None else k6_script.beside(output)
    script = k6_script.write(
        scenarios.read(scenario), promise=wanted, target_url=against or "", database_url=database_url,
        duration_s=duration, data_file=data_file,
    )  # fmt: skip
    if script.data and output is not None and data_file is not None:
        options.deliver(json.dumps(script.data), output.with_name(data_file))
    options.deliver(script.text, output)
    for note in script.notes:
        typer.echo(f"headway: not as in Headway: {note}", err=True)
