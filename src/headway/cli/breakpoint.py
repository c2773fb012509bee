"""headway breakpoint: where the promises stop holding."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from headway.cli import options
from headway.cli.options import Format

EXAMPLES = options.examples(
    "headway breakpoint 0050 --lab",
    "headway breakpoint 0050 --against http://127.0.0.1:8000 --from 100 --to 5000 --duration 20",
)


@options.flattened
def breakpoint(
    *,
    asked: options.Asked,
    increment: Annotated[str, typer.Argument(help="Increment: 0050, its whole id, a folder, or a file.")],
    scenario: Annotated[Path | None, typer.Option("--scenario", help="The traffic; default: the increment's.")] = None,
    start: Annotated[float, typer.Option("--from", min=0.1, help="The first rate, requests per second.")] = 50.0,
    most: Annotated[float, typer.Option("--to", min=0.1, help="The highest rate to try.")] = 100_000.0,
    within: Annotated[
        float, typer.Option("--within", min=0.01, max=1.0, help="How near the answer has to be: 0.1 is 10%.")
    ] = 0.1,
    format: options.FormatOption = Format.TEXT,
    output: options.OutputOption = None,
) -> None:
    """Find the highest rate at which every latency promise of INCREMENT still holds, and say why it stops there.

    Exit codes: 0 found, 3 no rate holds, 4 can't be told, 5 the generator gave way first.
    """
    from headway import breakpoint as search
    from headway import line
    from headway.gate.breakpoint import most_seconds

    promise = line.find_promise(increment, asked.promise_roots())
    sources = asked.sources()
    traffic = line.find_scenario(scenario, promise, sources.target_url)
    duration_s = asked.duration or traffic.default_phase.duration_s
    longest_s = most_seconds(
        start_per_s=start, most_per_s=most, duration_s=duration_s, warmup_s=traffic.default_phase.warmup_s,
        within_ratio=within,
    )  # fmt: skip
    typer.echo(f"headway: at most {longest_s / 60:.0f} minutes of load, and less when a promise breaks early", err=True)
    found = search.find(
        promise, traffic, sources, root=asked.root, means=asked.means(), start_per_s=start, most_per_s=most,
        duration_s=duration_s, within_ratio=within, say=lambda text: typer.echo(text, err=True),
    )  # fmt: skip
    text = json.dumps(search.as_json(found), indent=2) if format is Format.JSON else search.as_text(found)
    options.deliver(text, output)
    raise typer.Exit(int(search.exit_code(found)))
